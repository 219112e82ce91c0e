"""Why a person heard of an event or did not: one cause and one sentence for each. Pure; nothing here raises."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypedDict, Unpack

import msgspec

from andon.core.delivery import Delivery
from andon.core.event import Event, accepted_at
from andon.core.outcome import Attempt, Delivered, Merged, Outcome, OutcomeRecord, Parked, Skipped, name_of
from andon.core.parallel import would_have_heard
from andon.core.reason import Reason


class Cause(StrEnum):
    """Where the answer lies, in the order of an event's way."""

    SOURCE = "source"  # it never reached us
    ENRICHMENT = "enrichment"  # accepted, and under way or parked before routing
    ROUTING = "routing"  # routing has not come to it, or parked it
    ROUTE = "route"  # no route leads to them
    RECIPIENTS = "recipients"  # the receiver of its route names somebody else, or nobody
    CALENDAR = "calendar"  # a time interval kept the route silent
    MUTE = "mute"  # a mute or a maintenance window did
    RESOLVED = "resolved"  # the receiver wants no ends
    REPEATED = "repeated"  # the same was told before
    INHIBITED = "inhibited"  # a cause that is known holds it back, or did until it ended
    GROUP = "group"  # it waits for its group
    LIMITER = "limiter"  # it waits for a limit, or came in a digest because of one
    LOAD = "load"  # more than one person can read: it came in a digest
    MERGE = "merge"  # it came with others of its group, as one notice
    RETRY = "retry"  # the vendor did not take it yet
    VENDOR = "vendor"  # the vendor refused it
    GONE = "gone"  # the vendor knows this person no more
    HANDED_ON = "handed_on"  # it was given up and told to somebody else
    PARKED = "parked"  # it lies in the dead-letter topic, for a reason of ours
    CAME = "came"


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event for the person asked about. `came` is None while it is open. `at` is when the event was
    accepted, `said` the sentence."""

    cause: Cause
    came: bool | None
    said: str
    at: datetime
    event: str = ""
    source: str = ""
    type: str = ""
    subject: str = ""
    receiver: str = ""
    route: str = ""
    version: int = 0
    evidence: str = ""


class Place(TypedDict, total=False):
    """Where in the rules an answer lies."""

    receiver: str
    route: str
    version: int
    evidence: str


_SKIPPED = {
    Reason.MUTED: Cause.CALENDAR,
    Reason.INACTIVE: Cause.CALENDAR,
    Reason.SILENCED: Cause.MUTE,
    Reason.MAINTENANCE: Cause.MUTE,
    Reason.RESOLVED: Cause.RESOLVED,
    Reason.REPEATED: Cause.REPEATED,
    Reason.INHIBITED: Cause.INHIBITED,
    Reason.NO_RECIPIENTS: Cause.RECIPIENTS,
    Reason.NO_ROUTE: Cause.ROUTE,
}
_WHY_SKIPPED = {
    Cause.CALENDAR: "its route is silent at that time",
    Cause.MUTE: "it was muted, and is told to nobody",
    Cause.RESOLVED: "the receiver wants no ends (send_resolved: false)",
    Cause.REPEATED: "the same state of the same subject had been told within repeat_interval",
    Cause.INHIBITED: "a known cause held it back until it had ended itself",
    Cause.RECIPIENTS: "the receiver names nobody",
    Cause.ROUTE: "no route takes it",
}
_MERGED = {
    Reason.GROUPED: (Cause.MERGE, "as one notice with the others of its group"),
    Reason.OVER_RATE: (Cause.LIMITER, "in a digest, because its receiver is over the rate it is allowed"),
    Reason.QUEUE_FULL: (Cause.LIMITER, "in a digest, because too much was waiting for its receiver"),
    Reason.STORM: (Cause.LIMITER, "in a digest, because more of its kind came at once than limits.storm allows"),
    Reason.COALESCED: (Cause.MERGE, "in one call with what says the same to others"),
    Reason.HELD: (Cause.MUTE, "in the digest of what a mute or a maintenance window had held"),
    Reason.ALARM_LOAD: (Cause.LOAD, "in a digest, because it was more than limits.per_person allows"),
}
_OF_THE_VENDOR = frozenset(
    {
        *(Reason.REJECTED, Reason.CREDENTIALS, Reason.GONE, Reason.TOO_LONG, Reason.RETRIES_EXHAUSTED),
        *(Reason.NO_RESULT, Reason.UNKNOWN),
    }
)
MEANING = {
    Reason.NOT_SENT: "nothing left for the vendor: it could not be reached",
    Reason.TIMEOUT: "the vendor did not answer in time",
    Reason.CONNECTION: "the connection to the vendor broke",
    Reason.THROTTLED: "the vendor asks for a pause",
    Reason.BUSY: "the vendor is busy",
    Reason.SERVER_ERROR: "the vendor has a fault of its own",
    Reason.BAD_REPLY: "what answered was not the vendor",
    Reason.CREDENTIALS: "the vendor does not accept our credentials",
    Reason.GONE: "the vendor knows no such recipient any more",
    Reason.REJECTED: "the vendor refused it",
    Reason.TOO_LONG: "it was too long for the vendor",
    Reason.RETRIES_EXHAUSTED: "the vendor did not take it however often it was tried",
    Reason.NO_RESULT: "the vendor told no result",
    Reason.UNKNOWN: "whether the vendor took it is not known",
}


class Open(msgspec.Struct, frozen=True):
    """What is known beside the topics of a delivery without an outcome: why its last attempt failed, and the rule and
    the cause that hold it back."""

    failed: Reason | None = None
    held: str | None = None


_UNKNOWN = Open()


# ---- a delivery that was to reach the person


def of_delivery(
    delivery: Delivery,
    ended: OutcomeRecord | None,
    names: AbstractSet[str],
    now: float,
    *,
    into: OutcomeRecord | None = None,
    known: Open = _UNKNOWN,
) -> Answer:
    """What became of a delivery for the person of these names, `now`. `into` is the end of what it was merged into;
    None while that is open."""
    if ended is None:
        cause, said = _open(delivery, now, known)
        return _answer(delivery, cause, None, said)
    if ended.receiver is not None and ended.receiver != delivery.receiver:
        last = next((one for one in reversed(ended.attempts) if one.receiver == delivery.receiver), None)
        why = f": {MEANING.get(last.reason, last.reason)}" if last else ""
        said = f"{delivery.receiver} was given up and {ended.receiver} told{why}"
        return _answer(delivery, Cause.HANDED_ON, False, said)
    outcome = _for(ended, names)
    match outcome:
        case Merged(reason=Reason.COALESCED) if into is not None:
            # One call with what said the same to others: its end is theirs, for each person.
            return of_delivery(delivery, msgspec.structs.replace(into, receiver=delivery.receiver), names, now)
        case Delivered():
            after = ended.at.timestamp() - accepted_at(delivery.event)
            said = f"it came {after:.1f} s after it was accepted ({outcome.evidence})"
            return _answer(delivery, Cause.CAME, True, said, str(outcome.evidence))
        case Merged():
            cause, how = _MERGED.get(outcome.reason, (Cause.MERGE, f"as part of another notice ({outcome.reason})"))
            if into is None:
                return _answer(delivery, cause, None, f"it left {how}, which is still open")
            there = _for(into, names)
            came = isinstance(there, Delivered)
            then = "which came" if came else f"which did not come ({name_of(there)}: {there.reason})"
            return _answer(delivery, cause, came, f"it left {how}, {then}")
        case Skipped():
            cause, said = skipped(outcome)
            return _answer(delivery, cause, False, said)
        case Parked():
            cause, said = _parked(outcome, ended.attempts)
            return _answer(delivery, cause, False, said)


def _for(ended: OutcomeRecord, names: AbstractSet[str]) -> Outcome:
    """What became of it for the person."""
    return next((one.outcome for one in ended.recipients if one.recipient in names), ended.outcome)


def _open(delivery: Delivery, now: float, known: Open) -> tuple[Cause, str]:
    if known.held:
        return Cause.INHIBITED, f"it is held back while its cause is open ({known.held})"
    if known.failed:
        return Cause.RETRY, f"{MEANING.get(known.failed, f'an attempt failed ({known.failed})')}; it is tried again"
    if delivery.held and now < delivery.held.until.timestamp():
        return Cause.MUTE, f"{delivery.held.by} holds it, and it is told in a digest when that is over"
    pace = delivery.pace
    if delivery.batch is not None and pace and not delivery.urgent:
        longest = max(pace.wait, pace.interval)
        if now < accepted_at(delivery.event) + longest:
            return Cause.GROUP, f"it waits for its group ({delivery.batch}), {longest:g} s at most"
    return Cause.LIMITER, f"it waits for its turn within the limits of {delivery.receiver}"


def _parked(outcome: Parked, attempts: Sequence[Attempt]) -> tuple[Cause, str]:
    detail = f" ({outcome.detail})" if outcome.detail else ""
    # The call itself was taken: it is this person whom the vendor refused.
    taken = bool(attempts) and attempts[-1].reason is Reason.DELIVERED
    if taken and outcome.reason in (Reason.GONE, Reason.REJECTED):
        return Cause.GONE, f"the vendor no longer takes anything for this person{detail}"
    if outcome.reason in _OF_THE_VENDOR and attempts:
        return Cause.VENDOR, f"{MEANING[outcome.reason]}{detail}; it is parked ({outcome.reason})"
    return Cause.PARKED, f"it is parked: {outcome.reason}{detail}; `andon dlq list` shows it"


def _answer(delivery: Delivery, cause: Cause, came: bool | None, said: str, evidence: str = "") -> Answer:
    place = Place(receiver=delivery.receiver, route=delivery.route, version=delivery.config_version, evidence=evidence)
    return of(delivery.event, cause, came, said, **place)


def of(event: Event, cause: Cause, came: bool | None, said: str, **more: Unpack[Place]) -> Answer:
    """The answer about an event."""
    at = datetime.fromtimestamp(accepted_at(event), UTC)
    return Answer(cause, came, said, at, event.id, event.source, event.type, event.subject, **more)


def skipped(outcome: Skipped) -> tuple[Cause, str]:
    """What a rule that ended something means."""
    if would_have_heard(outcome):
        return Cause.MUTE, "its source runs beside another path (parallel: true), and is told to nobody"
    cause = _SKIPPED.get(outcome.reason, Cause.MUTE)
    return cause, f"{_WHY_SKIPPED[cause]} ({outcome.reason}{f' by {outcome.by}' if outcome.by else ''})"
