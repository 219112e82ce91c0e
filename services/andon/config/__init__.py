"""The configuration file (andon.yaml): its words, its checking, its published versions."""
