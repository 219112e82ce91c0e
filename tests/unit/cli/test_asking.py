"""What the commands that ask the past share: points in time, a person's names, and the word on how far it has come."""

from __future__ import annotations

import argparse
import io
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from andon.cli.asking import reading
from andon.cli.asking.persons import names_of
from andon.cli.asking.reading import Reading
from andon.cli.asking.times import coming, moment, point
from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.event import Home
from andon.core.people import Person
from andon.core.tables import Tables
from andon.kafka.records import Record

SHANGHAI = timezone(timedelta(hours=8))
NOW = datetime(2026, 11, 26, 2, 30, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("02:00", NOW.replace(hour=2, minute=0)),
        ("14:00", NOW.replace(hour=14, minute=0) - timedelta(days=1)),  # the last one there was
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=SHANGHAI)),
        ("2026-11-25T08:00", datetime(2026, 11, 25, 8, tzinfo=SHANGHAI)),
        ("2026-11-25T08:00Z", datetime(2026, 11, 25, 8, tzinfo=UTC)),
    ],
)
def test_points_in_time_are_those_of_the_site(text: str, then: datetime) -> None:
    assert moment(text, NOW) == then


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("2h", NOW + timedelta(hours=2)),
        ("02:00", NOW.replace(hour=2, minute=0) + timedelta(days=1)),
        ("14:00", NOW.replace(hour=14, minute=0)),
        ("2026-11-25T08:00", datetime(2026, 11, 25, 8, tzinfo=SHANGHAI)),
    ],
)
def test_what_is_to_come_is_counted_from_now_on(text: str, then: datetime) -> None:
    assert coming(text, NOW) == then


def test_two_hours_are_two_hours_also_where_summer_time_begins_or_ends() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for night in (datetime(2026, 3, 29, 1, 30, tzinfo=berlin), datetime(2026, 10, 25, 1, 30, tzinfo=berlin)):
        noon = night.replace(hour=12)
        assert coming("2h", night).timestamp() == night.timestamp() + 2 * 3_600
        assert moment("24h", noon).timestamp() == noon.timestamp() - 24 * 3_600
        assert coming("2h", night).tzinfo is berlin


@pytest.mark.parametrize("text", ["soon", "99999999999d"])
def test_what_is_no_point_in_time_to_come_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="not a point in time; write for example 20:00"):
        coming(text, NOW)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "-2h", "2026-13-01", "9" * 400 + "d"])
def test_what_is_no_point_in_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["soon", "0001-01-01", "9999-12-31T20:00"])
def test_what_no_command_can_ask_about_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a point in time; write for example 14:00"):
        point(text)


def published(folder: Path) -> Published:
    connectors = {name: {"kind": "csv", "file": f"{name}.csv", "key": "userid"} for name in ("people", "gone")}
    connectors["machines"] = {"kind": "csv", "file": "machines.csv", "key": "machine_no"}
    connectors["erp"] = {"kind": "sql", "url": "env:U", "view": "v", "key": "k"}
    settings = Settings.model_validate({"version": 1, "connectors": connectors, "route": {"receiver": "r"}})
    people = (Person("wangwu", addresses={"smtp": "wang@corp.cn", "webhook": ""}), Person("lisi"))
    return Published(1, NOW, "", str(folder), settings, {}, Tables(people=people))


def test_a_person_has_the_names_of_their_row(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("userid,姓名,Mobile,line\nzhangsan,张三,138,L3\nlisi,李四,139,L3\n", "utf-8")
    (tmp_path / "machines.csv").write_text("machine_no,leader\nM-07,张三\n", "utf-8")
    known = published(tmp_path)
    assert names_of(["张三"], known) == {"张三", "zhangsan", "138"}
    assert names_of(["138"], known) == {"张三", "zhangsan", "138"}
    assert names_of(["王五", "L3"], known) == {"王五", "L3"}
    assert names_of(["wang@corp.cn"], known) == {"wang@corp.cn", "wangwu"}
    assert names_of(["张三"], None) == {"张三"}


def test_a_table_of_several_rows_names_people_too(tmp_path: Path) -> None:
    """Such a table was passed over; so was one with a mistake in a row of somebody else."""
    (tmp_path / "people.csv").write_text("userid,姓名\nzhang,张三\nli,李四\nli,李雷\n", "utf-8")
    (tmp_path / "machines.csv").write_text("machine_no,userid,姓名\nM-7,wang,王五\nM-7,zhao,赵六\n", "utf-8")
    known = published(tmp_path)
    assert names_of(["张三"], known) == {"张三", "zhang"}
    assert names_of(["赵六"], known) == {"赵六", "zhao"}


class OfTenThousand:
    """A scan over one partition."""

    read = 0

    def partitions(self) -> dict[str, int]:
        return {"t": 1}

    def at_time(self, homes: Any, _since: float) -> dict[Home, int]:
        return dict.fromkeys(homes, 0)

    def ends(self, homes: Any) -> dict[Home, int]:
        return dict.fromkeys(homes, 10_000)

    def stretch(self, *_: Any, **__: Any) -> Any:
        for number in range(10_000):
            self.read += 1
            yield Record("t", 0, number, 0, None, b"{}")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_to_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_EVERY_S", -1.0)
    shown, silent = Terminal(), io.StringIO()
    for out in (shown, silent):
        scan: Any = OfTenThousand()
        assert len(list(Reading(scan, out).of("t", 0.0))) == 10_000
    assert "\rt: 5,000 of 10,000 records " in shown.getvalue()
    assert shown.getvalue().endswith("\r\x1b[K")
    assert silent.getvalue() == ""
