"""`andon run`: which Kafka one service of ours is told to use."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from andon import broker
from andon.cli import main as frame
from andon.runtime import host
from andon.runtime.host import Options


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "andon.yaml"
    file.write_text("version: 1\nkafka: {data: there}\n")
    return str(file)


@pytest.mark.parametrize(
    ("given", "asked"), [((), "127.0.0.1:8793"), (("--bootstrap", "kafka-1:9092"), "kafka-1:9092")]
)
def test_the_embedded_kafka_of_the_data_directory_is_found(
    given: tuple[str, ...], asked: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Options] = []

    async def serve(options: Options, _load: object) -> None:
        started.append(options)

    monkeypatch.setattr(host, "serve", serve)
    monkeypatch.setattr("andon.runtime.logs.configure", lambda _service: None)
    running = {tmp_path / "data" / "there": "127.0.0.1:8793"}
    monkeypatch.setattr(broker, "bootstrap", running.get)
    assert frame.main(["run", "egress", "--config", config, "--data", str(tmp_path / "data"), *given]) == 0
    assert [options.bootstrap for options in started] == [asked]


def test_without_an_embedded_kafka_it_ends_at_once_and_says_what_to_do(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("andon.runtime.logs.configure", lambda _service: None)
    assert frame.main(["run", "egress", "--config", config, "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"andon run: the embedded Kafka on {tmp_path / 'there'} does not run; start it with `andon up` or "
        "`andon broker start`, or name a Kafka of your own with kafka.bootstrap or --bootstrap HOST:PORT\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metrics-port", "70000"), "argument --metrics-port: '70000' is not a port; write a number from 1 to 65535"),
        (("--metrics-port", ""), "argument --metrics-port: '' is not a port; write a number from 1 to 65535"),
        (("--listen", "8700"), "argument --listen: '8700' is not host:port; write for example 127.0.0.1:8700 or"),
        (("--bootstrap", "kafka-1"), "argument --bootstrap: 'kafka-1' is neither `embedded` nor host:port"),
        (("--slot", "²"), "argument --slot: a slot is a number from 0"),
    ],
)
def test_what_is_no_place_is_told_before_anything_is_asked(
    words: tuple[str, ...], said: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.main(["run", "ingress", "--config", config, *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_told_to_end_while_it_waits_for_kafka_it_ends_of_itself(
    number: signal.Signals, code: int, config: str, tmp_path: Path
) -> None:
    """The first process of a pod is not ended by a signal that it does not handle."""
    argv = [sys.executable, "-m", "andon.cli.main", "run", "routing", "--config", config, "--data", str(tmp_path)]
    service = subprocess.Popen([*argv, "--bootstrap", "127.0.0.1:9"], stderr=subprocess.PIPE, text=True)
    with service:
        assert service.stderr
        assert service.stderr.readline()  # that it cannot connect
        service.send_signal(number)
        assert service.wait(20) == code


def test_only_the_door_has_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["run", "egress", "--listen", "127.0.0.1:8700"]) == frame.USAGE
    assert capsys.readouterr().err == "andon run: --listen is the door's address, and egress is no door\n"
