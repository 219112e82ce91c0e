"""Reads the working calendar of a configuration: the holidays of a country, and the plant's own file over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from andon.config.sheet import TableError, read_rows
from andon.core.workdays import Workdays

_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_YEAR = re.compile(r"\d{4}")
_COMPLETE = "complete"
_WORKED = {"work": True, "off": False}


def china() -> Workdays:
    """法定节假日 and 调休 as the State Council has announced them, of every year the package `chinesecalendar` knows.

    It knows a year once the announcement for it is part of the package, and names its years. The package is imported
    here and nowhere else, where a configuration is checked or published: no service pays for it.
    """
    from chinese_calendar.constants import holidays, workdays

    return Workdays(
        years=tuple(sorted({day.year for day in holidays})),
        off=tuple(sorted(day for day in holidays if day.weekday() < 5)),
        work=tuple(sorted(workdays)),
    )


def with_overrides(known: Workdays, decided: Workdays) -> Workdays:
    """The calendar with the days of another one in place of its own."""
    return _workdays({*known.years, *decided.years}, _days(known) | _days(decided))


def read_overrides(path: Path) -> Workdays:
    """The days of a file with the columns `date`, `day` (work or off) and, if wanted, a note. Raises TableError.

    A date is 2026-10-10, or as Excel writes it, 2026/10/10 or 2026/1/4. A year alone with `complete` says that the
    file names every day of it that is not as the weekday would have it.
    """
    days: dict[date, bool] = {}
    years: list[int] = []
    for line, row in read_rows(path, ("date", "day")):
        place, text, word = f"{path.name}, line {line}", row["date"], row["day"]
        if _YEAR.fullmatch(text) and word == _COMPLETE:
            years.append(int(text))
            continue
        day = _date(text, place)
        if word not in _WORKED:
            raise TableError(f"{place}: '{word}' says nothing of a day; write work or off")
        if day in days:
            raise TableError(f"{place}: {day} appears a second time")
        days[day] = _WORKED[word]
    return _workdays(years, days)


def _days(workdays: Workdays) -> dict[date, bool]:
    return dict.fromkeys(workdays.off, False) | dict.fromkeys(workdays.work, True)


def _workdays(years: Iterable[int], days: Mapping[date, bool]) -> Workdays:
    off, work = (tuple(sorted(day for day in days if days[day] is worked)) for worked in (False, True))
    return Workdays(tuple(sorted(set(years))), off, work)


def _date(text: str, place: str) -> date:
    match = _DATE.fullmatch(text)
    try:
        return date(*map(int, match.groups())) if match else date.fromisoformat(text)
    except ValueError:
        raise TableError(f"{place}: '{text}' is not a date; write for example 2026-10-10") from None
