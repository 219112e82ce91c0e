"""The path of an event as a person reads it, in a terminal and in any script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from andon.cli.shown import decision
from andon.cli.shown.columns import LEFT, columns, line
from andon.cli.shown.decision import ended, shortened
from andon.runtime.logs import safe

_LONGEST = 300


def text(whole: Mapping[str, Any]) -> str:
    """What `andon trace` prints: one line per thing, times of this machine's zone, later ones as what they took."""
    lines = [
        *_event(whole["event"], whole["accepted"]),
        *_facts(whole),
        *(decision.lines(whole["routes"]) if whole["routes"] else ()),
        *_deliveries(whole),
        *_ticket(whole["ticket"]),
        *_parked(whole["parked"]),
        *_search(whole["search"]),
    ]
    return "\n".join(safe(one).rstrip() for one in lines)


def _event(event: Mapping[str, Any], accepted: Mapping[str, Any]) -> Iterator[str]:
    yield line("event", event["id"])
    yield line("  what", f"{event['type']}  {event['subject']}")
    yield line("  data", _pairs(event["data"]))
    yield line("accepted", f"{_when(accepted['at'])}  {_place(accepted['position'])}")
    by = f"client {accepted['client']}, source" if accepted["client"] else "source"
    yield line("  from", f"{by} {accepted['source']}, time of the event {_when(event['time'])}")
    if event.get("traceparent"):
        yield line("  trace", event["traceparent"].split("-")[1])


def _facts(whole: Mapping[str, Any]) -> Iterator[str]:
    enriched = whole["enriched"]
    if enriched is None:
        yield line("facts", "not enriched" + ("" if whole["outcome"] else " yet"))
        return
    yield line("facts", f"{_after(whole, enriched['at'])}  {_place(enriched['position'])}")
    for name, fact in enriched["facts"].items():
        missing = fact.get("missing") if isinstance(fact, Mapping) else None
        yield line(f"  {name}", f"missing: {missing}" if missing else _pairs(fact))
    yield line("  labels", _pairs(enriched["labels"]))


def _deliveries(whole: Mapping[str, Any]) -> Iterator[str]:
    if own := whole["outcome"]:
        yield line("outcome", f"{ended(own)}  {_after(whole, own['at'])}")
    for one in whole["deliveries"]:
        yield line("delivery", f"{one['receiver']}  route {one['route']}{'  urgent' if one['urgent'] else ''}")
        yield line("  id", str(one["id"]))
        yield line("  to", shortened(one["recipients"]))
        attempts = [_attempt(each, whole, redriven=bool(one["redriven"])) for each in one["attempts"]]
        rows = [("  attempt", *attempt) for attempt in attempts]
        yield from columns(rows, 0)
        yield line("  outcome", _outcome(one, whole))


def _attempt(one: Mapping[str, Any], whole: Mapping[str, Any], *, redriven: bool) -> tuple[str, ...]:
    number = f"{one['redrive']}.{one['number']}" if redriven else str(one["number"])
    took = (
        f"{(_time(one['ended']) - _time(one['started'])).total_seconds() * 1000:.0f} ms"
        if one["ended"]
        else "under way"
    )
    marks = [f"part {one['part'] + 1}"] if one["part"] else []
    marks += [word for word in ("ambiguous", "marked") if one[word]]
    marks += [f"to {one['receiver']}"] if one.get("receiver") else []
    marks += [f"the vendor's {one['reference']}"] if one.get("reference") else []
    reason = str(one["reason"]) if one["ended"] else ""
    return (number, _after(whole, one["started"]), took, "  ".join([reason, *marks]).strip())


def _outcome(one: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    if one["outcome"] is None:
        due, held = one["next_attempt"], one.get("held")
        if held and held.until > datetime.now(UTC):
            return f"held by {held.by}, until {_when(held.until)} at the latest"
        return "waiting" + (f", next attempt {_when(due)}" if due and _time(due) > datetime.now(UTC) else "")
    outcome = one["outcome"]
    said = one["state"]
    if evidence := getattr(outcome, "evidence", None):
        said += f" ({evidence})"
    if into := getattr(outcome, "into", None):
        then = type(one["merged_into"]).__name__.lower() if one["merged_into"] else "waiting or no longer kept"
        said += f" ({outcome.reason}) into {into}, which is: {then}"
    if said == "skipped":
        said += f" ({outcome.reason}) {outcome.by}".rstrip()
    if said == "parked":
        said += f" ({outcome.reason}) {outcome.detail}".rstrip()
    before = f", before that {', '.join(one['before'])}" if one["before"] else ""
    return f"{said}  {_after(whole, one['at'])}{before}"


def _ticket(ticket: Mapping[str, Any] | None) -> Iterator[str]:
    if ticket is None:
        return
    without = "  no ticket yet" if ticket["system"] else "  no ticket"
    number = f"  ticket {ticket['ticket']}" if ticket["ticket"] else without
    yield line("episode", f"{ticket['episode']} #{ticket['number']}{number}  {ticket['link']}")
    rows = [
        (_when(one["at"]), one["state"], " ".join([*(["by this event"] if one["this"] else []), one["detail"]]))
        for one in ticket["changes"]
    ]
    yield from columns(rows, LEFT)


def _parked(parked: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in parked:
        state = "redriven" if one.get("redriven") else f"`andon dlq redrive {one['id']}` sends it again"
        yield line("parked", f"{one['id']}  {one['reason']}: {one['detail']}  ({state})")


def _search(search: Mapping[str, Any]) -> Iterator[str]:
    yield line("found", f"{search['found']}; {search['read']:,} records read, {search['seconds']:.2f} s")
    for note in search["notes"]:
        yield line("note", note)


def _pairs(values: Any) -> str:
    shown = "  ".join(f"{k}={v}" for k, v in values.items()) if isinstance(values, Mapping) else str(values)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _place(position: Any) -> str:
    return f"{position.topic}-{position.partition}@{position.offset}"


def _time(moment: datetime | str) -> datetime:
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


def _when(moment: datetime | str) -> str:
    return _time(moment).astimezone().isoformat(sep=" ", timespec="milliseconds")


def _after(whole: Mapping[str, Any], moment: datetime | str) -> str:
    """How long after the acceptance."""
    took = (_time(moment) - whole["accepted"]["at"]).total_seconds()
    return f"+{took * 1000:.0f} ms" if took < 10 else f"+{took:.1f} s"
