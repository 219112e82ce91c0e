"""The door's HTTP: addresses, headers and status codes. What it takes is documented in docs/api.md."""

from __future__ import annotations

import asyncio
from functools import cache
from urllib.parse import unquote

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler

from andon.core import cloudevents
from andon.core.ports import Inbound
from andon.core.reason import Reason
from andon.ingress import page
from andon.ingress.bodies.cloud import Form, form_of
from andon.ingress.door import BATCH, Accepted, Door, Item
from andon.ingress.entry.clients import Client
from andon.ingress.entry.gate import Answer, too_large
from andon.ingress.muting.active import Active
from andon.ingress.muting.alertmanager import ALERTS, AlertmanagerApi
from andon.ingress.muting.mutes import Mutes
from andon.ingress.refusal import Refused, Said, problem
from andon.ingress.refusals import Refusal

EVENTS = "/v1/events"
ALERT_HOOK = "/v1/alertmanager"
PROMETHEUS_ALERT = "/prometheusalert"
CALLBACK = "/callbacks/{name}"
HOOKS = "/hooks/{name}"
MUTES = "/v1/mutes"
MUTE = "/v1/mutes/{id}"
ELSEWHERE = "/{rest}"
SLOWEST = 30.0

_SINGLE = (Form.PLAIN, Form.STRUCTURED, Form.BINARY)
_MANY = (Form.PLAIN, Form.BATCH)
_TAKES = {
    _SINGLE: f"send {cloudevents.JSON} or {cloudevents.STRUCTURED}; {cloudevents.BATCH} goes to {BATCH}",
    _MANY: f"send {cloudevents.JSON} or {cloudevents.BATCH}; one CloudEvent goes to {EVENTS}",
}


def application(door: Door, active: Active | None = None) -> web.Application:
    """The door as an aiohttp application: it takes events, and shows how (docs/api.md, `/docs`). With `active`, and if
    it mutes, it speaks Alertmanager's API too."""
    api = _Api(door)
    nowhere = api.answering(api.nowhere)

    @web.middleware
    async def anywhere(request: web.Request, handler: Handler) -> web.StreamResponse:
        # `OPTIONS *` and CONNECT name no path, so no route is theirs.
        return await (handler(request) if request.match_info.http_exception is None else nowhere(request))

    app = web.Application(client_max_size=door.limits.body, middlewares=[anywhere])
    ours: dict[str, dict[str, Answer]] = {
        EVENTS: {"POST": api.single},
        BATCH: {"POST": api.batch},
        ALERTS: {"POST": api.alerts},
        ALERT_HOOK: {"POST": api.alerts},
        PROMETHEUS_ALERT: {"POST": api.prometheus_alert},
        HOOKS: {"POST": api.hook},
        CALLBACK: {"GET": api.greet, "POST": api.callback},
        MUTES: {"GET": api.mutes, "POST": api.mute},
        MUTE: {"DELETE": api.unmute},
        **{path: {"GET": api.document, "HEAD": api.document} for path in (page.PAGE, page.OPENAPI, page.ASYNCAPI)},
    }
    resources = {path: {way: api.answering(one) for way, one in answers.items()} for path, answers in ours.items()}
    if door.mutes is not None and active is not None:
        for path, answers in AlertmanagerApi(api, door.mutes, active).answers.items():
            resources[path] = resources.get(path, {}) | answers
    for path, answers in resources.items():
        for method, answer in answers.items():
            app.router.add_route(method, path, answer, expect_handler=_later)
        app.router.add_route("*", path, api.answering(api.other_method(", ".join(answers))), expect_handler=_later)
    app.router.add_route("*", "/{rest:(?s:.*)}", nowhere, expect_handler=_later)  # a line end is one, too
    return app


async def _later(_request: web.Request) -> None:
    """Who waits to be asked for his body (`Expect: 100-continue`) is asked when it is read, and before that everything
    that the door asks of anybody. Any other expectation is passed over, as RFC 9110 (10.1.1) allows."""


