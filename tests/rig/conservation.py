"""The balance of a run: what was accepted, against its deliveries, their outcomes, and what people saw.

Judged from the topics and from the stand-ins' own records alone; imports nothing of Andon.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.rig.record import said
from tests.rig.topics import DELIVERIES, DLQ, OUTCOMES, Topics
from tests.rig.verdict import Verdict

KINDS = ("delivered", "merged", "skipped", "parked")
FROM = "andon-topic"
Pair = tuple[str, str]  # event and receiver


@dataclass(frozen=True)
class Sight:
    """What one of those addressed saw, by the clock of the stand-in; a digest speaks for `count` events."""

    at: float
    who: str
    marked: bool
    kind: str
    event: str
    receiver: str
    count: int


def sights(lines: Iterable[Mapping[str, Any]], who: str) -> Iterator[Sight]:
    """The lines of a stand-in's record; the field `who` of a line names who saw it."""
    return (Sight(line["at"], line[who], *said(line["content"])) for line in lines)


@dataclass(frozen=True)
class Made:
    """A delivery, as routing made it."""

    event: str
    receiver: str
    recipients: tuple[str, ...]

    @property
    def pair(self) -> Pair:
        return self.event, self.receiver


@dataclass
class Books:
    """What the topics say: deliveries and outcomes by the delivery's id, and how often an event ended without one."""

    made: dict[str, Made] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    parked_bytes: int = 0
    strange: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, topics: Topics) -> Books:
        books = cls()
        for stored in topics.records[DELIVERIES]:
            one = stored.json() or {}
            if one["id"] in books.made:
                books.strange.append(f"the delivery {one['id']} was made twice")
            books.made[one["id"]] = Made(one["event"]["id"], one["receiver"], tuple(one["recipients"]))
        told: dict[str, dict[str, Any]] = {}
        for stored in topics.records[OUTCOMES]:
            one = stored.json() or {}
            if told.setdefault(one["id"], one)["outcome"] != one["outcome"]:
                books.strange.append(f"the outcome {one['id']} was told in two ways")
        for one in told.values():
            if one.get("delivery"):
                books.ended[one["delivery"]] = one
            else:
                books.passed[one["event"]] += 1
        books.parked_bytes = sum(one.headers.get(FROM, b"").decode() == DELIVERIES for one in topics.records[DLQ])
        return books

    def kind(self, delivery: str) -> str:
        """How a delivery ended; "waiting" while it has not."""
        ended = self.ended.get(delivery)
        return ended["outcome"]["outcome"] if ended else "waiting"

    def into(self, delivery: str) -> str:
        """The delivery that this one became part of in the end; itself when it was not merged."""
        while self.kind(delivery) == "merged":
            delivery = self.ended[delivery]["outcome"]["into"]
        return delivery


def balance(accepted: Collection[str], books: Books, seen: Sequence[Sight]) -> Verdict:
    """Whether the sum is right after everything has ended, nothing was lost, and nothing came twice unmarked."""
    verdict = Verdict(violations=list(books.strange))
    events = {one.event for one in books.made.values()}
    lost = set(accepted) - events - books.passed.keys()
    verdict.expect(not lost, f"{len(lost)} accepted events have neither delivery nor outcome, such as {_some(lost)}")
    strangers = (events | books.passed.keys()) - set(accepted)
    verdict.expect(not strangers, f"{len(strangers)} events that nobody accepted, such as {_some(strangers)}")
    both = [one for one, count in books.passed.items() if count > 1 or one in events]
    verdict.expect(not both, f"{len(both)} events were passed over more than once, or delivered as well: {_some(both)}")
    kinds = Counter(map(books.kind, books.made))
    unknown = books.ended.keys() - books.made.keys()
    verdict.expect(not unknown, f"{len(unknown)} outcomes of deliveries that nobody made, such as {_some(unknown)}")
    known = sum(kinds[one] for one in (*KINDS, "waiting"))
    verdict.expect(len(books.made) == known, f"{len(books.made)} deliveries, and {dict(kinds)}")
    verdict.expect(not kinds["waiting"], f"{kinds['waiting']} deliveries wait after the drain")
    verdict.expect(
        books.parked_bytes >= kinds["parked"], f"{kinds['parked']} are parked, {books.parked_bytes} lie in {DLQ}"
    )
    _shown(books, seen, verdict)
    verdict.figures |= {
        "accepted": len(accepted),
        "passed_over": len(books.passed),
        "deliveries": len(books.made),
        **{one: kinds[one] for one in (*KINDS, "waiting")},
        "lost": len(lost),
        "seen": len(seen),
        "marked": sum(one.marked for one in seen),
    }
    return verdict


def _shown(books: Books, seen: Sequence[Sight], verdict: Verdict) -> None:
    """Holds what people saw against the outcomes: nothing twice without its mark, nothing called delivered that nobody
    saw, and each digest speaks for as many events as became part of it."""
    of: dict[Pair, dict[str, list[Sight]]] = defaultdict(lambda: defaultdict(list))
    for one in seen:
        of[one.event, one.receiver][one.who].append(one)
    stands = Counter(map(books.into, books.made))
    for number, made in books.made.items():
        saw, kind = of.pop(made.pair, {}), books.kind(number)
        others = saw.keys() - set(made.recipients)
        verdict.expect(not others, f"{made.pair} was seen by {_some(others)}, for whom it was not")
        verdict.expect(kind != "merged" or not saw, f"{made.pair} was merged, and seen as well")
        twice = [who for who, sights in saw.items() if sum(not sight.marked for sight in sights) > 1]
        verdict.expect(not twice, f"{made.pair} was seen twice without a mark by {_some(twice)}")
        if kind == "delivered":
            blind = set(_reached(books.ended[number])) - saw.keys()
            verdict.expect(not blind, f"{made.pair} is called delivered, and {_some(blind)} never saw it")
            counts = {sight.count for sights in saw.values() for sight in sights}
            verdict.expect(
                counts == {stands[number]}, f"{made.pair} stands for {stands[number]} and was shown as {counts}"
            )
    verdict.expect(not of, f"{len(of)} notices that nobody sent were seen, such as {_some(of)}")


def _reached(outcome: Mapping[str, Any]) -> list[str]:
    """The recipients whom an outcome calls told."""
    states = outcome.get("recipients", ())
    return [one["recipient"] for one in states if one["outcome"]["outcome"] == "delivered"]


def over(times: Iterable[float], limit: int, period: float) -> int:
    """How many of these calls came while `period` seconds, however they are cut, already held `limit`."""
    ordered = sorted(times)
    return sum(last - first < period for first, last in zip(ordered, ordered[limit:], strict=False))


def _some(things: Iterable[Any]) -> list[Any]:
    return sorted(things)[:3]
