"""Faults of what lies below: Kafka, the store, poison in the topics, a configuration that changes."""

from __future__ import annotations

import json
import os
import resource
import time

from tests.chaos.processes import _raw
from tests.chaos.round import Round
from tests.rig.client import Door, Load, Sent, wait_for
from tests.rig.plant import TOKEN
from tests.rig.topics import DELIVERIES, DLQ, ENRICHED, EVENTS, Stored, put

RECOVERY_S = 30.0
SETTLED_S = 60.0
ACCEPTS_S = 40.0
LAW = 3
LAST_WORDS = 64 << 10
DEEP = b'{"type":"t","data":' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}"


def kafka_killed(run: Round) -> None:
    """kill -9 of Kafka under load and its start on the same data: no false 202, and a witness that was reading all
    along finds every outcome."""
    plant = run.plant
    witness = plant.topics()
    restarted: list[str] = []
    away: list[float] = []
    gaps: list[float] = []
    with plant.load(run.prefix, run.rng, rate=run.rate(80)) as load:
        for _ in run.turns(3):
            run.pause(1.0, 2.0)
            witness.more()
            plant.kafka_kill()
            at = time.time()
            run.pause(0.5, 1.5)
            plant.kafka_up()
            away.append(time.time() - at)
            run.injured(time.time())
            accepted = _accepted_again(run, load, at + 0.5, restarted)
            gaps.append(accepted - at)
            restarted += run.delivers_again(load.sent, accepted)
            run.pause(1.0, 2.0)

    def drained() -> bool:
        restarted.extend(plant.revive())
        return not plant.case(run.prefix, load.sent).open()

    wait_for(drained, 100, every_s=0.3)
    run.judge(load.sent, 20)
    run.expect(witness.more(), "the witness that read during the crash could not go on")
    case = plant.case(run.prefix, load.sent)
    run.expect(not case.open(), "the witness that read during the crash misses outcomes")
    # A service whose session ended while Kafka was away for longer may leave and be started again, as `andon up` does.
    run.verdict.figures |= {"kafka_away_s": max(away), "accept_gap_s": max(gaps), "restarted": len(restarted)}
    run.expect(run.recovery_s <= RECOVERY_S, f"I7: recovered {run.recovery_s:.1f} s after Kafka was back")


def _accepted_again(run: Round, load: Load, after: float, restarted: list[str]) -> float:
    """When the door took the first event after this time; services that left meanwhile are started again."""
    found: list[float] = []

    def again() -> bool:
        restarted.extend(run.plant.revive())
        found[:] = [one.accepted for one in load.sent if one.accepted and one.accepted > after]
        return bool(found)

    return min(found) if wait_for(again, ACCEPTS_S) else after + ACCEPTS_S


def store_full(run: Round) -> None:
    """The disk of the egress store is full (RLIMIT_FSIZE: the next write of its log fails half way): the desk stops
    with exit 3 and a sentence before it sends anything it could not write down; with room again nothing is lost."""
    plant = run.plant
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        stopped = [_fill(run) for _ in run.turns(4)]
    run.judge(load.sent, 120)
    run.verdict.figures["stopped_after_s"] = max(stopped)


