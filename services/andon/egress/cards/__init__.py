"""The shapes of structured kinds, one file per vendor."""
