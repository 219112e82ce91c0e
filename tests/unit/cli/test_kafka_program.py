"""The embedded Kafka under the supervisor."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from andon import broker
from andon.broker import download, process
from andon.cli.running import kafka as running
from andon.cli.running.kafka import Downloads, EmbeddedKafka, _Nodes
from andon.runtime.clock import SystemClock
from andon.runtime.supervisor import Refused, State, Supervisor
from tests.rig.ports import free_port
from tests.unit.cli.test_up import until

pytestmark = pytest.mark.kafka

SUPERVISED = """
import asyncio, sys
from pathlib import Path
from andon.cli.running.kafka import EmbeddedKafka
from andon.runtime.clock import SystemClock
from andon.runtime.supervisor import Supervisor
async def main():
    async with Supervisor(SystemClock()) as supervisor:
        supervisor.start(EmbeddedKafka(Path(sys.argv[1]), int(sys.argv[2])).program())
        await supervisor.ready(['kafka'])
        print('ready', flush=True)
        await supervisor.refused()
asyncio.run(main())
"""


def test_a_killed_kafka_comes_back_on_its_port_and_ends_with_the_supervisor(tmp_path: Path) -> None:
    async def scenario() -> None:
        port = free_port()
        async with Supervisor(SystemClock()) as supervisor:
            supervisor.start(EmbeddedKafka(tmp_path, port).program())
            await supervisor.ready(["kafka"])
            first = supervisor.statuses[0].pid
            assert first
            os.kill(first, signal.SIGKILL)
            await until(lambda: supervisor.statuses[0].restarts)
            assert supervisor.statuses[0].note == f"ended (its log: {tmp_path / 'logs' / 'kafka-0.log'})"
            await supervisor.ready(["kafka"])
            again = broker.status(tmp_path)
            assert again
            assert (again.port, again.pid) == (port, supervisor.statuses[0].pid)
            assert again.pid != first
        assert not broker.is_running(tmp_path)

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_killed_supervisor_leaves_no_kafka(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SUPERVISED, str(tmp_path), str(free_port())]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == "ready\n"
        assert broker.is_running(tmp_path)
        supervisor.kill()
        supervisor.wait()
    asyncio.run(until(lambda: not broker.is_running(tmp_path)))


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        async with Supervisor(SystemClock()) as supervisor:
            supervisor.start(EmbeddedKafka(tmp_path, port).program())
            with pytest.raises(Refused, match=f"^kafka: Port {port} is in use"):
                await supervisor.ready(["kafka"])

    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        asyncio.run(scenario(other.getsockname()[1]))


def test_a_download_is_summed_over_its_files() -> None:
    downloads = Downloads()
    assert downloads.bytes() is None
    downloads.seen("a.jar", 10, 100)
    downloads.seen("b.jar", 20, 50)
    downloads.seen("a.jar", 30, 100)
    assert downloads.bytes() == (50, 150)
    downloads.seen("a.jar", 100, 100)
    downloads.seen("b.jar", 50, 50)
    assert downloads.bytes() is None


def fetching_now() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if thread.name == "fetch" and thread.is_alive())


def test_no_end_waits_for_what_is_being_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall drops what is sent, and two minutes pass before the last try is given up."""
    monkeypatch.setenv("ANDON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    before = set(threading.enumerate())
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("ANDON_MAVEN_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")

        async def scenario() -> None:
            kafka = EmbeddedKafka(tmp_path, 1)
            fetching = asyncio.create_task(kafka.fetched())
            await until(lambda: len(list(fetching_now())) > download.THREADS)
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching

        asyncio.run(scenario())
        left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(10)
    assert {thread.name for thread in left} == {"fetch"}
    assert all(thread.daemon for thread in left)


def test_nodes_without_one_that_cannot_be_started_serve_until_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = [11, 12]
    monkeypatch.setattr(broker, "is_cluster", lambda _: True)
    monkeypatch.setattr(broker, "is_running", lambda _: False)  # the third never does
    monkeypatch.setattr(broker, "pids", lambda _: tuple(pids))

    def start(data: Path, **_: object) -> broker.cluster.Cluster:
        nodes = tuple(broker.Running("", pid, data) for pid in pids)
        return broker.cluster.Cluster("", data, nodes, {3: "The disk is full."})

    monkeypatch.setattr(broker.cluster, "start", start)

    async def scenario() -> None:
        kafka = EmbeddedKafka(tmp_path, 1)
        child = await kafka()
        waiting = asyncio.create_task(child.wait())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        words = kafka.program().words
        assert words
        assert words() == "node 3: The disk is full."
        pids.remove(12)
        assert await asyncio.wait_for(waiting, 20) == 1, "one that served has ended"
        pids.append(13)
        child = await kafka()
        monkeypatch.setattr(running, "AGAIN", 0.0)
        assert await asyncio.wait_for(child.wait(), 20) == 1, "it is time"

    asyncio.run(scenario())


@pytest.mark.parametrize("theirs", [True, False])
def test_a_node_that_is_given_up_while_it_starts_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, theirs: bool
) -> None:
    """After a crash it may read its logs for many minutes. Who began it ends it (test_process), and nobody else."""
    waiting, asked, stopped = threading.Event(), list[int](), list[Path]()

    def start(_: Path, *, go_on: Callable[[], None], **__: object) -> broker.Running:
        while True:
            waiting.set()
            go_on()
            time.sleep(0.01)

    monkeypatch.setattr(broker, "start", start)
    monkeypatch.setattr(broker, "pids", lambda _: (11,) if theirs or waiting.is_set() else ())
    monkeypatch.setattr(broker, "stop", lambda data, **_: stopped.append(data))
    monkeypatch.setattr(os, "kill", lambda pid, _: asked.append(pid))

    async def scenario() -> None:
        async with asyncio.timeout(20), Supervisor(SystemClock()) as supervisor:
            supervisor.start(EmbeddedKafka(tmp_path, 1).program())
            await until(waiting.is_set)

    asyncio.run(scenario())
    assert (asked, stopped) == ([], [])


