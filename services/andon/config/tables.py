"""Reads the tables beside andon.yaml that are published with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.config.people import read_people
from andon.config.plugs import PlugChecker
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


def read_tables(data: Any, folder: Path, plugs: PlugChecker) -> Read:
    """Every table that the data of andon.yaml names."""
    workdays, found, files = _read_workdays(data, folder)
    people, found_in_people, files_of_people = read_people(data, folder, plugs)
    return Read(Tables(workdays, people), (*found, *found_in_people), (*files, *files_of_people))


def _read_workdays(data: Any, folder: Path) -> tuple[Workdays, tuple[Found, ...], tuple[Path, ...]]:
    calendar = entries(data, "calendar")
    workdays = china() if calendar.get("holidays") == "china" else Workdays()
    overrides = calendar.get("overrides")
    if not isinstance(overrides, str):
        return workdays, (), ()
    try:
        return with_overrides(workdays, read_overrides(folder / overrides)), (), (folder / overrides,)
    except TableError as error:
        return workdays, (Found(("calendar", "overrides"), str(error)),), (folder / overrides,)
