"""A vault in memory: two channels that share it are two processes."""

from __future__ import annotations


class MemoryVault:
    """core.ports.Vault without a disk. `values` and `claims` are open to look at."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, bytes]] = {}
        self.claims: dict[str, tuple[str, float]] = {}

    async def find(self, name: str, secret: str, /) -> bytes | None:
        of, value = self.values.get(name, ("", b""))
        return value if of == secret and value else None

    async def keep(self, name: str, secret: str, value: bytes, /) -> None:
        self.values[name] = (secret, value)
        self.claims.pop(name, None)

    async def claim(self, name: str, holder: str, now: float, until: float, /) -> bool:
        if self.claims.get(name, ("", 0.0))[1] > now:
            return False
        self.claims[name] = (holder, until)
        return True

    async def release(self, name: str, holder: str, /) -> None:
        if self.claims.get(name, ("", 0.0))[0] == holder:
            del self.claims[name]
