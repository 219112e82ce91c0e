"""The words of the domain, pure: no input or output, no clock, no logging, no randomness."""
