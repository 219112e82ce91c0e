"""Words of the command line."""

from __future__ import annotations


def is_text(*given: str) -> bool:
    """Whether the shell gave UTF-8; Python keeps other bytes as signs that no record can have."""
    try:
        "".join(given).encode()
    except UnicodeEncodeError:
        return False
    return True
