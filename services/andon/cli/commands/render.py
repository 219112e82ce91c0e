"""`andon render EVENT`: each part of each notice as it would be sent; sends nothing and needs no running system."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from andon.cli.asking.written import read_events
from andon.cli.main import DONE, FAILED
from andon.web.nowire import NoWire

if TYPE_CHECKING:
    from andon.config.published import Published
    from andon.core.delivery import Delivery
    from andon.core.event import Event
    from andon.egress.receivers import Receivers


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("render", help="how a notice of an event would look", description=__doc__)
    parser.add_argument("event", metavar="EVENT", help="a file with an event as JSON, or with many; - reads it in")
    parser.add_argument("--receiver", action="append", metavar="R", help="this receiver, whatever the routes say")
    parser.add_argument("--merged", action="store_true", help="all events as one notice, where the receiver takes one")
    parser.add_argument("--repeat", action="store_true", help="as it looks when an earlier attempt may have arrived")
    parser.set_defaults(func=_render)


def _render(args: argparse.Namespace) -> int:
    """Exit code 1 when a notice could not be sent as it is. Nothing is looked up: facts are those of the file."""
    from andon.cli.commands.check import checked
    from andon.config.published import unpublished

    events = read_events(args.event)
    loaded = checked(args.config)
    shown = list(_Preview(unpublished(loaded)).of(events, args.receiver or (), merged=args.merged, repeat=args.repeat))
    print(msgspec.json.encode(shown).decode() if args.json else "\n\n".join(map(_text, shown)))
    return FAILED if any("parked" in one for one in shown) else DONE


class _Preview:
    """Routes and renders with the parts the services use. Secrets are not looked at."""

    def __init__(self, published: Published) -> None:
        from andon.egress.receivers import Receivers
        from andon.routing.published import router_of
        from andon.runtime.clock import SystemClock
        from andon.runtime.registry import Registry

        registry = Registry()
        self._router = router_of(published, registry)
        self._receivers: Receivers = Receivers(published, registry, NoWire(), SystemClock())

    def of(
        self, events: Sequence[Event], receivers: Sequence[str], *, merged: bool, repeat: bool
    ) -> Iterator[dict[str, Any]]:
        """What each receiver of each event would get; of the last event alone, with all merged into it, if `merged`,
        where the receiver takes what was merged."""
        from andon.core.digest import Digest
        from andon.core.digest import merged as with_one_more

        digest: Digest | None = None
        for event in events if merged else ():
            digest = with_one_more(digest, event)
        for number, event in enumerate(events, 1):
            told = not merged or number == len(events)
            deliveries = [self._to(event, name) for name in receivers] if receivers else self._routed(event)
            if told and not deliveries:
                ended = self._router.route(event).ended
                yield {"event": event.id, "ended": msgspec.to_builtins(ended)}
            for delivery in deliveries:
                alone = self._receivers[delivery.receiver].policy.single
                if told or alone:
                    shown = self._shown(delivery, None if alone else digest, repeat)
                    yield {"event": event.id, "receiver": delivery.receiver, **shown}

    def _routed(self, event: Event) -> Sequence[Delivery]:
        return self._router.route(event).outputs

    def _to(self, event: Event, receiver: str) -> Delivery:
        from andon.core.delivery import Delivery, delivery_id

        if receiver not in self._receivers:
            raise SystemExit(f"there is no receiver {receiver}; there are {', '.join(self._receivers)}")
        target = self._router.targets[receiver]
        names = tuple(target.recipients(event))
        return Delivery(delivery_id(event, receiver), event, receiver, target.domain, names, "", self._router.version)

    def _shown(self, delivery: Delivery, digest: Any, repeat: bool) -> dict[str, Any]:
        from andon.core.failure import Rejected
        from andon.egress.look import NO_ENDS
        from andon.egress.parts import parts

        served = self._receivers[delivery.receiver]
        told: dict[str, Any] = {"channel": served.policy.channel, "kind": served.kind}
        told |= {"recipients": list(delivery.recipients)}
        try:
            if served.events:
                content, ends = served.events.content(delivery.event), NO_ENDS
            else:
                look = served.look
                rendered = self._receivers.renderer.render(delivery, served.kind, look, digest, repeat)
                content, ends = rendered.content, rendered.ends
                told |= {"language": look.language, "zone": look.zone.key}
                told |= {"template": rendered.file, "missing": rendered.missing}
            sent = parts(served, content, ends, marked=repeat and not served.events)
        except Rejected as rejected:
            return told | {"parked": rejected.reason, "detail": rejected.detail}
        shown = [{"kind": part.kind, "bytes": len(part.text.encode()), "text": part.text} for part in sent]
        return told | {"parts": shown}


def _text(one: Mapping[str, Any]) -> str:
    """One notice as a person reads it: a line about it, then each part between rulers."""
    from andon.runtime.logs import safe

    if "ended" in one:
        rule = f" by {one['ended']['by']}" if one["ended"].get("by") else ""
        return safe(f"{one['event']}: nobody hears of it: {one['ended']['reason']}{rule}")
    head = f"{one['event']} → {one['receiver']} ({one['kind']} {one['channel']}"
    head += f", template {one['template']})" if "template" in one else ")"
    if "parked" in one:
        return safe(f"{head}: would be parked: {one['parked']}: {one['detail']}")
    if one.get("missing"):
        head += f", {one['missing']} fields are missing"
    lines = [safe(head)]
    for number, part in enumerate(one["parts"], 1):
        lines.append(f"── part {number} of {len(one['parts'])}: {part['kind']}, {part['bytes']} bytes ──")
        lines += [safe(line) for line in part["text"].split("\n")]
    return "\n".join(lines)
