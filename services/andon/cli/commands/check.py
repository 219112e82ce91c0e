"""`andon check`: every mistake of a configuration as `file:line:column: text`, and warnings of likely slips."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from andon.cli.main import DONE, FAILED
from andon.config.load import Loaded, load
from andon.config.mistakes import Mistake
from andon.config.mistakes import Path as Way
from andon.config.plugs import GROUPS, Plug, PlugUnusable
from andon.config.published import Published
from andon.config.references import unused
from andon.config.routing import Route
from andon.config.settings import Settings
from andon.runtime.registry import Registry


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("check", help="check the configuration")
    parser.description = (
        "Names every mistake of a configuration; ends with 1 when there is one. Without mistakes it also warns of\n"
        "what is probably not intended: routes never taken, names nobody uses, times that never open (docs/check.md)."
    )
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="andon.yaml or its folder, as --config")
    parser.add_argument("--strict", action="store_true", help="end with 1 for a warning too")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Prints mistakes and warnings, and without mistakes one line of what the configuration holds. A year that the
    working calendar lacks is a mistake here alone: a file that was right must not keep a system from starting at New
    Year."""
    loaded, warnings = _judged(checked(args.path or args.config))
    if args.json:
        print(json.dumps(_answer(loaded, warnings), ensure_ascii=False))
    else:
        for one in (*loaded.mistakes, *warnings):
            print(one)
        if not loaded.mistakes:
            counts = _counts(loaded.settings) | ({"warnings": len(warnings)} if warnings else {})
            print(f"OK {loaded.file}: " + ", ".join(map(_counted, counts.items())))
    return FAILED if loaded.mistakes or (args.strict and warnings) else DONE


def _judged(loaded: Loaded) -> tuple[Loaded, list[Mistake]]:
    """The configuration with the mistake that its calendar lacks this year; and the warnings: that it lacks the next,
    and what a configuration without mistakes allows and hardly means."""
    from andon.routing.years import unknown_years

    settings = loaded.draft
    if settings is None:
        return loaded, []
    today = datetime.now(ZoneInfo(settings.site.zone)).date()
    found = dict(unknown_years(settings, loaded.tables.workdays, today))
    now = [loaded.mistake(*one) for year, one in found.items() if year == today.year]
    whole = replace(loaded, mistakes=tuple(sorted({*loaded.mistakes, *now})))
    later = [one for year, one in found.items() if year != today.year]
    doubts = [] if whole.mistakes else _doubts(loaded, settings, today.year)
    return whole, sorted({loaded.warning(*one) for one in (*later, *doubts)})


def _doubts(loaded: Loaded, settings: Settings, year: int) -> list[tuple[Way, str]]:
    from andon.egress import lints as egress
    from andon.ingress import mistakes as ingress
    from andon.routing import lints as routing

    data = loaded.document.data if loaded.document else None
    return [
        *((one.path, one.text) for one in unused(data)),
        *routing.check(settings, loaded.tables.workdays, year, lambda path: loaded.where(path)[0]),
        *egress.check(settings, loaded.files, Registry()),
        *ingress.doubts(settings, Registry()),
    ]


def checked(path: Path, registry: Registry | None = None) -> Loaded:
    """The configuration with the mistakes that each service finds in its own part. Raises nothing for a mistake.

    A value of the wrong shape is not shown to the services, and they are not heard on the other keys of its map: what
    they miss there may be what was wrong. Of a file without mistakes a router is made: it may refuse what nobody looked
    for.
    """
    from andon.routing import mistakes as routing

    registry = registry or Registry()
    loaded = load(path, registry)
    if loaded.draft is None:
        return loaded
    found = _of_services(loaded.draft, loaded.files, loaded.directory, registry)
    if not (found or loaded.mistakes):
        found = routing.check_whole(loaded.draft, loaded.tables)
    more = [loaded.mistake(path, text) for path, text in found if not loaded.torn & {path, path[:-1]}]
    return replace(loaded, mistakes=tuple(sorted({*loaded.mistakes, *more})))


def unusable(one: Published) -> list[str]:
    """Why a version that was published once cannot be in force again: its plug-ins and rules are judged by the Andon of
    today, as those of files are. A router is made of it too."""
    from andon.routing import mistakes as routing

    registry = Registry()
    found = [*_of_plugs(one.settings, registry)]
    if not found:
        folder = Path(one.directory)  # of the machine that published it
        found = _of_services(one.settings, one.files, folder if os.path.isdir(folder) else None, registry)
    found = found or routing.check_whole(one.settings, one.tables)
    return [": ".join(filter(None, (".".join(map(str, way)), text))) for way, text in found]


def _of_plugs(settings: Settings, registry: Registry) -> Iterator[tuple[Way, str]]:
    """Of files this is said when they are loaded."""
    for section, group in GROUPS.items():
        plugs: Mapping[str, Plug] = getattr(settings, section)
        for name, plug in plugs.items():
            try:
                registry.config(group, plug)
            except PlugUnusable as error:
                yield (section, name), str(error)
            except ValidationError as error:
                for one in error.errors(include_url=False, include_input=False):
                    yield (section, name, *one["loc"]), one["msg"]


def _of_services(
    settings: Settings, files: Mapping[str, str], folder: Path | None, registry: Registry
) -> list[tuple[Way, str]]:
    """What each service says of its own part: matchers, times and keys; recipients, templates. Only `cli` may import
    them all."""
    from andon.egress import mistakes as egress
    from andon.enrichment import mistakes as enrichment
    from andon.ingress import mistakes as ingress
    from andon.routing import mistakes as routing

    return [
        *ingress.check(settings, registry),
        *enrichment.check(settings),
        *routing.check(settings),
        *egress.check(settings, files, registry, folder),
    ]


def _answer(loaded: Loaded, warnings: Sequence[Mistake]) -> dict[str, Any]:
    mistakes = [asdict(mistake) for mistake in loaded.mistakes]
    answer = {"ok": not mistakes, "file": str(loaded.file), "mistakes": mistakes}
    counts = {} if mistakes else {"counts": _counts(loaded.settings)}
    return {**answer, "warnings": [asdict(warning) for warning in warnings], **counts}


def _counts(settings: Settings) -> dict[str, int]:
    return {
        "sources": len(settings.sources),
        "connectors": len(settings.connectors),
        "channels": len(settings.channels),
        "receivers": len(settings.receivers),
        "routes": _size(settings.route),
        "templates": len({receiver.template for receiver in settings.receivers.values()}),
    }


def _counted(entry: tuple[str, int]) -> str:
    what, count = entry
    return f"{count} {what.removesuffix('s') if count == 1 else what}"


def _size(route: Route) -> int:
    return 1 + sum(map(_size, route.routes))
