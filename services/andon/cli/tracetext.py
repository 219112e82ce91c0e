"""The path of an event as a person reads it, in a terminal and in any script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unicodedata import combining, east_asian_width

from andon.runtime.logs import safe

_LEFT = 12
_LONGEST = 300


def text(whole: Mapping[str, Any]) -> str:
    """What `andon trace` prints: one line per thing, times of this machine's zone, later ones as what they took."""
    lines = [
        *_event(whole["event"], whole["accepted"]),
        *_facts(whole),
        *_routes(whole["routes"]),
        *_deliveries(whole),
        *_ticket(whole["ticket"]),
        *_parked(whole["parked"]),
        *_search(whole["search"]),
    ]
    return "\n".join(safe(line).rstrip() for line in lines)


def width(shown: str) -> int:
    """The columns a text takes in a terminal: Chinese characters take two (Unicode TR 11)."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in shown)


def columns(rows: Sequence[Sequence[str]], indent: int) -> Iterator[str]:
    """The rows as lines, each column as wide as its widest text; the last one is left as it is."""
    widths = [max(map(width, column)) for column in zip(*(row[:-1] for row in rows), strict=True)] if rows else []
    for row in rows:
        cells = [cell + " " * (wide - width(cell)) for cell, wide in zip(row[:-1], widths, strict=True)]
        yield " " * indent + "  ".join([*cells, row[-1]])


def _line(name: str, shown: str) -> str:
    return f"{name:<{_LEFT}}{shown}"


def _event(event: Mapping[str, Any], accepted: Mapping[str, Any]) -> Iterator[str]:
    yield _line("event", event["id"])
    yield _line("  what", f"{event['type']}  {event['subject']}")
    yield _line("  data", _pairs(event["data"]))
    yield _line("accepted", f"{_when(accepted['at'])}  {_place(accepted['position'])}")
    by = f"client {accepted['client']}, source" if accepted["client"] else "source"
    yield _line("  from", f"{by} {accepted['source']}, time of the event {_when(event['time'])}")
    if event.get("traceparent"):
        yield _line("  trace", event["traceparent"].split("-")[1])


def _facts(whole: Mapping[str, Any]) -> Iterator[str]:
    enriched = whole["enriched"]
    if enriched is None:
        yield _line("facts", "not enriched" + ("" if whole["outcome"] else " yet"))
        return
    yield _line("facts", f"{_after(whole, enriched['at'])}  {_place(enriched['position'])}")
    for name, fact in enriched["facts"].items():
        missing = fact.get("missing") if isinstance(fact, Mapping) else None
        yield _line(f"  {name}", f"missing: {missing}" if missing else _pairs(fact))
    yield _line("  labels", _pairs(enriched["labels"]))


def _routes(routes: Mapping[str, Any] | None) -> Iterator[str]:
    if routes is None:
        return
    yield _line("routes", f"version {routes['version']} of the configuration")
    rows = []
    for visit in routes["visits"]:
        sign = "→" if visit.get("taken") else "✓" if visit["matched"] else "·"
        rows.append((sign, visit["path"], visit["receiver"], _why(visit)))
    yield from columns(rows, 2)
    if routes.get("ended"):
        yield _line("  so", f"nobody hears of it: {_ended(routes['ended'])}")


def _why(visit: Mapping[str, Any]) -> str:
    said = [
        one["matcher"] if one["held"] else f"not {one['matcher']} (it is {one['value'] or 'not there'})"
        for one in visit["matchers"]
    ]
    if visit.get("silenced"):
        said.append(f"silent: {_ended(visit['silenced'])}")
    return ", ".join(said) or "no conditions"


def _deliveries(whole: Mapping[str, Any]) -> Iterator[str]:
    if ended := whole["outcome"]:
        yield _line("outcome", f"{_ended(ended)}  {_after(whole, ended['at'])}")
    for one in whole["deliveries"]:
        yield _line("delivery", f"{one['receiver']}  route {one['route']}{'  urgent' if one['urgent'] else ''}")
        yield _line("  id", str(one["id"]))
        names = ", ".join(one["recipients"][:5])
        more = len(one["recipients"]) - 5
        yield _line("  to", names + (f" and {more} more" if more > 0 else ""))
        attempts = [_attempt(each, whole, redriven=bool(one["redriven"])) for each in one["attempts"]]
        rows = [("  attempt", *attempt) for attempt in attempts]
        yield from columns(rows, 0)
        yield _line("  outcome", _outcome(one, whole))


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
        due = one["next_attempt"]
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
    number = f"  ticket {ticket['ticket']}" if ticket["ticket"] else "  no ticket yet"
    yield _line("episode", f"{ticket['episode']} #{ticket['number']}{number}  {ticket['link']}")
    rows = [
        (_when(one["at"]), one["state"], " ".join([*(["by this event"] if one["this"] else []), one["detail"]]))
        for one in ticket["changes"]
    ]
    yield from columns(rows, _LEFT)


def _parked(parked: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in parked:
        state = "redriven" if one.get("redriven") else f"`andon dlq redrive {one['id']}` sends it again"
        yield _line("parked", f"{one['id']}  {one['reason']}: {one['detail']}  ({state})")


def _search(search: Mapping[str, Any]) -> Iterator[str]:
    yield _line("found", f"{search['found']}; {search['read']:,} records read, {search['seconds']:.2f} s")
    for note in search["notes"]:
        yield _line("note", note)


def _ended(outcome: Mapping[str, Any]) -> str:
    word = outcome.get("outcome", "skipped")
    return " ".join(filter(None, (word, f"({outcome['reason']})", outcome.get("by"), outcome.get("detail"))))


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
