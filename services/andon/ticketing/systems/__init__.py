"""One file per kind of ticket system."""
