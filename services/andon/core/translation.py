"""Between CloudEvents and our events, with nothing lost on the way: what came in goes out again as it came.

| CloudEvents | our event |
|---|---|
| `id` `type` `source` `subject` `time` | the same; a missing subject is the source, a missing time is now |
| `data`, an object | `data` |
| any other `data` | `data.value` |
| `datacontenttype`, `dataschema`, extensions | labels of the same names |

What was added on the way in is named by the label `ce.added` (`subject`, `time`, `data`), and left out on the way out.
A time finer than a microsecond is kept as it was written, in the label `time`. In the other direction, labels that are
no extension attributes travel together in one that is, `andonlabels`, as JSON; and a source that is no URI reference is
percent-encoded, as RFC 3987 (section 3.1) does it. Facts stay here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from andon.core import cloudevents
from andon.core.cloudevents import CloudEvent
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.reason import Reason

ADDED = "ce.added"
OTHERS = "andonlabels"
VALUE = "value"

_OWN = frozenset({"specversion", "id", "source", "type", "subject", "time"})
_PRECISION = re.compile(r"\.\d{6}\d*?[1-9]")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_RESERVED = ":/?#[]@!$&'()*+,;=%"
_labels = msgspec.json.Decoder(dict[str, str])


def event_of(cloud: CloudEvent, now: datetime, traceparent: str | None = None) -> Event:
    """Our event of a CloudEvent. `now` is its time if it says none. Raises Invalid when `andonlabels` is not ours."""
    attributes = cloud.attributes
    labels = {name: value for name, value in attributes.items() if name not in _OWN and name != OTHERS}
    labels |= _unpacked(attributes.get(OTHERS))
    added = [name for name in ("subject", "time") if name not in attributes]
    written = attributes.get("time")
    if written and _PRECISION.search(written):
        labels["time"] = written
    data = cloud.data
    if not isinstance(data, dict):
        added.append("data")
        data = {} if data is UNSET else {VALUE: data}
    if added:
        labels[ADDED] = " ".join(added)
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject", attributes["source"]),
        time=cloudevents.moment(written) if written else now,
        data=data,
        labels=labels,
        traceparent=traceparent,
    )


def cloud_event_of(event: Event) -> CloudEvent:
    """The CloudEvent that says what the event says; the very one it was made of, if it was one."""
    labels = event.labels
    added = labels.get(ADDED, "").split()
    attributes = {
        "specversion": cloudevents.VERSION,
        "id": event.id,
        "source": _uri_reference(event.source),
        "type": event.type,
    }
    if "subject" not in added or event.subject != event.source:
        attributes["subject"] = event.subject
    kept: set[str] = {ADDED}
    if "time" not in added:
        attributes["time"] = str(msgspec.to_builtins(event.time))
        if _is_finer(labels.get("time"), event.time):
            attributes["time"] = labels["time"]
            kept.add("time")
    data = _unwrapped(event.data) if "data" in added else event.data
    others = {}
    for name, value in labels.items():
        if name in kept:
            continue
        if _is_attribute(name, value, data):
            attributes[name] = value
        else:
            others[name] = value
    if others:
        attributes[OTHERS] = _packed(others)
    return CloudEvent(attributes, data)


def _unwrapped(data: Mapping[str, Any]) -> Any:
    if not data:
        return UNSET
    return data[VALUE] if data.keys() == {VALUE} else data


def _is_finer(written: str | None, time: datetime) -> bool:
    """Whether this is how the time was written, finer than it is kept."""
    if written is None or not _PRECISION.search(written) or cloudevents.fault("time", written):
        return False
    return cloudevents.moment(written) == time


def _is_attribute(name: str, value: str, data: Any) -> bool:
    """Whether a label is one that came from an attribute, or might have."""
    if name in _OWN or name == OTHERS or not (cloudevents.is_name(name) and cloudevents.is_string(value)):
        return False
    if name == "dataschema":
        return cloudevents.fault(name, value) is None
    if name == "datacontenttype":
        if value == cloudevents.JSON or cloudevents.fault(name, value):
            return False
        text = isinstance(data, str) or data is UNSET
        return cloudevents.is_json(value) or (cloudevents.is_text(value) and text)
    return True


def _uri_reference(source: str) -> str:
    if not cloudevents.fault("source", source):
        return source
    encoded = quote(_BARE_PERCENT.sub("%25", source), safe=_RESERVED)
    if cloudevents.fault("source", encoded):  # one fragment sign too many, or a colon where a scheme would end
        encoded = quote(source, safe="/")
    return encoded


def _packed(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, separators=(",", ":")).replace("\x7f", "\\u007f")


def _unpacked(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        return _labels.decode(text)
    except (ValueError, RecursionError):
        raise Invalid(Reason.INVALID, f"{OTHERS!r} must be JSON, an object of texts", OTHERS) from None