def _fill(run: Round) -> float:
    """Takes the room from the desk and gives it back to the next one; how long it took the desk to stop."""
    plant = run.plant
    run.pause(1.0, 2.0)
    # The limit is one for all of its files, and its last words are to find room in its log.
    room = len(plant.log("egress").encode()) + LAST_WORDS
    at = time.time()
    resource.prlimit(plant.pid("egress"), resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    run.injured(at)
    code = plant.exit_code("egress", 60)
    ended = time.time()
    run.expect(code == LAW, f"the desk without a store ended with {code}, not {LAW}")
    said = plant.log("egress").strip().splitlines()[-1]
    run.expect("store egress" in said, f"its last words are {said!r}")
    plant.start("egress")
    plant.wait_ready("egress")
    run.pause(0.5, 1.0)
    return ended - at


def f22_poison(run: Round) -> None:
    """Bad JSON, a depth bomb, 5 MiB and invalid UTF-8: 4xx at the door, never 500; in the topics they end in the DLQ
    with their bytes, and what stands behind them in the same partition arrives."""
    plant = run.plant
    _poison_at_the_door(run)
    bad = [b"{", b"\xff\xfe\x00", b"", b"null", b"[1,2]", b'{"a":"\xc3\x28"}', DEEP, b'{"id":1}', b"\x00" * 2_000_000]
    sent: list[Sent] = []
    thrown: list[tuple[str, int, bytes]] = []
    for topic in (EVENTS, ENRICHED, DELIVERIES):
        for partition in range(12):
            poison = [(b"poison", run.prefix.encode() + b" " + one if one[:1] == b"\x00" else one) for one in bad]
            put(plant.bootstrap, topic, poison, partition)
            thrown += [(topic, partition, value) for _, value in poison]
    run.injections = len(thrown)
    for number in range(48):
        receivers = (f"r{number % 12 + 1}",)
        raw = _raw(f"{run.prefix}-{number}", f"{run.prefix}/{number}", receivers, n=number)
        sent.append(Sent(raw["id"], raw["subject"], receivers, json.dumps(raw).encode(), time.time()))
    door = Door(plant.door, TOKEN)
    for one in sent:
        door.send(one)
    run.judge(sent, 60)
    for one in sent:
        run.expect(one.told == [202], f"behind the poison {one.id} was answered {one.told}")

    def missing() -> list[tuple[str, int, bytes]]:
        plant.topics().more()
        laid = {_source(one) for one in plant.topics().records[DLQ]}
        return [one for one in thrown if one not in laid]

    run.expect(
        wait_for(lambda: not missing(), SETTLED_S, every_s=0.5), f"not in the DLQ: {[m[:2] for m in missing()][:5]}"
    )
    door.close()


def _source(stored: Stored) -> tuple[str, int, bytes]:
    headers = stored.headers
    return headers.get("andon-topic", b"").decode(), int(headers.get("andon-partition", b"-1")), stored.value


def _poison_at_the_door(run: Round) -> None:
    door = Door(run.plant.door, TOKEN)
    good = b'{"type":"t","id":"%s-x"}' % run.prefix.encode()
    wanted = [
        (b"{", 400),
        (b"\xff", 400),
        (b"", 400),
        (b"null", 400),
        (b'{"type":"\xc3\x28"}', 400),
        (DEEP, 400),
        (b"[" * 100_000, 400),
        (b'{"type":"t","data":{"a":NaN}}', 400),
        (b'{"type":"t","type":"u"}', 400),
        (b'{"type":"t","time":"2026-03-01T08:30:00"}', 400),
        (b'{"data":{}}', 400),
        (b'{"type":"t","data":{"a":"' + b"x" * (5 << 20) + b'"}}', 413),
    ]
    for body, status in wanted:
        found, answer, _ = door.post(body)
        # The door may close on a body it will not read; a client then sees a broken connection.
        run.expect(found == status or (status == 413 and found == 0), f"{body[:40]!r}…: {found} {answer[:100]!r}")
        run.injections += 1
    found, _, _ = door.post(good, kind="text/plain")
    run.expect(found == 415, f"text/plain: {found}")
    stranger = Door(run.plant.door, "wrong")
    found, _, _ = stranger.post(good)
    stranger.close()
    run.expect(found == 401, f"a wrong token: {found}")
    door.close()


def configuration(run: Round) -> None:
    """A new configuration is published under load: services take it without a restart; one with a broken part never
    gets as far as the topic."""
    plant = run.plant
    pids = {name: plant.pid(name) for name in ("ingress", "enrichment", "routing", "egress")}
    old = plant.config.read_text(encoding="utf-8")
    moved = old.replace("matchers: ['to=\"r1\"'], receiver: r1", "matchers: ['to=\"r1\"'], receiver: r2")
    with plant.load(run.prefix, run.rng, rate=run.rate(60), receivers=("r3", "r4")) as load:
        probe = Door(plant.door, TOKEN)
        for text, receiver in [(moved, "r2"), (old, "r1")] * len(run.turns(3)):
            run.pause(0.3, 0.8)
            plant.write_config(text)
            plant.publish()
            run.injured(time.time())
            heard = wait_for(lambda to=receiver: _goes_to(run, probe, "r1") == to, SETTLED_S, every_s=0.2)  # type: ignore[misc]
            run.expect(heard, f"the route to {receiver} is not in force after it was published")
        probe.close()
    run.judge(load.sent)
    run.expect({name: plant.pid(name) for name in pids} == pids, "a service was started again")
    run.expect(all(plant.exit_code(name, 0.01) is None for name in pids), "a service ended")


def _goes_to(run: Round, door: Door, to: str) -> str | None:
    """Where an event that asks for a receiver arrives just now."""
    number = f"probe-{run.prefix}-{os.urandom(4).hex()}"
    one = Sent(number, number, (to,), json.dumps(_raw(number, number, (to,), n=0)).encode(), time.time())
    if door.send(one) != 202:
        return None
    found: list[str] = []

    def arrived() -> bool:
        found[:] = [effect.receiver for effect in run.plant.record().effects if effect.id == number]
        return bool(found)

    wait_for(arrived, SETTLED_S)
    return found[0] if found else None
