"""`andon explain`: why routing decides about an event as it does, and who hears of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from andon.cli.asking import times, where
from andon.cli.main import DONE, USAGE
from andon.cli.shown.decision import decision, lines

if TYPE_CHECKING:
    from andon.core.event import Event

_HELP = """Either of what has been recorded: the event EVENT_ID under the version of the configuration that decided it.
Or, with --event, of what is in a file, under the configuration here and without Kafka; facts are those of the file and
of the configuration's own tables. One JSON object per event with --json."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("explain", help="why an event went where it went", description=_HELP)
    parser.add_argument("id", nargs="?", metavar="EVENT_ID", help="an event that was accepted")
    parser.add_argument("--source", help="which of several events with this id")
    parser.add_argument("--event", metavar="FILE", help="events as JSON or JSON Lines instead; - reads them in")
    parser.add_argument("--at", type=times.point, metavar="TIME", help="as if it were accepted then (with --event)")
    where.option(parser)
    parser.set_defaults(func=where.reported(_explain))


def _explain(args: argparse.Namespace) -> int:
    """Exit code 1 when there is no such event, or routing never came to it."""
    if (args.id is None) == (args.event is None) or (args.at and args.id):
        print("andon explain: name an event by its id, or a file with --event (and --at)", file=sys.stderr)
        return USAGE
    for told in _of_file(args) if args.event else _of_log(args):
        print(msgspec.json.encode(_plain(told)).decode() if args.json else _text(told))
    return DONE


def _of_log(args: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    from andon.cli.commands.trace import EventPath
    from andon.kafka.scan import Scan

    place = where.cluster(args)
    with ExitStack() as stack:
        path = EventPath(place, stack.enter_context(closing(Scan(place.link))), stack)
        found = path.decided(args.id, args.source)
    if found.enriched is None:
        ended = f"{found.ended.outcome.reason}" if found.ended else "it is not enriched yet"
        raise SystemExit(f"routing has not come to {args.id}: {ended}; `andon trace {args.id}` shows where it is")
    if found.router is None:
        raise SystemExit("; ".join(path.notes))
    yield _told(found.enriched, decision(found.router, found.enriched), path.notes)


def _of_file(args: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from andon.cli.asking.written import read_events
    from andon.cli.commands.check import checked
    from andon.config.published import unpublished
    from andon.enrichment.tables import Tables
    from andon.routing.published import router_of
    from andon.runtime.clock import SystemClock
    from andon.runtime.registry import Registry
    from andon.web.nowire import NoWire

    events = read_events(args.event)
    registry, loaded = Registry(), checked(args.config)
    settings = loaded.settings
    router = router_of(unpublished(loaded), registry)
    tables = Tables(settings, Path(loaded.directory), registry, NoWire(), SystemClock())
    at = times.moment(args.at, datetime.now(ZoneInfo(settings.site.zone))) if args.at else None
    for event in _enriched(events, tables):
        one = _accepted(event, at) if at else event
        notes = [
            f"{name} is not asked here; an event in the file may bring facts.{name}" for name in tables.unasked(one)
        ]
        yield _told(one, decision(router, one), notes)


def _enriched(events: Sequence[Event], tables: Any) -> list[Event]:
    async def all_of_them() -> list[Event]:
        return [await tables.enriched(event) for event in events]

    return asyncio.run(all_of_them())


def _accepted(event: Event, at: datetime) -> Event:
    """The event as if the log had taken it then."""
    from andon.core.event import Position

    return msgspec.structs.replace(event, origin=(Position("", 0, 0, round(at.timestamp() * 1000)),))


def _told(event: Event, decided: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    return {"event": event, "decided": decided, "notes": notes}


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    event, decided = told["event"], dict(told["decided"])
    at = datetime.fromtimestamp(decided.pop("at"), UTC)
    path, receivers = decided.pop("visits"), decided.pop("receivers")
    known = {"event": event.id, "source": event.source, "type": event.type, "subject": event.subject, "at": at}
    said = {"labels": event.labels, "facts": event.facts, "notes": told["notes"]}
    return {**known, "receivers": receivers, "path": path, **decided, **said}


def _text(told: Mapping[str, Any]) -> str:
    from andon.cli.shown.columns import line
    from andon.runtime.logs import safe

    event, decided = told["event"], told["decided"]
    at = datetime.fromtimestamp(decided["at"], UTC).astimezone().isoformat(sep=" ", timespec="seconds")
    said = [
        line("event", f"{event.id}  {event.type}  {event.subject}"),
        line("  labels", "  ".join(f"{name}={value}" for name, value in event.labels.items())),
        line("  accepted", at),
        *lines(decided),
        *(line("note", note) for note in told["notes"]),
    ]
    return "\n".join(safe(one).rstrip() for one in said) + "\n"
