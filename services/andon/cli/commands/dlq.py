"""`andon dlq list|redrive`: what was parked, and sending it again as it was."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from andon.cli.arguments import seconds
from andon.cli.asking import where
from andon.cli.main import DONE, FAILED, USAGE
from andon.cli.shown.columns import columns
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.kafka.connection import Connection
    from andon.runtime.feeds import Feed
    from andon.runtime.parked import Entry

_ID = re.compile(r"\d+-\d+")
_SHOWN = 60


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("dlq", help="look at and redrive what was parked", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="list|redrive")
    listing = commands.add_parser("list", help="what was parked, oldest first")
    listing.add_argument("--since", type=seconds, metavar="1h", help="only what was parked within this time")
    listing.set_defaults(func=where.reported(_list))
    redrive = commands.add_parser("redrive", help="send parked records again, each as it was to where it was")
    redrive.add_argument("id", nargs="?", type=_id, metavar="ID", help="one record, as `andon dlq list` names it")
    redrive.add_argument("--all", action="store_true", help="everything that was not redriven yet")
    redrive.add_argument("--yes", action="store_true", help="do not ask")
    redrive.set_defaults(func=where.reported(_redrive))
    for one in (listing, redrive):
        one.add_argument("--reason", help="only what was parked for this reason")
        where.option(one)


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text} is not the id of a parked record, such as 3-17; see `andon dlq list`")
    return text


def _list(args: argparse.Namespace) -> int:
    import msgspec

    found = _entries(args, args.since)
    if args.json:
        print(msgspec.json.encode(found).decode())
    elif found:
        print(text(found))
    else:
        print("nothing is parked" + (" that fits" if args.reason or args.since else ""))
    return DONE


def _entries(args: argparse.Namespace, since: float | None = None) -> list[Entry]:
    from andon.core.reason import Reason
    from andon.kafka.scan import Scan
    from andon.runtime.clock import SystemClock
    from andon.runtime.parked import entries

    if args.reason and args.reason not in set(Reason):
        raise SystemExit(f"there is no reason {args.reason}; `andon dlq list` shows those there are")
    with closing(Scan(where.cluster(args).link)) as scan:
        found = entries(scan, SystemClock().now() - since if since else 0.0)
    return [one for one in found if args.reason in (None, one.reason)]


def text(found: Sequence[Entry]) -> str:
    """The records as a table."""
    rows = [("ID", "WHEN", "REASON", "FROM", "EVENT", "FOR", "STATE", "DETAIL")]
    for one in found:
        when = datetime.fromtimestamp(one.at, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        origin = f"{one.origin.topic}-{one.origin.partition}@{one.origin.offset}"
        tried = f"parked after redrive {one.redrive}" if one.redrive else "parked"
        state = "redriven" if one.redriven else f"{tried}, cut" if one.cut else tried
        detail = one.detail if len(one.detail) <= _SHOWN else f"{one.detail[:_SHOWN]}…"
        rows.append((one.id, when, one.reason, origin, one.event or "not readable", one.receiver or "", state, detail))
    return "\n".join(line.rstrip() for line in columns([[safe(cell) for cell in row] for row in rows], 0))


def _redrive(args: argparse.Namespace) -> int:
    """Exit code 1 when something was passed over."""
    from andon.runtime.parked import redrive

    if sum((args.id is not None, args.reason is not None, args.all)) != 1:
        print("andon dlq redrive: name one record, or --reason R, or --all", file=sys.stderr)
        return USAGE
    found = _entries(args)
    chosen = [one for one in found if args.id in (None, one.id) and not one.redriven]
    if args.id and chosen and chosen[0].cut:
        raise SystemExit(f"{args.id} was too large to be parked whole ({chosen[0].cut} bytes); send it anew, smaller")
    chosen = [one for one in chosen if not one.cut]
    if args.id and not chosen:
        known = any(one.id == args.id for one in found)
        raise SystemExit(f"{args.id} was redriven already" if known else f"there is no parked record {args.id}")
    if not chosen:
        print("nothing to redrive")
        return DONE
    if not args.json:
        print(text(chosen))
    if args.id is None and not where.agreed(f"Send these {len(chosen)} again?", yes=args.yes):
        print("nothing was redriven")
        return FAILED
    astray: list[str] = []
    link = where.cluster(args).link
    count = asyncio.run(redrive(link, {one.id for one in chosen}, _feeds(link, chosen), astray.append))
    for why in astray:
        print(f"andon dlq redrive: {why}", file=sys.stderr)
    print(f'{{"redriven": {count}}}' if args.json else f"redriven: {count}; `andon trace EVENT` shows what comes of it")
    return FAILED if astray else DONE


def _feeds(link: Connection, chosen: Sequence[Entry]) -> Collection[Feed]:
    """The sources of the configuration in force that read a topic, where something is of a topic of others."""
    from andon.runtime.feeds import feeds_in_force
    from andon.runtime.follower import KEPT, read_board
    from andon.runtime.registry import Registry

    if all(one.origin.topic.startswith("andon.") for one in chosen):
        return ()
    newest = read_board(link, KEPT).newest
    return feeds_in_force(newest.settings if newest else None, Registry()).values()
