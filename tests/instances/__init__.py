"""Stories about instances, their drivers and the instance process."""
