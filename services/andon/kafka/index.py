"""`schemas/index.json`: the schema ids that need no registry, each for ever the same file.

They begin at two thousand million. A registry counts from 1, so the two never mean different things by one number, and
what was written before there was a registry stays readable beside it.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

_IN_PACKAGE = Path(__file__).parents[1] / "schemas"  # in a wheel only
_IN_CHECKOUT = Path(__file__).parents[3] / "schemas"
FIRST = 2_000_000_001


class Entry(msgspec.Struct, frozen=True):
    """One schema: the `version` of the Avro form of a topic's values, where it stands, and the digest of that file."""

    topic: str
    version: int
    file: str
    sha256: str


class IndexBroken(Exception):  # noqa: N818 - a property of the installation
    """A file of the index isn't the one it was; the text says which."""


class Index:
    """The ids of one folder of schemas."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or (_IN_PACKAGE if _IN_PACKAGE.is_dir() else _IN_CHECKOUT)
        raw = (self.folder / "index.json").read_bytes()
        self.entries = msgspec.json.decode(raw, type=dict[int, Entry])

    def text(self, number: int) -> bytes | None:
        """The schema with this id; None for a number that is not in the index. Raises IndexBroken."""
        entry = self.entries.get(number)
        if entry is None:
            return None
        text = (self.folder / entry.file).read_bytes()
        if sha256(text).hexdigest() != entry.sha256:
            raise IndexBroken(f"{entry.file} is not what it was when schema {number} was given out; install it again")
        return text

    def newest(self, topic: str) -> tuple[int, Any]:
        """Id and schema of the newest version of a topic. Raises IndexBroken."""
        number = max(
            (n for n, one in self.entries.items() if one.topic == topic), key=lambda n: self.entries[n].version
        )
        return number, msgspec.json.decode(self.text(number) or b"")
