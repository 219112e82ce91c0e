"""Connectors: what other systems know becomes facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec


class Facts(msgspec.Struct, frozen=True):
    """What a connector knows of one event. `found` False means that it was asked and has no such entry."""

    values: Mapping[str, Any]
    found: bool = True


class Connector(Protocol):
    """Looks up facts in another system: one answer per event, in order. Raises `Retryable` or `Rejected`."""

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]: ...

    async def close(self) -> None: ...


@runtime_checkable
class ReadsWhole(Protocol):
    """The `Config` of a connector whose whole table can be read, to be published with the configuration."""

    def rows(self, folder: Path, /) -> Iterator[Mapping[str, Any]]:
        """Every row; blocking. Relative file names start from `folder`. Raises ValueError, Retryable or Rejected, with
        a text that shows no secret."""

    def files(self, folder: Path, /) -> Sequence[Path]:
        """The files whose change changes the rows."""
