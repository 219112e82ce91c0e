"""The judge: holds what clients were told and what the sink saw against the topics. Imports nothing of Andon.

Standing invariants of specs/reliability.md, section 7: I1 what was accepted ends in an outcome; I2 one effect for
each event and receiver, and where an answer was lost at most one more, marked; I3 order of first deliveries; I5 caps;
I6 nothing that was never accepted. The stages between the topics write exactly once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any

from tests.rig.client import Sent
from tests.rig.record import Effect, Record, Result
from tests.rig.topics import DELIVERIES, DLQ, ENRICHED, EVENTS, OUTCOMES, Stored, Topics

Pair = tuple[str, str]


@dataclass
class Verdict:
    """`violations` is empty when every invariant holds."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def expect(self, kept: object, sentence: str) -> None:
        if not kept:
            self.violations.append(sentence)


class Case:
    """What is known of the events of one run: those whose id begins with `prefix`."""

    def __init__(self, prefix: str, sent: Sequence[Sent], topics: Topics, record: Record) -> None:
        self.sent = {one.id: one for one in sent}
        self.record = record
        self.log = [(s, v) for s in topics.records[EVENTS] if (v := s.json()) and _of(v.get("id"), prefix)]
        self.enriched = Counter(
            v["id"] for s in topics.records[ENRICHED] if (v := s.json()) and _of(v.get("id"), prefix)
        )
        self.deliveries: Counter[Pair] = Counter()
        self.delivery_ids: dict[Pair, set[str]] = defaultdict(set)
        self.partitions: dict[Pair, int] = {}
        for stored in topics.records[DELIVERIES]:
            value = stored.json()
            if value and isinstance(value.get("event"), dict) and _of(value["event"].get("id"), prefix):
                pair = (value["event"]["id"], value["receiver"])
                self.deliveries[pair] += 1
                self.delivery_ids[pair].add(value["id"])
                self.partitions[pair] = stored.partition
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.told_twice_differently: list[str] = []
        for stored in topics.records[OUTCOMES]:
            value = stored.json()
            if value and _of(value.get("event"), prefix):
                before = self.outcomes.setdefault(value["id"], value)
                if before["outcome"] != value["outcome"]:
                    self.told_twice_differently.append(value["id"])
        self.dlq = topics.records[DLQ]
        self.effects = [one for one in record.effects if one.id.startswith(prefix)]
        self._stored = self._stored_by_each()

    def _stored_by_each(self) -> dict[int, list[Result]]:
        """By process: when each last call of a delivery was answered, and when that was first seen closed."""
        found: dict[int, list[Result]] = defaultdict(list)
        for pair, one in {(one.id, one.receiver): one for one in self.effects}.items():
            if one.answered is not None and (since := self.closed_since(pair)) < inf:
                found[one.pid].append((one.answered, since))
        return found

    def ended(self) -> dict[Pair, dict[str, Any]]:
        return {(o["event"], o["receiver"]): o for o in self.outcomes.values() if o.get("receiver")}

    def unsure(self, effect: Effect) -> bool:
        """Whether the caller of this call may not know that it had its effect."""
        pair = (effect.id, effect.receiver)
        stored = self._stored.get(effect.pid, ())
        return self.record.unsure(effect, self.partitions.get(pair), self.delivery_ids.get(pair, ()), stored)

    def closed_since(self, pair: Pair) -> float:
        """When a look at the store first found this delivery closed; infinity when none did."""
        return self.record.closed.since(self.delivery_ids.get(pair, ()))

    def around(self, effect: Effect) -> str:
        """What was done to the caller of this call and to its lease."""
        return self.record.around(effect, self.partitions.get((effect.id, effect.receiver)))

    def open(self) -> list[Pair]:
        """Deliveries without an outcome, and accepted events without deliveries."""
        ended = self.ended()
        wanted = {(one.id, receiver) for one in self.sent.values() if one.accepted for receiver in one.receivers}
        return sorted((wanted | self.deliveries.keys()) - ended.keys())


def _of(number: object, prefix: str) -> bool:
    return isinstance(number, str) and number.startswith(prefix)


def judge(case: Case, caps: dict[str, tuple[float, float]]) -> Verdict:
    """`caps` holds the highest value seen and the cap of every queue and window."""
    verdict = Verdict()
    _accepted(case, verdict)
    _exactly_once(case, verdict)
    _outcomes(case, verdict)
    _effects(case, verdict)
    _order(case, verdict)
    for name, (most, cap) in caps.items():
        verdict.expect(most <= cap, f"I5: {name} rose to {most:g}, above its cap of {cap:g}")
    kinds = Counter(o["outcome"]["outcome"] for o in case.ended().values())
    verdict.figures |= {
        "sent": len(case.sent),
        "accepted": sum(1 for one in case.sent.values() if one.accepted),
        "records": len(case.log),
        "deliveries": len(case.deliveries),
        **kinds,
        "effects": len(case.effects),
        "marked": sum(1 for one in case.effects if one.marked),
        "unsure": sum(1 for one in case.effects if case.unsure(one)),
        "stood_closed": sum(1 for pair in case.deliveries if case.closed_since(pair) < inf),
    }
    return verdict


