"""Faults of transactions: commits that come late, stages that wake up too late, writers that never end."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import Producer

from andon.kafka.connection import Connection
from tests.chaos.members import take_out
from tests.chaos.processes import _raw
from tests.chaos.round import Round
from tests.integration.stage.line import Line, until
from tests.rig.client import Sent, wait_for
from tests.rig.consistency import torn
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port
from tests.rig.proxy import Hold, Proxy
from tests.rig.topics import ENRICHED, EVENTS, Stored, Topics, ends, put
from tests.rig.watch import get

SESSION_S = 10.0
STEP_S = 1.0
HELD_S = 1.6
LINES = 6
PATIENCE_S = 180.0
TAKEN_S = 60.0


def f04_frozen_stages(run: Round) -> None:
    """Two of three processes of either stage are frozen under load for twice their session, while the third takes their
    partitions over, and woken: nothing they had begun is ever seen. Void unless all was worked off meanwhile."""
    plant = run.plant
    slots = {plant.start(stage, slot): (stage, slot) for stage in ("enrichment", "routing") for slot in (1, 2)}
    for name in slots:
        plant.wait_ready(name)
    frozen = ("enrichment", "enrichment-1", "routing", "routing-1")
    with plant.load(run.prefix, run.rng, rate=run.rate(60)) as load:
        run.pause(1.0, 2.5)
        for name in frozen:
            run.injured(plant.freeze(name))
            run.pause(0.0, 0.3)
        since = time.time()
        before = {(one.id, to) for one in load.sent if one.accepted for to in one.receivers}
        taken = wait_for(lambda: before <= plant.case(run.prefix, load.sent).ended().keys(), TAKEN_S, every_s=0.5)
        time.sleep(max(0.0, since + 2 * SESSION_S - time.time()))
        for name in frozen:
            plant.thaw(name)
        run.pause(1.5, 3.0)

    def drained() -> bool:
        plant.revive()  # its session was over: the broker may know its slot no more, and tell it so at any time
        return not plant.case(run.prefix, load.sent).open()

    wait_for(drained, 120, every_s=0.3)
    for name, (stage, slot) in slots.items():
        plant.terminate(name)
        take_out(plant, stage, slot)
    run.judge(load.sent, 60)
    run.expect(taken, "void: the third process did not take everything over")
    run.verdict.figures["never_committed"] = _never_committed(run)


def _never_committed(run: Round) -> int:
    """Records of this round that stand in the topics and are no part of them."""
    raw = Topics(run.plant.bootstrap, run.plant.since, committed=False)
    raw.more()
    raw.close()
    run.plant.topics().more()
    seen = run.plant.topics().records
    return sum(len(raw.records[topic]) - len(seen[topic]) for topic in raw.records)


def f09_late_commits(run: Round) -> None:
    """The commit of a stage, or the broker's answer to it, is held back until its client has given it up, then let go:
    outputs and offsets are there both or neither, each time. An injection is a commit that was given up.

    Real stages with a step of 1 s, so that a commit is soon given up, on topics of their own.
    """
    plant, wanted = run.plant, 50 if run.soak else 6
    chance = random.Random(run.rng.random())

    def hold() -> Hold | None:
        return chance.choice(("request", "request", "answer", None))

    with Proxy(free_port(), plant.ports["kafka"], hold, HELD_S) as proxy:
        lines = [Line(Kafka(plant.bootstrap), partitions=2) for _ in range(LINES)]
        found = asyncio.run(_work(lines, Connection(f"127.0.0.1:{proxy.port}"), wanted, run))
        run.verdict.figures |= {"held_commits": proxy.held["request"], "held_answers": proxy.held["answer"]}
    for line in lines:
        line.kafka.close()
    run.verdict.violations += found
    run.expect(run.injections >= wanted, f"void: only {run.injections} commits were given up")
    run.expect(proxy.held["answer"], "void: no answer was held back")


async def _work(lines: Sequence[Line], link: Connection, wanted: int, run: Round) -> list[str]:
    runners = [line.runner(step_s=STEP_S, connection=link) for line in lines]
    end = time.monotonic() + PATIENCE_S
    found: list[str] = []

    async def one(number: int) -> None:
        line, runner = lines[number], runners[number]
        async with line.running(runner) as task:
            while sum(one._producer.rebuilt for one in runners) < wanted and time.monotonic() < end:
                await asyncio.to_thread(line.send, 30, 6)
                await until(lambda: line.committed() >= line.sent or task.done(), within_s=PATIENCE_S)
                found.extend(await asyncio.to_thread(_torn, line))
                if task.done():
                    break

    await asyncio.gather(*(one(number) for number in range(len(lines))))
    run.injections = sum(runner._producer.rebuilt for runner in runners)
    return found


def _torn(line: Line) -> list[str]:
    """What the checker says of a line at rest."""
    inputs = _stored(line, line.source)
    made = [(p["topic"], p["partition"], p["offset"]) for one in _stored(line, line.sink) for p in _origin(one)]
    committed = {(home.topic, home.partition): n for home, n in line.kafka.committed(line.service, line.source).items()}
    return [f"{kind}: {sentence}" for kind, sentence in torn(inputs, made, committed, lambda _: 1)]


def _stored(line: Line, topic: str) -> list[Stored]:
    return [
        Stored(topic, one.partition() or 0, one.offset() or 0, one.key() or b"", one.value() or b"", {})
        for one in line.kafka.read(topic)
    ]


def _origin(stored: Stored) -> list[dict[str, Any]]:
    return list((stored.json() or {}).get("origin", ()))[-1:]


TIMEOUT_S, SLACK_S = 15.0, 5.0
ALARM_S = 5.0


def f24_open_transactions(run: Round) -> None:
    """Twenty-four writers begin a transaction, one in each partition of two topics, and hang: what stands behind waits
    until the broker ends them, 15 s and at most 5 s more; the door's metrics tell of it meanwhile; and what they had
    written is never seen. Void unless readers waited at all."""
    plant = run.plant
    places = [(topic, partition) for topic in (EVENTS, ENRICHED) for partition in range(12)]
    with ThreadPoolExecutor(8) as pool:
        writers = list(pool.map(lambda place: _writer(run, *place), places))
    began = time.time()
    for writer, (topic, partition) in zip(writers, places, strict=True):
        name = f"{run.prefix}-hung-{topic}-{partition}"
        writer.begin_transaction()
        writer.produce(topic, json.dumps(_raw(name, name, ("r1",), n=0)), key=name, partition=partition)
    for writer in writers:
        writer.flush(20)
    hung = time.time()
    sent = []
    for partition in range(12):
        one = _raw(f"{run.prefix}-{partition}", f"{run.prefix}/{partition}", ("r1",), n=partition)
        sent.append(Sent(str(one["id"]), str(one["subject"]), ("r1",), json.dumps(one).encode(), time.time()))
        put(plant.bootstrap, EVENTS, [(sent[-1].subject.encode(), sent[-1].body)], partition)
    alarm: list[float] = [0.0]

    def decided() -> bool:
        alarm[0] = max(alarm[0], _undecided(plant.ports["ingress"]))
        return all(ends(plant.bootstrap, committed=True)[place] > at for place, at in behind.items())

    behind = ends(plant.bootstrap, committed=True)
    behind = {place: behind[place] for place in places}
    wait_for(decided, TIMEOUT_S + 60, every_s=0.25)
    stalled = time.time() - began
    run.injections = len(writers)
    run.judge(sent, 60)
    run.verdict.figures |= {"stalled_s": stalled, "alarm_s": alarm[0]}
    run.expect(stalled >= TIMEOUT_S - SLACK_S, f"void: readers waited for {stalled:.1f} s only")
    most = TIMEOUT_S + SLACK_S + (hung - began)
    run.expect(stalled <= most, f"F24: readers waited for {stalled:.1f} s behind a writer that hung")
    run.expect(alarm[0] >= ALARM_S, f"F24: no alarm was to be had, the metric said {alarm[0]:.1f} s at most")


def _writer(run: Round, topic: str, partition: int) -> Producer:
    writer = Producer(
        {
            "bootstrap.servers": run.plant.bootstrap,
            "transactional.id": f"{run.prefix}-{topic}-{partition}",
            "transaction.timeout.ms": int(1_000 * TIMEOUT_S),
            "log_level": 0,
        }
    )
    writer.init_transactions(30)
    return writer


def _undecided(port: int) -> float:
    """The age of the oldest open transaction, as the door has it."""
    lines = get(port, "/metrics")[1].decode(errors="replace").splitlines()
    return max(
        (float(one.rpartition(" ")[2]) for one in lines if one.startswith("andon_undecided_seconds{")), default=0.0
    )
