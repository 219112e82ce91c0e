"""`andon trace EVENT_ID`: the whole path of an event, from its acceptance to the last outcome and the ticket."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from andon.cli.asking import where
from andon.cli.asking.past import past
from andon.cli.asking.stores import address, stores
from andon.cli.asking.words import is_text
from andon.cli.main import DONE
from andon.cli.shown.decision import decision

if TYPE_CHECKING:
    from uuid import UUID

    from andon.config.published import Published
    from andon.core.delivery import Delivery
    from andon.core.event import Event
    from andon.core.outcome import OutcomeRecord
    from andon.core.work import Entry
    from andon.routing.router import Router
    from andon.runtime.trace import Accepted, Sent, Tracer
    from andon.ticketing.episode import Episode


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("trace", help="the whole path of an event", description=__doc__)
    parser.add_argument("event", metavar="EVENT_ID")
    parser.add_argument("--source", help="which of several events with this id")
    where.option(parser)
    parser.set_defaults(func=where.reported(_trace))


def _trace(args: argparse.Namespace) -> int:
    """Exit code 1, with a sentence that says where it looked, when the event is not found."""
    from andon.cli.shown import tracetext
    from andon.kafka.scan import Scan

    began = time.monotonic()
    place = where.cluster(args)
    with ExitStack() as stack:
        scan = stack.enter_context(closing(Scan(place.link)))
        whole = EventPath(place, scan, stack).of(args.event, args.source)
        whole["search"] |= {"read": scan.read, "seconds": round(time.monotonic() - began, 3)}
    print(msgspec.json.encode(whole).decode() if args.json else tracetext.text(whole))
    return DONE


class Decided(NamedTuple):
    """An event as far as routing came with it. `router` is that of the version that decided, None where it is of no use
    any more; `ended` the event's own outcome, if it led to no delivery."""

    accepted: Accepted
    enriched: Event | None
    router: Router | None
    sent: Sequence[Sent]
    ended: OutcomeRecord | None


class EventPath:
    """Puts together what the topics and stores have of an event with what its configuration says of it."""

    def __init__(self, place: where.Where, scan: Any, stack: ExitStack) -> None:
        from andon.runtime.trace import Tracer

        self._past = past(scan)
        board, newest = self._past.board, self._past.newest
        url = address(newest, place.data)
        first = board.recorded.first if board.recorded else None
        indexes, egress, ticketing = stores(url, place.data / "store", stack)
        self._tracer: Tracer = Tracer(scan, indexes, egress, ticketing, first)

    def of(self, event_id: str, source: str | None) -> dict[str, Any]:
        """Everything, as it is printed in JSON. SystemExit when there is no such event."""
        accepted, enriched, router, sent, ended = self.decided(event_id, source)
        whole = _beginning(accepted, enriched)
        whole["routes"] = decision(router, enriched) if router and enriched else None
        whole["deliveries"] = [self._delivery(one) for one in sent]
        whole["ticket"] = self._ticket(enriched, sent, router) if enriched else None
        whole["outcome"] = _outcome(ended) if ended else None
        parked = self._tracer.parked(accepted.event) if enriched is None or _was_parked(whole) else []
        whole["parked"] = [msgspec.to_builtins(one) for one in parked]
        return whole | {"search": {"found": accepted.found, "notes": self.notes}}

    def decided(self, event_id: str, source: str | None) -> Decided:
        """The event, and what decided about it. SystemExit when there is no such event."""
        if not is_text(event_id, source or ""):
            raise SystemExit("there is no such event: what was asked for is not UTF-8")
        tracer = self._tracer
        accepted = tracer.event(event_id, source, _clients(self._past.newest))
        if accepted is None:
            of = f" of {source}" if source else ""
            raise SystemExit(f"there is no event {event_id}{of} in {', nor in '.join(tracer.looked)}")
        enriched = tracer.enriched(accepted)
        if enriched is None:
            ended = next((one for one in tracer.outcomes(accepted.event, (), ()) if one.delivery is None), None)
            return Decided(accepted, None, None, (), ended)
        router = self._past.router(self._past.version_at(enriched.origin[-1].at / 1000))
        sent, ended = tracer.sent(enriched, self._past.receivers(), _expected(router, enriched))
        used = sent[0].delivery.config_version if sent else ended.config_version if ended else 0
        router = router if not router or used in (0, router.version) else self._past.router(used)
        return Decided(accepted, enriched, router, sent, ended)

    @property
    def notes(self) -> list[str]:
        """What has to be said of the search."""
        return [*self._past.said, *self._tracer.said]

    def _delivery(self, sent: Sent) -> dict[str, Any]:
        from andon.core.outcome import Merged, name_of

        delivery, kept, last = sent.delivery, sent.kept, sent.outcomes[-1] if sent.outcomes else None
        outcome = kept.outcome if kept else last.outcome if last else None
        into = self._tracer.kept(outcome.into) if isinstance(outcome, Merged) else None
        return {
            "id": delivery.id,
            "receiver": delivery.receiver,
            "recipients": delivery.recipients,
            "route": delivery.route,
            "urgent": delivery.urgent,
            "domain": delivery.domain,
            "config_version": delivery.config_version,
            "held": delivery.held,
            "state": name_of(outcome) if outcome else "waiting",
            "outcome": outcome,
            "at": _moment(kept.closed) if kept and kept.closed else last.at if last and outcome else None,
            "before": [name_of(one.outcome) for one in sent.outcomes[:-1]],
            "merged_into": into.outcome if into else None,
            "redriven": kept.redrive if kept else max(0, len(sent.outcomes) - 1),
            "next_attempt": _moment(kept.due) if kept and not kept.outcome and kept.due else None,
            "attempts": list(_attempts(sent)),
            "recipient_states": last.recipients if last else (),
        }

    def _ticket(self, event: Event, sent: Sequence[Sent], router: Router | None) -> dict[str, Any] | None:
        from andon.core.event import accepted_at
        from andon.ticketing.episode import Episode

        key = next((one.delivery.episode for one in sent if one.delivery.episode), None)
        key = key or (router.episode(event) if router else None)
        if key is None:
            return None
        raw = self._tracer.memo(event, key)
        memo = msgspec.json.decode(raw, type=Episode) if raw else None
        since, number = _begun(memo, event)
        changes = self._tracer.tickets(event, key, min(since, accepted_at(event)), number)
        if not changes and memo is None:
            return None
        last = changes[-1] if changes else None
        current = memo if memo and (last is None or memo.number == last.number) else None
        told = next((one for one in reversed(changes) if one.ticket), None)
        return {
            "episode": key,
            "number": last.number if last else memo.number if memo else 0,
            "state": str(current.state) if current else None,
            "ticket_state": str(current.ticket_state) if current else last.state if last else None,
            "ticket": told.ticket if told else current.ticket if current else None,
            "link": told.link if told else current.ticket_link if current else "",
            "system": last.system if last else "",
            "changes": [
                {
                    "at": one.at,
                    "state": one.state,
                    "event": one.event,
                    "this": one.event == event.id,
                    "detail": one.detail,
                }
                for one in changes
            ],
        }


