"""`andon mutes`: what is muted now or will be, and, but for `--json`, the maintenance windows of the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from andon.cli.asking import where
from andon.cli.main import DONE
from andon.cli.shown.columns import columns
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.config.published import Published
    from andon.core.mute import Mute
    from andon.runtime.follower import Board


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("mutes", help="what is muted", description=__doc__)
    parser.add_argument("--all", action="store_true", help="also what is over, as far as versions go back")
    where.option(parser)
    parser.set_defaults(func=where.reported(_mutes))


def _mutes(args: argparse.Namespace) -> int:
    from andon.runtime.follower import read_board

    board, now = read_board(where.cluster(args).link), datetime.now(UTC)
    newest = board.in_force
    if newest is None:
        raise SystemExit("no configuration is published; run `andon apply`")
    running = {one.id for one in newest.mutes if one.ends > now}
    found = _ever(board) if args.all else [one for one in newest.mutes if one.id in running]
    states = [_state(one, running, now) for one in found]
    if args.json:
        shown = [msgspec.to_builtins(one) | {"state": state} for one, state in zip(found, states, strict=True)]
        print(msgspec.json.encode(shown).decode())
        return DONE
    rows = [_row(one, state) for one, state in zip(found, states, strict=True)]
    rows += list(_maintenance(newest))
    if rows:
        table = [("ID", "STATE", "FROM", "UNTIL", "THEN", "BY", "WHY", "MATCHERS"), *rows]
        print("\n".join(line.rstrip() for line in columns([[safe(cell) for cell in row] for row in table], 0)))
    else:
        print("nothing is muted")
    return DONE


def _ever(board: Board) -> list[Mute]:
    """Every mute of any version, newest first; of one the end that was meant, for an `unmute` only takes it away."""
    found: dict[str, Mute] = {}
    for version in board.all():
        for one in version.mutes:
            found.setdefault(one.id, one)
    return sorted(found.values(), key=lambda one: int(one.id[1:]), reverse=True)


def _state(one: Mute, running: set[str], now: datetime) -> str:
    if one.id in running:
        return "muted" if one.begins <= now else "later"
    return "over" if one.ends <= now else "ended before"


def _row(one: Mute, state: str) -> Sequence[str]:
    begins, ends = (at.astimezone().isoformat(sep=" ", timespec="minutes") for at in (one.begins, one.ends))
    return one.id, state, begins, ends, one.then, one.creator, one.why, ", ".join(one.matchers)


def _maintenance(newest: Published) -> Iterator[Sequence[str]]:
    for name, each in newest.settings.maintenance.items():
        days, times = (", ".join(each.days) or "every day"), (", ".join(each.times) or "all day")
        yield name, "planned", days, times, each.then, each.owner, "maintenance", ", ".join(each.matchers)