def test_a_node_that_was_started_in_place_of_one_that_was_just_ending_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids, stopped = [11], list[Path]()

    def start(data: Path, **_: object) -> broker.Running:
        pids[:] = [12]
        return broker.Running("", 12, data)

    monkeypatch.setattr(broker, "pids", lambda _: tuple(pids))
    monkeypatch.setattr(broker, "start", start)
    monkeypatch.setattr(broker, "stop", lambda data, **_: stopped.append(data))

    async def scenario() -> None:
        child = await EmbeddedKafka(tmp_path, 1)()
        await child.end(1.0)

    asyncio.run(scenario())
    assert stopped == [tmp_path]


def test_the_nodes_that_run_while_another_cannot_be_started_are_ended_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    stopped: list[Path] = []

    def start(data: Path, **_: object) -> broker.cluster.Cluster:
        if pids:
            raise broker.BrokerError("The disk is full.")
        pids.extend((11, 12))
        return broker.cluster.Cluster("", data, (), {})

    def stop(data: Path, **_: object) -> bool:
        stopped.append(data)
        pids.clear()
        return True

    monkeypatch.setattr(broker, "is_cluster", lambda _: True)
    monkeypatch.setattr(broker, "is_running", lambda _: len(pids) == 2)
    monkeypatch.setattr(broker, "pids", lambda _: tuple(pids))
    monkeypatch.setattr(broker, "stop", stop)
    monkeypatch.setattr(broker.cluster, "start", start)

    async def scenario() -> None:
        async with Supervisor(SystemClock()) as supervisor:
            program = EmbeddedKafka(tmp_path, 1).program()
            assert program.log == tmp_path
            supervisor.start(program)
            await supervisor.ready(["kafka"])
            pids.pop()
            await until(lambda: supervisor.statuses[0].state is State.RESTARTING)

    asyncio.run(scenario())
    assert stopped == [tmp_path]
    assert not pids


def test_the_other_nodes_of_a_cluster_go_on_while_one_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor kills what is left of a program that ended, and all of it when told to twice."""

    async def scenario(pids: tuple[int, ...]) -> None:
        with ThreadPoolExecutor(1) as thread:
            monkeypatch.setattr(broker, "pids", lambda _: pids)
            monkeypatch.setattr(broker, "is_running", lambda _: False)  # a third one has ended
            over = _Nodes(tmp_path, thread, ours=True)
            assert await over.wait() == 1
            over.kill()
            not_ours = _Nodes(tmp_path, thread, ours=False)
            not_ours.kill()
            assert [process.started(pid) is not None for pid in pids] == [True, True]
            _Nodes(tmp_path, thread, ours=True).kill()

    nodes = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)]
    try:
        asyncio.run(scenario(tuple(node.pid for node in nodes)))
        assert [node.wait(20) for node in nodes] == [-signal.SIGKILL] * 2
    finally:
        for node in nodes:
            node.kill()
            node.wait()
