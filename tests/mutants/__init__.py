"""Ten planted bugs, each of which some test must find: `python -m tests.mutants`."""
