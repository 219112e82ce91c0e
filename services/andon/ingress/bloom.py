"""A set that may say yes too often and never says no wrongly (Bloom, 1970)."""

from __future__ import annotations

from collections.abc import Iterable

_BITS_PER_KEY = 16
_LEAST = 1 << 20
_MOST = 1 << 24


class Bloom:
    """Byte keys, made for as many as `keys` says, at 16 bits each: it says yes wrongly to 1 in 200.

    From 2 MiB (1 million keys) to 32 MiB (16.8 million); with more keys it is wrong more often, which costs its user
    a look into the index and nothing else. Holds only within one process, because it builds on `hash`.
    """

    __slots__ = ("_bits", "_limit", "_mask", "count")

    def __init__(self, keys: int = 0) -> None:
        capacity = min(max(1 << (keys - 1).bit_length(), _LEAST), _MOST)
        self.count = 0
        self._limit = max(capacity, keys)
        self._mask = capacity * _BITS_PER_KEY - 1
        self._bits = bytearray(capacity * _BITS_PER_KEY // 8)

    @property
    def full(self) -> bool:
        """Whether it holds more keys than it was made for."""
        return self.count > self._limit

    def __contains__(self, key: bytes) -> bool:
        # One 64-bit hash gives all probes (Kirsch and Mitzenmacher, 2006). Python keys it anew in each process, so
        # nobody outside can choose ids that collide, and it costs a tenth of what a cryptographic one would.
        place = hash(key)
        bits, mask = self._bits, self._mask
        bit = place & mask
        if not bits[bit >> 3] >> (bit & 7) & 1:
            return False
        step = place >> 32 | 1
        bit = place + step & mask
        if not bits[bit >> 3] >> (bit & 7) & 1:
            return False
        bit = place + 2 * step & mask
        return bool(bits[bit >> 3] >> (bit & 7) & 1)

    def update(self, keys: Iterable[bytes]) -> None:
        """Adds keys; call it from one thread at a time, others may look meanwhile."""
        bits, mask = self._bits, self._mask
        for key in keys:
            place = hash(key)
            step = place >> 32 | 1
            bit = place & mask
            bits[bit >> 3] |= 1 << (bit & 7)
            bit = place + step & mask
            bits[bit >> 3] |= 1 << (bit & 7)
            bit = place + 2 * step & mask
            bits[bit >> 3] |= 1 << (bit & 7)
            self.count += 1
