"""What WeCom's answers to an application mean (developer.work.weixin.qq.com, pages 90236, 91039 and 90313).

Under HTTP 200 the errcode decides; of its text nothing but "max length" is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason

THROTTLED_SECONDS = 60.0
# Asking for tokens too often, or with a wrong secret, shuts the address out for an hour: one question in ten minutes.
BANNED_SECONDS = 600.0
STALE = frozenset({40014, 42001})
"""The access token is not, or no longer, one."""
NOBODY = 81013
"""None of the recipients can be told."""
_ERRMSG = 160


class Meaning(NamedTuple):
    """What follows from an errcode, and what a person may do about it."""

    reason: Reason
    retry: bool = False
    after: float | None = None
    advice: str = ""


MEANING = {
    -1: Meaning(Reason.BUSY, True),
    45033: Meaning(Reason.BUSY, True),
    45009: Meaning(Reason.THROTTLED, True, THROTTLED_SECONDS),
    40001: Meaning(Reason.CREDENTIALS, advice="the secret is wrong"),
    40013: Meaning(Reason.CREDENTIALS, advice="the corp id is wrong"),
    41001: Meaning(Reason.CREDENTIALS, advice="the vendor saw no access token"),
    41002: Meaning(Reason.CREDENTIALS, advice="the vendor saw no corp id"),
    41004: Meaning(Reason.CREDENTIALS, advice="the vendor saw no secret"),
    48002: Meaning(Reason.CREDENTIALS, advice="the app has not the right to this"),
    60020: Meaning(Reason.CREDENTIALS, advice="add this site's address to the app's trusted ones (企业可信IP)"),
    301002: Meaning(Reason.CREDENTIALS, advice="agent_id is not the app of this secret"),
    50003: Meaning(Reason.GONE, advice="the app is disabled"),
    60111: Meaning(Reason.GONE, advice="there is no such member"),
    60011: Meaning(Reason.GONE, advice="the app may not see this member, department or tag"),
    44004: Meaning(Reason.EMPTY),
    45002: Meaning(Reason.TOO_LONG),
}
OTHER = Meaning(Reason.REJECTED)


class Answer(msgspec.Struct):
    """What the vendor says to `gettoken` and `message/send`. Its texts are sometimes numbers, or absent."""

    errcode: int
    errmsg: Any = ""
    access_token: str = ""
    expires_in: int = 0
    invaliduser: str | None = ""
    invalidparty: str | None = ""
    invalidtag: str | None = ""
    unlicenseduser: str | None = ""
    msgid: Any = ""


_decode = msgspec.json.Decoder(Answer).decode


def read(reply: Reply) -> Answer:
    """The answer. Raises Retryable for one that is not the vendor's: a proxy, a gateway or a login page stands between.

    A 3xx or 4xx turned the request away, so nothing happened; after anything else the vendor may have had it.
    """
    try:
        answer = _decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _foreign(reply) from None
    if answer.errcode == 0 and reply.status != 200:
        raise _foreign(reply)
    return answer


def failure(answer: Answer, hidden: Iterable[str], *, asking: bool = False) -> Failure:
    """What an errcode but 0 means; `asking` for a token has a ban of its own. Nothing `hidden` is in its text."""
    errmsg = str(answer.errmsg)
    meaning = MEANING.get(answer.errcode, OTHER)
    if not meaning.retry and "max length" in errmsg:
        meaning = Meaning(Reason.TOO_LONG)
    forms = {form for secret in hidden if secret for form in (secret, quote(secret, safe=""))}
    for one in sorted(forms, key=len, reverse=True):
        errmsg = errmsg.replace(one, "***")
    said = f"errcode {answer.errcode}: {errmsg[:_ERRMSG]}"
    detail = f"{meaning.advice} ({said})" if meaning.advice else said
    if not meaning.retry:
        return Rejected(meaning.reason, detail)
    return Retryable(meaning.reason, detail, after=BANNED_SECONDS if asking and meaning.after else meaning.after)


def _foreign(reply: Reply) -> Retryable:
    detail = f"HTTP {reply.status} without an errcode"
    if reply.status == 429:
        after = reply.headers.get("retry-after", "")
        return Retryable(Reason.THROTTLED, detail, after=float(after) if after.isdecimal() else THROTTLED_SECONDS)
    if 300 <= reply.status < 500:
        return Retryable(Reason.BAD_REPLY, detail)
    reason = Reason.SERVER_ERROR if reply.status >= 500 else Reason.BAD_REPLY
    return Retryable(reason, detail, ambiguous=True)
