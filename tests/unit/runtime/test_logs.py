"""Log lines: one JSON object each, whatever is in them."""

import errno
import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from andon.config.settings import Otel
from andon.runtime import logs
from andon.runtime.tracing import spans_of


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    logs.configure("egress", stream=stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.getLogger("aiohttp.access").disabled = False


def test_a_line_has_its_time_level_service_event_and_fields(out: io.StringIO) -> None:
    logging.getLogger("andon.x").warning("parked", extra={"event_id": "e-1", "offset": 7, "level": "no", "note": None})
    line = json.loads(out.getvalue())
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "warning",
        "service": "egress",
        "event": "parked",
        "event_id": "e-1",
        "offset": 7,
        "note": None,
    }


def test_outside_text_cannot_begin_a_line_or_turn_the_terminals_text() -> None:
    hostile = "a\nb\x1b[2J\x9b\u202egnp.exe\u2066\u2028\x7f\ud800 机器"
    # Formatted here and not logged: the test runner's own capture cannot pass a lone surrogate on.
    text = logs.JsonLines("egress").format(logging.makeLogRecord({"msg": hostile, "subject": hostile}))
    assert text.encode().decode() == text
    assert not set(text) & set("\x1b\x9b\u202e\u2066\u2028\x7f\n")
    assert "机器" in text
    assert json.loads(text)["subject"] == hostile


def test_an_exception_is_part_of_its_line(out: io.StringIO) -> None:
    try:
        raise ValueError("line\ntwo")
    except ValueError:
        logging.getLogger("x").exception("failed")
    line = json.loads(out.getvalue())
    assert line["error"] == "ValueError: line\ntwo"
    assert "test_logs.py" in line["trace"]
    assert out.getvalue().count("\n") == 1


def test_a_long_value_is_cut_and_says_so(out: io.StringIO) -> None:
    logging.getLogger("x").info("e", extra={"body": "y" * 2_100, "path": ["a"]})
    line = json.loads(out.getvalue())
    assert line["body"].endswith("y… (100 more)")
    assert line["path"] == "['a']"


def test_http_clients_and_the_access_log_do_not_tell_addresses(out: io.StringIO) -> None:
    logging.getLogger("httpx2").info("POST https://example.invalid/send?key=secret")
    logging.getLogger("aiohttp.access").error("GET /send?key=secret")
    assert out.getvalue() == ""


def test_nor_does_the_driver_of_postgresql(out: io.StringIO) -> None:
    logging.getLogger("psycopg").warning("error ignored terminating <psycopg.Pipeline (host=db.corp user=andon)>: lost")
    assert out.getvalue() == ""


def test_a_line_that_a_full_disk_does_not_take_is_no_traceback(
    out: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stood on the terminal, in the middle of what `andon up` shows there."""

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(out, "flush", full)
    logging.getLogger("x").warning("parked")
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    ours = next(handler for handler in logging.root.handlers if isinstance(handler, logs._Out))
    ours.handle(logging.makeLogRecord({"name": "x", "msg": "two of %s, one of %s", "args": (2,)}))
    assert "not enough arguments" in capsys.readouterr().err, "a mistake of ours is shown"


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    repeats = logs.QuietTraces()
    record = logging.makeLogRecord({"name": "opentelemetry.exporter", "msg": "Failed to export %s"})
    for at, passes in ((7_200.0, True), (100.0, True), (109.9, False)):
        record.created = at
        assert repeats.filter(record) is passes


def test_a_collector_that_is_away_is_told_of_once_in_ten_seconds(out: io.StringIO) -> None:
    """Every second each process said so twice, and hid all other lines."""
    spans = spans_of(Otel(endpoint="http://127.0.0.1:9"), "egress", 0)
    assert spans

    def failed() -> bool:
        spans("attempt", f"00-{1:032x}-{1:016x}-01", 0.0, 1.0, {}, failed=False)
        return "Failed to export" in out.getvalue()

    end = time.monotonic() + 30
    while not failed():
        assert time.monotonic() < end
        time.sleep(0.05)
    spans.close()
    said = [json.loads(line)["event"].partition(" ")[0] for line in out.getvalue().splitlines()]
    assert sorted(said) == ["Failed", "Transient"]
