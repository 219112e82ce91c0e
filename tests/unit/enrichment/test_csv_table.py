"""The connector `csv`: files as people save them."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.core.failure import Rejected
from andon.core.ports import Context
from andon.core.reason import Reason
from andon.enrichment.connectors.csv import CsvTable
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire

GOOD = "no,leader\nM-1,张伟\n"


class Desk:
    """A folder with the table t.csv, and a connector that reads it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "t.csv"
        self._saves = 0
        config = CsvTable.Config(file="t.csv", key="no")
        self.table = CsvTable(config, Context("machine", directory, ManualClock(), NoWire()))

    def save(self, content: str | bytes, encoding: str = "utf-8") -> None:
        """Writes the file with a time of its own, as seconds would pass between two saves."""
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        self._saves += 1
        os.utime(self.path, (1_700_000_000 + self._saves,) * 2)

    def ask(self, key: str = "M-1") -> dict[str, Any] | None:
        (answer,) = asyncio.run(self.table.lookup([key]))
        return dict(answer.values) if answer.found else None

    def refusal(self) -> str:
        with pytest.raises(Rejected) as caught:
            self.ask()
        assert caught.value.reason is Reason.INVALID
        return caught.value.detail


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_encodings(desk: Desk, encoding: str) -> None:
    desk.save(GOOD, encoding)
    assert desk.ask() == {"no": "M-1", "leader": "张伟"}


def test_shapes_excel_writes(desk: Desk) -> None:
    desk.save(' no ,leader,,\r\nM-1,"a, ""b""\r\nc",,\r\n,,,\r\n M-2 , x ,,\r\n')
    assert desk.ask() == {"no": "M-1", "leader": 'a, "b"\r\nc'}
    assert desk.ask("M-2") == {"no": "M-2", "leader": "x"}
    assert desk.ask("") is None


def test_a_saved_file_is_read_again(desk: Desk) -> None:
    desk.save(GOOD)
    assert desk.ask("M-2") is None
    desk.save(GOOD + "M-2,李\n")
    assert desk.ask("M-2") == {"no": "M-2", "leader": "李"}


def test_an_unchanged_file_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.save(GOOD)
    desk.ask()
    monkeypatch.setattr("andon.enrichment.connectors.csv.read_table", lambda *_: pytest.fail("read again"))
    assert desk.ask() is not None


BAD = {
    "no,leader\nM-1\n": "t.csv, line 2: 1 cells where the first row names 2",
    "no,leader\nM-1,x,y\n": "line 2: 3 cells",
    "no,leader\nM-1,x\nM-1,y\n": "line 3: no M-1 appears a second time",
    "no,leader\n,x\n": "line 2: the key no is empty",
    "name,leader\n": "t.csv has no column 'no'; its first row names name, leader",
    "": "its first row names none",
    "no,a,a\n": "names the column a more than once",
    "no,missing\n": "a column may not be called missing",
    'no,leader\nM-1,"x\n': "line 2: unexpected end of data",
    'no,leader\nM-1,"x"y\n': "line 2: ",
}


