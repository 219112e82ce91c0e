"""`andon store migrate FROM TO | upgrade | adopt`: what is done to the desks' stores while no desk runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from andon.cli.asking import where
from andon.cli.main import DONE, USAGE

DESKS = ("egress", "ticketing")
_PLACE = "sqlite:////folder, postgresql+psycopg://host/name, or env:NAME or file:/path of one with a password"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("store", help="move, upgrade or adopt the desks' stores", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="migrate|upgrade|adopt")
    migrate = commands.add_parser("migrate", help="move all open work to another database")
    migrate.add_argument("source", metavar="FROM", type=_place, help=_PLACE)
    migrate.add_argument("target", metavar="TO", type=_place, help="the same; it must be empty")
    migrate.set_defaults(func=where.reported(_migrate))
    upgrade = commands.add_parser("upgrade", help="bring the tables to this version's schema")
    upgrade.set_defaults(func=where.reported(_upgrade))
    adopt = commands.add_parser("adopt", help="make SQLite stores that were moved here this machine's own")
    adopt.set_defaults(func=where.reported(_adopt))
    for one in (upgrade, adopt):
        one.add_argument("place", nargs="?", metavar="STORE", type=_place, help="by default the configuration's")


def _place(text: str) -> str:
    from andon.config.rules import holds_secret, is_store_address
    from andon.config.secrets import SecretMissing
    from andon.config.settings import Store

    if holds_secret(text):
        raise argparse.ArgumentTypeError("a password stands in this address, which others can read: env:NAME or file:")
    try:
        address = Store(url=text).address()
    except (SecretMissing, ValueError) as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if address is None or not is_store_address(address):
        raise argparse.ArgumentTypeError(f"a store is {_PLACE}")
    return address


def _configured(args: argparse.Namespace) -> str:
    """The store of the configuration, else the one in the data directory. Raises config.mistakes.Invalid, also for a
    configuration that was named and is not there: the store would be another one."""
    from andon.config.load import load

    if args.place:
        return str(args.place)
    file = where.file(args)
    found = load(file).settings.store.address() if file else None
    return found or f"sqlite:///{args.data.absolute() / 'store'}"


def _migrate(args: argparse.Namespace) -> int:
    from andon.store import upkeep

    if args.source == args.target:
        print("andon store migrate: FROM and TO are the same", file=sys.stderr)
        return USAGE
    moved = {}
    with closing(upkeep.Migration(args.source, args.target, DESKS)) as migration:
        for desk in migration.before:
            print(f"{desk}: moved there before", file=sys.stderr)
        for desk in migration.left:
            sums = migration.move(desk, _progress(desk, quiet=args.json))
            moved[desk] = {table: {"rows": one.rows, "digest": one.digest} for table, one in sums.items()}
    return _told(args, args.source, moved, lambda: _moved(moved))


def _progress(desk: str, *, quiet: bool) -> Callable[[str, int, int], None]:
    def tell(table: str, done: int, whole: int) -> None:
        if not quiet:
            print(f"{desk}: {table} {done:,} of {whole:,}", file=sys.stderr)

    return tell


def _moved(moved: dict[str, Any]) -> str:
    lines = []
    for desk, tables in moved.items():
        counts = ", ".join(f"{one['rows']:,} {table}" for table, one in tables.items())
        lines.append(f"{desk}: {counts}; counts and digests agree")
    lines.append("Now set store.url in andon.yaml to the new place, publish it (`andon apply`) and start the desks.")
    lines.append("What stands in the old place is refused from here on, and may be deleted.")
    return "\n".join(lines)


def _upgrade(args: argparse.Namespace) -> int:
    from andon.store import upkeep

    url = _configured(args)
    done = {desk: upkeep.upgrade(url, desk) for desk in DESKS if upkeep.is_there(url, desk)}
    words = {desk: f"schema {new}" if old == new else f"schema {old} became {new}" for desk, (old, new) in done.items()}
    return _told(args, url, done, lambda: "\n".join(f"{desk}: {told}" for desk, told in words.items()))


def _adopt(args: argparse.Namespace) -> int:
    from andon.store import upkeep

    url = _configured(args)
    if not url.startswith("sqlite:"):
        print("andon store adopt: PostgreSQL belongs to no machine", file=sys.stderr)
        return USAGE
    done = {desk: upkeep.adopt(url, desk) for desk in DESKS if upkeep.is_there(url, desk)}
    words = {True: "belongs to this machine now", False: "belonged to this machine already"}
    return _told(args, url, done, lambda: "\n".join(f"{desk}: {words[new]}" for desk, new in done.items()))


def _told(args: argparse.Namespace, url: str, done: dict[str, Any], text: Callable[[], str]) -> int:
    if not done:
        place = url.removeprefix("sqlite:///") if url.startswith("sqlite:") else "that database"
        raise SystemExit(f"no desk has a store in {place}; name the right one, or its configuration, or its --data")
    print(json.dumps(done) if args.json else text())
    return DONE
