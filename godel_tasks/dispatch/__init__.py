"""Dispatch: route → reserve → claim → deliver → settle → publish, as a pipeline of small steps."""
