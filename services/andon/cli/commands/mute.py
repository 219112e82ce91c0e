"""`andon mute MATCHER … --for 2h --why REASON`: nobody is told of what matches, until it is over."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from andon.cli.arguments import seconds, words
from andon.cli.asking import where
from andon.cli.asking.times import coming
from andon.cli.main import DONE, USAGE
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.config.published import Published
    from andon.core.mute import Mute

_LOOKED_BACK = timedelta(hours=1)
_MOST = 50_000


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("mute", help="tell nobody of what matches, for a while", description=__doc__)
    shown = "as in a route: 'line=\"L3\"'; all must hold"
    parser.add_argument("matchers", nargs="+", type=words, metavar="MATCHER", help=shown)
    parser.add_argument("--for", dest="lasts", type=_duration, metavar="2h", help="how long, from its beginning on")
    parser.add_argument("--until", metavar="TIME", help="when it ends: 20:00, or 2026-11-26T20:00 (the site's zone)")
    parser.add_argument(
        "--from", dest="begins", metavar="TIME", help="when it begins: the same, or 2h for in so long (default: now)"
    )
    parser.add_argument("--why", type=words, required=True, metavar="REASON", help="kept with it")
    shown = "whose it is (default: the user signed in here)"
    parser.add_argument("--author", type=words, default="", metavar="NAME", help=shown)
    parser.add_argument(
        "--then",
        choices=("digest", "drop"),
        default="digest",
        help="what becomes of it: told as one when it is over (default), or never told",
    )
    parser.add_argument("--preview", action="store_true", help="mute nothing; show what it would have taken lately")
    where.option(parser)
    parser.set_defaults(func=where.reported(_mute))


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=seconds(text))
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than any calendar") from None


def _mute(args: argparse.Namespace) -> int:
    from andon.core.mute import MuteWrong, require_sound
    from andon.runtime.changes import muted
    from andon.runtime.follower import read_board
    from andon.runtime.publishing import publish

    if (args.lasts is None) == (args.until is None):
        print("andon mute: say how long, by --for 2h or by --until 20:00", file=sys.stderr)
        return USAGE
    place = where.cluster(args)
    newest = read_board(place.link).newest
    if newest is None:
        raise SystemExit("no configuration is published; run `andon apply`")
    now = datetime.now(UTC)
    try:
        wanted = _wanted(args, ZoneInfo(newest.settings.site.zone), now)
        require_sound(wanted, now)
        if args.preview:
            found = _preview(place, newest, wanted, now)
            print(msgspec.json.encode(found).decode() if args.json else "\n".join(map(safe, _shown(found))))
            return DONE
        after = asyncio.run(publish(place.link, muted(wanted)))
    except (MuteWrong, ValueError) as wrong:
        print(f"andon mute: {safe(str(wrong))}", file=sys.stderr)
        return USAGE
    made = after.mutes[-1]
    if args.json:
        print(msgspec.json.encode(made).decode())
    else:
        _say(made, after.version)
    return DONE


def _wanted(args: argparse.Namespace, zone: ZoneInfo, now: datetime) -> Mute:
    """Raises MuteWrong and ValueError."""
    from andon.core.mute import Mute, MuteWrong
    from andon.runtime.changes import account

    try:
        # A sum of Python's goes by the clock on the wall; so it is made in UTC.
        begins = (coming(args.begins, now.astimezone(zone)) if args.begins else now).astimezone(UTC)
        ends = begins + args.lasts if args.lasts else coming(args.until, begins.astimezone(zone)).astimezone(UTC)
    except OverflowError:
        raise MuteWrong("until", "the time lies outside the years 1 to 9999") from None
    then: Literal["drop", "digest"] = args.then
    return Mute("", tuple(args.matchers), begins, ends, args.author or account(), args.why, then)


def _say(made: Mute, version: int) -> None:
    ends = made.ends.astimezone().isoformat(sep=" ", timespec="minutes")
    then = "what was held is told then, as one" if made.then == "digest" else "what was muted is never told"
    print(f"muted: {made.id} (version {version}) until {ends}; {then}. `andon unmute {made.id}` ends it before.")


def _preview(place: where.Where, newest: Published, wanted: Mute, now: datetime) -> dict[str, Any]:
    """What it would have taken of the events of the last hour, newest configuration, and who would have heard of it."""
    from dataclasses import replace

    from andon.core.event import Event, Home
    from andon.kafka.codecs import Json
    from andon.kafka.scan import Scan
    from andon.kafka.topics import ENRICHED
    from andon.routing.mutes import Silences
    from andon.routing.published import router_of
    from andon.runtime.registry import Registry

    router = router_of(replace(newest, mutes=()), Registry())
    (silence,) = Silences((wanted,), {}, newest.settings.site.zone).all
    codec = Json(Event)
    receivers: Counter[str] = Counter()
    types: Counter[str] = Counter()
    with closing(Scan(place.link)) as scan:
        homes = [Home(ENRICHED, number) for number in range(scan.partitions().get(ENRICHED, 0))]
        starts, ends = scan.at_time(homes, (now - _LOOKED_BACK).timestamp()), scan.ends(homes)
        scan.read = 0
        for record in scan.stretch(starts, ends, most=_MOST):
            event = codec.read(record.value)
            if event is not None and silence.takes(event):
                types[event.type] += 1
                receivers.update({delivery.receiver for delivery in router.route(event).outputs})
        looked = scan.read
    return {
        "since": now - _LOOKED_BACK,
        "looked_at": looked,
        "all": looked < _MOST,
        "events": types.total(),
        "types": dict(types.most_common()),
        "receivers": dict(receivers.most_common()),
    }


def _shown(found: dict[str, Any]) -> list[str]:
    of = f"{found['looked_at']:,} events of the last hour" + ("" if found["all"] else ", which had more")
    lines = [f"nothing was muted; of {of}, it would have taken {found['events']:,}"]
    lines += [f"  {count:,} of type {name}" for name, count in found["types"].items()]
    lines += [f"  {count:,} that {name} was told of" for name, count in found["receivers"].items()]
    return lines
