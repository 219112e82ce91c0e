"""One conversation with Roundup's REST interface: authentication, deadline, and what an answer means."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from andon.config.secrets import SecretMissing, SecretRef
from andon.core.failure import UNREADABLE, Failure, Rejected, Retryable
from andon.core.ports import Context, Reply
from andon.core.reason import Reason
from andon.web.shown import beginning

# Roundup answers 400 with this text when something broke inside it, for instance when its database was locked; and with
# a page for people, so without a text for us, when it broke before it came to its REST interface.
_BROKE_INSIDE = "An error occurred"
# Its answer 409 to a change of a ticket that was deleted; the ticket itself can still be read.
_RETIRED = "is retired"
_NUMBER = re.compile(r"[0-9]{1,18}")


class Rest:
    """The requests of one call to the ticket system; together they have `deadline` seconds.

    The password is read once, sent as basic authentication (RFC 7617) and appears in no exception.
    """

    def __init__(self, url: str, user: str, password: SecretRef, deadline: float, context: Context) -> None:
        parts = urlsplit(url)
        try:
            self._password = password.reveal()
        except SecretMissing as missing:
            raise Rejected(Reason.CREDENTIALS, str(missing)) from None
        account = base64.b64encode(f"{user}:{self._password}".encode()).decode()
        self._root = f"{url}rest/data/"
        self._headers = {
            "Authorization": f"Basic {account}",
            "Accept": "application/json",
            # Roundup refuses a change that carries no proof of coming from its own site.
            "Origin": f"{parts.scheme}://{parts.netloc}",
            "Referer": url,
            "X-Requested-With": "andon",
        }
        self._wire = context.wire
        self._clock = context.clock
        self._ends = context.clock.now() + deadline

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
        needs: Mapping[str, type] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """The `data` of the answer, which has at least the fields of `needs`, of these types. Raises Retryable or
        Rejected."""
        left = self._ends - self._clock.now()
        if left <= 0:
            raise Retryable(Reason.TIMEOUT, "the tracker took too long over several requests")
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if etag is not None:
            headers["If-Match"] = etag
        reply = await self._wire.request(
            method,
            f"{self._root}{path}{'?' + urlencode(query) if query else ''}",
            body=b"" if body is None else msgspec.json.encode(body),
            headers=headers,
            deadline=left,
        )
        data = _data(reply, self._password)
        if lacking := [name for name, kind in needs.items() if not isinstance(data.get(name), kind)]:
            raise Retryable(Reason.BAD_REPLY, f"the answer to {method} {path.partition('/')[0]} has no {lacking[0]}")
        return data

    async def items(self, kind: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Those of a kind that a search finds."""
        answer = await self.request("GET", kind, query=query, needs={"collection": list})
        found: list[dict[str, Any]] = answer["collection"]
        require_numbers(found, f"the answer to GET {kind}")
        return found

    async def token(self, kind: str) -> str:
        """A new one-time token for creating one item of this kind; valid for 30 minutes."""
        answer = await self.request("POST", f"{kind}/@poe", body={}, needs={"link": str})
        return str(answer["link"]).rpartition("/")[2]


def _data(reply: Reply, password: str) -> dict[str, Any]:
    """What the body says; the status alone is not believed (law L5)."""
    try:
        answer = msgspec.json.decode(reply.body)
    except UNREADABLE:
        answer = None
    whole = answer if isinstance(answer, dict) else {}
    error = whole.get("error")
    said = error if isinstance(error, dict) else {}
    status = said.get("status")
    if not isinstance(status, int) or status < HTTPStatus.BAD_REQUEST:
        # Not what Roundup writes: gateways have an `error` of their own, also under 200.
        status = reply.status
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _failure(status, beginning(str(said.get("msg", "")), [password]), reply.headers)
    data = whole.get("data")
    if error is None and isinstance(data, dict):
        return data
    raise Retryable(Reason.BAD_REPLY, f"HTTP {reply.status} without data; is this address a Roundup tracker?")


def require_numbers(rows: object, where: str) -> None:
    """Raises Retryable(BAD_REPLY) unless these are items with their numbers."""
    if not isinstance(rows, list) or not all(map(_numbered, rows)):
        raise Retryable(Reason.BAD_REPLY, f"{where} has something without a number")


def _numbered(row: object) -> bool:
    number = row.get("id") if isinstance(row, dict) else None
    return isinstance(number, str) and _NUMBER.fullmatch(number) is not None


def _failure(status: int, said: str, headers: Mapping[str, str]) -> Failure:
    detail = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Rejected(Reason.CREDENTIALS, f"{detail}; does the account exist and may it edit tickets by REST?")
    if status == HTTPStatus.PRECONDITION_FAILED:
        return Retryable(Reason.CHANGED, "someone else changed the ticket in between")
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        after = headers.get("retry-after", "")
        return Retryable(Reason.THROTTLED, detail, after=float(after) if after.isdecimal() else None)
    broke = _BROKE_INSIDE in said or (status == HTTPStatus.BAD_REQUEST and not said)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or broke:
        return Retryable(Reason.SERVER_ERROR, detail)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Retryable(Reason.TIMEOUT, detail)
    retired = status == HTTPStatus.CONFLICT and _RETIRED in said
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) or retired:
        return Rejected(Reason.GONE, detail)
    return Rejected(Reason.REJECTED, detail)
