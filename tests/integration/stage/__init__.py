"""The stage engine on a real broker."""
