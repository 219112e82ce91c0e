"""What every stand-in of a group robot has: accounts known beforehand, limits, and what the people of a group saw."""

from __future__ import annotations

import argparse
import collections
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from andon.dev import http, standin
from andon.dev.standin import Counts, Refusal, StandIn


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person in the group saw, `at` in seconds since 1970: the text, and who was called by name."""

    at: float
    key: str
    msgtype: str
    content: str
    called: tuple[str, ...] = ()


class Shown(msgspec.Struct, frozen=True):
    """What a body the vendor takes puts before people."""

    msgtype: str
    content: str
    called: tuple[str, ...] = ()


class Window:
    """At most `limit` calls in any `period` seconds, counted by arrival; 0 means no limit.

    A call too many closes it for `penalty` seconds, if that is longer.
    """

    def __init__(self, limit: int, period: float, penalty: float = 0.0) -> None:
        self._limit = limit
        self._period = period
        self._penalty = penalty
        self._arrivals: collections.deque[float] = collections.deque()
        self._closed_until = 0.0

    def admits(self, now: float) -> bool:
        if not self._limit:
            return True
        if now < self._closed_until:
            return False
        while self._arrivals and self._arrivals[0] <= now - self._period:
            self._arrivals.popleft()
        if len(self._arrivals) >= self._limit:
            self._closed_until = now + self._penalty
            return False
        self._arrivals.append(now)
        return True


class RobotStandIn(StandIn[Seen]):
    """A vendor's robots, by their accounts. What the vendor says is in `account`, `shown` and `refused`."""

    def __init__(
        self,
        accounts: Iterable[str],
        *,
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(record=record, port=port, now=now)
        self.counts: dict[str, Counts] = {account: Counts() for account in accounts}

    @abstractmethod
    def shown(self, account: str, request: http.Request, now: float) -> Shown | bytes:
        """What people see of a call, or the whole response to one that shows nothing. Raises Refusal."""

    def tally(self, account: str) -> Counts:
        return self.counts[account]

    def carried_out(self, account: str, request: http.Request, now: float) -> bytes:
        shown = self.shown(account, request, now)
        if isinstance(shown, bytes):
            return shown
        self.show(Seen(now, account, shown.msgtype, shown.content, shown.called))
        self.counts[account].accepted += 1
        return self.accepted


def json_of(body: bytes, errcode: int, errmsg: str) -> dict[str, Any]:
    """The map in a request body. Raises Refusal with these words for anything else."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Refusal(errcode, errmsg) from None
    if not isinstance(value, dict):
        raise Refusal(errcode, errmsg)
    return value


def options(name: str, what: str, port: int, limit: int = 20) -> argparse.ArgumentParser:
    """The command line of a robot's stand-in."""
    parser = standin.options(name, f"A stand-in of the {what}.", port, "call a person would have seen")
    parser.add_argument("--limit", type=int, default=limit, help="calls per period and account; 0 for no limit")
    parser.add_argument("--period", type=float, default=60.0, help="seconds")
    parser.add_argument("--keys", required=True, help="accounts (keys, tokens, ids of robots), separated by commas")
    return parser


def split(accounts: str) -> Sequence[str]:
    """The accounts of `--keys`."""
    return accounts.split(",")


def secrets_of(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> dict[str, str]:
    """The accounts of `--keys`, each with its secret of `--secrets`; "" where there are none. Ends the process when
    they do not match."""
    accounts = split(chosen.keys)
    secrets = split(chosen.secrets) if chosen.secrets else [""] * len(accounts)
    if len(secrets) != len(accounts):
        parser.error("--secrets needs one for each of --keys")
    return dict(zip(accounts, secrets, strict=True))
