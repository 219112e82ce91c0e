"""What many merged deliveries say as one."""

from __future__ import annotations

import msgspec

from andon.core.event import SEVERITY, STATE, Event, Moment

MAX_LINES = 20
_MAX_TEXT = 200
_SHOWN = ("code", STATE, SEVERITY)


class Line(msgspec.Struct, frozen=True):
    """The latest news of one subject: the event's type with its labels code, state and severity, and its id."""

    subject: str
    text: str
    time: Moment
    id: str = ""


class Digest(msgspec.Struct, frozen=True):
    """`count` events between `first` and `last`, as the latest line of each of at most 20 subjects, newest at the end.

    `left_out` counts the lines that gave way to newer subjects, so a reader knows that there was more.
    """

    count: int
    first: Moment
    last: Moment
    lines: tuple[Line, ...]
    left_out: int = 0


def combined(first: Digest, second: Digest) -> Digest:
    """What two digests say together; of a subject in both the second has the latest news."""
    newer = {line.subject for line in second.lines}
    lines = (*(line for line in first.lines if line.subject not in newer), *second.lines)
    return Digest(
        first.count + second.count,
        min(first.first, second.first),
        max(first.last, second.last),
        lines[-MAX_LINES:],
        first.left_out + second.left_out + max(0, len(lines) - MAX_LINES),
    )


def merged(digest: Digest | None, event: Event) -> Digest:
    """The digest with one more event; of one event alone when there is none yet."""
    text = " ".join([event.type, *(event.labels[name] for name in _SHOWN if event.labels.get(name))])
    shown = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    line = Line(event.subject, shown, event.time, event.id)
    own = Digest(1, event.time, event.time, (line,))
    return own if digest is None else combined(digest, own)
