"""`andon unmute ID`: ends a mute before its time; what it held is told."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from andon.cli.asking import where
from andon.cli.commands import apply
from andon.cli.main import DONE


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("unmute", help="end a mute before its time", description=__doc__)
    parser.add_argument("id", metavar="ID", help="as `andon mutes` shows it, like m12")
    apply.said_options(parser)
    where.option(parser)
    parser.set_defaults(func=where.reported(_unmute))


def _unmute(args: argparse.Namespace) -> int:
    from andon.runtime.changes import Said, unmuted
    from andon.runtime.publishing import publish

    said = Said(args.author, args.why or f"unmute {args.id}")
    after = asyncio.run(publish(where.cluster(args).link, unmuted(args.id, said)))
    if args.json:
        print(msgspec.json.encode({"id": args.id, "version": after.version}).decode())
    else:
        print(f"{args.id} is over (version {after.version}); what it held is told within seconds")
    return DONE
