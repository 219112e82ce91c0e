"""Tickets in Roundup (https://www.roundup-tracker.org), by its REST interface, version 1, on the classic schema."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from pydantic import AfterValidator, Field

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Seconds
from andon.core.failure import Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Context, Ticket
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, TicketSpecimen
from andon.ticketing.systems.roundup_rest import Rest, require_numbers

_PRIORITIES = {"critical": "critical", "major": "urgent", "minor": "bug"}
_PAGE = 100
# The tracker reads a date in a search in the zone of the account, up to 12 h behind UTC, but answers in UTC.
_WESTERNMOST = 12 * 3_600
_RESERVED_IN_MARK = re.compile(r"[%\]\x00-\x1f\x7f]")
_FIELDS = {"@fields": "title,status,creator", "@verbose": "2"}


def _tracker_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(
            "write the tracker's own address, such as https://tracker.example/tracker/, without an account"
        )
    return text.rstrip("/") + "/"


def mark(key: str) -> str:
    """The mark at the beginning of a title by which a ticket is found: the key in square brackets.

    "]", "%" and control characters of the key are percent-encoded, so a mark ends where its key ends.
    """
    return f"[{_RESERVED_IN_MARK.sub(lambda match: f'%{ord(match[0]):02X}', key)}]"


class States(Section):
    """The tracker's words for an open and a closed ticket."""

    open: str = "unread"
    closed: str = "resolved"


