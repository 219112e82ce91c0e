"""Reads the tables beside andon.yaml that are published with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.config.references import entries
from andon.config.shapes import Found
from andon.config.sheet import TableError
from andon.config.workdays import china, read_overrides, with_overrides
from andon.core.tables import Tables
from andon.core.workdays import Workdays


@dataclass(frozen=True)
class Read:
    """The tables, what is wrong with their files, and the files."""

    tables: Tables
    found: tuple[Found, ...]
    files: tuple[Path, ...]


def read_tables(data: Any, folder: Path) -> Read:
    """Every table that the data of andon.yaml names."""
    calendar = entries(data, "calendar")
    workdays = china() if calendar.get("holidays") == "china" else Workdays()
    overrides = calendar.get("overrides")
    if not isinstance(overrides, str):
        return Read(Tables(workdays), (), ())
    try:
        return Read(Tables(with_overrides(workdays, read_overrides(folder / overrides))), (), (folder / overrides,))
    except TableError as error:
        return Read(Tables(workdays), (Found(("calendar", "overrides"), str(error)),), (folder / overrides,))
