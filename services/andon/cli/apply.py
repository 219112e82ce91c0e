"""`andon apply [PATH]`: check the configuration, show what changes, and publish it as the next version."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from andon.cli import where
from andon.cli.main import DONE, USAGE
from andon.runtime.logs import safe


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("apply", help="check the configuration and publish it", description=__doc__)
    options(parser)


def options(parser: argparse.ArgumentParser) -> None:
    """What `andon apply` and `andon config publish` take."""
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="andon.yaml or its folder, as --config")
    parser.add_argument("--dry-run", action="store_true", help="show the difference and publish nothing")
    said_options(parser)
    where.option(parser)
    parser.set_defaults(func=where.reported(_apply))


def said_options(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    """Adds `--why` and `--author`, which every version keeps."""
    parser.add_argument("--why", default="", required=needed, metavar="REASON", help="kept with the version")
    parser.add_argument("--author", default="", metavar="NAME", help="who does it (default: the user signed in here)")


def _apply(args: argparse.Namespace) -> int:
    """Exit code 2 for a configuration with mistakes: they are printed, and nothing is published."""
    from andon.cli.check import checked
    from andon.config.difference import difference
    from andon.kafka.admin import Cluster
    from andon.kafka.topics import CONFIG
    from andon.runtime.bootstrap import prepare
    from andon.runtime.follower import read_board
    from andon.runtime.publishing import Said

    loaded = checked(args.path or args.config)
    if loaded.mistakes:
        answer = {"ok": False, "mistakes": [asdict(mistake) for mistake in loaded.mistakes]}
        print(json.dumps(answer, ensure_ascii=False) if args.json else "\n".join(map(str, loaded.mistakes)))
        return USAGE
    place = where.cluster(args, loaded.settings.kafka)
    cluster = Cluster(place.link)
    cluster.wait(10.0)
    board = read_board(place.link) if CONFIG in cluster.partitions() else None
    before = board.newest if board else None
    changes = list(difference(before, loaded))
    if changes and not args.json:
        print("\n".join(map(safe, changes)))
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


def _said(version: int, *, published: bool, dry: bool, changed: bool) -> str:
    if published:
        return f"published: version {version} is in force"
    if dry and changed:
        return f"nothing was published; version {version} is in force" if version else "nothing was published yet"
    return f"nothing changed; version {version} is in force"
