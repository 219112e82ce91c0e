"""Time intervals. Alertmanager's times are UTC unless `location` says otherwise; here they are those of `site.zone`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from andon.config.alertmanager.source import Part

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
_UTC = "UTC"
_LOCAL = "Local"
_SITE = "Asia/Shanghai"


@dataclass(frozen=True)
class Times:
    """The intervals by name, as entries of andon.yaml, and the zone of the site: that of most of them."""

    zone: str
    entries: dict[str, list[dict[str, Any]]]


def read(root: Part) -> Times:
    """Every interval of `time_intervals` and, before 0.24, `mute_time_intervals`."""
    parts = [part for key in ("time_intervals", "mute_time_intervals") for part in root[key].parts()]
    zones = Counter(_zone(entry) for part in parts for entry in part["time_intervals"].parts())
    zone = zones.most_common(1)[0][0] if zones else _SITE
    entries: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        name = part["name"].text()
        if not name.strip() or name in entries:
            raise part["name"].wrong("must be a name of its own")
        part.unread("name", "time_intervals")
        entries[name] = [_entry(entry, zone) for entry in part["time_intervals"].parts()]
    return Times(zone, entries)


def _zone(part: Part) -> str:
    zone = part["location"].text(_UTC)
    if zone == _LOCAL:
        part["location"].note(
            f"`{_LOCAL}` is the zone of Alertmanager's machine, taken for {_SITE}: write another one if need be"
        )
        return _SITE
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise part["location"].wrong("is no time zone") from None
    return zone


def _entry(part: Part, zone: str) -> dict[str, Any]:
    part.unread("times", "weekdays", "days_of_month", "months", "years", "location")
    keys = {
        "days": [_days(each) for each in part["weekdays"].parts()],
        "times": [_window(each) for each in part["times"].parts()],
        "days_of_month": [each.text() for each in part["days_of_month"].parts()],
        "months": [each.text().lower() for each in part["months"].parts()],
        "years": [each.text() for each in part["years"].parts()],
    }
    entry: dict[str, Any] = {key: value for key, value in keys.items() if value}
    if (own := _zone(part)) != zone:
        entry["location"] = own
    return entry


def _days(part: Part) -> str:
    text = part.text().lower()
    first, colon, last = text.partition(":")
    if any(name not in _DAYS for name in ((first, last) if colon else (first,))):
        raise part.unknown("day of the week", _DAYS)
    if colon and _DAYS.index(first) > _DAYS.index(last):
        raise part.wrong("ends before it begins: a week begins on Sunday")
    return text


def _window(part: Part) -> str:
    begin, end = part["start_time"].text(), part["end_time"].text()
    for key, text in (("start_time", begin), ("end_time", end)):
        if not _TIME.fullmatch(text):
            raise part[key].wrong("must be a time of day like 09:30")
    if begin >= end:
        raise part["end_time"].wrong("must be later than `start_time`")
    return f"{begin}-{end}"
