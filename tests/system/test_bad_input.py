"""What is wrong is told in one clear sentence with a non-zero exit, and changes nothing of what runs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.rig.kafka import Kafka
from tests.rig.oldkafka import old_kafka
from tests.rig.ports import free_port
from tests.system.conftest import Up

CONFIG = """\
version: 1
kafka: {bootstrap: embedded}
listen: {address: "127.0.0.1:8700"}
sources:
  mes: {kind: http, token: env:BAD_INPUT_TOKEN}
channels:
  robot: {kind: wecom_robot, keys: [env:BAD_INPUT_KEY], base_url: "http://127.0.0.1:1"}
receivers:
  all: {channel: robot, templat: plain}
route:
  receiver: all
"""


def andon(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "andon.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize(("command", "code"), [("check", 1), ("up", 2)])
def test_a_typo_is_named_with_its_place_and_the_nearest_key(command: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    done = andon(
        command, "--config", str(file), "--data", str(tmp_path / "data"), BAD_INPUT_TOKEN="t", BAD_INPUT_KEY="k"
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert re.search(r"andon\.yaml:9:\d+", said), said
    assert "templat" in said
    assert "template" in said
    assert "Traceback" not in said


def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    done = andon("up", "--config", str(tmp_path / "nothing.yaml"), "--data", str(tmp_path / "data"))
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "nothing.yaml" in done.stderr


def test_no_network_and_an_empty_cache_is_one_sentence(tmp_path: Path) -> None:
    done = andon(
        "broker",
        "start",
        "--data",
        str(tmp_path / "data"),
        ANDON_CACHE=str(tmp_path / "cache"),
        ANDON_MAVEN_URL="http://127.0.0.1:9/nowhere",
        PATH="/nonexistent",
        JAVA_HOME="",
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.strip().splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert "127.0.0.1:9" in lines[0] or "Java" in lines[0], lines
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "cache").rglob("*.jar"))


BAD = [
    ("receivers:", "recievers:", r"andon\.yaml:8:1: .*did you mean `receivers`\?"),
    ("{channel: robot}", "{channel: robto}", r"andon\.yaml:9:\d+: .*robto"),
    ("route:\n  receiver: all", "route: [", r"andon\.yaml:1\d:\d+: "),
]


def good(bootstrap: str) -> str:
    right = CONFIG.replace("embedded", f'"{bootstrap}", replication: 1').replace("robot, templat: plain", "robot")
    return right.replace("8700", str(free_port()))


@pytest.fixture
def file(empty_kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid configuration for a Kafka of this module."""
    monkeypatch.setenv("BAD_INPUT_TOKEN", "t")
    monkeypatch.setenv("BAD_INPUT_KEY", "k")
    file = tmp_path / "andon.yaml"
    file.write_text(good(empty_kafka.bootstrap), encoding="utf-8")
    return file


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        yield other.getsockname()[1]


def version_in_force(file: Path) -> int:
    done = andon("apply", str(file), "--json", "--data", str(file.parent / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found["version"]


def answer_of(door: str) -> int:
    event = json.dumps({"type": "mes.fault.raised", "subject": "line-3/M-07", "data": {"code": "E-217"}}).encode()
    headers = {"Authorization": "Bearer t", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{door}/v1/events", event, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return int(answer.status)


@pytest.mark.kafka
@pytest.mark.xdist_group("system")
def test_a_bad_file_is_named_by_its_place_and_changes_nothing_of_what_runs(up: Callable[..., Up], file: Path) -> None:
    right = file.read_text(encoding="utf-8")
    one = up(file.parent / "data", "--config", str(file))
    one.until_running()
    before = version_in_force(file), {name: found["pid"] for name, found in one.programs().items()}
    for was, now, place in BAD:
        assert was in right
        file.write_text(right.replace(was, now), encoding="utf-8")
        done = andon("apply", str(file), "--data", str(file.parent / "other"))
        assert done.returncode == 2, done.stdout + done.stderr
        assert re.search(place, done.stdout), done.stdout
        assert "Traceback" not in done.stdout + done.stderr
    one.until(lambda: re.search(BAD[-1][2], one.said()) is not None, 60, "the last mistake is not told")
    one.until(lambda: "was not published: mend it, the old configuration stays" in one.said(), 60, "no comfort")
    assert answer_of(one.state()["addresses"]["door"]) == 202, "the old configuration is not in force"
    file.write_text(right, encoding="utf-8")
    assert (version_in_force(file), {name: found["pid"] for name, found in one.programs().items()}) == before
    file.write_text(right.replace("version: 1\n", "version: 1\nlimits: {window: 600}\n"), encoding="utf-8")
    one.until(lambda: f"in force as version {before[0] + 1}" in one.said(), 60, "a good file is not published")


@pytest.mark.kafka
@pytest.mark.xdist_group("system")
@pytest.mark.parametrize("option", ["--listen", "--metrics-port"])
def test_a_port_in_use_ends_a_service_with_one_sentence(option: str, file: Path, taken: int) -> None:
    """In production nothing moves up to another port: whoever asks at the configured one would ask somebody else."""
    version_in_force(file)
    ports = {"--listen": f"127.0.0.1:{free_port()}", "--metrics-port": str(free_port())}
    ports[option] = f"127.0.0.1:{taken}" if option == "--listen" else str(taken)
    options = [word for pair in ports.items() for word in pair]
    done = andon("run", "ingress", "--config", str(file), "--data", str(file.parent / "data"), *options)
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, done.stderr
    assert f"cannot listen on 127.0.0.1:{taken} (Address already in use)" in said[0]
    assert "give another address" in said[0]


@pytest.mark.kafka
@pytest.mark.xdist_group("system")
def test_an_unsupported_kafka_is_one_sentence(file: Path, tmp_path: Path) -> None:
    """On a broker of another version nothing is created and nothing begins."""
    data = ("--config", str(file), "--data", str(tmp_path / "data"))
    with old_kafka(tmp_path / "old") as bootstrap:
        for command in (("topics", "create"), ("run", "routing")):
            done = andon(*command, *data, "--bootstrap", bootstrap)
            said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("{")]
            assert done.returncode != 0
            assert len(said) == 1, said
            assert f"the Kafka at {bootstrap} is older than 3.9; Andon works with 3.9 to 4.x" in said[0]
        found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=60).topics
    ours = [name for name in found if not name.startswith("__")]  # the others are Kafka's own
    assert not ours, "topics were created on a Kafka that is not supported"
