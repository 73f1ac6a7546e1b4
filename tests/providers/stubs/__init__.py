"""Stubs of the APIs behind providers, held to the published descriptions."""