def _was_parked(whole: Mapping[str, Any]) -> bool:
    """Whether something of an event was parked: a delivery, a command for its ticket, or the event itself."""
    deliveries, ticket, outcome = whole["deliveries"], whole["ticket"], whole["outcome"]
    if any("parked" in (one["state"], *one["before"]) for one in deliveries):
        return True
    if ticket and any(one["this"] and one["state"] == "ticket_failed" for one in ticket["changes"]):
        return True
    return bool(outcome and outcome["outcome"] == "parked")


def _clients(published: Published | None) -> Mapping[str, str]:
    """The door's clients, with the source each speaks for unless it says otherwise."""
    plugs = published.settings.sources if published else {}
    return {name: plug.options.get("source") or name for name, plug in plugs.items() if plug.kind == "http"}


def _beginning(accepted: Accepted, enriched: Event | None) -> dict[str, Any]:
    event = msgspec.to_builtins(msgspec.structs.replace(accepted.event, origin=()))
    last = enriched.origin[-1] if enriched else None
    facts = {"facts": enriched.facts, "labels": enriched.labels} if enriched else {}
    return {
        "event": event,
        "accepted": {
            "at": _moment(accepted.position.at / 1000),
            "position": accepted.position,
            "source": accepted.event.source,
            "client": accepted.client,
        },
        "enriched": {"at": _moment(last.at / 1000), "position": last, **facts} if last else None,
    }


def _expected(router: Router | None, event: Event) -> dict[UUID, str]:
    """The deliveries that should be there, with the limit domain of each."""
    return {one.id: one.domain for one in router.route(event).outputs} if router else {}


_OF_AN_ATTEMPT = ("number", "redrive", "part", "reason", "ambiguous", "marked", "reference")


def _attempts(sent: Sent) -> Iterator[dict[str, Any]]:
    if sent.kept:
        at = _earlier(sent.delivery, sent.kept.entries)
        for entry in sent.kept.entries:
            told = {name: getattr(entry, name) for name in _OF_AN_ATTEMPT}
            yield {
                **told,
                "receiver": at.get(entry.hop, ""),
                "started": _moment(entry.started),
                "ended": _moment(entry.ended) if entry.ended else None,
            }
        return
    for redrive, outcome in enumerate(sent.outcomes):
        for attempt in outcome.attempts:
            left_out = {"part": 0, "ambiguous": False, "marked": False, "reference": "", "receiver": ""}
            yield {"redrive": redrive, **left_out, **msgspec.to_builtins(attempt)}


def _earlier(delivery: Delivery, entries: Sequence[Entry]) -> dict[int, str]:
    """The receivers that were given up before the present one, by the hop at which the ledger has them."""
    tried = delivery.tried.attempts if delivery.tried else ()
    hops = sorted({entry.hop for entry in entries if entry.hop < delivery.hop})
    return dict(zip(hops, dict.fromkeys(attempt.receiver for attempt in tried), strict=False))


def _outcome(record: OutcomeRecord) -> dict[str, Any]:
    return {**msgspec.to_builtins(record.outcome), "at": record.at, "config_version": record.config_version}


def _begun(memo: Episode | None, event: Event) -> tuple[float, int | None]:
    """Since when the event's episode may have lasted, and its number, if the memo is about that one."""
    from andon.core.event import accepted_at

    if memo is None or memo.raised_at is None or memo.raised_at > event.time:
        return accepted_at(event), None
    return memo.raised_at.timestamp(), memo.number


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
