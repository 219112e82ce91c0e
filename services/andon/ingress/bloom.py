"""A set that may say yes too often and never says no wrongly (Bloom, 1970), one look into memory a key."""

from __future__ import annotations

from array import array
from collections.abc import Collection

_BITS_PER_KEY = 16
_LEAST = 1 << 20
_MOST = 1 << 24
_CELL = 64
# Any two of a cell's 64 bits; a key has two such pairs.
_PAIRS = [1 << bit | 1 << (bit + apart) % _CELL for apart in range(1, 33) for bit in range(_CELL)]
_CHOICE = len(_PAIRS) - 1


class Bloom:
    """Byte keys, made for as many as `keys` says, at 16 bits each: it says yes wrongly to 1 in 200.

    From 2 MiB (1 million keys) to 32 MiB (16.8 million); with more keys it is wrong more often, which costs its user
    a look into the index and nothing else. Holds only within one process, because it builds on `hash`.
    """

    __slots__ = ("_cells", "_limit", "_mask", "count")

    def __init__(self, keys: int = 0) -> None:
        capacity = min(max(1 << (keys - 1).bit_length(), _LEAST), _MOST)
        self.count = 0
        self._limit = max(capacity, keys)
        self._mask = capacity * _BITS_PER_KEY // _CELL - 1
        self._cells = array("Q", bytes(capacity * _BITS_PER_KEY // 8))

    @property
    def full(self) -> bool:
        """Whether it holds more keys than it was made for."""
        return self.count > self._limit

    # All bits of a key lie in one cell (Putze, Sanders and Singler, 2007): three probes cost the door's writer thread
    # three times as much, with the interpreter's lock held. Python keys its 64-bit hash anew in each process, so nobody
    # outside can choose ids that collide, and it costs a tenth of what a cryptographic one would.

    def among(self, keys: Collection[bytes]) -> list[bytes]:
        """Those of the keys that it may hold."""
        cells, mask, pairs, choice = self._cells, self._mask, _PAIRS, _CHOICE
        found = []
        for key in keys:
            place = hash(key)
            bits = pairs[place >> 24 & choice] | pairs[place >> 40 & choice]
            if cells[place & mask] & bits == bits:
                found.append(key)
        return found

    def update(self, keys: Collection[bytes]) -> None:
        """Adds keys; call it from one thread at a time, others may look meanwhile."""
        cells, mask, pairs, choice = self._cells, self._mask, _PAIRS, _CHOICE
        for key in keys:
            place = hash(key)
            cells[place & mask] |= pairs[place >> 24 & choice] | pairs[place >> 40 & choice]
        self.count += len(keys)
