"""Faults of a plant whose desks keep their work in PostgreSQL: the server goes away, processes come and go."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from uuid import UUID

from tests.chaos.round import Round
from tests.chaos.storage import LAW
from tests.rig.client import Sent, wait_for
from tests.rig.hosts import Host
from tests.rig.postgres import PASSWORD, Postgres
from tests.rig.postgres_plant import PostgresPlant
from tests.rig.record import Effect
from tests.rig.topics import DELIVERIES
from tests.rig.watch import ask, epochs


def _of(run: Round) -> PostgresPlant:
    assert isinstance(run.plant, PostgresPlant)
    return run.plant


def migrated(run: Round) -> None:
    """Egress is killed while it has calls under way, its store is moved from SQLite to PostgreSQL, and it goes on."""
    plant = _of(run)
    plant.sink.do(all={"what": "late", "low": 0.05, "high": 0.2})
    with plant.load(run.prefix, run.rng, rate=12) as load:
        run.pause(0.5, 1.0)
        wait_for(lambda: plant.sink.now()["waiting"] > 0, 60, every_s=0.005)
        run.injured(plant.kill("egress"))
        done = plant.move_store()
        run.expect(done.returncode == 0, f"the migration ended with {done.returncode}: {done.stderr}")
        run.expect("counts and digests agree" in done.stdout, f"the migration said {done.stdout}")
        open_ = ask(plant.store, "select count(*) from item where closed_at is null")[0][0]
        run.expect(open_ > 0, "void: nothing was open when the store was moved")
        plant.start("egress")
        plant.wait_ready("egress")
        run.pause(0.5, 1.0)
    plant.sink.well()
    run.judge(load.sent, 120)
    _no_call_without_its_intent(run, load.sent)


def server_gone(run: Round) -> None:
    """The server is restarted, then killed, while egress has calls under way: the desk stops with exit 3 and one
    sentence, and started again when the server is back it loses and doubles nothing."""
    plant = _of(run)
    plant.sink.do(all={"what": "late", "low": 0.05, "high": 0.2})
    with plant.load(run.prefix, run.rng, rate=12) as load:
        for stop in (Postgres.stop, Postgres.kill):
            wait_for(lambda: plant.sink.now()["waiting"] > 0, 60, every_s=0.005)
            run.pause(0.2, 0.6)
            victim, at = plant.pid("egress"), time.time()
            stop(plant.server)
            code = plant.exit_code("egress", 120)
            plant.without_store(victim, at)
            run.expect(code == LAW, f"the desk without a store ended with {code}, not {LAW}")
            said = plant.log("egress").strip().splitlines()[-1]
            run.expect("the store egress failed: " in said, f"its last words are {said!r}")
            plant.server.start()
            run.injured(time.time())
            plant.start("egress")
            plant.wait_ready("egress")
    plant.sink.well()
    run.judge(load.sent, 120)
    _no_call_without_its_intent(run, load.sent)
    run.expect(PASSWORD not in plant.log("egress"), "a password stands in the log of egress")


def shared(run: Round) -> None:
    """Two egress processes share the database, one is killed and comes back, partitions move: no receiver is served by
    both at once."""
    plant = run.plant
    before = epochs(plant.store)
    with plant.load(run.prefix, run.rng, rate=25) as load:
        plant.start("egress", slot=1)
        plant.wait_ready("egress-1")
        both = _served_by(run, plant.pid("egress-1"))
        run.expect(wait_for(both, 60), "void: the second process never sent anything")
        run.injured(plant.kill("egress-1"))
        plant.start("egress", slot=1)
        plant.wait_ready("egress-1")
        run.expect(wait_for(_served_by(run, plant.pid("egress-1")), 60), "void: it sent nothing after its restart")
        run.expect(plant.terminate("egress-1") == 0, "the second process did not end well")
    run.judge(load.sent, 120)
    _one_at_a_time(run, load.sent, before)
    _no_call_without_its_intent(run, load.sent)


def two_hosts(run: Round) -> None:
    """One egress process on each of two hosts, with a network each; PostgreSQL, Kafka and the sink are reached over a
    cable. Partitions move when one is stopped and when it comes back."""
    plant = _of(run)
    plant.terminate("egress")
    before = epochs(plant.store)
    with Host(1) as one, Host(2) as two:
        for port in (plant.ports["kafka"], plant.server.port):
            one.reaches(port)
            two.reaches(port)
        callers = [host.reaches(plant.ports["sink"]) for host in (one, two)]
        with plant.load(run.prefix, run.rng, rate=25) as load:
            for slot, (name, host) in enumerate((("egress", one), ("egress-1", two))):
                plant.place(name, host)
                plant.wait_ready(plant.start("egress", slot=slot))
            for caller in callers:
                run.expect(wait_for(_served_by(run, caller), 60), "void: a host never sent anything")
            run.injured(time.time())
            run.expect(plant.terminate("egress-1") == 0, "the second host's process did not end well")
            run.pause(0.3, 0.8)
            plant.wait_ready(plant.start("egress", slot=1))
        run.judge(load.sent, 120)
        for name in ("egress", "egress-1"):
            plant.terminate(name)
            plant.place(name, None)
    _one_at_a_time(run, load.sent, before)
    _no_call_without_its_intent(run, load.sent)
    repeated = [one for one in run.plant.case(run.prefix, load.sent).effects if one.marked]
    run.expect(not repeated, f"nothing was broken, and {len(repeated)} calls were made again")


def _served_by(run: Round, pid: int) -> Callable[[], bool]:
    return lambda: any(one.pid == pid and one.id.startswith(run.prefix) for one in run.plant.record().effects)


def _one_at_a_time(run: Round, sent: Sequence[Sent], before: dict[int, int]) -> None:
    """The sender of a receiver's calls changes no more often than its partition's lease has moved. The last call of a
    killed process is not counted: the sink may read it late, and not know any more whose it was."""
    case = run.plant.case(run.prefix, sent)
    after = epochs(run.plant.store)
    calls: dict[tuple[int, str], list[Effect]] = defaultdict(list)
    for one in sorted((one for one in case.effects if one.pid and not one.cut), key=lambda effect: effect.at):
        calls[case.partitions[one.id, one.receiver], one.receiver].append(one)
    changes = 0
    for (partition, receiver), made in calls.items():
        changed = [(one, two) for one, two in pairwise(made) if one.pid != two.pid]
        moved = after[partition] - before.get(partition, 0)
        run.expect(len(changed) <= moved, f"{receiver} changed hands more often than its lease ({moved}): {changed}")
        changes += len(changed)
    run.verdict.figures["sender_changes"] = changes
    run.expect(changes > 0, "void: no receiver ever changed its sender")


def _no_call_without_its_intent(run: Round, sent: Sequence[Sent]) -> None:
    """Every call that the sink saw stands in the ledger, begun before it arrived."""
    case = run.plant.case(run.prefix, sent)
    begun: dict[str, list[float]] = defaultdict(list)
    for item, started in ask(run.plant.store, "select item, started from attempt where topic = ?", (DELIVERIES,)):
        begun[str(UUID(bytes=item))].append(started)
    for one in case.effects:
        (delivery,) = case.delivery_ids[one.id, one.receiver]
        run.expect(any(at <= one.at for at in begun[delivery]), f"call {one.call} of {one.id} has no intent")
