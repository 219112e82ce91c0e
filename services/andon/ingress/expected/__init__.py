"""Sources that are to be heard of: what doors hear, tell each other, and say when it fails."""
