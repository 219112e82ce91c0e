"""`andon map try FILE --source NAME`: the events that a body becomes by the map of a source, or what is wrong with it;
sends nothing and needs no running system."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from andon.cli.main import DONE, FAILED

if TYPE_CHECKING:
    from andon.ingress.mapping import EventMap


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("map", help="how a body becomes events", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    trying = actions.add_parser("try", help="shows the events of a body", description=__doc__)
    trying.add_argument("body", metavar="FILE", help="what the other system sends; - reads it in")
    trying.add_argument("--source", required=True, metavar="NAME", help="the source whose map it is")
    trying.add_argument("--content-type", default="", metavar="TYPE", help="its Content-Type, for the charset")
    trying.set_defaults(func=_try)


def _try(args: argparse.Namespace) -> int:
    """Exit code 1 when the body, or one of its events, would be refused."""
    from andon.core.failure import Invalid

    body = _body(args.body)
    rules = _map_of(args.config, args.source)
    try:
        shown = list(_shown(rules, body, args.content_type, args.source))
    except Invalid as invalid:
        shown = [_refused(invalid)]
    if args.json:
        print(msgspec.json.encode(shown).decode())
    else:
        print("\n".join(map(_text, shown)) or "no events: the list is empty")
    return FAILED if any("refused" in one for one in shown) else DONE


def _body(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SystemExit(f"{name} cannot be read: {error.strerror}") from None


def _map_of(config: Path, source: str) -> EventMap:
    """Raises SystemExit for a source without a map, Invalid for a configuration with mistakes."""
    from andon.cli.commands.check import checked
    from andon.config.mistakes import hint
    from andon.ingress.mapping import EventMap

    settings = checked(config).settings
    if source not in settings.sources:
        raise SystemExit(f"there is no source {source}{hint(source, settings.sources)}")
    rules = settings.sources[source].map
    if rules is None:
        raise SystemExit(f"the source {source} has no `map`")
    return EventMap(rules, settings.site.zone)


def _shown(rules: EventMap, body: bytes, content_type: str, source: str) -> Iterator[dict[str, Any]]:
    """Each event as the log would have it. Raises Invalid for a body that holds none."""
    from andon.core.ports import Mapped
    from andon.ingress.bodies import traceparent
    from andon.ingress.bodies.randomness import Randomness
    from andon.runtime.clock import SystemClock

    trace = traceparent.minted(Randomness().take(24))
    for one in rules.events(rules.read(body, content_type), source, SystemClock().now(), trace):
        if isinstance(one, Mapped):
            event: dict[str, Any] = msgspec.to_builtins(one.event)
            yield {name: value for name, value in event.items() if name != "traceparent"}
        else:
            yield {"left_out": "`when`"} if one is None else _refused(one)


def _refused(invalid: Any) -> dict[str, Any]:
    return {"refused": invalid.reason, "detail": invalid.detail, "field": invalid.field}


def _text(one: dict[str, Any]) -> str:
    from andon.runtime.logs import safe

    if "refused" in one:
        return safe(f"refused ({one['refused']}): {one['detail']}")
    if "left_out" in one:
        return "left out by `when`"
    shown = msgspec.json.format(msgspec.json.encode(one), indent=2).decode()
    return "\n".join(map(safe, shown.split("\n")))
