"""Whether the working calendar reaches far enough: the one thing about a configuration that today's date decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from andon.config.settings import Settings
from andon.config.spans import HOLIDAY, WORKDAY
from andon.core.workdays import Workdays

_ASK = (WORKDAY, HOLIDAY)

Place = tuple[str | int, ...]

_ANNOUNCED_BY = 12  # the State Council announces a year's holidays in the November before it


def unknown_years(settings: Settings, workdays: Workdays, today: date) -> Iterator[tuple[int, tuple[Place, str]]]:
    """This year, and in December the next one, where intervals ask for a calendar that does not know it; each with its
    place in the file and one sentence."""
    asked = _first_word(settings)
    for year in (today.year, today.year + 1) if today.month == _ANNOUNCED_BY else (today.year,):
        if asked and year not in workdays.years:
            known = f"it knows {workdays.years[0]} to {workdays.years[-1]}" if workdays.years else "it knows no year"
            text = (
                f"the working calendar does not know {year} ({known}), so routes that ask for its days speak as if "
                "nothing held them back: update the package chinesecalendar, or write the year's days and a line "
                f"`{year},complete` into the file `calendar.overrides`"
            )
            yield year, (asked, text)


def _first_word(settings: Settings) -> Place | None:
    intervals = settings.calendar.time_intervals.items()
    entries: dict[Place, tuple[str, ...]] = {
        ("calendar", "time_intervals", name, number): entry.days
        for name, some in intervals
        for number, entry in enumerate(some)
    }
    entries |= {("maintenance", name): each.days for name, each in settings.maintenance.items()}
    words = (
        (*place, "days", index) for place, days in entries.items() for index, word in enumerate(days) if word in _ASK
    )
    return next(words, None)
