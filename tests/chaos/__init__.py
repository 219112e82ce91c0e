"""Faults of specs/reliability.md, section 7, injected into real processes and judged from outside."""
