"""`andon token issue --client NAME --for 10m` and `andon token key`: short-lived tokens for clients of the door."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from andon.cli.arguments import seconds
from andon.cli.main import DONE, USAGE

if TYPE_CHECKING:
    from andon.config.access import SignedTokens
    from andon.config.settings import Settings


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("token", help="make short-lived tokens for clients of the door", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="issue|key")
    issue = commands.add_parser(
        "issue",
        help="make a token, and print it",
        description="Makes a token by which the client of a source comes in, signed with the key of `access.tokens`,\n"
        "and prints it. Nothing is asked and nothing is kept: it ends by itself, or with its key (docs/tokens.md).",
    )
    issue.add_argument("--client", required=True, metavar="NAME", help="whose: a source of the configuration")
    issue.add_argument(
        "--for", dest="lasts", required=True, type=_duration, metavar="10m", help="how long; at most `max_age`"
    )
    issue.set_defaults(func=_issue)
    key = commands.add_parser(
        "key",
        help="make a signing key, and print it",
        description="Makes a signing key and prints it: one line of the file that `access.tokens.key` names. To\n"
        "change the key, write the new one above the old one; without the old line its tokens end.",
    )
    key.set_defaults(func=_key)


def _duration(text: str) -> float:
    lasts = seconds(text)
    if lasts < 1:
        raise argparse.ArgumentTypeError("a token lasts at least a second")
    return lasts


def _issue(args: argparse.Namespace) -> int:
    from andon.config.load import load
    from andon.ingress.tokens.own import WeakKey, made

    settings = load(args.config).settings
    tokens = settings.access.tokens
    if tokens is None or (wrong := _wrong(args, settings, tokens)):
        print(
            f"andon token: {wrong if tokens else 'the configuration has no `access.tokens`; see docs/tokens.md'}",
            file=sys.stderr,
        )
        return USAGE
    try:
        token = made(tokens.key.reveal(), args.client, tokens.audience, time.time(), args.lasts)
    except WeakKey as weak:
        raise SystemExit(str(weak)) from None
    if args.json:
        ends = datetime.fromtimestamp(token.ends, UTC).isoformat()
        print(json.dumps({"token": token.token, "client": args.client, "id": token.id, "ends": ends}))
    else:
        print(token.token)
    return DONE


def _wrong(args: argparse.Namespace, settings: Settings, tokens: SignedTokens) -> str:
    """Why the door would not take such a token; empty when it would."""
    from andon.config.access import Bearer
    from andon.config.mistakes import hint
    from andon.config.plugs import SOURCES
    from andon.config.units import duration_text
    from andon.runtime.registry import Registry

    registry = Registry()
    shown = {
        name for name, plug in settings.sources.items() if issubclass(registry.config_type(SOURCES, plug.kind), Bearer)
    }
    if args.client not in shown:
        return f"there is no source `{args.client}` whose client shows a token{hint(args.client, shown)}"
    if args.lasts > tokens.max_age:
        return f"the door takes no token for longer than {duration_text(tokens.max_age)} (`access.tokens.max_age`)"
    return ""


def _key(args: argparse.Namespace) -> int:
    from andon.ingress.tokens.own import new_key

    print(json.dumps({"key": new_key()}) if args.json else new_key())
    return DONE
