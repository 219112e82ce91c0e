"""CloudEvents 1.0.2, as other systems speak it: what an event may say, and its JSON and binary forms.

Specification: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md (attributes and their types) and
formats/json-format.md beside it. Data that is neither JSON nor text is refused with the reason MEDIA_TYPE, because
notices cannot show it and nothing of it could be matched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET

from andon.core.failure import Invalid
from andon.core.reason import Reason

VERSION = "1.0"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
REQUIRED = ("specversion", "id", "source", "type")

_TEXTS = frozenset({*REQUIRED, "datacontenttype", "dataschema", "subject", "time"})
_NAME = re.compile(r"[a-z0-9]+")
_NONCHARACTERS = "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")
# RFC 3986: the characters of a URI reference, one fragment at most, and no colon before the first slash but a scheme's.
_REFERENCE = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:|(?![^/?#]*:))"
    r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
    r"(?:#(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - the word of RFC 9110 for a name
_MEDIA = re.compile(rf"({_TOKEN})/({_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|\"[^\"\\]*\"))*)")
_CHARSET = re.compile(r";[ \t]*charset=\"?([^\";\s]+)", re.IGNORECASE)
_moment = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)]).decode
_encode = msgspec.json.Encoder().encode
_LEAST, _MOST = -(1 << 31), (1 << 31) - 1


class CloudEvent(msgspec.Struct, frozen=True):
    """One event. Two are equal when they say the same, in whatever form they came.

    `attributes` holds every context attribute, `specversion` among them, in the canonical string encoding of its type;
    a `datacontenttype` of plain application/json, which the specification takes for granted, is left out. `data` is a
    JSON value, or a text where `datacontenttype` says that it is no JSON; UNSET when there is none.
    """

    attributes: Mapping[str, str]
    data: Any = UNSET


def checked(given: Mapping[str, Any], data: Any = UNSET) -> CloudEvent:
    """The event of these attributes and data. Raises Invalid, whose `field` is the attribute at fault."""
    attributes = {name: _canonical(name, value) for name, value in given.items() if value is not None}
    for name in REQUIRED:
        if name not in attributes:
            raise Invalid(Reason.INVALID, f"{name!r} is required", name)
    if attributes["specversion"] != VERSION:
        raise Invalid(Reason.INVALID, f"'specversion' must be {VERSION}", "specversion")
    for name in _TEXTS & attributes.keys():
        if problem := fault(name, attributes[name]):
            raise Invalid(Reason.INVALID, problem, name)
    media = attributes.get("datacontenttype", JSON)
    if not is_json(media):
        require_readable(media)
        if data is None:
            data = UNSET
        elif data is not UNSET and not isinstance(data, str):
            raise Invalid(Reason.INVALID, f"'data' must be a text when its type is {media}", "data")
    elif media == JSON:
        attributes.pop("datacontenttype", None)
    return CloudEvent(attributes, data)


def fault(name: str, text: str) -> str | None:
    """What is wrong with this text as the value of this attribute of the specification, in one sentence; None when
    nothing is."""
    if not text:
        return f"{name!r} must not be empty"
    if name == "source" and not _REFERENCE.fullmatch(text):
        return "'source' must be a URI reference (RFC 3986): other characters are written as %XX"
    if name == "dataschema" and not (_SCHEME.match(text) and _REFERENCE.fullmatch(text)):
        return "'dataschema' must be a URI with its scheme (RFC 3986)"
    if name == "time" and not (_TIME.fullmatch(text) and _is_moment(text)):
        return "'time' must be date, time and zone as in 2026-03-01T08:30:00+08:00 (RFC 3339)"
    if name == "datacontenttype" and not _MEDIA.fullmatch(text):
        return "'datacontenttype' must be a media type (RFC 2046)"
    return None


def is_name(name: str) -> bool:
    """Whether an attribute may have this name."""
    return _NAME.fullmatch(name) is not None and name != "data"


def is_string(text: str) -> bool:
    """Whether a text is one in the specification's sense: without control characters and noncharacters."""
    return _FORBIDDEN.search(text) is None


def _canonical(name: str, value: Any) -> str:
    """The value's canonical string encoding."""
    if not is_name(name):
        raise Invalid(Reason.INVALID, f"{name!r} is no attribute: names are a to z and 0 to 9", name)
    if isinstance(value, str):
        if not is_string(value):
            raise Invalid(Reason.INVALID, f"{name!r} holds a control character", name)
        return value
    if name in _TEXTS:
        raise Invalid(Reason.INVALID, f"{name!r} must be a text", name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and _LEAST <= value <= _MOST:
        return str(value)
    raise Invalid(
        Reason.INVALID, f"{name!r} must be a text, true, false or a whole number of 32 bits; the rest is data", name
    )


def _is_moment(text: str) -> bool:
    try:
        moment(text)
    except ValueError:
        return False
    return True


def moment(text: str) -> datetime:
    """The time of an RFC 3339 text, to the microsecond. Raises ValueError (as msgspec does)."""
    found: datetime = _moment(_encode(text))
    return found


# ---- data


@lru_cache(maxsize=64)
def is_json(media: str) -> bool:
    """Whether data of this media type is JSON in UTF-8: its subtype is json, or ends in +json."""
    kind, subtype = _read(media)
    return bool(kind) and (subtype == "json" or subtype.endswith("+json"))


@lru_cache(maxsize=64)
def is_text(media: str) -> bool:
    """Whether data of this media type is text in UTF-8: text/*, or XML."""
    kind, subtype = _read(media)
    return kind == "text" or (bool(kind) and (subtype == "xml" or subtype.endswith("+xml")))


def _read(media: str) -> tuple[str, str]:
    """Type and subtype; both empty when it is no media type, or its charset is not UTF-8."""
    found = _MEDIA.fullmatch(media.strip())
    if found is None:
        return "", ""
    charset = _CHARSET.search(found[3])
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        return "", ""
    return found[1].lower(), found[2].lower()


def require_readable(media: str) -> None:
    """Raises Invalid unless data of this type is JSON or text in UTF-8."""
    if not is_json(media) and not is_text(media):
        raise Invalid(Reason.MEDIA_TYPE, "data is JSON or text in UTF-8; any other is not taken", "datacontenttype")


# ---- forms


def from_json(members: Mapping[str, Any]) -> CloudEvent:
    """The event of a JSON object in the JSON event format. Raises Invalid."""
    if members.get("data_base64") is not None:
        raise Invalid(Reason.MEDIA_TYPE, "binary data is not taken; send JSON or text as 'data'", "data_base64")
    given = {name: value for name, value in members.items() if name not in ("data", "data_base64")}
    return checked(given, members.get("data", UNSET))


def to_json(event: CloudEvent) -> bytes:
    """The event in the JSON event format."""
    members: dict[str, Any] = dict(event.attributes)
    if event.data is not UNSET:
        members["data"] = event.data
    return _encode(members)


class Binary(msgspec.Struct, frozen=True):
    """The binary form: what a transport carries beside the data, which is its own body. No body: there is no data."""

    attributes: Mapping[str, str]
    content_type: str | None
    body: bytes | None


def to_binary(event: CloudEvent) -> Binary:
    """The event in binary form; `attributes` are all but `datacontenttype`."""
    attributes = {name: value for name, value in event.attributes.items() if name != "datacontenttype"}
    media = event.attributes.get("datacontenttype")
    if event.data is UNSET:
        return Binary(attributes, media, None)
    if media and not is_json(media):
        return Binary(attributes, media, str(event.data).encode())
    return Binary(attributes, media or JSON, _encode(event.data))
