"""Looking at tasks and instances without touching them: for the CLI, later for the doors."""
