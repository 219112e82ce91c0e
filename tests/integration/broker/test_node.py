"""The embedded broker as a real process: it starts, stops, survives, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined,unused-ignore]

from andon import broker
from andon.broker import BrokerError, PortError, ports, process, writer

Starter = Callable[..., broker.Running]
pytestmark = pytest.mark.kafka


def create(running: broker.Running, *names: str) -> None:
    admin = AdminClient({"bootstrap.servers": running.bootstrap})
    for created in admin.create_topics([NewTopic(name, 2, 1) for name in names]).values():
        created.result(60)


def topics(running: broker.Running) -> set[str]:
    return set(AdminClient({"bootstrap.servers": running.bootstrap}).list_topics(timeout=60).topics)


def ended(pid: int, within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while process.started(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process.started(pid) is None


def test_from_nothing_to_a_first_topic_and_back(tmp_path: Path, start: Starter) -> None:
    data = tmp_path / "kafka"
    start(tmp_path / "warm")  # the cache may have been cold
    broker.stop(tmp_path / "warm")
    begun = time.monotonic()
    running = start(data)
    create(running, "first")
    took = time.monotonic() - begun
    print(f"a new directory to the first created topic: {took:.2f} s (bar: 3 s on an idle machine)")
    assert took <= 30, "far beyond what a machine busy with other tests explains"

    status = broker.status(data)
    assert status is not None
    assert (status.pid, status.bootstrap, status.data) == (running.pid, running.bootstrap, data)
    assert status.ready
    assert status.version == broker.kafka_version()
    assert status.topics_bytes > 0
    assert status.logs_bytes > 0
    assert 0 < status.uptime_s < 60

    assert start(data) == running
    with pytest.raises(BrokerError, match="stop it before the reset"):
        broker.reset(data)
    assert broker.stop(data) is True
    assert ended(running.pid, 0)
    assert broker.stop(data) is False
    assert broker.status(data) is None

    assert "first" in topics(start(data))
    broker.stop(data)
    broker.reset(data)
    assert not data.exists()
    assert "first" not in topics(start(data))


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, start: Starter) -> None:
    running = start(tmp_path)
    create(running, "kept")
    producer = Producer({"bootstrap.servers": running.bootstrap, "transactional.id": "one", "acks": "all"})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce("kept", b"value", partition=0)
    producer.commit_transaction(60)
    del producer

    os.kill(running.pid, signal.SIGKILL)
    assert ended(running.pid)
    assert broker.status(tmp_path) is None
    assert (tmp_path / "broker.json").exists()

    begun = time.monotonic()
    again = start(tmp_path)
    print(f"after kill -9 back within {time.monotonic() - begun:.2f} s")
    assert again.pid != running.pid
    consumer = Consumer({"bootstrap.servers": again.bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition("kept", 0, 0)])
    record = consumer.poll(60)
    seen = consumer.get_watermark_offsets(TopicPartition("kept", 0), timeout=20)
    consumer.close()
    assert record is not None, f"nothing to read; the partition's offsets are {seen}"
    assert record.error() is None
    assert record.value() == b"value"
    assert record.timestamp()[0] == 2, "LogAppendTime"
    said = (tmp_path / "logs" / "kafka-0.log").read_text()
    assert "Fencing broker 1" in said, "the registration of the killed one was not ended first"
    assert "likely deleted already" not in said, "marks of a transaction were given up"


def test_two_directories_do_not_collide(tmp_path: Path, start: Starter) -> None:
    one, two = start(tmp_path / "one"), start(tmp_path / "two")
    assert one.bootstrap != two.bootstrap
    create(one, "of-one")
    assert "of-one" not in topics(two)
    port = int(one.bootstrap.rpartition(":")[2])
    with pytest.raises(PortError, match=f"Port {port} is in use"):
        start(tmp_path / "three", port=port, strict_port=True)
    broker.stop(tmp_path / "one")
    assert topics(two) == set()


def test_only_loopback_listens(tmp_path: Path, start: Starter) -> None:
    running = start(tmp_path)
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    of_node = {os.readlink(file) for file in Path(f"/proc/{running.pid}/fd").iterdir() if file.is_symlink()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in of_node:
                listening.add(fields[1].rpartition(":")[0])
    assert listening <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert listening


def test_starts_offline_with_a_warm_cache(tmp_path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.fetch()
    monkeypatch.setenv("ANDON_MAVEN_URL", "http://127.0.0.1:9")
    assert start(tmp_path / "data").pid


def test_a_lost_record_does_not_let_a_second_node_in(
    tmp_path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LETTING_GO_S", 0.5)
    running = start(tmp_path)
    record = (tmp_path / "broker.json").read_bytes()
    (tmp_path / "broker.json").unlink()
    try:
        with pytest.raises(BrokerError, match=rf"A Kafka that was not started here \(process {running.pid}\) uses"):
            start(tmp_path)
        for attempt in (broker.reset, broker.stop):
            with pytest.raises(BrokerError, match="stop it first"):
                attempt(tmp_path)
    finally:
        (tmp_path / "broker.json").write_bytes(record)


def test_a_node_that_cannot_start_says_why(tmp_path: Path, start: Starter) -> None:
    running = start(tmp_path)
    broker.stop(tmp_path)
    meta = tmp_path / "topics" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(BrokerError, match=r"Kafka ended while it started, its log in .*node") as caught:
        start(tmp_path)
    assert "\n" not in str(caught.value)
    assert ended(running.pid, 0)


def test_a_tied_node_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from andon import broker;"
        "print(broker.start(Path(sys.argv[1]), port=28792, tie_to_parent=True).pid, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 9
    assert ended(int(done.stdout))


def test_a_port_taken_after_our_look(tmp_path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        looks = iter([True])
        really = ports.is_free
        monkeypatch.setattr(ports, "is_free", lambda asked: next(looks, None) or really(asked))
        running = start(tmp_path, port=port)
    assert int(running.bootstrap.rpartition(":")[2]) > port


def test_an_answer_from_another_node_is_not_ours(
    tmp_path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two starts with two caches reserve nothing from each other, and Kafka takes its port late."""
    other = start(tmp_path / "other")
    port = int(other.bootstrap.rpartition(":")[2])
    looks = iter([True])
    really = ports.is_free
    monkeypatch.setattr(ports, "is_free", lambda asked: next(looks, None) or really(asked))
    running = start(tmp_path / "ours", port=port)
    assert running.bootstrap != other.bootstrap
    assert broker.status(tmp_path / "ours")


