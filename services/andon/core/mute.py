"""A mute: what nobody is to be told of for a while, and what becomes of it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from andon.core.event import Event, Moment
from andon.core.matchers import MatcherError, all_hold, compile_matchers
from andon.core.text import is_line

Then = Literal["drop", "digest"]
"""What becomes of a muted event: nobody hears of it, or everybody does, in one digest, when it is over."""

LONGEST = timedelta(days=366)
MOST_BYTES = 64 << 10
"""Of all mutes together, as JSON: they share one record with the configuration."""
_MOST_MATCHERS = 20
_MOST_TEXT = 1_000
_NOTHING = Event("", "", "", "", datetime.fromtimestamp(0, UTC), {})


class Mute(msgspec.Struct, frozen=True):
    """One mute, part of a published configuration: it holds for events accepted from `begins` to before `ends`.

    `id` is `m` and the number of the version that brought it, so it is never given to another one.
    """

    id: str
    matchers: tuple[str, ...]
    begins: Moment
    ends: Moment
    creator: str
    why: str
    then: Then = "digest"


class MuteWrong(ValueError):  # noqa: N818 - a mistake of a person, told to that person
    """What was asked for is no mute; `field` names what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


def require_sound(mute: Mute, now: datetime) -> None:
    """Raises MuteWrong for one that cannot be read, mutes what nobody named, says no reason, or has no end in reach."""
    if not mute.why.strip():
        raise MuteWrong("why", "a mute needs a reason")
    for field, text in (("why", mute.why), ("creator", mute.creator), *(("matchers", one) for one in mute.matchers)):
        if len(text) > _MOST_TEXT or not is_line(text):
            said = f"at most {_MOST_TEXT} characters in one line, without tabs and other signs that nobody sees"
            raise MuteWrong(field, said)
    require_named(mute.matchers)
    if mute.ends <= mute.begins:
        raise MuteWrong("until", "it would end before it begins")
    if mute.ends <= now:
        raise MuteWrong("until", "it would be over already")
    if mute.ends - now > LONGEST:
        raise MuteWrong("until", f"a mute lasts {LONGEST.days} days at most; what is for ever belongs into the routes")


def require_named(matchers: Sequence[str]) -> None:
    """Raises MuteWrong for matchers that cannot be read, and, as in Alertmanager, for those that hold of everything."""
    if not 1 <= len(matchers) <= _MOST_MATCHERS:
        raise MuteWrong("matchers", f'1 to {_MOST_MATCHERS} matchers, for example line="L3"')
    try:
        tests = tuple(one.holds for one in compile_matchers(matchers))
    except MatcherError as error:
        raise MuteWrong("matchers", str(error)) from None
    if all_hold(tests, _NOTHING):
        raise MuteWrong("matchers", "it would mute everything; name a value that is to be there")


def by_mute(which: str) -> str:
    """How outcomes and deliveries call a mute."""
    return f"mute {which}"


def by_maintenance(name: str) -> str:
    """How outcomes and deliveries call a maintenance window."""
    return f"maintenance {name}"
