"""CloudEvents as they arrive: the strict reading of bytes and headers, and what becomes of them as a posted event.

Bindings: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/ (http-protocol-binding.md,
kafka-protocol-binding.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum, auto
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import UNSET

from andon.core import cloudevents
from andon.core.cloudevents import CloudEvent
from andon.core.failure import Invalid
from andon.core.reason import Reason
from andon.core.translation import event_of
from andon.ingress.bodies.sent import Sent
from andon.ingress.bodies.strict import value_of

HTTP = "ce-"
KAFKA = "ce_"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PAIR = re.compile(r"\\(.)")


class Form(Enum):
    """In which form a request brings events: our own JSON, or one of the three of CloudEvents."""

    PLAIN = auto()
    STRUCTURED = auto()
    BATCH = auto()
    BINARY = auto()


def form_of(headers: Mapping[str, str]) -> Form | None:
    """The form of a request with these headers; None when its media type is none of the door's."""
    form = _form(headers.get("content-type", ""))
    if form in _ENVELOPES or ("ce-specversion" not in headers and "ce-id" not in headers):
        return form
    return Form.BINARY


@lru_cache(maxsize=64)
def _form(content_type: str) -> Form | None:
    """By the media type alone, in UTF-8 if it names a charset (RFC 8259, section 8.1)."""
    media, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [parameter.partition("=")[2].strip('"') for parameter in parameters if parameter.startswith("charset=")]
    return _FORMS.get(media) if all(charset in ("utf-8", "utf8") for charset in charsets) else None


_FORMS = {cloudevents.JSON: Form.PLAIN, cloudevents.STRUCTURED: Form.STRUCTURED, cloudevents.BATCH: Form.BATCH}
_ENVELOPES = (Form.STRUCTURED, Form.BATCH)


def structured(raw: bytes) -> CloudEvent:
    """The event of a JSON object in the JSON event format. Raises Invalid."""
    members = value_of(raw)
    if not isinstance(members, dict):
        raise Invalid(Reason.INVALID, "a CloudEvent is a JSON object")
    return cloudevents.from_json(members)


def binary(attributes: Mapping[str, str], content_type: str | None, body: bytes) -> CloudEvent:
    """The event whose attributes the transport carries. The body is its data, JSON unless its type says otherwise; no
    body is no data. Raises Invalid."""
    given = dict(attributes)
    if "datacontenttype" in given:
        raise Invalid(Reason.INVALID, "'datacontenttype' is the content type in binary form", "datacontenttype")
    if content_type is not None:
        cloudevents.require_readable(content_type)
        given["datacontenttype"] = content_type
    return cloudevents.checked(given, _data(content_type or cloudevents.JSON, body) if body else UNSET)


def _data(media: str, body: bytes) -> Any:
    if cloudevents.is_json(media):
        return value_of(body)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Invalid(Reason.MALFORMED, "the data is not valid UTF-8", "data") from None


def http_attributes(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The attributes in the headers of a request. Raises Invalid."""
    found = attributes_of(((name.lower(), value) for name, value in headers), HTTP)
    return {name: _unescaped(name, value) for name, value in found.items()}


def kafka_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The headers of a Kafka record as text. Raises Invalid for one of ours that is no text or stands twice."""
    found: dict[str, str] = {}
    for name, value in headers:
        attribute = name.removeprefix(KAFKA)
        if attribute != name or name in ("content-type", "traceparent"):
            if name in found:
                raise Invalid(Reason.INVALID, f"{attribute!r} is given twice", attribute)
            try:
                found[name] = (value or b"").decode()
            except UnicodeDecodeError:
                raise Invalid(Reason.INVALID, f"{attribute!r} is not valid UTF-8", attribute) from None
    return found


def attributes_of(headers: Iterable[tuple[str, str]], prefix: str) -> dict[str, str]:
    """The attributes among headers, by the prefix of their names. Raises Invalid for one that stands twice."""
    found: dict[str, str] = {}
    for header, value in headers:
        if header.startswith(prefix):
            name = header.removeprefix(prefix)
            if name in found:
                raise Invalid(Reason.INVALID, f"{name!r} is given twice", name)
            found[name] = value
    return found


def _unescaped(name: str, value: str) -> str:
    """The text of a header: first without its quotes, then percent-decoded once (HTTP binding, section 3.1.3.2)."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        value = _PAIR.sub(r"\1", quoted[1])
    try:
        return unquote_to_bytes(value.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise Invalid(Reason.INVALID, f"{name!r} is not UTF-8, percent-encoded", name) from None


def sent_of(cloud: CloudEvent) -> Sent:
    """What it says, as a client would post it in our own JSON. Raises Invalid."""
    event = event_of(cloud, _EPOCH)
    return Sent(
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=cloud.attributes.get("time", UNSET),
        data=event.data,
        labels=event.labels or UNSET,
    )
