"""What the stand-in of application messages has sent: who can take it back, and who can change its cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from andon.dev.standin import Refusal

_RECALL_S = 86_400.0
_CODE_S = 72 * 3_600.0
_MOST = 100_000


class Shown(NamedTuple):
    """A message before its members: what each has of it now, and when it was sent."""

    msgid: str
    at: float
    members: tuple[str, ...]
    msgtype: str
    content: str


class Sent:
    """The latest 100,000 messages by their ids, cards by their response codes. Methods raise Refusal."""

    def __init__(self) -> None:
        self._messages: dict[str, Shown] = {}
        self._codes: dict[str, str] = {}
        self._tasks: set[str] = set()

    def require_new(self, task_id: str) -> None:
        """Refuses the id of a task that a card of this app has already."""
        if task_id in self._tasks:
            raise Refusal(40058, "invalid Request Parameter: template_card.task_id is used already")

    def keep(self, message: Shown, task_id: str, *, answerable: bool) -> str:
        """Keeps a message; the response code of one that can be answered, "" for others."""
        self._messages[message.msgid] = message
        if len(self._messages) > _MOST:
            del self._messages[next(iter(self._messages))]
        if task_id:
            self._tasks.add(task_id)
        if not answerable:
            return ""
        code = f"code-{message.msgid}"
        self._codes[code] = message.msgid
        return code

    def recalled(self, msgid: object, now: float) -> Shown:
        """Takes a message back: what it was."""
        message = self._messages.get(msgid) if isinstance(msgid, str) else None
        if message is None or now - message.at > _RECALL_S:
            raise Refusal(40058, "invalid Request Parameter: msgid")
        del self._messages[message.msgid]
        return message

    def changed(self, code: object, to: Sequence[str] | None, now: float) -> tuple[str, ...]:
        """Uses a response code up: those of `to`, or of all, who have its card and see the change."""
        msgid = self._codes.pop(code, "") if isinstance(code, str) else ""
        message = self._messages.get(msgid)
        if message is None or now - message.at > _CODE_S:
            raise Refusal(40058, "invalid Request Parameter: response_code")
        return tuple(one for one in message.members if to is None or one in to)