@pytest.mark.parametrize(("content", "problem"), BAD.items())
def test_a_mistake_is_named_and_the_old_table_kept(
    desk: Desk, content: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.save(content)
    assert problem in desk.refusal()
    desk.save(GOOD)
    assert (desk.ask(), desk.table.problem) == ({"no": "M-1", "leader": "张伟"}, None)
    caplog.clear()
    desk.save(content)
    for _ in range(3):
        assert desk.ask() == {"no": "M-1", "leader": "张伟"}
    assert problem in (desk.table.problem or "")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_bytes_that_are_no_table(desk: Desk) -> None:
    desk.save(GOOD, "utf-16")
    assert "UTF-16" in desk.refusal()
    desk.save(b"no,leader\nM-1,\xff\xff\n")
    assert "neither UTF-8 nor GB18030" in desk.refusal()
    desk.save(b"x" * ((16 << 20) + 1))
    assert "larger than 16 MiB" in desk.refusal()


def test_a_broken_utf8_table_is_not_read_as_another_encoding(desk: Desk) -> None:
    """Most pairs of bytes above 0x7F are some character of GB18030: the whole table would be of wrong ones."""
    whole = (GOOD + "M-2,李娜\nM-3,刘洋\n").encode()
    for content in (whole + "M-4,王芳\n".encode("gb18030"), whole + "M-4,李".encode()[:-1]):
        desk.save(content)
        assert "t.csv, line 5: not UTF-8, as the rest of the file is" in desk.refusal()
    desk.save(b"\xef\xbb\xbf" + whole + "王-4,王芳\n".encode("gb18030"))
    assert "t.csv, line 5: not UTF-8, as the rest of the file is" in desk.refusal()
    desk.save(whole)
    assert desk.ask() == {"no": "M-1", "leader": "张伟"}
    desk.save("no,leader\nM-1,联通\nM-2,移动\n", "gb18030")  # its first character could be one of UTF-8
    assert desk.ask() == {"no": "M-1", "leader": "联通"}


def test_a_file_that_goes_and_comes(desk: Desk) -> None:
    assert "cannot be read (No such file" in desk.refusal()
    desk.save(GOOD)
    assert desk.ask() is not None
    desk.path.unlink()
    assert desk.ask() is not None
    assert "cannot be read" in (desk.table.problem or "")
    desk.save(GOOD)
    assert desk.ask() is not None
    assert desk.table.problem is None


class Share:
    """A file server that `hangs` until it is set free; `looks` are those of the threads that asked it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        self.free.set()
        self.looks: list[threading.Thread] = []
        stat = Path.stat

        def slow(path: Path, **more: Any) -> os.stat_result:
            if path.name == "t.csv":
                self.looks.append(threading.current_thread())
                self.free.wait(20)
            return stat(path, **more)

        monkeypatch.setattr(Path, "stat", slow)


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> Iterator[Share]:
    share = Share(monkeypatch)
    yield share
    share.free.set()


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


async def given_up(desk: Desk) -> None:
    """A lookup whose answer nobody waits for any more."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await desk.table.lookup(["M-1"])


def test_a_file_that_hangs_is_looked_at_once_and_its_last_table_stays_in_use(
    desk: Desk, share: Share, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        await desk.table.lookup(["M-1"])
        share.free.clear()
        await given_up(desk)
        for _ in range(3):
            (answer,) = await desk.table.lookup(["M-1"])
            assert answer.values == {"no": "M-1", "leader": "张伟"}
        assert [look.daemon for look in share.looks] == [True, True]
        assert desk.table.problem == "t.csv does not answer"
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        share.free.set()
        share.looks[-1].join(10)
        await settle()
        await desk.table.lookup(["M-1"])
        assert desk.table.problem is None

    desk.save(GOOD)
    asyncio.run(scenario())


def test_a_file_that_hangs_from_the_start_is_waited_for_and_not_looked_at_again(desk: Desk, share: Share) -> None:
    async def scenario() -> None:
        share.free.clear()
        for _ in range(3):
            await given_up(desk)
        assert [look.daemon for look in share.looks] == [True]
        asked = asyncio.ensure_future(desk.table.lookup(["M-1"]))
        await asyncio.sleep(0)
        share.free.set()
        assert (await asked)[0].found

    desk.save(GOOD)
    asyncio.run(scenario())


def test_a_key_with_many_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("line,person,phone\nL3,张三,1\nL4,王五,3\nL3,李四,\n", encoding="utf-8")
    config = CsvTable.Config(file="t.csv", key="line", many=True)
    table = CsvTable(config, Context("crew", tmp_path, ManualClock(), NoWire()))
    answers = [dict(one.values) for one in asyncio.run(table.lookup(["L3", "L4", "L5"]))]
    assert answers == [
        {"line": "L3", "person": ["张三", "李四"], "phone": ["1", ""]},
        {"line": "L4", "person": ["王五"], "phone": ["3"]},
        {},
    ]


def test_more_rows_than_an_event_should_carry(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("line,n\n" + "".join(f"L3,{n}\n" for n in range(1_001)))
    table = CsvTable(
        CsvTable.Config(file="t.csv", key="line", many=True), Context("crew", tmp_path, ManualClock(), NoWire())
    )
    with pytest.raises(Rejected):
        asyncio.run(table.lookup(["L3"]))
    assert table.problem == "t.csv, line 1002: line L3 has more than 1000 rows"
