"""`andon up` as a person at a terminal meets it."""
