"""What WeCom counts of an application's messages (developer.work.weixin.qq.com, pages 90312, 90236 and 90248)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from andon.core.policy import Limit, Per

# The vendor counts by 60 s, 60 min and days; two seconds more keep its windows covered when clocks or the way differ.
MEMBER = (Limit(30, 62.0), Limit(1_000, 3_602.0))
CORP = (Limit(10_000, 62.0), Limit(150_000, 3_602.0))
CHAT = (Limit(200, 62.0), Limit(10_000, 86_402.0))
_DAY_S, _MIDNIGHT_S, _MARGIN_S = 86_400.0, 57_600.0, 2.0  # midnight in China is 16:00 UTC, all the year


def each(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """These, counted for every recipient."""
    return tuple(Limit(limit.count, limit.period, Per.RECIPIENT) for limit in limits)


def a_day(people: int) -> tuple[Limit, ...]:
    """So many people in a calendar day of China; none for 0."""
    return (Limit(people, _DAY_S, Per.PERSON, _MIDNIGHT_S, _MARGIN_S),) if people else ()


class ToChats(NamedTuple):
    """The way of an app to its group chats, as the desk sees it (`core.ports.HasWays`).

    The vendor counts what a member gets in all of the app's chats; who is in them is not known here, so each call
    counts for everyone. A chat is no person: what one can read does not bound it.
    """

    domain: str
    agent: int
    calls: tuple[Limit, ...]
    members: tuple[Limit, ...]

    def limit_domain(self) -> str:
        return self.domain

    def limits(self) -> tuple[Limit, ...]:
        return (*self.calls, *each(self.members))

    def lines(self) -> int:
        return 1

    def sender(self) -> str:
        """The app, where it speaks in chats: that has a count of its own."""
        return f"{self.agent}/chats"
