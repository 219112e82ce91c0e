"""The shared rig of fault and system tests: a plant of real processes, and witnesses that share no code with it."""
