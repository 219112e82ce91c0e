"""Stand-ins of vendors and the demo plant. Never imported by production code."""