def test_the_command_line(tmp_path: Path) -> None:
    def andon(*words: str) -> tuple[int, str]:
        code = (
            "import argparse, sys; from andon.cli.commands.broker import add_parser;"
            "parser = argparse.ArgumentParser();"
            "add_parser(parser.add_subparsers()); args = parser.parse_args(); sys.exit(args.func(args))"
        )
        command = [sys.executable, "-c", code, "broker", *words, "--data", str(tmp_path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
        return done.returncode, done.stdout

    try:
        code, started = andon("start", "--port", "28792", "--json")
        assert code == 0
        pid = json.loads(started)["pid"]
        assert process.started(pid), "it runs on after the command has ended"
        code, shown = andon("status")
        assert code == 0
        assert f"process      {pid}" in shown
        assert andon("stop")[1].startswith("stopped after")
        assert ended(pid, 0)
        assert andon("reset", "--yes")[0] == 0
        assert not (tmp_path / "kafka").exists()
    finally:
        broker.stop(tmp_path / "kafka")


def test_in_the_foreground_until_told_to_leave(tmp_path: Path) -> None:
    code = (
        "import argparse, sys; from andon.cli.commands.broker import add_parser; parser = argparse.ArgumentParser();"
        "add_parser(parser.add_subparsers()); args = parser.parse_args(); sys.exit(args.func(args))"
    )
    words = ["broker", "start", "--foreground", "--port", "28792", "--json", "--data", str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        pid = json.loads(command.stdout.readline())["pid"]
        command.send_signal(signal.SIGINT)
        assert command.wait(timeout=60) == 0
    assert ended(pid, 0)