def _accepted(case: Case, verdict: Verdict) -> None:
    logged = {value["id"] for _, value in case.log}
    for one in case.sent.values():
        verdict.expect(one.id in logged or not one.accepted, f"I1: {one.id} got 202 and is not in {EVENTS}")
        verdict.expect(not (one.told and one.impossible and one.id in logged), f"I6: {one.id} was refused, yet logged")
        # 503 and silence promise nothing; anything else from 500 up is a fault of the door.
        verdict.expect(all(s in (0, 503) or s < 500 for s in one.told), f"{one.id}: the door said {one.told}")
    for number in logged - case.sent.keys():
        verdict.expect(False, f"I6: {number} is in {EVENTS}, and nobody sent it")


def _exactly_once(case: Case, verdict: Verdict) -> None:
    logged = Counter(value["id"] for _, value in case.log)
    verdict.expect(
        case.enriched == logged,
        f"enrichment is not exactly once: {_difference(case.enriched, logged)}",
    )
    wanted = Counter(
        {(n, receiver): count for n, count in logged.items() if n in case.sent for receiver in case.sent[n].receivers}
    )
    verdict.expect(case.deliveries == wanted, f"routing is not exactly once: {_difference(case.deliveries, wanted)}")
    for pair, ids in case.delivery_ids.items():
        verdict.expect(len(ids) == 1, f"{pair} has {len(ids)} delivery ids")


def _difference(found: Counter[Any], wanted: Counter[Any]) -> str:
    more, less = found - wanted, wanted - found
    return f"{sum(more.values())} too many {list(more)[:3]}, {sum(less.values())} too few {list(less)[:3]}"


def _outcomes(case: Case, verdict: Verdict) -> None:
    lost = case.open()
    verdict.expect(not lost, f"I1: {len(lost)} without an outcome, such as {lost[:3]}")
    verdict.expect(not case.told_twice_differently, f"one outcome id, two outcomes: {case.told_twice_differently[:3]}")
    per_pair = Counter((o["event"], o["receiver"]) for o in case.outcomes.values() if o.get("receiver"))
    double = [pair for pair, count in per_pair.items() if count > 1]
    verdict.expect(not double, f"conservation: more than one outcome for {double[:3]}")
    parked = {pair for pair, o in case.ended().items() if o["outcome"]["outcome"] == "parked"}
    laid = {_pair_in(one) for one in case.dlq}
    verdict.expect(parked <= laid, f"parked, and not in {DLQ}: {sorted(parked - laid)[:3]}")


def _pair_in(stored: Stored) -> Pair | None:
    value = stored.json()
    if not value or not isinstance(value.get("event"), dict):
        return None
    return (value["event"].get("id", ""), value.get("receiver", ""))


def _effects(case: Case, verdict: Verdict) -> None:
    seen: dict[Pair, list[Effect]] = defaultdict(list)
    for effect in case.effects:
        seen[effect.id, effect.receiver].append(effect)
    ended = case.ended()
    digests = {str(o["delivery"]): o for o in ended.values()}
    for pair, outcome in ended.items():
        name = outcome["outcome"]["outcome"]
        verdict.expect(name != "delivered" or seen.get(pair), f"L5: {pair} is called delivered, the sink never saw it")
        if name == "merged":
            into = digests.get(outcome["outcome"]["into"])
            verdict.expect(into is not None, f"I1: {pair} is merged into a delivery without an outcome")
            verdict.expect(not seen.get(pair), f"I2: {pair} is called merged, and was sent all the same")
    for pair, effects in seen.items():
        verdict.expect(pair in case.deliveries, f"I6: the sink saw {pair}, which nobody was to hear")
        for before, after in pairwise(effects):
            verdict.expect(after.marked, f"I2: {pair} came again without its mark (call {after.call})")
            verdict.expect(
                case.unsure(before), f"I2: {before} was answered and came again: {after}; {case.around(before)}"
            )
        closed = case.closed_since(pair)
        late = [one for one in effects if one.at > closed]
        verdict.expect(not late, f"I2: {pair} stood closed in the store at {closed}, and was sent after that: {late}")
        kinds = {one.kind for one in effects}
        verdict.expect(len(kinds) == 1, f"{pair} came as {kinds}")


def _order(case: Case, verdict: Verdict) -> None:
    place: dict[str, int] = {}
    sent_order: dict[str, list[str]] = defaultdict(list)
    for number, (_, value) in enumerate(sorted(case.log, key=lambda one: (one[0].partition, one[0].offset))):
        place.setdefault(value["id"], number)
    for one in sorted(case.sent.values(), key=lambda sent: sent.began):
        if one.id in place:
            sent_order[one.subject].append(one.id)
    for subject, ids in sent_order.items():
        verdict.expect(ids == sorted(ids, key=place.__getitem__), f"I3: {subject} stands in the log in another order")
    latest: dict[Pair, int] = {}
    first: set[Pair] = set()
    for effect in case.effects:
        if (effect.id, effect.receiver) in first or effect.id not in case.sent or effect.id not in place:
            continue
        first.add((effect.id, effect.receiver))
        lane = (case.sent[effect.id].subject, effect.receiver)
        verdict.expect(
            place[effect.id] > latest.get(lane, -1), f"I3: {effect.id} reached {effect.receiver} after a later one"
        )
        latest[lane] = max(latest.get(lane, -1), place[effect.id])
