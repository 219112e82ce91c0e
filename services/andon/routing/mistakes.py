"""What is wrong in the routing part of a configuration, each with its place in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from andon.config.calendar import Interval
from andon.config.computed import AND, COMPUTED, is_computed
from andon.config.limits import StormRule
from andon.config.maintenance import Maintenance
from andon.config.receivers import MergeRule
from andon.config.routing import Route
from andon.config.settings import Settings
from andon.config.spans import (
    HOLIDAY,
    WORKDAY,
    IntervalError,
    parse_days,
    parse_days_of_month,
    parse_months,
    parse_window,
    parse_years,
)
from andon.config.times import Days
from andon.core.matchers import MatcherError, compile_matchers
from andon.core.mute import MuteWrong, require_named
from andon.core.paths import PathError, compile_key
from andon.core.people import Directory
from andon.core.tables import Tables
from andon.routing.router import Router
from andon.routing.tree import ALL, group_key
from andon.routing.who import compile_who

Place = tuple[str | int, ...]
Mistake = tuple[Place, str]

_WEEK_S, _SOME_DAY = 7 * 86_400.0, 10 * 86_400.0
_NOBODY = Directory(())
_UNJOINED = re.compile(rf"[&＆]\s*(?:{'|'.join(COMPUTED)}):")
_SPANS: Mapping[str, Callable[[str], object]] = {
    "days": parse_days,
    "times": parse_window,
    "days_of_month": parse_days_of_month,
    "months": parse_months,
    "years": parse_years,
}


def check(settings: Settings) -> list[Mistake]:
    """Every mistake in time intervals, routes, episodes and receivers: its path and one sentence.

    Names that name nothing are found when the file is loaded (config.references).
    """
    return [
        *_calendar(settings),
        *_root(settings.route),
        *_routes(settings.route, ("route",), grouped=False),
        *_episodes(settings),
        *_inhibitions(settings),
        *_receivers(settings),
        *_storm(settings),
        *_maintenance(settings),
    ]


def check_whole(settings: Settings, tables: Tables) -> list[Mistake]:
    """What is wrong with a file in which nobody has found a mistake: that no router can be made of it. Such a file must
    not be published, for routing would never start again."""
    try:
        Router(settings, 0, dict.fromkeys(settings.receivers, ""), tables)
    except Exception as error:  # noqa: BLE001 - whatever it is, it would stop the service
        return [((), f"routing cannot work with it: {error}")]
    return []


def _calendar(settings: Settings) -> Iterator[Mistake]:
    for name, entries in settings.calendar.time_intervals.items():
        for number, entry in enumerate(entries):
            yield from _spans(entry, ("calendar", "time_intervals", name, number), settings)


def _spans(entry: Days | Maintenance, place: Place, settings: Settings) -> Iterator[Mistake]:
    known = settings.calendar.holidays or settings.calendar.overrides
    for key, parse in _SPANS.items():
        for index, text in enumerate(getattr(entry, key, ())):
            try:
                parse(text)
            except IntervalError as error:
                yield (*place, key, index), str(error)
            else:
                if text in (WORKDAY, HOLIDAY) and not known:
                    said = f"what a {text} is, `calendar.holidays: china` or `calendar.overrides` must say"
                    yield (*place, key, index), said


def _maintenance(settings: Settings) -> Iterator[Mistake]:
    for name, each in settings.maintenance.items():
        place: Place = ("maintenance", name)
        mistakes = [*_spans(each, place, settings), *_matchers(each.matchers, (*place, "matchers"))]
        yield from mistakes
        if mistakes:
            continue
        try:
            require_named(each.matchers)
        except MuteWrong as error:
            yield (*place, "matchers"), str(error)
        days = () if {WORKDAY, HOLIDAY} <= set(each.days) else each.days  # together they are all days
        whole = Interval(name, [Days(days=days, times=each.times)], ZoneInfo("UTC"))
        if whole.until(_SOME_DAY) - _SOME_DAY > _WEEK_S:
            yield place, "it would never be over; name the `days` or the `times` of it"


def _routes(route: Route, place: Place, *, grouped: bool) -> Iterator[Mistake]:
    yield from _matchers(route.matchers, (*place, "matchers"))
    grouped = grouped or route.group_by is not None
    yield from _groups(route, place, grouped=grouped)
    for number, child in enumerate(route.routes):
        yield from _routes(child, (*place, "routes", number), grouped=grouped)


def _groups(route: Route, place: Place, *, grouped: bool) -> Iterator[Mistake]:
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if not grouped and getattr(route, key) is not None:
            yield (*place, key), f"without `group_by`, here or above, there are no groups for {key} to hold back"
    keys = route.group_by or ()
    if ALL in keys and len(keys) > 1:
        yield (*place, "group_by"), f"`{ALL}` groups by all labels, so nothing stands beside it"
    try:
        group_key(keys)
    except PathError as error:
        yield (*place, "group_by"), str(error)


def _root(root: Route) -> Iterator[Mistake]:
    for key in ("matchers", "mute_time_intervals", "active_time_intervals"):
        if getattr(root, key):
            yield ("route", key), f"the first route takes all that no other takes, at any time, so it has no {key}"


def _episodes(settings: Settings) -> Iterator[Mistake]:
    for name, rule in settings.episodes.items():
        yield from _matchers(rule.matchers, ("episodes", name, "matchers"))
        yield from _key(rule.key, ("episodes", name, "key"))


def _inhibitions(settings: Settings) -> Iterator[Mistake]:
    for number, rule in enumerate(settings.inhibit_rules):
        place = ("inhibit_rules", number)
        if not settings.episodes:
            yield place, "a cause is an open episode, and `episodes` has no rule: nothing would ever be held back"
        for key in ("source_matchers", "target_matchers"):
            texts = getattr(rule, key)
            if not texts:
                yield (*place, key), f"without {key} it would mean everything"
            yield from _matchers(texts, (*place, key))
        for index, text in enumerate(rule.source_matchers):
            if _asks_values(text):
                yield (*place, "source_matchers", index), "of a cause only type, subject, source and labels are known"
        yield from _key(rule.equal, (*place, "equal"))


def _asks_values(text: str) -> bool:
    """Whether one of the matchers in a text is about `data` or `facts`; no for a text that cannot be read."""
    try:
        matchers = compile_matchers((text,))
    except MatcherError:
        return False
    return any(one.label is None and one.text.startswith(("data.", "facts.")) for one in matchers)


def _receivers(settings: Settings) -> Iterator[Mistake]:
    for name, receiver in settings.receivers.items():
        if "#" in name:
            yield ("receivers", name), "the name of a receiver has no '#': that sign numbers the parts of a long list"
        for index, rule in enumerate(receiver.fallback):
            if rule.receiver == name:
                yield ("receivers", name, "fallback", index), "a receiver that was not reached is no fallback of itself"
        for index, entry in enumerate(receiver.to):
            if not is_computed(entry):
                continue
            if _UNJOINED.search(entry.replace(AND, "")):
                said = "write ' & ' between several, with one blank on each side: as it stands it is a single name"
                yield ("receivers", name, "to", index), said
            try:
                compile_who(entry, _NOBODY)
            except PathError as error:
                yield ("receivers", name, "to", index), str(error)
        if isinstance(receiver.merge, MergeRule):
            yield from _key(receiver.merge.by, ("receivers", name, "merge", "by"))
        yield from _if_nobody(settings, name)


def _if_nobody(settings: Settings, name: str) -> Iterator[Mistake]:
    seen, following = [name], settings.receivers[name].if_nobody
    place = ("receivers", name, "if_nobody")
    if following and not any(map(is_computed, settings.receivers[name].to)):
        yield place, "it has always somebody to tell: nothing in its `to` is computed"
    while following in settings.receivers:
        if following in seen:
            yield place, f"leads back to `{following}`: at its end there must be somebody"
            return
        seen.append(following)
        following = settings.receivers[following].if_nobody


def _storm(settings: Settings) -> Iterator[Mistake]:
    if isinstance(settings.limits.storm, StormRule):
        yield from _key(settings.limits.storm.by, ("limits", "storm", "by"))


def _key(fields: Sequence[str], place: Place) -> Iterator[Mistake]:
    try:
        compile_key(fields)
    except PathError as error:
        yield place, str(error)


def _matchers(texts: Sequence[str], place: Place) -> Iterator[Mistake]:
    for index, text in enumerate(texts):
        try:
            compile_matchers((text,))
        except MatcherError as error:
            yield (*place, index), str(error)
