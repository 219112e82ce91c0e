"""What differs between two configurations, line by line. Shows no secret, for settings hold references only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

import msgspec

from andon.config.load import Loaded
from andon.config.published import Published, plain
from andon.core.mute import Mute
from andon.core.workdays import Workdays


def difference(before: Published | None, after: Published | Loaded) -> Iterator[str]:
    """What `after` changes: `+` comes, `-` goes, `~` was another value; templates line by line. Files hold no mutes, so
    only between two versions are these looked at."""
    old = dict(_values(before)) if before else {}
    new = dict(_values(after))
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path), new.get(path)
        if was == now:
            continue
        if was is None or now is None:
            yield f"+ {path}: {now}" if was is None else f"- {path}: {was}"
        else:
            yield f"~ {path}: {was} → {now}"
    if before and _reordered(before, after):
        yield "~ people: in another order"
    if before and before.directory != str(after.directory):
        yield f"~ folder of the configuration: {before.directory} → {after.directory}"
    yield from _templates(before.files if before else {}, after.files)
    if isinstance(after, Published):
        yield from _mutes(before.mutes if before else (), after.mutes)


def _values(of: Published | Loaded) -> Iterator[tuple[str, str]]:
    yield from _flat(plain(of.settings, whole=False))
    yield from _years(of.tables.workdays)
    for person in of.tables.people:
        known = {key: value for key, value in msgspec.to_builtins(person).items() if key != "id"}
        yield f"people.{person.id}", json.dumps(known, ensure_ascii=False)


def _reordered(before: Published, after: Published | Loaded) -> bool:
    """Whether there are the same people in another order, in which they hear where not all do."""
    was, now = ([person.id for person in of.tables.people] for of in (before, after))
    return was != now and sorted(was) == sorted(now)


def _years(workdays: Workdays) -> Iterator[tuple[str, str]]:
    """The working calendar with a line for each year: what is not as its weekday would have it."""
    for year in sorted({*workdays.years, *(day.year for day in (*workdays.off, *workdays.work))}):
        off, work = (
            " ".join(f"{day:%m-%d}" for day in days if day.year == year) for days in (workdays.off, workdays.work)
        )
        only = "" if year in workdays.years else ", of the other days nothing is known"
        yield f"workdays.{year}", f"off {off or 'never'}, worked {work or 'never'}{only}"


def muted(mute: Mute) -> str:
    """A mute in one line."""
    begins, ends = (moment.astimezone().isoformat(sep=" ", timespec="minutes") for moment in (mute.begins, mute.ends))
    return f"mute {mute.id}: {', '.join(mute.matchers)}, {begins} to {ends}, {mute.then}, by {mute.creator}: {mute.why}"


def _mutes(before: Sequence[Mute], after: Sequence[Mute]) -> Iterator[str]:
    yield from (f"- {muted(one)}" for one in before if one not in after)
    yield from (f"+ {muted(one)}" for one in after if one not in before)


def _templates(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, ""), after.get(name, "")
        names = f"templates/{name} (before)", f"templates/{name}"
        lines = list(unified_diff(was.splitlines(), now.splitlines(), *names, lineterm="", n=1))
        if lines or before.get(name) == after.get(name):
            yield from lines
        elif name in before and name in after:
            yield f"~ templates/{name}: other line ends"
        else:
            yield f"{'+' if name in after else '-'} templates/{name}: without a line"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every single value with its path, `route.routes[2].receiver`; a plug-in's keys stand beside its kind."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            below = path if key == "options" and "kind" in value else f"{path}.{key}" if path else str(key)
            yield from _flat(inner, below)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{number}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)
