"""The load that several programs are given alike, and what the stand-in's record says became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.rig.record import MARK

COUNT = 200
_LONG = "主轴温度过高，请立即检查冷却液、油压和轴承。"
# A notice begins where a message does, behind the number of its part if need be, and ends where one does. Within a
# message the names are those of a digest's lines.
_BEGIN, _END = re.compile(r"(?:\(\d+/\d+\)\n)?\[(F-\d{3})\]"), re.compile(r"\[/(F-\d{3})\]$")
_DIGEST = re.compile(r"【合并 (\d+) 条】")


@dataclass(frozen=True)
class Notice:
    """A fault's text; its beginning and its end can be told apart in what people saw."""

    id: str
    text: str


def notices(count: int = COUNT) -> list[Notice]:
    """Distinct ones; every twentieth is longer than a message may be (2,048 bytes)."""
    made = []
    for number in range(count):
        name = f"F-{number:03}"
        text = _LONG * 40 if number % 20 == 0 else f"冲压机 {number} 停机：主轴温度过高"
        made.append(Notice(name, f"[{name}] {text} [/{name}]"))
    return made


class Told:
    """What people saw of them, one by one or counted in a digest. `whole` are those that were seen to their end."""

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self.plain: Counter[str] = Counter()
        self.marked: Counter[str] = Counter()
        self.whole: set[str] = set()
        digests: dict[str, int] = {}
        for line in lines:
            marked = line["content"].startswith(MARK)
            text = line["content"].removeprefix(MARK)
            if found := _DIGEST.search(text):
                digests[text] = int(found[1])
                continue
            if begun := _BEGIN.match(text):
                (self.marked if marked else self.plain)[begun[1]] += 1
            if ended := _END.search(text):
                self.whole.add(ended[1])
        self.digested = sum(digests.values())

    @property
    def seen(self) -> set[str]:
        return self.plain.keys() | self.marked.keys()

    @property
    def cut(self) -> int:
        """Of how many the beginning was seen and the end was not."""
        return len(self.seen - self.whole)

    @property
    def doubled(self) -> int:
        """How many were seen again without a mark."""
        return sum(count > 1 for count in self.plain.values())


@dataclass(frozen=True)
class Row:
    """A program against a vendor. `lost` are those it counts as sent and nobody saw, `refused` the vendor's noes."""

    program: str
    vendor: str
    given: int
    sent: int
    told: Told
    refused: int
    lost: int

    def line(self) -> str:
        """A line of the table."""
        told = self.told
        figures = (
            self.given,
            self.sent,
            len(told.seen),
            told.digested,
            self.refused,
            self.lost,
            told.cut,
            told.doubled,
        )
        cells = [self.program, self.vendor, *map(str, figures), str(len(told.marked))]
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| program | to | given | counted as sent | seen one by one | told in digests | refused | silently lost | cut | "
    "doubled unmarked | repeated with a mark |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
