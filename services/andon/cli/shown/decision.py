"""Why routing decided as it did, as JSON has it and as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from andon.cli.shown.columns import columns, line

if TYPE_CHECKING:
    from andon.core.event import Event
    from andon.routing.router import Router

_MOST_NAMES = 5
_STAND = {True: "within", False: "outside", None: "on a day unknown to"}


def decision(router: Router, event: Event) -> dict[str, Any]:
    """The explanation as plain values."""
    import msgspec

    from andon.routing.explain import explain

    return dict(msgspec.to_builtins(explain(router, event)))


def lines(decided: Mapping[str, Any]) -> Iterator[str]:
    """The walk, and who hears of it."""
    yield line("routes", f"version {decided['version']} of the configuration")
    rows = []
    for visit in decided["visits"]:
        sign = "→" if visit.get("taken") else "✓" if visit["matched"] else "·"
        rows.append((sign, visit["path"], visit["receiver"], _why(visit)))
    yield from columns(rows, 2)
    for mute in decided.get("mutes", ()):
        took = all(one["held"] for one in mute["matchers"])
        what = ", ".join(map(_matcher, mute["matchers"]))
        yield line("  muted" if took else "  unmuted", f"by {mute['by']}, until {mute['until']}: {what}")
    if decided.get("episode"):
        yield line("  episode", decided["episode"])
    for told in decided.get("told", ()):
        yield from _told(told)
    if decided.get("ended"):
        yield line("  so", f"nobody hears of it: {ended(decided['ended'])}")
    if decided.get("held"):
        yield line("  so", f"it is told when {decided['held']['by']} is over, with all that was held")


def _why(visit: Mapping[str, Any]) -> str:
    said = [_matcher(one) for one in visit["matchers"]]
    said += [f"{_STAND[one['held']]} {one['interval']} ({one['kind']})" for one in visit.get("intervals", ())]
    if visit.get("silenced"):
        said.append(f"silent: {ended(visit['silenced'])}")
    said += [f"{shortened(one['names'])} told by {one['receiver']}" for one in visit.get("elsewhere", ())]
    return ", ".join(said) or "no conditions"


def _matcher(one: Mapping[str, Any]) -> str:
    value = one["value"] or "not there"
    if not one["held"]:
        return f"not {one['matcher']} (it is {value})"
    # Of an equality the matcher says the value itself.
    return str(one["matcher"]) if str(one["value"]) in one["matcher"] else f"{one['matcher']} (it is {value})"


def _told(told: Mapping[str, Any]) -> Iterator[str]:
    urgent = "  urgent" if told.get("urgent") else ""
    yield line("  tells", f"{told['receiver']}  route {told['route']}{urgent}")
    for one in told["to"]:
        names = shortened(one["names"])
        if not one["entry"]:
            yield line("    who", "the receiver itself, which has no people of its own")
        elif one["names"] == [one["entry"]]:
            yield line("    who", names)
        else:
            yield line("    who", f"{names or 'nobody'}  (by {one['entry']})")
    if "group" in told:
        pace = told.get("pace", {})
        times = (f"{word} {pace[word]:g} s" for word in ("wait", "interval", "repeat") if pace.get(word))
        yield line("    group", ", ".join([told["group"], *times]))
    if told.get("merge"):
        yield line("    merge", told["merge"])
    for other in told.get("fallback", ()):
        after = f" {other['after']:g} s after the event" if other.get("after") is not None else ""
        reasons = f" when given up for {', '.join(other['reasons'])}" if other.get("reasons") else ""
        who = shortened(other.get("recipients", ())) or "nobody, so it is passed over"
        yield line("    instead", f"{other['receiver']} ({who}){after}{reasons}")
    for remark in told.get("remarks", ()):
        yield line("    remark", f"{remark['reason']}: {remark['by']}")


def ended(outcome: Mapping[str, Any]) -> str:
    """An outcome in words."""
    word = outcome.get("outcome", "skipped")
    return " ".join(filter(None, (word, f"({outcome['reason']})", outcome.get("by"), outcome.get("detail"))))


def shortened(names: Sequence[str]) -> str:
    """The first few of many."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
