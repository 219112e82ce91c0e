"""One file per kind of connector."""
