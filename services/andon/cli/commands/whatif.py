"""`andon whatif --routes NEW --from T --to T`: who would have gained or lost which notices. Sends nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from andon.cli.asking import times, where
from andon.cli.asking.past import past
from andon.cli.asking.reading import Reading
from andon.cli.main import DONE, FAILED, USAGE

if TYPE_CHECKING:
    from andon.cli.asking.past import Past
    from andon.config.published import Published
    from andon.config.settings import Settings
    from andon.kafka.scan import Scan
    from andon.routing.router import Router
    from andon.routing.whatif import WhatIf

_HELP = """Runs the events that enrichment recorded from one time to another through the rules of a configuration that
is not published, and through those that are, and shows who would have gained or lost which notices. Nothing is sent."""
_SHOWN = 20


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("whatif", help="what other rules would have done", description=_HELP)
    parser.add_argument("--routes", required=True, type=Path, metavar="NEW", help="andon.yaml or its folder")
    parser.add_argument("--from", dest="since", type=times.point, default="24h", metavar="TIME", help=times.FORMS)
    parser.add_argument("--to", dest="until", type=times.point, metavar="TIME", help="until then (default: now)")
    parser.add_argument("--recorded", action="store_true", help="compare with the version of the time, not today's")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page too")
    parser.add_argument("--fail-above", type=_count, metavar="N", help="exit code 1 when more notices would change")
    where.option(parser)
    parser.set_defaults(func=where.reported(_whatif))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of notices; write for example 100, or 0")
    return int(text)


def _whatif(args: argparse.Namespace) -> int:
    """Exit code 1 when more than `--fail-above` notices would be gained, lost or changed."""
    from andon.kafka.scan import Scan
    from andon.routing.whatif import WhatIf

    new = _new(args.routes)
    with closing(Scan(where.cluster(args).link)) as scan:
        known = past(scan)
        if known.newest is None:
            raise SystemExit("no configuration is published to compare with; run `andon apply` first")
        now = datetime.now(known.zone)
        since, until = times.moment(args.since, now), times.moment(args.until, now) if args.until else now
        if since >= until:
            print("andon whatif: --from is not before --to", file=sys.stderr)
            return USAGE
        compared = WhatIf()
        versions = _run(compared, new, scan, known, (since, until), recorded=args.recorded)
    difference = compared.difference()
    whole = {
        "since": since,
        "until": until,
        "old": f"version {', '.join(map(str, versions))}",
        "new": str(args.routes),
        **msgspec.to_builtins(difference),
        "notes": [*known.said, *unasked(known.newest.settings, new.settings)],
    }
    if args.html:
        from andon.cli.shown.whatifpage import page

        try:
            args.html.write_text(page(whole), encoding="utf-8")
        except OSError as error:
            raise SystemExit(f"{args.html} cannot be written: {error.strerror}") from None
    print(msgspec.json.encode(whole).decode() if args.json else _text(whole))
    if args.fail_above is not None and difference.notices > args.fail_above:
        print(f"andon whatif: {difference.notices:,} notices would change, {args.fail_above:,} may", file=sys.stderr)
        return FAILED
    return DONE


def _new(path: Path) -> Published:
    """What is not published. Raises Invalid for a configuration with a mistake."""
    from andon.cli.commands.check import checked
    from andon.config.published import unpublished

    return unpublished(checked(path))


def unasked(old: Settings, new: Settings) -> Iterator[str]:
    """Says so where the new rules would ask for other facts: routes on labels made of these are seen not to match."""
    if (old.enrich, old.connectors) != (new.enrich, new.connectors):
        yield "`enrich` or `connectors` are others: labels and facts are as they were recorded, nobody was asked anew"


def _run(
    compared: WhatIf, new: Published, scan: Scan, known: Past, between: tuple[datetime, datetime], *, recorded: bool
) -> list[int]:
    """Compares every event of the time; the versions it was compared with."""
    from andon.core.event import Event
    from andon.kafka.codecs import Json, Undecodable
    from andon.kafka.topics import ENRICHED

    decode, today = Json(Event).decode, known.newest.version if known.newest else 0
    both: dict[int, tuple[Router, Router]] = {}
    for record in Reading(scan, sys.stderr).of(ENRICHED, *(one.timestamp() for one in between)):
        version = (known.version_at(record.at / 1000) or today) if recorded else today
        if version not in both:
            both[version] = _both(known, version, new)
        try:
            compared.take(decode(record.value), *both[version])
        except Undecodable:
            continue
    return sorted(both or [today])


def _both(known: Past, version: int, new: Published) -> tuple[Router, Router]:
    """The routers of a version and of the new rules, muted as that version was: files say nothing of mutes."""
    from andon.routing.published import router_of
    from andon.runtime.registry import Registry

    old = known.router(version)
    if old is None:
        raise SystemExit("; ".join(known.said))
    return old, router_of(replace(new, mutes=known.board.version(version).mutes), Registry())


def _text(whole: Mapping[str, Any]) -> str:
    from andon.cli.shown.columns import line
    from andon.runtime.logs import safe

    said = [
        line(
            "compared",
            f"{whole['events']:,} events from {whole['since']:%Y-%m-%d %H:%M} to {whole['until']:%m-%d %H:%M}",
        ),
        line("rules", f"{whole['old']} with {whole['new']}"),
        line("different", f"{whole['different']:,} events, {whole['notices']:,} notices"),
        line("silent", f"{whole['silent']:,} would be told to nobody any more, {whole['heard']:,} to somebody at last"),
        *_tables(whole),
        *(line("note", note) for note in whole["notes"]),
    ]
    return "\n".join(safe(one).rstrip() for one in said)


def _tables(whole: Mapping[str, Any]) -> Iterator[str]:
    from andon.cli.shown.columns import columns

    changed = [one for one in whole["receivers"] if one["gained"] or one["lost"] or one["changed"]]
    if not changed:
        yield "nobody would gain or lose a notice"
        return
    yield ""
    rows = [("RECEIVER", "GAINS", "LOSES", "CHANGED", "SAME", "FOR EXAMPLE")]
    for one in changed[:_SHOWN]:
        figures = (f"{one[name]:,}" for name in ("gained", "lost", "changed", "kept"))
        first = next(iter((*one["gains"], *one["losses"])), None)
        rows.append((one["receiver"], *figures, f"{first['subject']} ({first['event']})" if first else ""))
    yield from columns(rows, 0)
    yield ""
    rules = [("RULES", "ROUTE", "RECEIVER", "GAINS", "LOSES", "MATCHERS")]
    for one in whole["rules"][:_SHOWN]:
        side = f"version {one['version']}" if one["version"] else "new"
        figures = (f"{one[name]:,}" for name in ("gained", "lost"))
        rules.append((side, one["route"], one["receiver"], *figures, ", ".join(one["matchers"]) or "no conditions"))
    yield from columns(rules, 0)
    yield ""
    people = [("PERSON", "GAINS", "LOSES")]
    people += [(one["person"], f"{one['gained']:,}", f"{one['lost']:,}") for one in whole["people"][:_SHOWN]]
    yield from columns(people, 0)
    for name, shown in (("receivers", len(changed)), ("rules", len(whole["rules"])), ("people", len(whole["people"]))):
        if shown > _SHOWN:
            yield f"{shown - _SHOWN:,} more {name}: --html or --json shows them"