@cache
def documents() -> dict[str, tuple[str, str]]:
    """Address → text and media type of what the door says of itself; made when first asked for."""
    from andon.ingress import openapi
    from andon.kafka import asyncapi

    return {
        page.PAGE: (page.page(openapi.document(), asyncapi.document()), "text/html"),
        page.OPENAPI: (openapi.text(), cloudevents.JSON),
        page.ASYNCAPI: (asyncapi.text(), cloudevents.JSON),
    }


class _Api:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._encode = msgspec.json.Encoder().encode

    def answering(self, answer: Answer, said: Said = problem) -> Answer:
        """The same behind the gate, with what is refused said as a problem, or as `said` says it."""
        gate = self._door.gate

        async def answered(request: web.Request) -> web.Response:
            try:
                gate.enter(request)
                return await answer(request)
            except Refused as refusal:
                return self._refuse(request, refusal, said)

        return answered

    async def single(self, request: web.Request) -> web.Response:
        client, body = await self._opened(request, _SINGLE)
        accepted: Accepted = await self._door.single(client, request.headers, body)
        return web.Response(body=self._encode(accepted), status=202, content_type="application/json")

    async def batch(self, request: web.Request) -> web.Response:
        client, body = await self._opened(request, _MANY)
        items: list[Item] = await self._door.batch(client, request.headers, body)
        return web.Response(body=self._encode(items), content_type="application/json")

    async def alerts(self, request: web.Request) -> web.Response:
        client, body = await self.posted(request)
        await self._door.alerts(client, request.headers, body)
        return web.Response(body=b"{}", content_type="application/json")

    async def prometheus_alert(self, request: web.Request) -> web.Response:
        client, body = await self.posted(request)
        await self._door.alerts(client, request.headers, body, _query(request.raw_path))
        return web.Response(body=b"{}", content_type="application/json")

    async def hook(self, request: web.Request) -> web.Response:
        client = await self.client(request)
        if client.name != request.match_info["name"]:
            raise Refused(Reason.FORBIDDEN, "this token is for another source", "Authorization")
        taken = await self._door.hook(client, request.headers, await self._body(request))
        return web.Response(body=self._encode(taken), status=202, content_type="application/json")

    async def greet(self, request: web.Request) -> web.Response:
        answer = self._door.greet(self._inbound(request, b""))
        return web.Response(body=answer.body, content_type=answer.media)

    async def callback(self, request: web.Request) -> web.Response:
        self._called(request)  # nothing is read for an address that is none, or of who may not call it
        answer = await self._door.callback(self._inbound(request, await self._body(request)))
        return web.Response(body=answer.body, content_type=answer.media)

    async def mutes(self, request: web.Request) -> web.Response:
        found = await self._muting().running(await self.client(request))
        return web.Response(body=self._encode(found), content_type="application/json")

    async def mute(self, request: web.Request) -> web.Response:
        client, body = await self.posted(request)
        made = await self._muting().create(client, body)
        return web.Response(body=self._encode(made), status=201, content_type="application/json")

    async def unmute(self, request: web.Request) -> web.Response:
        ended = await self._muting().end(await self.client(request), request.match_info["id"])
        return web.Response(body=self._encode(ended), content_type="application/json")

    def _muting(self) -> Mutes:
        if self._door.mutes is None:
            raise Refused(Reason.INVALID, "this door mutes nothing", status=404)
        return self._door.mutes

    async def client(self, request: web.Request) -> Client:
        """Whose request it is. Raises Refused."""
        client = await self._door.client(request.headers.get("Authorization"))
        self._door.gate.authenticated(request, client.name)
        self._door.gate.known(request, client.name)
        return client

    def _called(self, request: web.Request) -> str:
        """The source that is called back. Raises Refused."""
        name = request.match_info["name"]
        if name not in self._door.callbacks:
            raise Refused(Reason.INVALID, "no source is called back here; look at its name", status=404)
        self._door.gate.known(request, name)
        return name

    def _inbound(self, request: web.Request, body: bytes) -> Inbound:
        return Inbound(self._called(request), request.headers, body, _query(request.raw_path))

    async def document(self, request: web.Request) -> web.Response:
        if (refusal := self._door.gate.stranger(request)) is not None:
            raise refusal
        text, media = documents()[request.path]
        return web.Response(text=text, content_type=media, headers=page.HEADERS)

    def other_method(self, allowed: str) -> Answer:
        """What answers any method that an address does not have."""

        async def answer(request: web.Request) -> web.Response:
            detail = f"{request.method} is not possible here; use {allowed.partition(',')[0]}"
            raise Refused(Reason.INVALID, detail, status=405, headers={"Allow": allowed})

        return answer

    async def nowhere(self, _request: web.Request) -> web.Response:
        raise Refused(Reason.INVALID, f"nothing is here; events go to {EVENTS} or {BATCH}", status=404)

    async def posted(self, request: web.Request) -> tuple[Client, bytes]:
        """Whose JSON it is. Raises Refused."""
        return await self._opened(request, (Form.PLAIN,))

    async def _opened(self, request: web.Request, forms: tuple[Form, ...]) -> tuple[Client, bytes]:
        """Whose request it is, and its body. Nothing of a stranger's body is read. Raises Refused."""
        headers = request.headers
        client = await self.client(request)
        if form_of(headers) not in forms:
            takes = _TAKES.get(forms, f"send {cloudevents.JSON}")
            raise Refused(Reason.MEDIA_TYPE, takes, "Content-Type")
        return client, await self._body(request)

    async def _body(self, request: web.Request) -> bytes:
        """Raises Refused."""
        headers = request.headers
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(Reason.MEDIA_TYPE, "send it uncompressed", "Content-Encoding")
        if request.content.is_eof():
            body = await self._read(request)
        else:
            await _ask_for(request)
            body = await self._read_slowly(request)
        if len(body) > self._door.limits.body:
            raise too_large(self._door.limits.body)
        return body

    async def _read_slowly(self, request: web.Request) -> bytes:
        """A body that is still on its way: not for ever."""
        try:
            async with asyncio.timeout(SLOWEST):
                return await self._read(request)
        except TimeoutError:
            raise Refused(Reason.TIMEOUT, f"the body did not arrive within {SLOWEST:.0f} seconds") from None

    async def _read(self, request: web.Request) -> bytes:
        """The body, counted as it comes."""
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise too_large(self._door.limits.body) from None
        except (web.RequestPayloadError, ConnectionError):
            raise Refused(Reason.CONNECTION, "the body is not what its headers promise") from None

    def _refuse(self, request: web.Request, refusal: Refused, said: Said) -> web.Response:
        refusal = self._door.gate.judged(request, refusal)
        who, client = self._door.gate.who(request)
        self._door.refusals.note(Refusal(refusal.reason, who, self._place(request), client))
        body, media = said(refusal)
        status, headers = refusal.problem.status, refusal.headers
        response = web.Response(body=body, status=status, content_type=media, headers=headers)
        if _waits(request) and not request.content.is_eof():
            response.force_close()  # a body that was not asked for may or may not come: nobody could tell it apart
        return response

    def _place(self, request: web.Request) -> str:
        """The address that was asked, in one of as many words as we have addresses."""
        match = request.match_info
        resource = match.route.resource
        if match.get("name") in self._door.callbacks:
            return request.path
        return resource.canonical if resource else ELSEWHERE


async def _ask_for(request: web.Request) -> None:
    """Tells a client that waits for it to send its body."""
    if _waits(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # it is no part of the answer


def _waits(request: web.Request) -> bool:
    return request.headers.get("Expect", "").lower() == "100-continue" and request.version == HttpVersion11


def _query(path: str) -> dict[str, str]:
    """The parameters of an address. A `+` stays one: vendors leave it so in what they have sealed."""
    pairs = (pair.partition("=") for pair in path.partition("?")[2].split("&"))
    return {unquote(name): unquote(value) for name, _, value in pairs}
