"""What WeCom's answers to an application mean (developer.work.weixin.qq.com, pages 90236, 91039 and 90313).

Under HTTP 200 the errcode decides; of its text nothing but "max length" is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from andon.core.failure import Failure
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.egress.vendors import OTHER, TOO_LONG, Meaning, detail, foreign

THROTTLED_SECONDS = 60.0
# Asking for tokens too often, or with a wrong secret, shuts the address out for an hour: one question in ten minutes.
BANNED_SECONDS = 600.0
STALE = frozenset({40014, 42001})
"""The access token is not, or no longer, one."""
NOBODY = 81013
"""None of the recipients can be told."""

MEANING = {
    -1: Meaning(True, Reason.BUSY),
    45033: Meaning(True, Reason.BUSY),
    45009: Meaning(True, Reason.THROTTLED, THROTTLED_SECONDS),
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
}


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
    """The answer. Raises Retryable for one that is not the vendor's (`vendors.foreign`)."""
    try:
        answer = _decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise foreign(reply, THROTTLED_SECONDS) from None
    if answer.errcode == 0 and reply.status != 200:
        raise foreign(reply, THROTTLED_SECONDS)
    return answer


def failure(answer: Answer, hidden: Iterable[str], *, asking: bool = False) -> Failure:
    """What an errcode but 0 means; `asking` for a token has a ban of its own. Nothing `hidden` is in its text."""
    meaning = MEANING.get(answer.errcode, OTHER)
    if not meaning.retry and "max length" in str(answer.errmsg):
        meaning = TOO_LONG
    if asking and meaning.after:
        meaning = meaning._replace(after=BANNED_SECONDS)
    return meaning.failure(detail(answer.errcode, answer.errmsg, *hidden))
