"""Which days are worked, where weekends don't tell: 法定节假日 and 调休, and what a plant has decided for itself."""

from __future__ import annotations

from datetime import date

import msgspec

_SATURDAY = 5


class Workdays(msgspec.Struct, frozen=True, omit_defaults=True):
    """A working calendar, as it is published with the configuration: its content does not depend on the present time.

    In one of `years`, Monday to Friday are worked, except the days `off`, and Saturday and Sunday are not, except those
    in `work`. Of any other year only the days in `off` and `work` are known.
    """

    years: tuple[int, ...] = ()
    off: tuple[date, ...] = ()
    work: tuple[date, ...] = ()


class WorkingCalendar:
    """Answers for single days; built once per configuration."""

    __slots__ = ("_known", "_years")

    def __init__(self, workdays: Workdays) -> None:
        self._years = frozenset(workdays.years)
        self._known = dict.fromkeys(workdays.off, False) | dict.fromkeys(workdays.work, True)

    def works(self, day: date) -> bool | None:
        """Whether the day is worked; None, never a guess, when the calendar does not know it."""
        known = self._known.get(day)
        if known is None and day.year in self._years:
            return day.weekday() < _SATURDAY
        return known
