"""What `andon up` shows, on a terminal and elsewhere."""

import io
import json
from pathlib import Path

from rich.console import Console

from andon.cli.running import live
from andon.runtime.supervisor import State, Status
from tests.unit.cli.test_summary import Counted

LOG = Path("p.log")
PROGRAMS = (
    Status("kafka", LOG, {"kafka": 8792}, State.READY, 11, 0),
    Status("egress", LOG, {"metrics": 8704}, State.RESTARTING, None, 2, None, -9, "killed"),
)
VIEW = live.View("running", Counted(), PROGRAMS, {"door": "http://127.0.0.1:8700", "tracker": "http://127.0.0.1:8730/"})


def test_a_line_says_the_figures_and_what_is_not_well() -> None:
    assert live.line(VIEW) == (
        "running · accepted 10 · delivered 6 · merged 3 · skipped 1 · parked 0 · waiting 0"
        " · tickets 4 opened 4 closed · p50 30 ms · p99 99 ms · egress restarting · restarts 2"
    )


def test_before_the_first_figure_there_are_dashes() -> None:
    assert "accepted - · delivered -" in live.line(live.View("starting", None, ()))


def test_a_download_is_a_line_of_its_own() -> None:
    assert live.line(live.View("starting", None, (), fetched=(5_000_000, 120_000_000))) == (
        "fetching Kafka: 5 of 120 MB"
    )


def test_lines_come_every_five_seconds_and_the_addresses_once() -> None:
    out = io.StringIO()
    with live.screen(as_json=False, out=out) as screen:
        for now in (0.0, 0.5, 4.9, 5.0, 7.0):
            screen.show(VIEW, now)
        screen.say("andon.yaml is published")
    lines = out.getvalue().splitlines()
    assert lines[0] == "door http://127.0.0.1:8700  tracker http://127.0.0.1:8730/"
    assert lines[1:] == [live.line(VIEW)] * 2 + ["andon.yaml is published"]


def test_json_lines_are_json_lines() -> None:
    out = io.StringIO()
    with live.screen(as_json=True, out=out) as screen:
        screen.show(VIEW, 0.0)
        screen.show(VIEW, 1.0)
        screen.say("hello")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["accepted"], first["waiting"]) == (10, 0)
    assert first["programs"]["egress"] == {"state": "restarting", "pid": None, "restarts": 2}
    assert second == {"note": "hello"}


def test_the_table_shows_every_process_and_every_figure() -> None:
    out = io.StringIO()
    console = Console(file=out, width=140)
    console.print(live.table(live.View(VIEW.state, VIEW.figures, PROGRAMS, VIEW.addresses, (50, 100))))
    text = out.getvalue()
    words = ("kafka", "8792", "egress", "restarting", "exit -9: killed", "4 opened 4 closed", "99 ms", "fetching Kafka")
    assert [word for word in words if word not in text] == []
    assert "http://127.0.0.1:8730/" in text
