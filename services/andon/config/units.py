"""Durations, rates and sizes as people write them: 10s 5m 2h 190d · 10/m 5/10m 50/s · 1MiB."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from andon.core.policy import Limit

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_RATE = re.compile(r"(\d+)/(?:(\d+)?(ms|s|m|h|d))")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")


def seconds(text: Any) -> float:
    """Seconds of a duration like 10s, 5m, 2h or 190d; raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool) and 0 <= text < math.inf:
        return float(text)
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a duration; write for example 10s, 5m, 2h or 190d")
    return float(match[1]) * _SECONDS[match[2]]


def rate(text: Any) -> Limit:
    """The limit of a rate like 10/m, 5/10m or 50/s; raises ValueError."""
    if isinstance(text, Limit):
        return text
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if not match or int(match[1]) < 1 or (match[2] and int(match[2]) < 1):
        raise ValueError(f"{text!r} is not a rate; write for example 10/m, 5/10m or 50/s")
    return Limit(int(match[1]), float(match[2] or 1) * _SECONDS[match[3]])


def rate_text(limit: Limit) -> str:
    """A limit as it is written; `rate` makes the same limit of it."""
    return f"{limit.count}/{round(limit.period * 1000)}ms"


def share(text: Any) -> float:
    """The share, 0 to 1, of a percentage like 20%; raises ValueError."""
    if isinstance(text, float) and 0 <= text < 1:
        return text
    match = _SHARE.fullmatch(text) if isinstance(text, str) else None
    if not match or float(match[1]) >= 100:
        raise ValueError(f"{text!r} is not a share; write for example 20%")
    return float(match[1]) / 100


def share_text(value: float) -> str:
    """A share as it is written."""
    return f"{100 * value:g}%"


def size(text: Any) -> int:
    """Bytes of a size like 512KiB or 1MiB; raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{text!r} is not a size; write for example 512KiB or 1MiB")
    return int(match[1]) * _BYTES[match[2]]


def duration_text(value: float) -> str:
    """A duration as people write it, in the largest unit that needs no fraction."""
    unit, length = next((item for item in reversed(_SECONDS.items()) if (value / item[1]).is_integer()), ("s", 1.0))
    return f"{value / length:g}{unit}"


def size_text(value: int) -> str:
    """A size as people write it, in the largest unit that needs no fraction."""
    unit, length = next(item for item in reversed(_BYTES.items()) if value % item[1] == 0)
    return f"{value // length}{unit}"


def _written_as(pattern: re.Pattern[str], *also: str) -> WithJsonSchema:
    """The JSON Schema of a unit: text in its form, or the plain numbers it also takes."""
    text: dict[str, Any] = {"type": "string", "pattern": f"^{pattern.pattern}$"}
    return WithJsonSchema({"anyOf": [text, *({"type": name, "minimum": 0} for name in also)]} if also else text)


Seconds = Annotated[float, BeforeValidator(seconds), _written_as(_DURATION, "number")]
Rate = Annotated[Limit, BeforeValidator(rate), PlainSerializer(rate_text), _written_as(_RATE)]
Share = Annotated[float, BeforeValidator(share), PlainSerializer(share_text), _written_as(_SHARE)]
Bytes = Annotated[int, BeforeValidator(size), _written_as(_SIZE, "integer")]
