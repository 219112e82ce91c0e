"""What a test expects against what came: every difference, each with the events that explain it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from andon.rehearsal.moments import moment, shown
from andon.rehearsal.result import Came, Ending, Notice
from andon.rehearsal.suites import listed
from andon.rehearsal.written import Expect, NoticeExpected, OutcomeExpected

Way = tuple[str | int, ...]
_LONGEST = 300
_MOST = 12
_NOBODY = "nobody"
_MERGED = "merged"


class Difference(msgspec.Struct, frozen=True):
    """One expectation that was not met: its place within the test, what was expected and what came, and events whose
    way through the routes says why."""

    place: Way
    expected: str
    came: str
    events: tuple[str, ...] = ()


class Comparison:
    """Compares with what came of a test that began then. `names` has the events by the names expectations use."""

    def __init__(self, came: Came, names: Mapping[str, Sequence[str]], begins: float, zone: ZoneInfo) -> None:
        self._came = came
        self._names = names
        self._begins = begins
        self._zone = zone

    def differences(self, expect: Expect) -> Iterator[Difference]:
        """All of them, in the order of the keys."""
        place: Way = ("expect",)
        if expect.receivers is not None:
            yield from self._receivers(expect.receivers, (*place, "receivers"))
        if expect.notices is not None:
            yield from self._notices(expect.notices, (*place, "notices"))
        for number, wanted in enumerate(expect.includes):
            yield from self._included(wanted, (*place, "includes", number))
        for receiver, count in expect.totals.items():
            yield from self._total(receiver, count, (*place, "totals", receiver))
        for number, ending in enumerate(expect.outcomes):
            yield from self._outcomes(ending, (*place, "outcomes", number))
        if expect.waiting is not None and expect.waiting != len(self._came.waiting):
            open_ = [f"{one.event} for {one.receiver}" for one in self._came.waiting]
            came = f"{len(open_)}: {_some(open_)}" if open_ else "0"
            yield Difference(
                (*place, "waiting"), str(expect.waiting), came, _first(o.event for o in self._came.waiting)
            )

    # ---- notices

    def _receivers(self, wanted: Sequence[str], place: Way) -> Iterator[Difference]:
        told = dict.fromkeys(notice.receiver for notice in self._came.notices)
        if set(told) == set(wanted):
            return
        more = [event for notice in self._came.notices if notice.receiver not in wanted for event in notice.events]
        less = [*self._came.events] if set(wanted) - set(told) else []
        yield Difference(place, ", ".join(wanted) or _NOBODY, ", ".join(told) or _NOBODY, _first((*more, *less)))

    def _notices(self, wanted: Sequence[NoticeExpected], place: Way) -> Iterator[Difference]:
        """Those of each receiver are compared one by one, in their order."""
        came: dict[str, list[Notice]] = {}
        for notice in self._came.notices:
            came.setdefault(notice.receiver, []).append(notice)
        for number, one in enumerate(wanted):
            of_receiver = came.get(one.receiver, [])
            if not of_receiver:
                yield Difference((*place, number), self._wanted(one), "no such notice", self._of(one))
                continue
            notice = of_receiver.pop(0)
            if self._why_not(one, notice):
                yield self._other(one, notice, (*place, number))
        for notice in (one for of_receiver in came.values() for one in of_receiver):
            yield Difference(place, f"no more notices to {notice.receiver}", self._said(notice), _first(notice.events))

    def _other(self, wanted: NoticeExpected, notice: Notice, place: Way) -> Difference:
        why = "; ".join(self._why_not(wanted, notice))
        return Difference(place, self._wanted(wanted), f"{self._said(notice)} ({why})", _first(notice.events))

    def _included(self, wanted: NoticeExpected, place: Way) -> Iterator[Difference]:
        near = [notice for notice in self._came.notices if notice.receiver == wanted.receiver]
        if not near:
            yield Difference(place, self._wanted(wanted), "no such notice", self._of(wanted))
        elif all(self._why_not(wanted, notice) for notice in near):
            nearest = min(near, key=lambda notice: len(self._why_not(wanted, notice)))
            yield self._other(wanted, nearest, place)

    def _total(self, receiver: str, count: int, place: Way) -> Iterator[Difference]:
        notices = [notice for notice in self._came.notices if notice.receiver == receiver]
        if len(notices) != count:
            times = [shown(notice.at, self._begins, self._zone) for notice in notices]
            came = f"{len(notices)}: at {_some(times)}" if times else "0"
            yield Difference(place, f"{count} to {receiver}", came, _first(e for one in notices for e in one.events))

    def _why_not(self, wanted: NoticeExpected, notice: Notice) -> list[str]:
        """What is other than expected; nothing if the notice is the one."""
        whole = "\n".join(notice.parts)
        ids = [each for name in listed(wanted.events) for each in self._names[name]]
        checks: list[tuple[bool, str]] = [
            (wanted.at is None or self._is_at(wanted.at, notice.at), "another time"),
            (wanted.to is None or listed(wanted.to) == notice.to, f"to {_some(notice.to)}"),
            (wanted.count is None or wanted.count == len(notice.events), f"of {len(notice.events)} events"),
            (wanted.events is None or sorted(ids) == sorted(notice.events), f"of {_some(notice.events)}"),
            (wanted.route is None or wanted.route == notice.route, f"by route {notice.route}"),
            (wanted.group is None or wanted.group == notice.group, _group(notice)),
            (wanted.text is None or _stripped(listed(wanted.text)) == notice.parts, "another text"),
            *((words in whole, f"without {_quoted(words)}") for words in listed(wanted.contains)),
            *((words not in whole, f"with {_quoted(words)}") for words in listed(wanted.lacks)),
        ]
        return [why for kept, why in checks if not kept]

    def _is_at(self, wanted: str, at: float) -> bool:
        return abs(moment(wanted, self._begins, self._zone) - at) < 0.001

    def _of(self, wanted: NoticeExpected) -> tuple[str, ...]:
        named = [each for name in listed(wanted.events) for each in self._names[name]]
        return _first(named or self._came.events)

    def _wanted(self, one: NoticeExpected) -> str:
        said = [f"to {one.receiver}"]
        if one.at is not None:
            said.append(f"at {shown(moment(one.at, self._begins, self._zone), self._begins, self._zone)}")
        said += [f"of {one.count} events"] if one.count is not None else []
        for key in ("to", "events", "route", "group", "text", "contains", "lacks"):
            value = getattr(one, key)
            if value not in (None, ()):
                said.append(f"{key} {_some(map(_quoted, listed(value)))}")
        return ", ".join(said)

    def _said(self, notice: Notice) -> str:
        at = shown(notice.at, self._begins, self._zone)
        return f"to {notice.receiver} at {at} of {_some(notice.events)}: {_quoted(' / '.join(notice.parts))}"

    # ---- outcomes

    def _outcomes(self, wanted: OutcomeExpected, place: Way) -> Iterator[Difference]:
        ids = set(self._names[wanted.event]) if wanted.event is not None else None
        about = [
            one
            for one in self._came.endings
            if (ids is None or one.event in ids) and (wanted.receiver is None or one.receiver == wanted.receiver)
        ]
        so = [one for one in about if _ends(wanted, one)]
        other = [one for one in about if not _ends(wanted, one)]
        expected = " ".join(
            filter(None, (wanted.event or "every event", wanted.receiver and f"at {wanted.receiver}", _how(wanted)))
        )
        if wanted.count is not None:
            if len(so) != wanted.count:
                yield Difference(
                    place, f"{expected}, {wanted.count} times", _told(about), _first(o.event for o in other)
                )
            return
        heard = {one.event for one in about}
        missing = [one for one in self._names[wanted.event] if one not in heard] if wanted.event is not None else []
        if other or missing or not about:
            came = _told(other) if other else f"{_some(missing) or 'nothing'} has not ended"
            yield Difference(place, expected, came, _first([*(o.event for o in other), *missing]))


def _ends(wanted: OutcomeExpected, one: Ending) -> bool:
    return all(
        expected is None or expected == came
        for expected, came in ((wanted.outcome, one.outcome), (wanted.reason, one.reason), (wanted.by, one.by))
    )


def _how(wanted: OutcomeExpected) -> str:
    return " ".join(
        filter(None, (wanted.outcome, wanted.reason and f"({wanted.reason})", wanted.by and f"by {wanted.by}"))
    )


def _told(endings: Sequence[Ending]) -> str:
    """The endings, those that are alike counted. Into what each was merged is not told of many."""
    alike: dict[tuple[str | None, str, str, str], list[Ending]] = {}
    for one in endings:
        by = one.by if one.outcome != _MERGED else ""
        alike.setdefault((one.receiver, one.outcome, one.reason, by), []).append(one)
    return _some(map(_counted, alike.values())) or "nothing"


def _counted(alike: Sequence[Ending]) -> str:
    one = alike[0]
    who = one.event if len(alike) == 1 else f"{len(alike)} × {one.event} …"
    at = f" at {one.receiver}" if one.receiver else ""
    by = f" by {one.by}" if one.by and (one.outcome != _MERGED or len(alike) == 1) else ""
    return f"{who}{at} {one.outcome} ({one.reason}){by}"


def _group(notice: Notice) -> str:
    return "of no group" if notice.group is None else f"of the group {_quoted(notice.group)}"


def _stripped(texts: Sequence[str]) -> tuple[str, ...]:
    """A block of YAML ends with a line feed that no notice has."""
    return tuple(text.strip() for text in texts)


def _quoted(text: str) -> str:
    line = text.replace("\n", " ⏎ ")
    return f"“{line if len(line) <= _LONGEST else line[:_LONGEST] + '…'}”"


def _some(texts: Iterable[str]) -> str:
    found = list(texts)
    return ", ".join(found[:_MOST]) + (f" and {len(found) - _MOST} more" if len(found) > _MOST else "")


def _first(events: Iterable[str]) -> tuple[str, ...]:
    """Few events are enough to see why."""
    found = list(dict.fromkeys(events))
    return tuple(found[:2])
