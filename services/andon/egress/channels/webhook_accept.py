"""Which answer of a webhook's system is a success, by its status and by what stands in its body."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from pydantic import Field, field_validator

from andon.config.section import Section
from andon.core.failure import UNREADABLE, Failure, Rejected, Retryable
from andon.core.reason import Reason

_PATH = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_-]*)+")
_ABSENT = object()
Scalar = bool | int | float | str | None
Status = Annotated[int, Field(ge=200, le=299)]


class Body(Section):
    """Where the answer says whether it went well."""

    path: str
    """The place of the code in the answer's JSON, `$.code` or `$.data.status`."""
    equals: Scalar
    """The value that means success, of exactly this type: 0 is not "0"."""
    later: tuple[Scalar, ...] = ()
    """The values that mean: not now, try again."""

    @field_validator("path")
    @classmethod
    def _readable(cls, path: str) -> str:
        if not _PATH.fullmatch(path):
            raise ValueError("write a path like $.code or $.data.status")
        return path


class Accept(Section):
    """Which answer is a success."""

    status: tuple[Status, ...] = ()
    """These statuses; every 2xx when empty."""
    body: Body | None = None
    """For a system that answers 200 and says in the body what became of it: then the body decides."""


def judge_body(body: bytes, rule: Body, said: str) -> Failure | None:
    """By the value at the rule's place. Without one the answer is not that system's, and silence is no success."""
    value = _said(body)
    for step in rule.path.split(".")[1:]:
        value = value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT
    if value is _ABSENT:
        return Retryable(Reason.BAD_REPLY, f"{said}: there is no {rule.path} in it", ambiguous=True)
    if _same(value, rule.equals):
        return None
    if any(_same(value, one) for one in rule.later):
        return Retryable(Reason.THROTTLED, said)
    return Rejected(Reason.REJECTED, said)


def _said(body: bytes) -> Any:
    """What the answer's JSON says: in UTF-8, also behind a byte order mark, or in what older systems in China write."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return msgspec.json.decode(body.decode(encoding))
        except UNREADABLE:
            continue
    return _ABSENT


def _same(value: Any, wanted: Scalar) -> bool:
    return type(value) is type(wanted) and value == wanted
