"""Thin entry points of Godel's processes."""
