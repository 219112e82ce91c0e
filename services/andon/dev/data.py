"""What the demo plant consists of: its machines, in a SQLite file that stands for the MES, and the faults they know.

`python -m andon.dev.data FILE` makes the file; it has one view, `v_machines`, for the `sql` connector.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """`number` is what events have as their subject. `spare` is the part usually needed; not every machine has one."""

    number: str
    name: str
    line: str
    department: str
    installed: str
    spare: str | None = None


class Fault(msgspec.Struct, frozen=True):
    """What can go wrong; `heats` raises the temperature far above the usual."""

    code: str
    text: str
    severity: str
    department: str
    heats: bool = False


_KINDS = (
    ("冲压机", "冲压车间", "2019-04-02", "轴承 6312-2Z"),
    ("数控车床", "机加车间", "2021-09-15", "主轴油封 TC-45"),
    ("焊接机器人", "焊装车间", "2023-03-08", None),
    ("装配压机", "总装车间", "2018-11-20", "液压阀 4WE6"),
    ("视觉检测站", "质量部", "2024-06-30", None),
)
LINES = ("line-1", "line-2", "line-3")

MACHINES = tuple(
    Machine(f"{LINES[number // 3]}/M-{number + 1:02d}", f"{kind} {number + 1} 号", LINES[number // 3], *rest)
    for number in range(3 * len(LINES))
    for kind, *rest in [_KINDS[number % len(_KINDS)]]
)

FAULTS = (
    Fault("E-217", "主轴温度过高", "critical", "maintenance", heats=True),
    Fault("E-104", "伺服过载", "major", "maintenance"),
    Fault("E-310", "气压不足", "minor", "facilities"),
    Fault("E-402", "安全门未关", "minor", "maintenance"),
    Fault("Q-021", "尺寸超差", "major", "quality"),
    Fault("L-005", "缺料", "minor", "logistics"),
)

_SCHEMA = """\
CREATE TABLE machine (
  number TEXT PRIMARY KEY, name TEXT NOT NULL, line TEXT NOT NULL,
  department TEXT NOT NULL, installed TEXT NOT NULL, spare TEXT);
CREATE VIEW v_machines AS
  SELECT number AS machine_no, name, line, department, spare AS spare_part,
         CAST(julianday('now') - julianday(installed) AS INTEGER) AS age_days
  FROM machine;
"""


def create_machines(file: Path, machines: Sequence[Machine] = MACHINES) -> None:
    """Makes the SQLite file, or leaves it alone when it holds these machines already. Raises OSError."""
    content = hashlib.sha256(_SCHEMA.encode() + msgspec.json.encode(machines)).digest()
    version = int.from_bytes(content[:4], "big") >> 1
    if _version(file) == version:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.new")
    aside.unlink(missing_ok=True)
    connection = sqlite3.connect(aside)
    try:
        connection.executescript(_SCHEMA)
        rows = [msgspec.structs.astuple(machine) for machine in machines]
        connection.executemany("INSERT INTO machine VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    finally:
        connection.close()
    aside.replace(file)


def _version(file: Path) -> int | None:
    if not file.exists():
        return None
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return None
    finally:
        connection.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m andon.dev.data", description="Makes the demo plant's database.")
    parser.add_argument("file", type=Path)
    create_machines(parser.parse_args(arguments).file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
