"""Topics, first offsets and the published configuration on a real broker."""
