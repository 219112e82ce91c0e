"""`andon apply [PATH]`: check and test the configuration, show what changes, and publish the next version."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from andon.cli.arguments import words
from andon.cli.asking import where
from andon.cli.main import DONE, FAILED, USAGE
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.config.load import Loaded
    from andon.config.settings import Settings
    from andon.runtime.follower import Board


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "apply", help="check and test the configuration, and publish it", description=__doc__
    )
    options(parser)


def options(parser: argparse.ArgumentParser) -> None:
    """What `andon apply` and `andon config publish` take."""
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="andon.yaml or its folder, as --config")
    parser.add_argument("--dry-run", action="store_true", help="show the difference and publish nothing")
    parser.add_argument("--no-tests", action="store_true", help="publish without running the tests of the rules")
    said_options(parser)
    where.option(parser)
    parser.set_defaults(func=where.reported(_apply))


def said_options(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    """Adds `--why` and `--author`, which every version keeps."""
    shown = "who does it (default: the user signed in here)"
    parser.add_argument(
        "--why", type=words, default="", required=needed, metavar="REASON", help="kept with the version"
    )
    parser.add_argument("--author", type=words, default="", metavar="NAME", help=shown)


def _apply(args: argparse.Namespace) -> int:
    """Exit code 2 for a configuration with mistakes, 1 when a test of its rules fails: both are printed, and nothing is
    published."""
    from andon.cli.commands.check import checked
    from andon.config.difference import difference
    from andon.kafka.admin import Cluster
    from andon.kafka.topics import CONFIG
    from andon.runtime.bootstrap import prepare
    from andon.runtime.changes import Said
    from andon.runtime.follower import read_board

    loaded = checked(args.path or args.config)
    if loaded.mistakes:
        say_mistakes(loaded, as_json=args.json)
        return USAGE
    if args.no_tests:
        print("andon apply: the tests of the rules were not run (--no-tests)", file=sys.stderr)
    elif code := _tested(loaded, as_json=args.json):
        return code
    place = where.cluster(args, loaded.settings.kafka)
    cluster = Cluster(place.link)
    cluster.wait(10.0)
    board = read_board(place.link) if CONFIG in cluster.partitions() else None
    before = board.newest if board else None
    changes = list(difference(before, loaded))
    if changes and not args.json:
        print("\n".join(map(safe, changes)))
    say_lost(board)
    if before:
        say_moved(before.settings, loaded.settings)
    version = before.version if before else 0
    if not args.dry_run:
        version = asyncio.run(prepare(loaded, place.link.bootstrap, Said(args.author, args.why))).version
    published = not args.dry_run and version != (before.version if before else 0)
    if args.json:
        told = {"ok": True, "version": version, "published": published, "changes": changes}
        print(json.dumps(told, ensure_ascii=False))
    else:
        print(_said(version, published=published, dry=args.dry_run, changed=bool(changes)))
    return DONE


def say_mistakes(loaded: Loaded, *, as_json: bool) -> None:
    """Prints them: they are the answer."""
    answer = {"ok": False, "mistakes": [asdict(mistake) for mistake in loaded.mistakes]}
    print(json.dumps(answer, ensure_ascii=False) if as_json else "\n".join(map(str, loaded.mistakes)))


def say_lost(board: Board | None) -> None:
    """Says which mutes do not go on in a version that is published past what is on the board."""
    if board is not None and board.lost_mutes:
        which = f"{board.lost_mutes} {'mute' if board.lost_mutes == 1 else 'mutes'} of the version in force"
        print(f"{which} cannot be read by this Andon: one published past it goes on without", file=sys.stderr)


def say_moved(before: Settings, after: Settings) -> None:
    """Says whose limits are counted anew although something may wait."""
    from andon.egress.lints import moved
    from andon.runtime.registry import Registry

    for text in moved(before, after, Registry()):
        print(safe(text), file=sys.stderr)


def _tested(loaded: Loaded, *, as_json: bool) -> int:
    """Runs the tests beside the configuration; prints what is wrong, or one line, if there are any."""
    from andon.cli.commands.test import answer, results_of, text

    results = results_of(loaded)
    if results.mistakes or results.failed:
        print(
            json.dumps(answer(results, ok=False), ensure_ascii=False)
            if as_json
            else "\n".join(map(safe, text(results)))
        )
        return USAGE if results.mistakes else FAILED
    if results.verdicts and not as_json:
        print(safe(list(text(results))[-1]))
    return DONE


def _said(version: int, *, published: bool, dry: bool, changed: bool) -> str:
    if published:
        return f"published: version {version} is in force"
    if dry and changed:
        return f"nothing was published; version {version} is in force" if version else "nothing was published yet"
    return f"nothing changed; version {version} is in force"
