"""In the place of the network, for commands that send and ask nothing."""

from __future__ import annotations

from collections.abc import Mapping
from socket import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
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
        raise AssertionError("this command sends nothing")

    async def connect(self, _host: str, _port: int, /, *, deadline: float = 15.0) -> socket:
        raise AssertionError("this command sends nothing")

    @property
    def way(self) -> Way:
        from andon.core.ports import Way

        return Way()

    def apart(self, _way: Way, /) -> Self:
        return self

    async def close(self) -> None:
        """Nothing to release."""
