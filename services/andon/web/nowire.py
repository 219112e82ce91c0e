"""In the place of the network, for what sends and asks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from socket import socket
from typing import Self

from andon.core.ports import Reply, Way


class NoWire:
    """`core.ports.Wire` that nothing leaves by."""

    async def request(
        self,
        _method: str,
        _url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        raise AssertionError("nothing is sent from here")

    async def connect(self, _host: str, _port: int, /, *, deadline: float = 15.0) -> socket:
        raise AssertionError("nothing is sent from here")

    @property
    def way(self) -> Way:
        return Way()

    def apart(self, _way: Way, /) -> Self:
        return self

    async def close(self) -> None:
        """Nothing to release."""
