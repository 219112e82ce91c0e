"""`andon why PERSON`: what came to them in a time, what did not, and where the reason lies; no event's id is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from andon.cli.asking import times, where
from andon.cli.asking.past import Past, past
from andon.cli.asking.reading import Reading
from andon.cli.asking.stores import address, desk
from andon.cli.asking.words import is_text
from andon.cli.main import DONE, FAILED, USAGE

if TYPE_CHECKING:
    from andon.core.delivery import Delivery
    from andon.routing.causes import Answer, Open
    from andon.routing.inquiry import Asked, Inquiry

_HELP = """Says what came to a person, and what did not and why: the source, the routes, a mute, the calendar, a group,
a limit, a digest, the vendor. PERSON is a name as receivers have it (a userid, an address), what a csv table has beside
it, or the name of a receiver; several names are one person. Of events that no route leads to them by, only the first
few are shown, unless --subject or --event asks about certain ones."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("why", help="what came to a person, what did not and why", description=_HELP)
    parser.add_argument("person", nargs="+", metavar="PERSON")
    parser.add_argument("--since", type=times.point, default="24h", metavar="TIME", help=f"{times.FORMS}; 24h")
    parser.add_argument("--until", type=times.point, metavar="TIME", help="until then (default: now)")
    parser.add_argument("--subject", help="about this subject: every event of it gets an answer")
    parser.add_argument("--event", metavar="EVENT_ID", help="about this event")
    where.option(parser)
    parser.set_defaults(func=where.reported(_why))


def _why(args: argparse.Namespace) -> int:
    """Exit code 1 when nothing of what was asked about has reached us, or nobody is called so."""
    from andon.cli.asking.persons import listed, names_of
    from andon.kafka.scan import Scan
    from andon.routing.causes import Cause
    from andon.routing.inquiry import Asked, Inquiry

    if not is_text(*args.person, args.subject or "", args.event or ""):
        raise SystemExit("nothing is known of it: what was asked for is not UTF-8")
    place = where.cluster(args)
    with ExitStack() as stack:
        scan = stack.enter_context(closing(Scan(place.link)))
        known = past(scan)
        now = datetime.now(known.zone)
        since, until = times.moment(args.since, now), times.moment(args.until, now) if args.until else now
        if since >= until:
            print("andon why: --since is not before --until", file=sys.stderr)
            return USAGE
        names = names_of(args.person, known.newest)
        asked = Asked(names, since.timestamp(), until.timestamp(), args.subject, args.event)
        inquiry = Inquiry(asked, known.version_at, known.router)
        reading = Reading(scan, sys.stderr)
        _take(reading, inquiry, asked)
        open_ = inquiry.open()
        answers = inquiry.answers(now.timestamp(), _known(open_, place, known, scan, stack) if open_ else {})
    if inquiry.nobody and not names & known.receivers() and not listed(args.person, known.newest):
        called = " or ".join(f"`{name}`" for name in args.person)
        raise SystemExit(f"no receiver, person or address is called {called}; give the name that the channel has")
    notes = [*known.said, *_notes(inquiry, names, known)]
    whole = {
        "person": args.person,
        "names": sorted(names),
        "since": since,
        "until": until,
        "accepted": inquiry.accepted,
        "answers": answers,
        "unlisted": inquiry.unlisted(answers),
        "notes": notes,
    }
    print(msgspec.json.encode(whole).decode() if args.json else _text(whole))
    return FAILED if [answer.cause for answer in answers] == [Cause.SOURCE] else DONE


def _take(reading: Reading, inquiry: Inquiry, asked: Asked) -> None:
    """Reads the topics into the inquiry, each from the beginning of the time on."""
    from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, OUTCOMES
    from andon.runtime.trace import needle

    certain = needle(asked.event or asked.subject or "")
    one = needle(next(iter(asked.names))) if len(asked.names) == 1 else b""
    for record in reading.of(DELIVERIES, asked.since, having=certain or one):
        inquiry.delivery(record)
    for record in reading.of(OUTCOMES, asked.since, having=needle(asked.event) if asked.event else b""):
        inquiry.outcome(record)
    left = reading.homes(ENRICHED)
    for record in reading.of(ENRICHED, asked.since):
        if not inquiry.enriched(record):
            left.discard(record.home)
            if not left:
                break
    for record in reading.of(EVENTS, asked.since, asked.until, having=certain):
        inquiry.event(record)


def _known(open_: Sequence[Delivery], place: where.Where, known: Past, scan: Any, stack: ExitStack) -> dict[UUID, Open]:
    """What the desk's store and the open episodes say of deliveries without an outcome."""
    from andon.core.reason import Reason
    from andon.routing.causes import Open

    found: dict[UUID, Open] = {}
    held = _held(known, scan)
    egress = desk(address(known.newest, place.data), "egress", stack)
    kept = egress.items([one.id for one in open_]) if egress else {}
    for one in open_:
        entries = kept[one.id].entries if one.id in kept else ()
        failed = entries[-1].reason if entries and entries[-1].ended else None
        found[one.id] = Open(None if failed is Reason.DELIVERED else failed, held(one))
    return found


def _held(known: Past, scan: Any) -> Callable[[Delivery], str | None]:
    """Which rule and cause hold a delivery back now."""
    from andon.core.event import Home
    from andon.egress.inhibition import Causes, Inhibition
    from andon.kafka.topics import ACTIVE

    rules = Inhibition(known.newest.settings.inhibit_rules if known.newest else ())
    if not rules:
        return lambda _delivery: None
    causes, homes = Causes(), [Home(ACTIVE, number) for number in range(scan.partitions().get(ACTIVE, 0))]
    for record in scan.stretch(scan.beginnings(homes), scan.ends(homes)):
        causes.take(record.key, record.value)
    return lambda delivery: rules.by(delivery, causes)


def _notes(inquiry: Inquiry, names: frozenset[str], known: Past) -> Iterator[str]:
    if inquiry.cut:
        yield "there is more than is kept at one time: ask about a shorter time, or one subject"
    if not inquiry.counts and not names & known.receivers():
        yield f"nothing was sent to {', '.join(sorted(names))}; give the name the channel has, such as the userid, too"


def _text(whole: dict[str, Any]) -> str:
    from andon.cli.shown.columns import columns, line
    from andon.runtime.logs import safe

    zone = whole["since"].tzinfo
    rows = [_row(answer, zone) for answer in whole["answers"]]
    also = ", ".join(sorted(set(whole["names"]) - set(whole["person"])))
    said = [
        line("why", ", ".join(whole["person"]) + (f" (also {also})" if also else "")),
        line("since", f"{whole['since']:%Y-%m-%d %H:%M:%S} until {whole['until']:%Y-%m-%d %H:%M:%S %Z}"),
        *columns([[safe(cell) for cell in row] for row in rows], 2),
        *(f"  {count:,} more: {cause}" for cause, count in whole["unlisted"].items()),
        line("accepted", f"{whole['accepted']:,} events in this time that were not sent to them"),
        *(line("note", note) for note in whole["notes"]),
    ]
    return "\n".join(one.rstrip() for one in said)


def _row(answer: Answer, zone: Any) -> tuple[str, ...]:
    sign = {True: "✓", False: "✗", None: "…"}[answer.came]
    what = f"{answer.subject} {answer.type}".strip()
    by = f"{answer.receiver} {answer.route}".strip()
    at = f"{answer.at.astimezone(zone):%m-%d %H:%M:%S}"
    return (sign, at, answer.cause, what, by, f"{answer.said}{f'  [{answer.event}]' if answer.event else ''}")
