"""`andon config log|show|diff|publish|rollback|export`: the published versions of the configuration."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.cli.arguments import version, whole
from andon.cli.asking import where
from andon.cli.commands import apply
from andon.cli.main import DONE, FAILED, USAGE
from andon.cli.shown.columns import columns
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.config.load import Loaded
    from andon.config.published import Published
    from andon.runtime.follower import Board

_SHOWN = 60
_NAMED = 3


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("config", help="the published versions of the configuration", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="log|show|diff|publish|rollback|export")
    log = commands.add_parser("log", help="the versions: when, by whom, why, and what each changed")
    log.add_argument("--last", type=_count, default=20, metavar="N", help="only so many, the newest (default: 20)")
    log.set_defaults(func=where.reported(_log))
    show = commands.add_parser("show", help="the settings of a version, as an andon.yaml")
    show.set_defaults(func=where.reported(_show))
    diff = commands.add_parser("diff", help="what differs: the files here, or version B, against version A")
    diff.add_argument("before", nargs="?", type=version, metavar="A", help="a version (default: the one in force)")
    diff.add_argument("after", nargs="?", type=version, metavar="B", help="a version (default: the files here)")
    diff.set_defaults(func=where.reported(_diff))
    apply.options(commands.add_parser("publish", help="the same as `andon apply`", description=apply.__doc__))
    back = commands.add_parser("rollback", help="publish the content of an earlier version as a new one")
    back.set_defaults(func=where.reported(_rollback))
    export = commands.add_parser("export", help="write a version as files")
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="an empty folder, or a new one")
    export.set_defaults(func=where.reported(_export))
    for one in (show, back, export):
        one.add_argument("number", type=version, metavar="VERSION", help="its number, as `andon config log` shows it")
    for one in (log, show, diff, back, export):
        where.option(one)
    apply.said_options(back, needed=True)


def _count(text: str) -> int:
    if (found := whole(text, 1, 999_999_999)) is None:
        raise argparse.ArgumentTypeError(f"{text} is not a count; write for example 20")
    return found


def _board(args: argparse.Namespace) -> Board:
    from andon.runtime.follower import read_board

    board = read_board(where.cluster(args).link)
    if board.newest is None:
        raise SystemExit("no configuration is published; run `andon apply`")
    return board


def _log(args: argparse.Namespace) -> int:
    from andon.config.difference import difference

    board = _board(args)
    found = list(islice(board.all(), args.last + 1))
    entries = [
        _entry(one, list(difference(before, one)) if before else [], board)
        for one, before in zip(found, [*found[1:], None], strict=True)
    ][: args.last]
    if args.json:
        print(json.dumps(entries, ensure_ascii=False))
    else:
        print("\n".join(safe(line).rstrip() for line in columns(list(_rows(entries)), 0)))
        if unread := sum(number >= found[-1].version for number in board.versions) - len(found):
            print(f"{unread} between them cannot be read by this Andon")
    return DONE


def _entry(one: Published, changes: Sequence[str], board: Board) -> dict[str, Any]:
    return {
        "version": one.version,
        "at": one.at.isoformat(),
        "author": one.author,
        "reason": one.reason,
        "restores": one.restores,
        "in_force": board.newest is not None and board.newest.version == one.version,
        "mutes": [mute.id for mute in one.mutes],
        "changes": changes,
    }


def _rows(entries: Sequence[dict[str, Any]]) -> Iterator[Sequence[str]]:
    from datetime import datetime

    yield "VERSION", "WHEN", "BY", "WHY", "CHANGES"
    for one in entries:
        when = datetime.fromisoformat(one["at"]).astimezone().isoformat(sep=" ", timespec="seconds")
        again = [f"version {one['restores']} again"] if one["restores"] else []
        named = [_short(line) for line in one["changes"][:_NAMED]]
        more = len(one["changes"]) - _NAMED
        changes = "; ".join([*again, *named, *([f"and {more} more"] if more > 0 else [])])
        yield f"{one['version']}{' *' if one['in_force'] else ''}", when, one["author"], one["reason"], changes


def _short(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _show(args: argparse.Namespace) -> int:
    from andon.config.difference import muted
    from andon.config.published import plain
    from andon.config.written import text

    one = _board(args).version(args.number)
    if args.json:
        mutes = [mute.id for mute in one.mutes]
        whole = {"version": one.version, "at": one.at.isoformat(), "author": one.author, "reason": one.reason}
        print(json.dumps(whole | {"mutes": mutes, "settings": plain(one.settings), "files": dict(one.files)}))
        return DONE
    print(f"# version {one.version}, published {one.at.isoformat()} by {safe(one.author)}: {safe(one.reason) or '-'}")
    for line in (*map(muted, one.mutes), *(f"template {name}" for name in one.files)):
        print(f"# {safe(line)}")
    print(text(one.settings), end="")
    return DONE


def _diff(args: argparse.Namespace) -> int:
    """Exit code 1 when something differs, as of `diff`."""
    from andon.config.difference import difference

    board = _board(args)
    before = board.newest if args.before is None else board.version(args.before)
    after: Published | Loaded | None = _files(args) if args.after is None else board.version(args.after)
    if after is None:
        return USAGE
    changes = list(difference(before, after))
    print(json.dumps(changes, ensure_ascii=False) if args.json else "\n".join(map(safe, changes)) or "no difference")
    return FAILED if changes else DONE


def _files(args: argparse.Namespace) -> Loaded | None:
    """The files here; None, and their mistakes printed, when they have some."""
    from andon.cli.commands.check import checked

    loaded = checked(where.file(args) or args.config)
    if loaded.mistakes:
        apply.say_mistakes(loaded, as_json=args.json)
    return None if loaded.mistakes else loaded


def _rollback(args: argparse.Namespace) -> int:
    """Exit code 2 for a version that no service could take now; nothing is published then."""
    from andon.cli.commands.check import unusable
    from andon.config.difference import difference
    from andon.runtime.changes import Said, restored
    from andon.runtime.publishing import publish

    place, board = where.cluster(args), _board(args)
    before = board.newest
    if wrong := unusable(board.version(args.number)):
        print(f"version {args.number} of the configuration cannot be put back:", file=sys.stderr)
        print("\n".join(map(safe, wrong)), file=sys.stderr)
        return USAGE
    apply.say_lost(board)
    now = asyncio.run(publish(place.link, restored(args.number, Said(args.author, args.why))))
    changes = list(difference(before, now))
    published = before is None or now.version != before.version
    if args.json:
        print(json.dumps({"version": now.version, "published": published, "changes": changes}, ensure_ascii=False))
        return DONE
    if not published:
        print(f"nothing changed; version {now.version}, which is in force, has the content of version {args.number}")
        return DONE
    print("\n".join(map(safe, changes)))
    if before:
        apply.say_moved(before.settings, now.settings)
    print(
        f"published: version {now.version} is in force, with the content of version {args.number}\n"
        f"The files in {now.directory} were not changed, and say something else: `andon config export {now.version} "
        "--to DIR` writes what is in force. The next `andon apply` publishes the files again, and so does `andon up` "
        "as soon as they change."
    )
    return DONE


def _export(args: argparse.Namespace) -> int:
    from andon.config.written import write

    try:
        files = [str(file) for file in write(_board(args).version(args.number), args.to)]
    except OSError as error:
        why = f"{args.to} cannot be written ({error.strerror}); name another folder" if error.errno else error
        raise SystemExit(str(why)) from None
    if args.json:
        print(json.dumps(files, ensure_ascii=False))
    else:
        print("\n".join(files))
        print("written without comments, which are no part of a version; tables lie where the settings say")
    return DONE
