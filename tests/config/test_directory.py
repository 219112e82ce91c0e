"""The directory and the working calendar as `andon check` reads them and a version carries them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from andon.cli.commands.check import checked
from andon.config.difference import difference
from andon.config.load import load
from andon.config.published import bundle, published, unbundle, unpublished
from andon.config.references import unused
from andon.core.people import Person
from andon.routing.published import router_of
from andon.runtime.registry import Registry
from tests.unit.routing.events import event

PLANT = """\
version: 1
channels:
  app: {{kind: wecom_app, corp_id: env:CORP, agent_id: 1000002, secret: env:SECRET}}
connectors:
  people: {people}
directory: {{id: 工号, department: 部门, role: 角色, manager: 上级}}
receivers:
  office: {{channel: app, to: ["{to}"]}}
route: {{receiver: office}}
"""
CSV = "{kind: csv, file: people.csv, key: 工号}"
SQL = '{kind: sql, url: "sqlite:///hr.sqlite", view: v_people, key: 工号}'
ROWS = """\
工号,姓名,部门,角色,上级,手机
00102,李四,一厂/采购部,采购员；班长,00101,13900000000
00101,张三,一厂/采购部;一厂,设备经理,,138
"""
PEOPLE = (
    Person("00102", ("一厂/采购部",), ("采购员", "班长"), (), ("00101",)),
    Person("00101", ("一厂/采购部", "一厂"), ("设备经理",)),
)


def written(folder: Path, *, people: str = CSV, to: str = "role:设备经理", rows: str = ROWS) -> Path:
    (folder / "andon.yaml").write_text(PLANT.format(people=people, to=to), encoding="utf-8")
    (folder / "people.csv").write_text(rows, encoding="utf-8")
    return folder


def said(folder: Path) -> list[str]:
    return [str(one).partition("andon.yaml:")[2] for one in checked(folder).mistakes]


def test_a_table_is_the_directory(tmp_path: Path) -> None:
    loaded = checked(written(tmp_path))
    assert loaded.mistakes == ()
    assert loaded.tables.people == PEOPLE
    assert loaded.beside == (tmp_path / "people.csv",)


def test_the_directory_is_in_use(tmp_path: Path) -> None:
    assert list(unused(checked(written(tmp_path)).document.data)) == []  # type: ignore[union-attr]
    (idle,) = unused(checked(written(tmp_path, to="wang")).document.data)  # type: ignore[union-attr]
    assert idle.path == ("connectors", "people")


def test_a_version_carries_it_and_nothing_else_of_the_table(tmp_path: Path) -> None:
    loaded = checked(written(tmp_path))
    raw = bundle(published(loaded, 3, "wang", datetime(2026, 11, 26, tzinfo=UTC)))
    assert b"13900000000" not in raw
    assert "李四".encode() not in raw
    version = unbundle(raw)
    assert version.tables == loaded.tables
    (tmp_path / "people.csv").unlink()
    router = router_of(version, Registry())
    assert router.route(event()).outputs[0].recipients == ("00101",)
    promoted = ROWS.replace("采购员；班长", "采购员；设备经理")
    again, other = checked(written(tmp_path)), checked(written(tmp_path, rows=promoted))
    assert [unpublished(one).digest == version.digest for one in (again, other)] == [True, False]


def test_a_view_is_the_directory(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "hr.sqlite")) as database, database:
        database.execute("create table v_people (工号 text, 部门 text, 角色 text, 上级 text)")
        database.execute("insert into v_people values ('00102', '一厂/采购部', '采购员;班长', '00101')")
        database.execute("insert into v_people values ('00101', '一厂/采购部;一厂', '设备经理', null)")
    loaded = checked(written(tmp_path, people=SQL))
    assert loaded.mistakes == ()
    assert loaded.tables.people == (PEOPLE[1], PEOPLE[0])  # by their values: a view has no order
    assert loaded.beside == ()


def test_who_asks_nobody_reads_nothing(tmp_path: Path) -> None:
    loaded = checked(written(tmp_path, to="wang", rows="broken"))
    assert (loaded.mistakes, loaded.tables.people, loaded.beside) == ((), (), ())
    assert load(tmp_path).tables.people == ()


@pytest.mark.parametrize(
    ("people", "rows", "problem"),
    [
        (CSV, "工号,部门\n1,采购部\n", "there is no column '角色'; `directory.role` says which one it is"),
        (CSV, "工号,角色\n", "it has no rows"),
        (CSV, "工号,角色\n,采购部\n", "5:3: the directory cannot be read: entry 1 has nothing in the column '工号'"),
        (CSV, "工号,角色\n1,a\n1,b\n", "'1' appears a second time (entry 2)"),
        (CSV, "工号,角色\n1,a\n@ALL,b\n", "'@ALL' (entry 2) is nobody's name: it would call everybody"),
        (CSV, "工号,角色,上级\n1,a,2；所有人\n", "'所有人' (entry 1) is nobody's name"),
        (CSV, "userid\n1\n", "there is no column '工号'; `directory.id` says which"),
        (CSV, "工号,部门\n1\n", "people.csv, line 2: 1 cells"),
        (CSV, "工号,角色\n1," + "a/" * 16 + "a\n", "has more than 16 steps"),
        ("{kind: csv, file: nowhere.csv, key: 工号}", "", "nowhere.csv cannot be read"),
        (SQL, "", "the directory cannot be read: "),
        ("{kind: sql, url: env:HR_ABSENT, view: v, key: k}", "", "HR_ABSENT"),
    ],
)
def test_mistakes_of_a_directory(tmp_path: Path, people: str, rows: str, problem: str) -> None:
    (mistake,) = said(written(tmp_path, people=people, rows=rows))
    assert problem in mistake


@pytest.mark.parametrize("sign", ["&", "&  ", " &", "＆", " ＆ "])
def test_several_that_are_not_joined_as_they_must_be_are_a_mistake(sign: str, tmp_path: Path) -> None:
    (mistake,) = said(written(tmp_path, to=f"role:班长{sign}department:采购部"))
    assert "8:31: write ' & ' between several, with one blank on each side" in mistake
    assert said(written(tmp_path, to="role:班长 & department:R&D")) == []


def test_there_must_be_a_directory(tmp_path: Path) -> None:
    written(tmp_path)
    text = (tmp_path / "andon.yaml").read_text(encoding="utf-8")
    (tmp_path / "andon.yaml").write_text(text.replace("  people:", "  staff:"), encoding="utf-8")
    assert said(tmp_path) == ["8:31: who is who, the connector `people` must say: there is none under `connectors`"]


def test_the_days_of_china_are_published(tmp_path: Path) -> None:
    folder = written(tmp_path, to="wang")
    with (folder / "andon.yaml").open("a", encoding="utf-8") as file:
        file.write("calendar: {holidays: china, time_intervals: {work: [{days: [workday]}]}}\n")
    days = checked(folder).tables.workdays
    assert {2025, 2026} <= set(days.years)
    assert date(2026, 10, 10) in days.work
    assert date(2026, 10, 7) in days.off


def test_a_difference_has_a_line_for_each_year_and_each_person(tmp_path: Path) -> None:
    with (written(tmp_path) / "andon.yaml").open("a", encoding="utf-8") as file:
        file.write("calendar: {overrides: days.csv}\n")
    (tmp_path / "days.csv").write_text("date,day\n2026,complete\n2026-10-01,off\n2027-01-03,work\n")
    before = unpublished(checked(tmp_path))
    (tmp_path / "days.csv").write_text("date,day\n2026,complete\n2026-10-01,off\n2026-10-10,work\n2027-01-03,work\n")
    rows = ROWS.replace("采购员；班长", "采购员") + "00103,王五,二厂,班长,,1\n"
    (tmp_path / "people.csv").write_text(rows, encoding="utf-8")
    was = '{"departments": ["一厂/采购部"], "roles": ["采购员", "班长"], "managers": ["00101"]}'
    now = '{"departments": ["一厂/采购部"], "roles": ["采购员"], "managers": ["00101"]}'
    assert list(difference(before, checked(tmp_path))) == [
        f"~ people.00102: {was} → {now}",
        '+ people.00103: {"departments": ["二厂"], "roles": ["班长"]}',
        "~ workdays.2026: off 10-01, worked never → off 10-01, worked 10-10",
    ]


def test_another_order_of_the_people_is_a_difference(tmp_path: Path) -> None:
    """Of more than `at_most` the first hear."""
    before = unpublished(checked(written(tmp_path)))
    head, *rows = ROWS.splitlines(keepends=True)
    again = checked(written(tmp_path, rows=head + "".join(reversed(rows))))
    assert list(difference(before, again)) == ["~ people: in another order"]
