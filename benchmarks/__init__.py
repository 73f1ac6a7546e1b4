"""Figures about Godel, measured side by side with its rivals. See RESULTS.md."""
