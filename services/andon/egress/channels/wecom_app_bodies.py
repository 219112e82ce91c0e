"""What an application posts to WeCom (developer.work.weixin.qq.com, pages 90236, 90248, 94867 and 94888)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from andon.core.failure import Rejected
from andon.core.ports import Call
from andon.core.reason import Reason
from andon.egress.cards.wecom_app import REPLACED, is_answerable
from andon.egress.channels import wecom_app_people as people
from andon.egress.judge import problems
from andon.egress.structured import said

CONFIDENTIAL = frozenset({"text", "markdown", "image", "video", "file"})
"""What the vendor can send as confidential; its cards it cannot."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def message(kind: str, part: Any, to: people.Addressed, agent: int, *, safe: bool) -> bytes:
    """A message to members, departments and tags."""
    value: dict[str, Any] = {
        "touser": "|".join(to.users),
        "toparty": "|".join(to.parties),
        "totag": "|".join(to.tags),
        "msgtype": kind,
        "agentid": agent,
        kind: part,
        **_safe(kind, safe=safe),
        # It would take a second equal notice for a repeat of the first and drop it, answering "ok".
        "enable_duplicate_check": 0,
    }
    return _encode({name: one for name, one in value.items() if one != ""})


def to_chat(kind: str, part: Any, chat: str, *, safe: bool) -> bytes:
    """A message to one group chat, `chat:ID`."""
    chatid = chat.removeprefix(people.CHAT)
    return _encode({"chatid": chatid, "msgtype": kind, kind: part, **_safe(kind, safe=safe)})


def recall(msgid: str) -> bytes:
    """Takes a message back."""
    return _encode({"msgid": msgid})


def part(call: Call) -> Any:
    """What stands under the kind in a body, but for files."""
    kind, text = call.content.kind, call.content.text
    if kind in ("text", "markdown"):
        return {"content": text}
    if kind == "template_card" and is_answerable(card := _decode(text)):
        return {**card, "task_id": task_id(call)}
    return msgspec.Raw(text.encode())


def task_id(call: Call) -> str:
    """The id of a card that people answer: that of its delivery, and what tells the calls of one delivery apart.

    The same for every attempt at a call, so that the answers to a card and to its repeat are answers to one; another
    for other recipients and for a receiver it was handed on to, for the vendor takes no id twice, and after a redrive,
    which wants a new card.
    """
    of_call = "\n".join((call.receiver, str(call.redrive), str(call.part), *call.recipients))
    return f"{call.delivery}@{blake2b(of_call.encode(), digest_size=8).hexdigest()}"


def update(agent: int, response_code: str, to: Sequence[str], button: str, card: str) -> bytes:
    """Replaces the text of a sent card's buttons, or the card, for those of `to` or for all who got it.

    Raises Rejected: INVALID for what can be neither, TEMPLATE_BROKEN and TOO_LONG for what is no card.
    """
    if bool(button) == bool(card):
        raise Rejected(Reason.INVALID, "an update has either a text for the buttons or a card")
    addressed = people.addressed(to)
    if addressed.wrong or addressed.chats:
        raise Rejected(Reason.INVALID, f"{(*addressed.wrong, *addressed.chats)[0]} cannot be shown an update of a card")
    everybody = not to or people.ALL in addressed.users
    value: dict[str, Any] = {
        "userids": () if everybody else addressed.users,
        "partyids": tuple(map(int, addressed.parties)),
        "tagids": tuple(map(int, addressed.tags)),
        "atall": int(everybody),
        "agentid": agent,
        "response_code": response_code,
        **({"button": {"replace_name": button}} if button else {"template_card": _card(card)}),
    }
    return _encode({name: one for name, one in value.items() if one != ()})


def _card(text: str) -> msgspec.Raw:
    try:
        value = _decode(text)
    except msgspec.DecodeError as error:
        raise Rejected(Reason.TEMPLATE_BROKEN, f"the card is no JSON: {error}") from None
    found = next(problems(REPLACED.shape, value), None)
    if found is not None:
        raise Rejected(Reason.TOO_LONG if found.too_long else Reason.TEMPLATE_BROKEN, said(found))
    return msgspec.Raw(text.encode())


def _safe(kind: str, *, safe: bool) -> dict[str, int]:
    return {"safe": int(safe)} if kind in CONFIDENTIAL else {}
