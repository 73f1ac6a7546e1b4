"""The demo: real text, real work, and a checker that trusts nothing of Godel."""
