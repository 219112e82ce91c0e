"""`calendar`: named times."""

from __future__ import annotations

from typing import Literal

from andon.config.addresses import Zone
from andon.config.section import Section


class Days(Section):
    """One time interval, in Alertmanager's sense: it holds when every named field holds."""

    days: tuple[str, ...] = ()
    """Days of the week, `monday` or `monday:friday`; `workday` and `holiday` by the working calendar."""
    times: tuple[str, ...] = ()
    """Times of day, `08:00-20:00`; one may pass midnight."""
    days_of_month: tuple[str, ...] = ()
    """Days of the month, `1`, `1:5`, or from its end: `-3:-1`."""
    months: tuple[str, ...] = ()
    """Months, `january:march` or `1:3`."""
    years: tuple[str, ...] = ()
    """Years, `2026` or `2026:2028`."""
    location: Zone | None = None
    """Its time zone, where it is not `site.zone`."""


class Calendar(Section):
    """Named times."""

    holidays: Literal["china"] | None = None
    """Whose public holidays and make-up days tell workdays from holidays: `china` (法定节假日 and 调休)."""
    overrides: str | None = None
    """A CSV file of the days on which the plant does otherwise: `date`, `day` (work or off), `note`."""
    time_intervals: dict[str, tuple[Days, ...]] = {}
    """Each holds when one of its entries holds."""
