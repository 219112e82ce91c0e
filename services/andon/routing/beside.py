"""What sources beside another path came to, and what that path lost. Pure.

An event was told by the other path if one of its rows has equal values under every name that is compared, and a time
from a little before the event was accepted until `within` seconds after; each row stands for one event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from andon.core.event import CLEAR, RAISE, Event
from andon.core.matchers import label_value
from andon.core.outcome import OutcomeRecord
from andon.core.parallel import would_have_heard

EARLY_S = 60.0
"""How much earlier than the event was accepted the other path may say that it told."""
_MOST_SHOWN = 20
_STATES = {"firing": RAISE, "resolved": CLEAR}


class Row(msgspec.Struct, frozen=True):
    """One thing the other path told: when (seconds since 1970), and its values under the names that are compared."""

    at: float
    values: tuple[str, ...]


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event, or a row without one (then `event` is empty), as an example."""

    at: float
    values: tuple[str, ...]
    event: str = ""
    receivers: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """`told` are events the other path told of, `lost` those it did not although somebody would have heard of them
    here; `unknown` are its rows about which no event came. `outside` are rows of another time."""

    rows: int
    outside: int
    told: int
    lost: int
    unknown: int
    lost_by_receiver: dict[str, int]
    lost_cases: tuple[Case, ...]
    unknown_cases: tuple[Case, ...]
    never: tuple[str, ...]
    """Names that are compared and that no event has a value for."""


class Report(msgspec.Struct, frozen=True):
    """`taken` events; of them `told` that somebody would have heard of, by `receivers` (notices before groups and
    limits, which come after routing), `nobody` by the rule that ended them, and `open` that are not decided yet."""

    taken: int
    by_source: dict[str, int]
    told: int
    receivers: dict[str, int]
    nobody: dict[str, int]
    open: int
    old: Compared | None = None


class Beside:
    """Takes all outcomes first, then all events, and counts each event once: the log has it twice when two doors took
    it, or it was redriven. `names` are compared with the rows: `state`, another label, or `id`, `type`, `subject`,
    `source`."""

    def __init__(self, sources: frozenset[str], names: Sequence[str] = ()) -> None:
        self._sources = sources
        self._read = [(lambda event: event.id) if name == "id" else label_value(name) for name in names]
        self._names = names
        self._endings: dict[tuple[str, str], tuple[str, ...] | str] = {}
        self._came: set[tuple[str, str]] = set()
        self._taken, self._receivers, self._nobody = Counter[str](), Counter[str](), Counter[str]()
        self._told = self._open = 0
        self._events: dict[tuple[str, ...], list[Case]] = {}
        self._seen = [False] * len(names)

    def ended(self, record: OutcomeRecord) -> None:
        """An outcome; those of deliveries and of other sources do not count."""
        if record.source in self._sources and record.delivery is None:
            heard = would_have_heard(record.outcome)
            self._endings[record.source, record.event] = record.outcome.reason.value if heard is None else heard

    def came(self, event: Event, at: float) -> None:
        """An event, and when it was accepted."""
        key = (event.source, event.id)
        if event.source not in self._sources or key in self._came:
            return
        self._came.add(key)
        self._taken[event.source] += 1
        ending = self._endings.pop(key, None)
        receivers = ending if isinstance(ending, tuple) else ()
        if receivers:
            self._told += 1
            self._receivers.update(receivers)
        elif ending is None:
            self._open += 1
        else:
            self._nobody[str(ending)] += 1
        if self._names:
            values = tuple(read(event) for read in self._read)
            self._seen = [seen or bool(value) for seen, value in zip(self._seen, values, strict=True)]
            self._events.setdefault(values, []).append(Case(at, values, event.id, receivers))

    def report(self, rows: Sequence[Row] | None = None, *, since: float, until: float, within: float) -> Report:
        """What came of it; with `rows`, held against them."""
        return Report(
            taken=self._taken.total(),
            by_source=dict(self._taken.most_common()),
            told=self._told,
            receivers=dict(self._receivers.most_common()),
            nobody=dict(self._nobody.most_common()),
            open=self._open,
            old=None if rows is None else self._compared(rows, since, until, within),
        )

    def _compared(self, rows: Sequence[Row], since: float, until: float, within: float) -> Compared:
        counted = [row for row in rows if since <= row.at < until]
        by_values: dict[tuple[str, ...], list[float]] = {}
        for row in counted:
            by_values.setdefault(row.values, []).append(row.at)
        told, lost = 0, list[Case]()
        for values, cases in self._events.items():
            left = sorted(by_values.get(values, ()))
            for case in sorted(cases, key=lambda one: one.at):
                place = bisect_left(left, case.at - EARLY_S)
                if place < len(left) and left[place] <= case.at + within:
                    del left[place]
                    told += 1
                elif case.receivers:
                    lost.append(case)
        unknown = [Case(row.at, row.values) for row in counted if not self._known(row)]
        of = Counter(name for case in lost for name in case.receivers)
        return Compared(
            rows=len(counted),
            outside=len(rows) - len(counted),
            told=told,
            lost=len(lost),
            unknown=len(unknown),
            lost_by_receiver=dict(of.most_common()),
            lost_cases=tuple(sorted(lost, key=lambda one: one.at)[:_MOST_SHOWN]),
            unknown_cases=tuple(sorted(unknown, key=lambda one: one.at)[:_MOST_SHOWN]),
            never=tuple(name for name, seen in zip(self._names, self._seen, strict=True) if not seen),
        )

    def _known(self, row: Row) -> bool:
        """Whether such an event had come by then: who tells again what still goes on is no stranger."""
        return any(case.at <= row.at + EARLY_S for case in self._events.get(row.values, ()))


def compared_value(name: str, value: str) -> str:
    """A value of the other path as an event has it: `firing` and `resolved` are raise and clear."""
    return _STATES.get(value, value) if name == "state" else value


def row_of(written: Mapping[str, str], at: float, names: Sequence[str]) -> Row:
    """A row from its columns; a name it lacks has the empty text."""
    return Row(at, tuple(compared_value(name, written.get(name, "")) for name in names))
