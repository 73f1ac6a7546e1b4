"""I/O about the fleet: what makes instances, looks after them and changes how many there are."""
