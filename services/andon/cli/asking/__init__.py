"""What commands ask a system about its past, and how people name times, persons and events."""
