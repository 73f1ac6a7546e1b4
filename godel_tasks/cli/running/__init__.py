"""The parts of `godel run`: lines come from a source, go through the runner, end in a file."""
