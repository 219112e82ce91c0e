"""Faults of receivers that answer: with a broken connection, with "not now", with something that is no answer."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.chaos.round import Round
from tests.rig.client import Sent, wait_for
from tests.rig.plantfile import BLOCK_S, LIMIT, LIMITED, PARKING, PERIOD_S, ROBOTS
from tests.rig.record import Record
from tests.rig.verdict import Case

WITHIN_S = 60.0
IN_FLIGHT = 4
METADATA = "http://169.254.169.254/latest/meta-data/"
# What an answer without end may send until the caller has closed: its cap of 64 KiB, and what the kernel keeps.
MOST_SENT = 16 << 20


def f15_reset(run: Round) -> None:
    """The connection breaks after the body was read. Half of the receivers want it again, marked; half want to be
    asked: theirs is parked as `unknown`, and never comes twice. Void unless the sink broke five calls of either sort.
    """
    plant = run.plant
    again = ROBOTS[:3]
    with plant.load(run.prefix, run.rng, receivers=again + PARKING, rate=40) as load:
        run.pause(0.3, 0.6)
        plant.sink.do(**{name: {"what": "reset", "chance": 0.4} for name in again + PARKING})
        hit = wait_for(lambda: min(_cut(run, again), _cut(run, PARKING)) >= 5, WITHIN_S, every_s=0.2)
        run.pause(0.2, 0.8)
        plant.sink.well()
    record = run.judge(load.sent, 150)
    run.injections = sum(1 for one in record.odd if one.how == "reset")
    run.expect(hit, "void: the sink broke fewer than five calls of either sort")
    case = plant.case(run.prefix, load.sent)
    _parked_as_unknown(run, case)
    resent = [one for one in case.effects if one.marked and one.receiver in PARKING]
    run.expect(not resent, f"F15: sent again to those who want to be asked: {resent[:3]}")
    for pair, outcome in case.ended().items():
        kind = outcome["outcome"]["outcome"]
        run.expect(pair[1] not in again or kind == "delivered", f"F15: {pair} wanted a repeat and ended as {kind}")


def _cut(run: Round, receivers: Sequence[str]) -> int:
    return sum(1 for one in run.plant.record().effects if one.cut and one.receiver in receivers)


def _parked_as_unknown(run: Round, case: Case) -> None:
    ended = case.ended()
    for one in case.effects:
        if one.cut and one.receiver in PARKING:
            said = ended.get((one.id, one.receiver), {}).get("outcome", {})
            unknown = (said.get("outcome"), said.get("reason")) == ("parked", "unknown")
            run.expect(unknown, f"F15: {one.id} may have reached {one.receiver}, and ended as {said}")


def f16_throttled(run: Round, after_s: int = 2) -> None:
    """HTTP 429 with Retry-After: no call before its time. Two of the robots have a limit, and no period of their vendor
    holds more calls than that. Void unless twenty calls were refused and a limit was reached."""
    plant = run.plant
    throttled = ROBOTS[:6]
    with plant.load(run.prefix, run.rng, receivers=throttled + LIMITED, rate=90) as load:
        # The limit is reached before the robots say no: after that less of it is used for a while.
        run.pause(2.5 * PERIOD_S, 3.0 * PERIOD_S)
        plant.sink.do(**{n: {"what": "throttle", "after": after_s, "chance": 0.25} for n in throttled + LIMITED})
        hit = wait_for(lambda: len(plant.record().odd) >= 20, WITHIN_S, every_s=0.2)
        run.pause(0.2, 0.8)
        plant.sink.well()
    record = run.judge(load.sent, 240)
    run.injections = len(record.odd)
    run.expect(hit, f"void: the sink refused only {len(record.odd)} calls")
    _left_alone(run, record, after_s)
    most = {name: _fullest(record, name) for name in LIMITED}
    run.verdict.figures["most_calls_in_a_period"] = max(most.values())
    run.expect(max(most.values()) <= LIMIT, f"F16: {LIMIT} calls in {PERIOD_S} s are allowed, there were {most}")
    run.expect(max(most.values()) == LIMIT, f"void: no limit was reached, only {most}")


def f16_errcode_45009(run: Round) -> None:
    """WeCom's own "too often", which does not say until when: a robot is left alone for its `block`. All at once."""
    plant = run.plant
    with plant.load(run.prefix, run.rng, rate=run.rate(40)) as load:
        run.pause(0.2, 0.8)
        plant.sink.do(all={"what": "errcode", "code": 45009})
        began = time.time()
        wait_for(lambda: len({one.receiver for one in plant.record().odd}) == len(ROBOTS), WITHIN_S, every_s=0.1)
        plant.sink.well()
        time.sleep(max(0.0, began + 5 - time.time()))
    record = run.judge(load.sent, 240)
    run.injections = len({one.receiver for one in record.odd})
    run.expect(run.injections == len(ROBOTS), f"void: only {run.injections} robots were asked meanwhile")
    _left_alone(run, record, BLOCK_S)


