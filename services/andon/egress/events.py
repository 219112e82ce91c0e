"""The content of a channel that takes events: a CloudEvent, with the event's trace behind it."""

from __future__ import annotations

from andon.core import cloudevents
from andon.core.event import Event
from andon.core.ports import Content
from andon.core.translation import cloud_event_of

KIND = "cloudevent"


def content(event: Event, /) -> Content:
    """The event as a CloudEvent in the JSON event format; its trace, which is no part of it, on a line behind it."""
    body = cloudevents.to_json(cloud_event_of(event)).decode()
    return Content(KIND, body if event.traceparent is None else f"{body}\n{event.traceparent}")


def parted(given: Content) -> tuple[str, str]:
    """The CloudEvent in such a content, and its traceparent, which may be empty."""
    body, _, trace = given.text.partition("\n")
    return body, trace
