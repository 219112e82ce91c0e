"""Faults of receivers: slow, silent, dripping; and a channel that is blocked until the door says no."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tests.chaos.round import Round
from tests.rig.client import Door, Sent, event, wait_for
from tests.rig.plant import TOKEN
from tests.rig.plantfile import ROBOTS
from tests.rig.record import Record
from tests.rig.timing import Sample, p99, slower, typical_p99

DEADLINE_S = 15.0
LATE_S = 30.0
WARM_S, USUAL_S = 5.0, 6.0
SHARED_S = 1.0
FLOOR_S = 0.15
SICK, WELL = ROBOTS[:3], ROBOTS[3:]


def f13_f14_slow_sinks(run: Round, deadlines: int = 1) -> None:
    """One robot answers after 30 s, one never, one a byte at a time; the others notice nothing.

    The typical second's p99 of the others at most twice what it was in the same run before (or 150 ms more, the noise
    of a busy machine; beside other tests a second); every call is ended by its caller at the total deadline;
    connections do not grow.
    """
    plant = run.plant
    plant.sink.well()
    with plant.load(run.prefix, run.rng, rate=60) as load:
        time.sleep(WARM_S)  # a desk that has just begun is no measure
        usual_from = time.time()
        time.sleep(USUAL_S)
        sick_from = time.time()
        late: Mapping[str, object] = {"what": "late", "low": LATE_S, "high": LATE_S}
        plant.sink.do(**{SICK[0]: late, SICK[1]: {"what": "hang"}, SICK[2]: {"what": "drip", "low": 1.0}})
        all_sick_from = time.time()
        open_before = plant.sink.now()["open"]
        time.sleep(deadlines * DEADLINE_S + 3.0)
        most_open = plant.sink.now()["most_open"]
        sick_to = time.time()
        plant.sink.well()
        time.sleep(1)
    record = run.judge(load.sent, 150)
    _others_notice_nothing(run, load.sent, record, (usual_from, sick_from, sick_to))
    _calls_end(run, record, (all_sick_from, sick_to))
    run.verdict.figures |= {"open_before": open_before, "open_most": most_open}
    run.expect(most_open <= open_before + 4 * len(ROBOTS), f"F14: connections rose from {open_before} to {most_open}")


def _others_notice_nothing(run: Round, sent: Sequence[Sent], record: Record, turns: tuple[float, float, float]) -> None:
    """What the sick hold up, they hold up in every second; a machine that stands still once does not. A test may share
    its machine, and what runs beside it begins or ends between the two: then a second's stall is what is looked for."""
    before, meanwhile = (_paths(sent, record, WELL, within) for within in pairwise(turns))
    usual, now = typical_p99(before), typical_p99(meanwhile)
    run.verdict.figures |= {"typical_p99_before_s": usual, "typical_p99_meanwhile_s": now}
    run.verdict.figures |= {"p99_before_s": p99(s for _, s in before), "p99_meanwhile_s": p99(s for _, s in meanwhile)}
    run.expect(
        not slower(usual, now, FLOOR_S if run.soak else SHARED_S),
        f"F13: the typical second's p99 of the others rose from {usual:.3f} to {now:.3f} s",
    )


def _paths(sent: Sequence[Sent], record: Record, receivers: Sequence[str], within: tuple[float, float]) -> list[Sample]:
    """From the first try at the door to the sink."""
    begin, end = within
    began = {one.id: one.began for one in sent if begin <= one.began < end and one.receivers[0] in receivers}
    first: dict[tuple[str, str], Sample] = {}
    for one in record.effects:
        if one.id in began and one.receiver in receivers:
            first.setdefault((one.id, one.receiver), (began[one.id], one.at - began[one.id]))
    return list(first.values())


def _calls_end(run: Round, record: Record, sick: tuple[float, float]) -> None:
    """The calls to the sick: none waits until the robot is done, and they typically end with the deadline."""
    begin, end = sick
    mine = [one for one in record.effects if one.id.startswith(run.prefix) and one.receiver in SICK]
    calls = [one for one in mine if begin <= one.at < end]
    ends = [(ended, ended - one.at) for one in calls if (ended := record.ended(one))]
    typical, longest = typical_p99(ends), max((length for _, length in ends), default=0.0)
    run.verdict.figures |= {"sick_calls": len(calls), "typical_call_s": typical, "longest_call_s": longest}
    run.expect(len(ends) == len(calls), f"F14: {len(calls) - len(ends)} calls never ended")
    waited = [one.call for one in calls if one.answered]
    run.expect(not waited, f"F14: the calls {waited[:5]} went on until the robot was done")
    run.expect(longest < LATE_S, f"F14: a call lasted {longest:.1f} s")
    run.expect(typical <= DEADLINE_S + 1, f"F14: calls typically lasted {typical:.1f} s")
    run.injections = sum(1 for _, length in ends if length >= DEADLINE_S - 1)
    run.expect(run.injections, "void: no call came to its deadline")


def backlog(run: Round) -> None:
    """Every channel refuses until the backlog is full: intake pauses, the door answers 429 with Retry-After, queues
    stay at their caps by merging; once channels work again, all that was accepted is delivered or merged.

    Needs a plant with `limits: {backlog: 1000}`.
    """
    plant = run.plant
    plant.sink.do(all={"what": "errcode", "code": -1})
    began = time.time()
    door = Door(plant.door, TOKEN)
    sent: list[Sent] = []
    over: list[dict[str, str]] = []
    while len(over) < 5 and time.time() < began + 60 and len(sent) < 20_000:
        batch = [_event(run, len(sent) + n) for n in range(100)]
        sent += batch
        status, body, headers = door.post(b"[" + b",".join(one.body for one in batch) + b"]", "/v1/events:batch")
        answers = [answer["status"] for answer in json.loads(body)] if status == 200 else [status] * len(batch)
        for one, answer in zip(batch, answers, strict=True):
            one.told.append(answer)
            if answer == 202:
                one.accepted = time.time()
        if status == 429:
            over.append(headers)
        time.sleep(0.1)
    door.close()
    run.injections = len(over)
    taken = sum(1 for one in sent if one.accepted)
    run.expect(over, f"the door took {taken} events and never said 429")
    run.expect(all(h.get("retry-after", "").isdigit() for h in over), f"429 without Retry-After: {over[:1]}")
    run.expect(taken >= 1_000, f"the door said 429 after {taken} events, below the backlog of 1000")
    run.expect(taken <= 5_000, f"the door said 429 only after {taken} events: it closes about two seconds late")
    plant.sink.well()
    run.judge(sent, 150)
    again = Door(plant.door, TOKEN)
    last = [_event(run, len(sent) + n) for n in range(5)]
    took = wait_for(lambda: again.send(last[0]) == 202, 30, every_s=0.5)
    run.expect(took, f"the door did not open again: {last[0].told[-1:]}")
    again.close()
    run.expect(plant.drained(run.prefix, [*sent, last[0]], 60), "the first event after the backlog got no outcome")
    run.verdict.figures["taken"] = taken


def _event(run: Round, number: int) -> Sent:
    to = ROBOTS[number % len(ROBOTS)]
    name, subject = f"{run.prefix}-{number}", f"{run.prefix}/s{number % 240}"
    body = json.dumps(event(name, subject, (to,), n=number)).encode()
    return Sent(name, subject, (to,), body, time.time())
