"""The promise, law by law."""
