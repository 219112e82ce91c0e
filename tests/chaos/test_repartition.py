"""More partitions while deliveries wait for robots that are away: nothing lost or doubled, order and limits kept."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from andon.cli.main import main
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.members import Members
from tests.chaos import members
from tests.chaos.round import Round
from tests.rig.client import Door, Sent, event, wait_for
from tests.rig.plant import SERVICES, TOKEN, Plant
from tests.rig.topics import DELIVERIES

pytestmark = [pytest.mark.kafka, pytest.mark.long]

AWAY = {"what": "errcode", "code": -1}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with Plant(tmp_path / "plant") as plant:
        plant.up(*SERVICES)
        yield plant
    shutil.rmtree(tmp_path / "plant")


def andon(plant: Plant, *words: str) -> int:
    where = ["--bootstrap", plant.bootstrap, "--config", str(plant.config), "--data", str(plant.home)]
    return main(["topics", *words, *where])


def stop(plant: Plant, *services: str) -> None:
    for service in services:
        assert plant.terminate(service) == 0
    for service in members.GROUPS:
        if service in services:
            assert Members(Connection(plant.bootstrap)).remove(service, [0]) == [0]


def open_items(plant: Plant) -> dict[int, int]:
    with closing(sqlite3.connect(f"file:{plant.store}?mode=ro", uri=True, timeout=30)) as database:
        question = "select partition, count(*) from item where closed_at is null group by partition"
        return dict(database.execute(question).fetchall())


def taken_in(plant: Plant, sent: int) -> bool:
    with closing(sqlite3.connect(f"file:{plant.store}?mode=ro", uri=True, timeout=30)) as database:
        (there,) = database.execute("select count(*) from item").fetchone()
    return bool(there >= sent)


def test_open_work_moves_with_its_keys(
    plant: Plant, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Round(plant, random.Random(4), "repartition")
    with members.limited(plant):
        plant.sink.do(all=AWAY)
        with plant.load(run.prefix, run.rng, rate=60, subjects=36) as load:
            assert wait_for(lambda: len([one for one in load.sent if one.accepted]) > 150, 60)
            assert andon(plant, "repartition", "24", "--yes") == 1
            assert "stop every process of every service first" in capsys.readouterr().err
            stop(plant, "ingress")
            accepted = [one for one in load.sent if one.accepted]
            # A digest of what a full queue merged would be one item fewer: the load is far below that.
            assert wait_for(lambda: taken_in(plant, sum(len(one.receivers) for one in accepted)), 60)
            stop(plant, "egress", "routing", "enrichment")
            before = open_items(plant)
            assert sum(before.values()) > 100, "void: nothing is open"
            assert andon(plant, "repartition", "18", "--yes") == 1
            assert "12 partitions: it can have 24, 36, …" in capsys.readouterr().err

            def broken(*_: object) -> None:
                raise KafkaFailure("the network went away")

            with monkeypatch.context() as patched:
                patched.setattr(Cluster, "seed_offsets", broken)
                assert andon(plant, "repartition", "24", "--yes") == 1
            plant.start("egress")
            assert plant.exit_code("egress", 60) == 3, "a service started in the middle of it"
            assert "`andon topics repartition 24` again" in plant.log("egress")
            plant.forget("egress")
            assert andon(plant, "check") == 1
            assert "a repartition to 24 was begun" in capsys.readouterr().out
            assert wait_for(lambda: andon(plant, "repartition", "24", "--yes") == 0, 60), capsys.readouterr().err
            after = open_items(plant)
            assert sum(after.values()) == sum(before.values())
            assert max(after) >= 12, "nothing moved"
            assert andon(plant, "check") == 0, capsys.readouterr().out
            plant.up(*SERVICES)
            plant.sink.well()
            resumed = time.time()
            assert wait_for(lambda: sum(1 for one in load.sent if (one.accepted or 0) > resumed) > 100, 60)
            run.injured(resumed)
        record = run.judge(load.sent, 120)
        members.judge_sides(run, record)
    assert not run.verdict.violations, run.verdict.violations[:20]
    case = plant.case(run.prefix, load.sent)
    stands = {(one.partition, one.offset): one.json() for one in plant.topics().records[DELIVERIES]}
    assert max(partition for partition, _ in stands) >= 12, "nobody writes to the new partitions"
    for outcome in case.outcomes.values():
        place = outcome["origin"][-1]
        delivery = stands[place["partition"], place["offset"]]
        assert delivery is not None
        assert delivery["id"] == outcome["delivery"], "an outcome names another record as its origin"
    _a_door_that_was_forgotten(plant, capsys)


def _a_door_that_was_forgotten(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """It is in no group, so nobody sees it; it leaves by itself, and what it has just taken in holds everything up."""
    stop(plant, "egress", "routing", "enrichment")
    door = Door(plant.door, TOKEN)
    late = Sent("late", "late", ("r1",), json.dumps(event("late", "late", ("r1",), n=1)).encode(), time.time())
    assert door.send(late) == 202
    door.close()
    assert andon(plant, "repartition", "48", "--yes") == 1
    assert "enrichment has not taken in 1 records of andon.events" in capsys.readouterr().err
    assert plant.ready("ingress"), "a refusal must change nothing"
    plant.up("enrichment", "routing", "egress")
    assert plant.drained("late", [late], 60)
    stop(plant, "egress", "routing", "enrichment")
    # On a machine that stands still a step may take longer than it may; then it is said again.
    assert wait_for(lambda: andon(plant, "repartition", "48", "--yes") == 0, 120), capsys.readouterr().err
    assert plant.exit_code("ingress", 30) == 3
    assert "services start again when that is done" in plant.log("ingress")
