"""The configuration as it was: every version that was published, and the router each of them makes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

if TYPE_CHECKING:
    from andon.config.published import Published
    from andon.routing.router import Router
    from andon.runtime.follower import Board


class Past:
    """What `andon.config` said when it was read, up to now. `said` has a sentence for each version of no use."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.said: list[str] = []
        self._routers: dict[int, Router | None] = {}
        self._times = sorted((_published.decode(raw).at.timestamp(), v) for v, raw in board.versions.items())

    @property
    def newest(self) -> Published | None:
        """The version in force."""
        return self.board.newest

    @property
    def zone(self) -> ZoneInfo | None:
        """The site's; None, this machine's, when nothing is published."""
        return ZoneInfo(self.newest.settings.site.zone) if self.newest else None

    def version_at(self, at: float) -> int | None:
        """The version that was in force then, by the times of publication; the first for what was there before it."""
        before = next((version for when, version in reversed(self._times) if when <= at), None)
        return before if before is not None else self._times[0][1] if self._times else None

    def router(self, version: int | None) -> Router | None:
        """The router of a version; None when there is none or it cannot be used any more, which is then said."""
        number = version or 0
        if number not in self._routers:
            self._routers[number] = self._built(number)
        return self._routers[number]

    def _built(self, version: int) -> Router | None:
        from andon.config.published import BundleUnreadable
        from andon.routing.published import router_of
        from andon.runtime.registry import Registry

        try:
            return router_of(self.board.version(version), Registry())
        except (LookupError, ValueError, BundleUnreadable) as error:
            self.said.append(f"version {version} of the configuration cannot be used to explain it ({error})")
            return None

    def receivers(self) -> set[str]:
        """Every receiver there ever was: one of them may have been in force when an event came."""
        return {name for raw in self.board.versions.values() for name in _names.decode(raw).settings.receivers}


def past(scan: Any) -> Past:
    """Reads the topic; what it reads does not count."""
    from andon.core.event import Home
    from andon.kafka.topics import CONFIG
    from andon.runtime.follower import Board

    board, homes = Board(), [Home(CONFIG, number) for number in range(scan.partitions(5.0).get(CONFIG, 0))]
    for record in scan.stretch(scan.beginnings(homes), scan.ends(homes)):
        board.take(record.key, record.value)
    scan.read = 0
    return Past(board)


class _Settings(msgspec.Struct):
    receivers: dict[str, msgspec.Raw] = {}


class _Bundle(msgspec.Struct):
    settings: _Settings


class _Published(msgspec.Struct):
    at: datetime


_names = msgspec.json.Decoder(_Bundle)
_published = msgspec.json.Decoder(_Published)
