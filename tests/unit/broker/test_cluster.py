"""Which of three nodes are started when one of them cannot be. Processes are stand-ins."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from andon.broker import (
    BrokerError,
    DiskFullError,
    archive,
    cluster,
    crash,
    disk,
    download,
    java,
    last_words,
    launch,
    process,
    storage,
)
from andon.broker.layout import Layout
from andon.broker.seats import Plan, Seat, write
from tests.unit.broker.test_replicas import WHOLE, log


class Box:
    """Three nodes that have run before and none of which runs; `alive` are the processes, by their node."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan = Plan(data, "c", tuple(Seat(number, 8791 + number, 9791 + number) for number in (1, 2, 3)))
        self.alive: dict[int, int] = {}
        self.full: set[int] = set()
        self.dying: set[int] = set()
        self.unwritable: set[int] = set()
        self.told: set[int] = set()
        data.mkdir()
        write(self.plan)
        for layout in self.layouts:
            log(layout, b"".join(WHOLE))
            (layout.topics / storage.META).touch()
            (layout.topics / crash.CLEAN).touch()
        for module, name, stand_in in (
            (java, "find", lambda: None),
            (download, "fetch", lambda **_: ()),
            (archive, "options", lambda _: ()),
            (archive, "train_in_background", lambda *_, **__: None),
            (storage, "format_storage", lambda *_, **__: None),
            (crash, "end_registrations", lambda *_, **__: None),
            (disk, "refuse_when_full", self.refuse_when_full),
            (launch, "begin", self.begin),
            (launch, "alive", self.running),
            (launch, "wait", self.wait),
            (process, "tell", self.end),
            (process, "end", self.end),
            (process, "started", lambda pid: "then" if pid in self.alive.values() else None),
        ):
            monkeypatch.setattr(module, name, stand_in)

    @property
    def layouts(self) -> list[Layout]:
        return [self.plan.layout(number) for number in (1, 2, 3)]

    def crash(self, *numbers: int) -> None:
        for layout in map(self.plan.layout, numbers):
            (layout.topics / crash.CLEAN).unlink()
            layout.record.write_text(json.dumps(asdict(self.record(layout))))

    def record(self, layout: Layout) -> launch.Record:
        number = int(layout.data.name[-1])
        return launch.Record(100 + number, "then", 8791 + number, 9791 + number, str(layout.data), "4", "java", 0.0)

    def refuse_when_full(self, path: Path) -> None:
        if int(path.name[-1]) in self.full:
            raise DiskFullError(f"The disk under {path} is 95% full")

    def begin(self, layout: Layout, *_: object, **__: object) -> launch.Record:
        record = self.record(layout)
        if int(layout.data.name[-1]) in self.unwritable:
            raise PermissionError(13, "Permission denied", str(layout.temporary))
        self.alive[int(layout.data.name[-1])] = record.pid
        return record

    def running(self, layout: Layout) -> launch.Record | None:
        return self.record(layout) if int(layout.data.name[-1]) in self.alive else None

    def wait(self, layout: Layout, *_: object, **__: object) -> None:
        number = int(layout.data.name[-1])
        if number in self.told:
            self.told.discard(number)
            del self.alive[number]
        if number in self.dying or number not in self.alive:
            raise BrokerError(f"Kafka ended while it started, its log in {layout.logs} says: I/O error")

    def end(self, pid: int, *_: object, **__: object) -> None:
        self.alive = {number: one for number, one in self.alive.items() if one != pid}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return Box(tmp_path / "kafka", monkeypatch)


def test_a_full_disk_of_one_keeps_no_other_down(box: Box) -> None:
    box.alive = {1: 101}  # node 2 was killed
    box.full = {3}
    started = cluster.start(box.plan.data)
    assert set(box.alive) == {1, 2}
    assert [node.bootstrap for node in started.nodes] == ["127.0.0.1:8792", "127.0.0.1:8793"]
    assert {number: why.partition("kafka/")[2] for number, why in started.absent.items()} == {3: "node-3 is 95% full"}


def test_after_all_were_stopped_two_start_without_the_third(box: Box) -> None:
    box.full = {3}
    cluster.start(box.plan.data)
    assert set(box.alive) == {1, 2}