def _left_alone(run: Round, record: Record, after_s: float) -> None:
    """What was on the wire when a robot said no may still come, so many as there are at one time; then nothing."""
    calls: dict[str, list[float]] = defaultdict(list)
    for receiver, at in _asked(record):
        calls[receiver].append(at)
    for no in record.odd:
        early = [at - no.at for at in calls[no.receiver] if 0 < at - no.at < after_s]
        late = [at for at in early if at > after_s / 2]
        run.expect(
            len(early) < IN_FLIGHT and not late,
            f"F16: {no.receiver} said no for {after_s} s, and was called again after {early[:5]} s",
        )


def _asked(record: Record) -> list[tuple[str, float]]:
    """Every call, those that were answered oddly too: the robot and when."""
    return [(one.receiver, one.at) for one in record.effects] + [(one.receiver, one.at) for one in record.odd]


def _fullest(record: Record, receiver: str) -> int:
    """The most calls that any period of this robot's vendor held, by the sink's clock."""
    times = sorted(at for asked, at in _asked(record) if asked == receiver)
    return max((sum(1 for at in times[n:] if at - begin < PERIOD_S) for n, begin in enumerate(times)), default=0)


# What is answered, to whom, and what becomes of what was sent: the reason of a parked delivery, or None when it is
# tried again until it arrives.
_FOREIGN = {
    "r1": ({"what": "errcode", "code": 93000}, "credentials"),
    "r2": ({"what": "errcode", "code": 40008}, "rejected"),
    "r3": ({"what": "html", "chance": 0.5}, None),
    "r4": ({"what": "huge", "chance": 0.5}, None),
    "r5": ({"what": "redirect", "to": METADATA, "chance": 0.5}, None),
    "r6": ({"what": "redirect", "to": "http://127.0.0.1:{sink}/lure", "chance": 0.5}, None),
}


def f18_no_answer(run: Round) -> None:
    """HTTP 200 with an errcode, with a page, with a body without end; redirects to the cloud's metadata and to
    ourselves: each is what it is, none is a delivery, nobody follows. Void unless each came three times."""
    plant = run.plant
    lure = str(plant.ports["sink"])
    doing = {
        name: {key: value.replace("{sink}", lure) if isinstance(value, str) else value for key, value in do.items()}
        for name, (do, _) in _FOREIGN.items()
    }
    receivers = (*_FOREIGN, "r7")
    plant.sink.do(**doing)
    with plant.load(run.prefix, run.rng, receivers=receivers, rate=35) as load:
        hit = wait_for(lambda: min(_odd(run, name) for name in _FOREIGN) >= 3, WITHIN_S, every_s=0.2)
        run.pause(0.1, 0.5)
    sent = plant.sink.now()["most_sent"]
    refused = load.sent
    _await_refusals(run, refused)
    plant.sink.well()
    record = run.judge(refused, 150)
    run.injections = len(record.odd)
    run.verdict.figures["most_sent"] = sent
    run.expect(hit, f"void: not all were answered so, only {Counter(one.receiver for one in record.odd)}")
    run.expect(not record.lured, f"F18: a redirect was followed to {record.lured[:3]}")
    run.expect(sent <= MOST_SENT, f"F18: {sent} bytes of an answer were taken before the call was given up")
    case = plant.case(run.prefix, refused)
    for (number, receiver), outcome in case.ended().items():
        reason = _FOREIGN[receiver][1] if receiver in _FOREIGN else None
        said, wanted = outcome["outcome"], ("parked", reason) if reason else ("delivered", "delivered")
        run.expect(
            (said["outcome"], said.get("reason", "delivered")) == wanted,
            f"F18: {number} for {receiver} ended as {said}, not {wanted}",
        )


def _odd(run: Round, receiver: str) -> int:
    return sum(1 for one in run.plant.record().odd if one.receiver == receiver)


def _await_refusals(run: Round, sent: Sequence[Sent]) -> None:
    """Those whose robot refuses for good have been told so, before it is well again."""
    final = {name for name, (_, reason) in _FOREIGN.items() if reason}
    wanted = {(one.id, to) for one in sent if one.accepted for to in one.receivers if to in final}
    wait_for(lambda: wanted <= run.plant.case(run.prefix, sent).ended().keys(), WITHIN_S, every_s=0.3)