class Roundup:
    """A Roundup tracker as a ticket system.

    A ticket belongs to the key in the mark of its title. Creating uses Roundup's one-time tokens ("post once
    exactly", docs/rest.html): after an answer that was lost the same token is used again, and the tracker refuses it if
    it had been used. Should two processes create a ticket for one key at the same moment all the same, each looks
    afterwards, the lowest number stays and the other one is retired. Changes carry the ticket's ETag. A comment has an
    id made of its ticket and text, so repeating it adds nothing.
    """

    class Config(Section):
        """`deadline` bounds each call as a whole, in seconds; one call may take several requests.

        `priorities` gives the tracker's words for our severities; any other severity leaves the priority empty.
        """

        url: Annotated[str, AfterValidator(_tracker_address)]
        user: str
        password: SecretRef
        states: States = States()
        priorities: dict[str, str] = _PRIORITIES
        deadline: Annotated[Seconds, Field(gt=0, le=15)] = 15.0

        def limit_domain(self) -> str:
            """The host: a tracker has no vendor limit, but one machine serves it."""
            return f"roundup:{urlsplit(self.url).hostname}"

        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    specimen: ClassVar = TicketSpecimen({"url": f"{BASE}/tracker/", "user": "andon", "password": REFERENCE})

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._tokens: dict[str, str] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def find(self, key: str, /) -> Ticket | None:
        """The ticket with exactly this key in the mark of its title; of several the one with the lowest number."""
        return self._first(await self._marked(self._begin(), key))

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        """The ticket for this key: the one there is, or a new one. Raises Retryable or Rejected."""
        rest = self._begin()
        async with self._opening.setdefault(key, asyncio.Lock()):
            return await self._only(rest, key) or await self._create(rest, key, title, text, severity)

    async def comment(self, ticket: str, text: str, /) -> None:
        """Adds the text once and leaves the state alone. Raises Retryable(CHANGED) when someone was faster."""
        rest = self._begin()
        await self._change(rest, ticket, await self._issue(rest, ticket), None, text)

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        """Sets the state, with a comment; a ticket that is in this state already is left alone."""
        rest = self._begin()
        issue = await self._issue(rest, ticket)
        target = {"open": self._config.states.open, "closed": self._config.states.closed}.get(state, state)
        if _status(issue["attributes"]) == target:
            return self._ticket(ticket, target)
        return await self._change(rest, ticket, issue, target, text)

    async def reopen(self, ticket: str, text: str, /) -> Ticket:
        """Opens a closed ticket again, with a comment; an open one is left alone."""
        rest = self._begin()
        issue = await self._issue(rest, ticket)
        now = self._ticket(ticket, _status(issue["attributes"]))
        return await self._change(rest, ticket, issue, self._config.states.open, text) if now.closed else now

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        """Every ticket changed at or after `since`, oldest change first. The tracker knows whole seconds."""
        rest = self._begin()
        oldest = _written(since)
        query = {"@fields": "status,activity", "@verbose": "2", "@sort": "activity", "@page_size": str(_PAGE)}
        query["activity"] = f"from {_written(since - _WESTERNMOST)}"
        tickets: list[Ticket] = []
        for number in itertools.count(1):
            page = await rest.items("issue", {**query, "@page_index": str(number)})
            late = [issue for issue in page if _text(issue, "activity", "a ticket") >= oldest]
            tickets += [self._ticket(issue["id"], _status(issue)) for issue in late]
            if len(page) < _PAGE:
                break
        return tickets

    async def close(self) -> None:
        """Holds nothing of its own; the wire belongs to whoever made it."""

    def _begin(self) -> Rest:
        config = self._config
        return Rest(config.url, config.user, config.password, config.deadline, self._context)

    async def _marked(self, rest: Rest, key: str) -> list[dict[str, Any]]:
        title = mark(key)
        found = await rest.items("issue", {**_FIELDS, "title": title})
        mine = [issue for issue in found if str(issue.get("title", "")).startswith(title)]
        return sorted(mine, key=lambda issue: int(issue["id"]))

    async def _only(self, rest: Rest, key: str) -> Ticket | None:
        """The ticket with the lowest number, after those above it are gone that this account made."""
        found = await self._marked(rest, key)
        # Numbers are given before tickets can be seen: the lower one may appear after the process with the higher one
        # has looked and gone, or that process ended before it looked. So whoever sees the two retires the higher one.
        for issue in found[1:]:
            if _linked(issue, "creator", "username") == self._config.user:
                await self._retire(rest, issue["id"])
        return self._first(found)

    async def _retire(self, rest: Rest, ticket: str) -> None:
        issue = await self._issue(rest, ticket)
        action = {"@op": "action", "@action_name": "retire"}
        try:
            await rest.request("PATCH", f"issue/{ticket}", body=action, etag=issue["@etag"])
        except Rejected as refusal:
            if refusal.reason is not Reason.GONE:
                raise

    async def _create(self, rest: Rest, key: str, title: str, text: str, severity: str) -> Ticket:
        state = self._config.states.open
        issue: dict[str, Any] = {"title": f"{mark(key)} {' '.join(title.split())}", "status": state}
        if priority := self._config.priorities.get(severity):
            issue["priority"] = priority
        if note := await self._note(rest, key, text):
            issue["messages"] = [note]
        used = key in self._tokens
        token = self._tokens[key] if used else await rest.token("issue")
        self._tokens[key] = token
        try:
            created = await rest.request("POST", f"issue/@poe/{token}", body=issue, needs={"id": str})
        except Rejected as refusal:
            del self._tokens[key]
            if used and refusal.reason is Reason.REJECTED:
                # The tracker spends a token just before it creates, so the ticket is about to appear.
                raise Retryable(Reason.BUSY, "an earlier request to create this ticket may not have ended") from None
            raise
        del self._tokens[key]
        return await self._only(rest, key) or self._ticket(created["id"], state)

    async def _issue(self, rest: Rest, ticket: str) -> dict[str, Any]:
        if not (ticket.isascii() and ticket.isdecimal()):
            raise Rejected(Reason.GONE, "a Roundup ticket has a number")
        query = {"@fields": "status,messages", "@verbose": "2"}
        return await rest.request("GET", f"issue/{ticket}", query=query, needs={"attributes": dict, "@etag": str})

    async def _change(self, rest: Rest, ticket: str, issue: dict[str, Any], state: str | None, text: str) -> Ticket:
        attributes = issue["attributes"]
        messages = attributes.get("messages") or []
        require_numbers(messages, "the list of a ticket's messages")
        notes = [message["id"] for message in messages]
        status = _status(attributes)
        # The state is always named: the classic tracker moves a ticket to "chatting" when a comment comes without one.
        body: dict[str, Any] = {"status": state or status} if state or status else {}
        if (note := await self._note(rest, ticket, text)) and note not in notes:
            body["messages"] = [*notes, note]
        elif not state:
            return self._ticket(ticket, status)
        await rest.request("PATCH", f"issue/{ticket}", body=body, etag=issue["@etag"])
        return self._ticket(ticket, state or status)

    async def _note(self, rest: Rest, scope: str, text: str) -> str | None:
        if not text.strip():
            return None
        name = hashlib.sha256(f"{scope}\n{text}".encode()).hexdigest()[:32] + "@andon"
        found = await rest.items("msg", {"messageid:": name})
        if found:
            return str(found[0]["id"])
        note = {"content": text, "author": self._config.user, "date": ".", "messageid": name}
        return str((await rest.request("POST", "msg", body=note, needs={"id": str}))["id"])

    def _first(self, issues: Sequence[dict[str, Any]]) -> Ticket | None:
        return self._ticket(issues[0]["id"], _status(issues[0])) if issues else None

    def _ticket(self, number: str, state: str) -> Ticket:
        return Ticket(number, state, f"{self._config.url}issue{number}", state == self._config.states.closed)


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d.%H:%M:%S")


def _status(attributes: dict[str, Any]) -> str:
    return _linked(attributes, "status", "name")


def _linked(attributes: dict[str, Any], field: str, part: str) -> str:
    item = attributes.get(field)
    return _text(item, part, f"the {field} of a ticket") if isinstance(item, dict) else ""


def _text(item: dict[str, Any], part: str, what: str) -> str:
    if not isinstance(text := item.get(part), str):
        raise Retryable(Reason.BAD_REPLY, f"{what} has no {part}")
    return text
