"""The part of Alertmanager's API that `amtool` and Grafana read and silence by (docs/alertmanager.md).

Source: Alertmanager's OpenAPI document (api/v2/openapi.yaml). As it says there, a refusal is a JSON string and no
problem detail: its clients show nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, Protocol

import msgspec
from aiohttp import web

from andon.config.published import Published
from andon.core import cloudevents
from andon.core.reason import Reason
from andon.ingress.entry.clients import Client
from andon.ingress.entry.gate import Answer
from andon.ingress.muting.active import EVERYBODY, Active, ActiveAlert, AlertGroup, Receiver, Wanted
from andon.ingress.muting.mutes import Mutes
from andon.ingress.muting.silences import Silences, filters_of
from andon.ingress.refusal import Refused, Said

SILENCES = "/api/v2/silences"
SILENCE = "/api/v2/silence/{id}"
STATUS = "/api/v2/status"
RECEIVERS = "/api/v2/receivers"
ALERTS = "/api/v2/alerts"
GROUPS = "/api/v2/alerts/groups"
_FIELDS = {"why": "comment", "creator": "createdBy", "until": "endsAt"}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_ORIGINAL = """\
# This is Andon: its receivers, and the one that hears of what no route takes.
# Its routes are in andon.yaml; `andon explain` and `andon check` show what they do.
"""
_encode = msgspec.json.Encoder().encode


class Front(Protocol):
    """What the door does with any request. Its methods raise Refused."""

    async def client(self, request: web.Request, /) -> Client:
        """Whose request it is."""

    async def posted(self, request: web.Request, /) -> tuple[Client, bytes]:
        """Whose request it is, and its JSON."""

    def answering(self, answer: Answer, said: Said, /) -> Answer:
        """The same behind the gate, with what is refused said so."""


class Status(msgspec.Struct, frozen=True):
    """What Alertmanager says of itself, as far as there is such a thing here."""

    cluster: dict[str, str]
    versionInfo: dict[str, str]  # noqa: N815 - the names are theirs
    config: dict[str, str]
    uptime: datetime


class AlertmanagerApi:
    """Its addresses, for clients that may mute."""

    def __init__(self, front: Front, mutes: Mutes, active: Active) -> None:
        self._front = front
        self._mutes = mutes
        self._active = active
        self._silences = Silences(mutes)
        self._since = mutes.now()

    @property
    def answers(self) -> dict[str, dict[str, Answer]]:
        """Address → method → answer."""
        said = self._said
        return {
            SILENCES: {"GET": said(self._all), "POST": said(self._put)},
            SILENCE: {"GET": said(self._one), "DELETE": said(self._end)},
            STATUS: {"GET": said(self._status)},
            RECEIVERS: {"GET": said(self._receivers)},
            ALERTS: {"GET": said(self._alerts)},
            GROUPS: {"GET": said(self._groups)},
        }

    def _said(self, answer: Callable[[web.Request], Awaitable[Any]]) -> Answer:
        async def said(request: web.Request) -> web.Response:
            return web.Response(body=_encode(await answer(request)), content_type=cloudevents.JSON)

        return self._front.answering(said, _sentence)

    async def _all(self, request: web.Request) -> Any:
        client = await self._front.client(request)
        return await self._silences.all(client, *(request.query.getall(name, []) for name in ("filter", "creator")))

    async def _one(self, request: web.Request) -> Any:
        return await self._silences.one(await self._front.client(request), request.match_info["id"])

    async def _put(self, request: web.Request) -> Any:
        return await self._silences.put(*await self._front.posted(request))

    async def _end(self, request: web.Request) -> Any:
        await self._silences.end(await self._front.client(request), request.match_info["id"])
        return {}

    async def _status(self, request: web.Request) -> Status:
        published = await self._looked(request)
        none = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "")
        program, config = none | {"version": version("andon")}, {"original": original(published)}
        return Status({"status": "disabled"}, program, config, self._since)

    async def _receivers(self, request: web.Request) -> list[Receiver]:
        return [Receiver(name) for name in (await self._looked(request)).settings.receivers]

    async def _alerts(self, request: web.Request) -> list[ActiveAlert]:
        published, wanted = await self._looked(request), wanted_of(request)
        return await self._active.alerts(published, self._mutes.now(), wanted)

    async def _groups(self, request: web.Request) -> list[AlertGroup]:
        alerts = await self._alerts(request)
        return [AlertGroup({}, Receiver(EVERYBODY), alerts)] if alerts else []

    async def _looked(self, request: web.Request) -> Published:
        return await self._mutes.looked(await self._front.client(request), request.path)


def wanted_of(request: web.Request) -> Wanted:
    """What the parameters of an address ask for. Raises Refused."""
    if request.query.get("receiver"):
        raise Refused(Reason.INVALID, "who hears of an alert is decided later; ask `andon explain`", "receiver")
    asked = {}
    for name in ("active", "silenced", "inhibited", "unprocessed"):
        asked[name] = _TRUTHS.get(request.query.get(name, "true").lower())
        if asked[name] is None:
            raise Refused(Reason.INVALID, "one of true and false", name)
    return Wanted(filters_of(request.query.getall("filter", [])), bool(asked["active"]), bool(asked["silenced"]))


def original(published: Published) -> str:
    """A configuration as Alertmanager has it, with what may be said of ours. JSON is YAML."""
    receivers: Sequence[str] = tuple(published.settings.receivers)
    root = published.settings.route.receiver or EVERYBODY
    names = receivers if root in receivers else (*receivers, root)
    listed = "".join(f"- name: {json.dumps(name, ensure_ascii=False)}\n" for name in names)
    return f"{_ORIGINAL}route:\n  receiver: {json.dumps(root, ensure_ascii=False)}\nreceivers:\n{listed}"


def _sentence(refusal: Refused) -> tuple[bytes, str]:
    field = refusal.problem.field
    named = "" if field is msgspec.UNSET else f"{_FIELDS.get(field, field)}: "
    return _encode(named + refusal.problem.detail), cloudevents.JSON
