"""Readers of hostile bytes, fed by libFuzzer (atheris): `python -m tests.fuzz TARGET FOLDER [-runs=N] [-seed=S]`."""
