"""`andon broker …` without a broker: usage, exit codes, and questions before anything is deleted."""

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from andon import broker
from andon.cli.commands.broker import add_parser
from andon.cli.running import runfile


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="andon")
    parser.add_argument("--data", type=Path)
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(words)
    code: int = args.func(args)
    return code


@pytest.mark.parametrize(
    "words",
    [
        ("broker",),
        ("broker", "begin"),
        ("broker", "start", "--port", "0"),
        ("broker", "start", "--port", "70000"),
        ("broker", "start", "--port", "x"),
        ("broker", "start", "--heap-mb", "10"),
        ("broker", "stop", "--yes"),
    ],
)
def test_wrong_usage_is_exit_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        run(*words)
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "x"), "argument --port: 'x' is not a port; write a number from 1 to 65535"),
        (("--heap-mb", "1g"), "argument --heap-mb: Kafka needs at least 256 MB of heap, not 1g"),
    ],
)
def test_what_is_no_number_is_told_in_words(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("broker", "start", *words)
    assert said in capsys.readouterr().err


def test_a_node_that_could_not_be_started_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(data: Path, **_: object) -> broker.cluster.Cluster:
        return broker.cluster.Cluster("a:1,b:2,c:3", data, (broker.Running("a:1", 11, data),), {3: "The disk is full."})

    monkeypatch.setattr(broker.cluster, "start", start)
    assert run("--data", str(tmp_path), "broker", "start", "--nodes", "3") == 0
    told = capsys.readouterr()
    assert told.err == "andon broker: node 3 does not run. The disk is full.\n"
    assert "answers at a:1,b:2,c:3" in told.out


def test_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("broker", "status", "--data", str(tmp_path)) == 1
    assert run("broker", "stop", "--data", str(tmp_path)) == 0
    assert capsys.readouterr().out == "it is not running\nit was not running\n"
    assert run("--data", str(tmp_path), "broker", "status", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"running": False, "data": str(tmp_path / "kafka")}


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    path = tmp_path / "kafka" / "topics"
    path.mkdir(parents=True)
    return path


def test_reset_asks_for_yes_where_nobody_can_be_asked(
    tmp_path: Path, topics: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("broker", "reset", "--data", str(tmp_path)) == 2
    assert "say --yes" in capsys.readouterr().err
    assert topics.exists()
    assert run("broker", "reset", "--data", str(tmp_path), "--yes") == 0
    assert not topics.exists()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES", 0), ("", 1), ("n", 1)])
def test_reset_on_a_terminal(
    tmp_path: Path, topics: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert run("broker", "reset", "--data", str(tmp_path)) == code
    assert topics.exists() is (code == 1)


def test_a_failure_is_one_sentence_and_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_java(*_: object) -> None:
        raise broker.JavaError("No Java: install one.")

    monkeypatch.setattr("andon.broker.java.find", no_java)
    assert run("broker", "start", "--data", str(tmp_path)) == 1
    assert capsys.readouterr().err == "andon broker: No Java: install one.\n"


def test_what_andon_up_would_start_again_is_stopped_only_when_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[Path] = []

    def end(data: Path, **_: object) -> bool:
        stopped.append(data)
        return True

    monkeypatch.setattr(broker, "stop", end)
    stop = ("broker", "stop", "--data", str(tmp_path))

    def kept(kafka: Path | None) -> None:
        runfile.RunFile(tmp_path, {"kafka_data": str(kafka) if kafka else None}).write("running", [])

    with runfile.held(tmp_path):
        kept(tmp_path / "kafka")
        assert run(*stop) == 1
        said = (
            f"`andon up` (process {os.getpid()}) runs on {tmp_path} and would start it again; end that, or say --force"
        )
        assert said in capsys.readouterr().err
        assert run(*stop, "--node", "2") == 1
        assert stopped == []
        assert run(*stop, "--force") == 0
        for other in (None, tmp_path / "elsewhere"):
            kept(other)
            assert run(*stop) == 0
    kept(tmp_path / "kafka")
    assert run(*stop) == 0, "that `andon up` has ended"
    assert len(stopped) == 4


def test_start_passes_on_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, object] = {}

    def start(data: Path, **options: object) -> broker.Running:
        asked.update(options)
        return broker.Running("127.0.0.1:9999", 7, data)

    monkeypatch.setattr(broker, "start", start)
    monkeypatch.setenv("ANDON_MAVEN_URL", "https://before.invalid")
    words = ("--port", "9999", "--strict-port", "--heap-mb", "1024", "--json", "--maven-url", "https://mirror.invalid")
    assert run("broker", "start", "--data", str(tmp_path), *words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"bootstrap": "127.0.0.1:9999", "pid": 7, "data": str(tmp_path / "kafka")}
    progress = asked.pop("progress")
    assert progress is None
    assert asked == {"port": 9999, "strict_port": True, "tie_to_parent": False, "heap_mb": 1024}
