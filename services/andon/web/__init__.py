"""HTTP out: one client with total deadlines, shared by everything that calls another system."""