def test_a_directory_that_cannot_be_written_is_one_node_only(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def clear(layout: Layout) -> None:
        if layout.data.name == "node-1":
            raise OSError(30, "Read-only file system")

    monkeypatch.setattr(crash, "clear", clear)
    started = cluster.start(box.plan.data)
    assert set(box.alive) == {2, 3}
    assert "node-1 cannot be used ([Errno 30] Read-only" in started.absent[1]


def test_one_that_cannot_write_what_it_starts_with_is_one_node_only(box: Box) -> None:
    """After it was stopped in order there is nothing in its directory that would have to be removed before."""
    box.unwritable = {3}
    started = cluster.start(box.plan.data)
    assert set(box.alive) == {1, 2}
    assert "node-3 cannot be used ([Errno 13] Permission denied" in started.absent[3]


def test_on_a_disk_that_breaks_no_node_runs(tmp_path: Path) -> None:
    """The others go on, and `andon up` with them."""
    plan = Plan(tmp_path, "c", tuple(Seat(number, 8791 + number, 9791 + number) for number in (1, 2, 3)))
    write(plan)
    plan.layout(3).data.symlink_to(plan.layout(3).data)  # nothing in it can be read or written: ELOOP
    assert not cluster.is_running(tmp_path)
    assert cluster.pids(tmp_path) == {}
    assert [one.status for one in cluster.status(tmp_path)] == [None] * 3
    assert cluster.stop(tmp_path) == ()


def test_what_was_stopped_in_order_starts_though_a_third_disk_cannot_be_read(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed: Callable[[Layout], bool] = crash.crashed

    def broken(layout: Layout) -> bool:
        if layout.data.name == "node-3":
            raise OSError(5, "Input/output error", str(layout.record))
        return crashed(layout)

    monkeypatch.setattr(crash, "crashed", broken)
    started = cluster.start(box.plan.data)
    assert set(box.alive) == {1, 2}
    assert "node-3 cannot be used ([Errno 5]" in started.absent[3]
    box.alive = {}
    box.crash(1)
    with pytest.raises(BrokerError, match=r"After a crash none .*Input/output error.*node-3.*mend its disk"):
        cluster.start(box.plan.data)
    assert box.alive == {}


def test_one_that_ends_at_its_start_takes_no_other_along(box: Box) -> None:
    box.dying = {3}
    started = cluster.start(box.plan.data)
    assert set(box.alive) == {1, 2}
    assert "says: I/O error" in started.absent[3]


def test_the_log_of_the_node_that_ended_is_named(box: Box) -> None:
    box.alive = {1: 101, 3: 103}
    assert last_words(box.plan.data, 0.0) == f"ended (its log: {box.layouts[1].logs / 'kafka-0.log'})"


def test_nodes_that_had_been_told_to_end_are_started_anew(box: Box) -> None:
    """As those of an `andon up` that was killed are, which have not ended yet."""
    box.alive = {1: 101, 2: 102, 3: 103}
    box.told = {1, 2, 3}
    started = cluster.start(box.plan.data)
    assert len(started.nodes) == 3
    assert started.absent == {}
    assert set(box.alive) == {1, 2, 3}


@pytest.mark.parametrize("what", ["full", "dying", "unwritable"])
def test_fewer_than_two_are_not_left_running(box: Box, what: str) -> None:
    setattr(box, what, {2, 3})
    with pytest.raises(BrokerError, match="node-2"):
        cluster.start(box.plan.data)
    assert box.alive == {}


@pytest.mark.parametrize("what", ["full", "dying", "unwritable"])
def test_the_one_that_was_asked_for_is_refused(box: Box, what: str) -> None:
    box.alive = {1: 101, 2: 102}
    setattr(box, what, {3})
    with pytest.raises(BrokerError, match="node-3"):
        cluster.start(box.plan.data, only=3)
    assert set(box.alive) == {1, 2}


def test_a_new_cluster_begins_with_all_of_its_nodes(box: Box) -> None:
    """The topics that are made of it have three copies."""
    for layout in box.layouts:
        shutil.rmtree(layout.data)
    box.full = {3}
    with pytest.raises(DiskFullError):
        cluster.start(box.plan.data)


@pytest.mark.parametrize("what", ["full", "dying", "unwritable"])
def test_after_a_crash_of_all_none_is_started_without_the_third(box: Box, what: str) -> None:
    box.crash(1, 2, 3)
    setattr(box, what, {3})
    with pytest.raises(BrokerError, match=r"After a crash of all nodes none starts without node 3, .*node-3"):
        cluster.start(box.plan.data)
    assert box.alive == {}


def test_one_that_is_empty_does_not_stand_in_for_one_that_cannot_be_started(box: Box) -> None:
    """What the cluster has decided may stand on the disk of that one alone."""
    shutil.rmtree(box.layouts[1].data)
    box.full = {3}
    with pytest.raises(DiskFullError):
        cluster.start(box.plan.data)
    assert box.alive == {}


def test_copies_are_completed_from_and_on_a_node_that_cannot_be_started(box: Box) -> None:
    """It alone may have the end of one, and it may lead when it is back: the others are cut to what it has."""
    box.crash(2, 3)
    box.full = {3}
    only_there = [log(box.layouts[1], b"".join(WHOLE[:1]))]
    lost_there = [log(layout, b"".join(WHOLE), partition="andon.events-1") for layout in box.layouts]
    lost_there[2].write_bytes(b"".join(WHOLE[:2]))
    cluster.start(box.plan.data)
    assert set(box.alive) == {1, 2}
    assert [file.read_bytes() for file in (*only_there, *lost_there)] == [b"".join(WHOLE)] * 4


def test_after_a_crash_nothing_starts_while_a_copy_cannot_be_read(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.crash(2)
    box.full = {3}
    unreadable = box.layouts[2].topics / "andon.events-0"
    iterdir: Callable[[Path], object] = Path.iterdir

    def broken(path: Path) -> object:
        if path == unreadable:
            raise OSError(5, "Input/output error", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", broken)
    with pytest.raises(BrokerError, match=r"After a crash none .*Input/output error.*node-3.*mend its disk"):
        cluster.start(box.plan.data)
    assert box.alive == {}
