"""What WeCom's answers to an application mean (developer.work.weixin.qq.com, pages 90236, 91039 and 90313).

Under HTTP 200 the errcode decides; of its text nothing but "max length" is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from andon.core.failure import UNREADABLE, Failure
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.egress.media import FileGone
from andon.egress.vendors import OTHER, TOO_LONG, Meaning, detail, foreign

THROTTLED_SECONDS = 60.0
# Asking for tokens too often, or with a wrong secret, shuts the address out for an hour: one question in ten minutes.
BANNED_SECONDS = 600.0
STALE = frozenset({40014, 42001})
"""The access token is not, or no longer, one."""
NOBODY = frozenset({81013, 82001})
"""None of the recipients can be told; the latter is the older code."""
NO_CHAT = frozenset({86001, 86003})
"""The chat is none, or none of this app's."""
_NO_FILE = 40007
_UNSAID = -(1 << 40)
_FILE = Meaning(False, Reason.TOO_LARGE, advice="the vendor takes no file of this size")

MEANING = {
    -1: Meaning(True, Reason.BUSY),
    45033: Meaning(True, Reason.BUSY),
    45009: Meaning(True, Reason.THROTTLED),
    40001: Meaning(False, Reason.CREDENTIALS, advice="the secret is wrong"),
    40013: Meaning(False, Reason.CREDENTIALS, advice="the corp id is wrong"),
    41001: Meaning(False, Reason.CREDENTIALS, advice="the vendor saw no access token"),
    41002: Meaning(False, Reason.CREDENTIALS, advice="the vendor saw no corp id"),
    41004: Meaning(False, Reason.CREDENTIALS, advice="the vendor saw no secret"),
    48002: Meaning(False, Reason.CREDENTIALS, advice="the app has not the right to this"),
    60020: Meaning(False, Reason.CREDENTIALS, advice="add this site's address to the app's trusted ones (企业可信IP)"),
    301002: Meaning(False, Reason.CREDENTIALS, advice="agent_id is not the app of this secret"),
    50003: Meaning(False, Reason.GONE, advice="the app is disabled"),
    60111: Meaning(False, Reason.GONE, advice="there is no such member"),
    60011: Meaning(False, Reason.GONE, advice="the app may not see this member, department or tag"),
    44004: Meaning(False, Reason.EMPTY),
    45002: TOO_LONG,
    **dict.fromkeys((40006, 40009, 40011, 45001), _FILE),
}
TOO_OLD = {40058: Meaning(False, Reason.GONE, advice="it is older than 24 hours, recalled already, or another app's")}
"""What it says to a recall."""
USED = {40058: Meaning(False, Reason.GONE, advice="the response code is older than 72 hours or was used already")}
"""What it says to the update of a card, whose fields were judged before."""
PERHAPS_USED = {
    40058: Meaning(
        False, Reason.UNKNOWN, advice="the card may have changed: an earlier attempt may have used the response code"
    )
}
"""The same after an attempt of which that is not known."""


class Said(msgspec.Struct):
    """What the vendor says to every call. Its texts are sometimes numbers, or absent; a success may leave its errcode
    out, and is one by what it `brings`."""

    errcode: int = _UNSAID
    errmsg: Any = ""

    def brings(self) -> object:
        """What was asked for, if this call asks for anything."""


class Token(Said):
    """To `gettoken`."""

    access_token: str = ""
    expires_in: int = 0

    def brings(self) -> object:
        return self.access_token


class Uploaded(Said):
    """To `media/upload`."""

    media_id: Any = None

    def brings(self) -> object:
        return self.media_id


class Updated(Said):
    """To `message/update_template_card`: here it has a list."""

    invaliduser: list[str] | None = None


class Answer(Said):
    """To `message/send` and `appchat/send`."""

    invaliduser: str | None = ""
    invalidparty: str | None = ""
    invalidtag: str | None = ""
    unlicenseduser: str | None = ""
    msgid: Any = ""
    response_code: Any = ""

    def brings(self) -> object:
        return self.msgid


A = TypeVar("A", bound=Said)
_NO_OTHER: Mapping[int, Meaning] = {}


def read(reply: Reply, kind: type[A], block: float) -> A:
    """The answer. Raises Retryable for one that is not the vendor's (`vendors.foreign`); who calls too often is shut
    out for `block` seconds."""
    try:
        answer = msgspec.json.decode(reply.body, type=kind)
    except UNREADABLE:
        raise foreign(reply, block) from None
    if answer.errcode == _UNSAID:
        if not answer.brings():
            raise foreign(reply, block)
        answer.errcode = 0
    if answer.errcode == 0 and reply.status != 200:
        raise foreign(reply, block)
    return answer


def failure(
    answer: Said, hidden: Iterable[str], block: float, other: Mapping[int, Meaning] = _NO_OTHER, *, asking: bool = False
) -> Failure:
    """What an errcode but 0 means, unless this call has an `other` meaning for it. Who calls too often waits `block`
    seconds; `asking` for a token has a ban of its own. Nothing `hidden` is in its text."""
    if answer.errcode == _NO_FILE:
        return FileGone(Reason.REJECTED, detail(answer.errcode, answer.errmsg, *hidden))
    meaning = other.get(answer.errcode) or MEANING.get(answer.errcode, OTHER)
    if not meaning.retry and "max length" in str(answer.errmsg):
        meaning = TOO_LONG
    if meaning.reason is Reason.THROTTLED:
        meaning = meaning._replace(after=BANNED_SECONDS if asking else block)
    return meaning.failure(detail(answer.errcode, answer.errmsg, *hidden))
