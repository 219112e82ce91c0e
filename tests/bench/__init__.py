"""Benchmarks: `make bench`, or `make bench ONLY=path`. Each is interleaved with a bare loop in the same run."""
