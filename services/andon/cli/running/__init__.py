"""What `andon up` plans, keeps running, watches and counts."""
