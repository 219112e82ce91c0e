"""The thread an event hangs on: W3C Trace Context, version 00."""

from __future__ import annotations

import re

_VALID = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LENGTH = 55


def accepted(header: str | None) -> str | None:
    """The header as version 00 understands it, None when it is missing or not valid.

    A later version may append fields after a dash; they are left out, as the recommendation says.
    """
    if header is None or not _VALID.match(header):
        return None
    if len(header) > _LENGTH and (header.startswith("00") or header[_LENGTH] != "-"):
        return None
    return f"00{header[2:_LENGTH]}"


def minted(random: bytes) -> str:
    """A new, sampled trace from 24 random bytes."""
    text = random.hex()
    return f"00-{text[:32]}-{text[32:48]}-01"
