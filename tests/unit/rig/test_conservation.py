"""The balance of a run finds what does not add up: each defect is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.rig.conservation import Books, Sight, balance, over
from tests.rig.topics import DELIVERIES, DLQ, OUTCOMES, Stored, Topics

Defect = Callable[["Run"], object]


class Run:
    """Five events: one delivered to two people, two in one digest, one parked, one passed over."""

    def __init__(self) -> None:
        self.accepted = {"e1", "e2", "e3", "e4", "e5"}
        self.topics = Topics("nowhere")
        self.made("d1", "e1", "shift", "wang", "li")
        self.made("d2", "e2", "board", "board")
        self.made("d3", "e3", "board", "board")
        self.made("d4", "e4", "gone", "gone")
        self.ended("d1", "delivered", "wang", "li")
        self.ended("d2", "delivered", "board")
        self.ended("d3", "merged", into="d2")
        self.ended("d4", "parked", "gone")
        self.put(OUTCOMES, id="e5", event="e5", outcome={"outcome": "skipped"})
        self.topics.records[DLQ].append(Stored(DLQ, 0, 0, b"", b"", {"andon-topic": DELIVERIES.encode()}))
        self.seen = [self.sight("wang", "e1", "shift"), self.sight("li", "e1", "shift")]
        self.seen.append(self.sight("board", "e2", "board", kind="digest", count=2))

    def put(self, topic: str, **value: Any) -> None:
        self.topics.records[topic].append(Stored(topic, 0, 0, b"", json.dumps(value).encode(), {}))

    def made(self, number: str, event: str, receiver: str, *to: str) -> None:
        self.put(DELIVERIES, id=number, event={"id": event}, receiver=receiver, recipients=to)

    def ended(self, number: str, how: str, *to: str, **more: str) -> None:
        outcome = {"outcome": how, **more}
        states = [{"recipient": one, "outcome": {"outcome": how}} for one in to]
        self.put(OUTCOMES, id=number, delivery=number, event="", outcome=outcome, recipients=states)

    @staticmethod
    def sight(who: str, event: str, receiver: str, *, kind: str = "one", count: int = 1, marked: bool = False) -> Sight:
        return Sight(0.0, who, marked, kind, event, receiver, count)

    def violations(self) -> list[str]:
        return balance(self.accepted, Books.of(self.topics), self.seen).violations


def test_a_sound_run_adds_up() -> None:
    run = Run()
    run.seen.append(Run.sight("wang", "e1", "shift", marked=True))
    found = balance(run.accepted, Books.of(run.topics), run.seen)
    assert found.violations == []
    assert (found.figures["deliveries"], found.figures["delivered"], found.figures["merged"]) == (4, 2, 1)
    assert (found.figures["parked"], found.figures["passed_over"], found.figures["waiting"]) == (1, 1, 0)
    assert (found.figures["lost"], found.figures["marked"]) == (0, 1)


DEFECTS: dict[str, tuple[Defect, str]] = {
    "an event without anything": (lambda run: run.accepted.add("e6"), "neither delivery nor outcome"),
    "an event nobody accepted": (lambda run: run.accepted.remove("e1"), "nobody accepted"),
    "a delivery without an outcome": (lambda run: run.made("d6", "e1", "other", "zhao"), "wait after the drain"),
    "a delivery made twice": (lambda run: run.made("d1", "e1", "shift", "wang", "li"), "made twice"),
    "an outcome of nothing": (lambda run: run.ended("d9", "delivered"), "nobody made"),
    "two outcomes": (lambda run: run.ended("d1", "parked"), "told in two ways"),
    "a passed-over event that was delivered": (lambda run: run.made("d6", "e5", "shift", "wang"), "delivered as well"),
    "a parked one without its bytes": (lambda run: run.topics.records[DLQ].clear(), "are parked"),
    "twice without a mark": (lambda run: run.seen.append(Run.sight("li", "e1", "shift")), "twice without a mark"),
    "delivered and never seen": (lambda run: run.seen.pop(0), "never saw it"),
    "a digest that hides one": (
        lambda run: run.seen.__setitem__(2, Run.sight("board", "e2", "board", kind="digest")),
        "stands for 2",
    ),
    "merged and seen": (lambda run: run.seen.append(Run.sight("board", "e3", "board")), "merged, and seen"),
    "seen by another": (lambda run: run.seen.append(Run.sight("zhao", "e1", "shift")), "for whom it was not"),
    "seen and never sent": (lambda run: run.seen.append(Run.sight("li", "e7", "shift")), "nobody sent"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_found(name: str) -> None:
    plant, sentence = DEFECTS[name]
    run = Run()
    plant(run)
    assert any(sentence in one for one in run.violations()), run.violations()


def test_calls_over_a_limit_are_counted_however_the_period_is_cut() -> None:
    assert over([0.0, 0.1, 1.0, 1.1], 2, 1.0) == 0
    assert over([0.5, 0.9, 1.1, 1.4], 2, 1.0) == 2
