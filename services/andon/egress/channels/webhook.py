"""Any system with an HTTP address: the event as a CloudEvent, or a rendered text, signed by Standard Webhooks 1.0.

Specification: https://www.standardwebhooks.com. CloudEvents over HTTP, structured:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, Field, field_validator, model_validator

from andon.config.addresses import is_loopback
from andon.config.mistakes import OfKey
from andon.config.secrets import SecretMissing, SecretRef
from andon.config.units import Rate
from andon.core import cloudevents
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt, Reply, Wire
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, ChannelSpecimen
from andon.egress import events
from andon.egress.certified import Certified
from andon.egress.channels.webhook_accept import Accept, judge_body
from andon.egress.channels.webhook_headers import referred, require_header
from andon.web import webhooks
from andon.web.address import parse
from andon.web.guard import Guard, require_entry
from andon.web.shown import beginning

TYPES = {"text": "text/plain; charset=utf-8", "markdown": "text/markdown; charset=utf-8"}
BYTES = 384 << 10  # more than a template can render
WAIT_MOST = 3_600.0
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:; ?[a-z]+=[A-Za-z0-9._-]+)*")
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context


class Webhook:
    """One address. `send` makes one POST; a repeat has the same `webhook-id`, so the other side can know it.

    With `body: event` it takes events (core.ports.EventChannel), with `body: template` texts.
    """

    class Config(Certified):
        """The address, its secrets, and what it answers when all went well."""

        url: SecretRef | str
        """`https://…`, plain http to this machine only; with a key in it a secret, `env:NAME` or `file:/path`."""
        secrets: tuple[SecretRef, ...] = ()
        """What it is signed with, `whsec_…` or `whsk_…`: one signature by each, so that two overlap in a rotation."""
        allow: tuple[Annotated[str, AfterValidator(require_entry)], ...] = ()
        """Networks and host names it may lead to beside public addresses, `10.1.0.0/16`: docs/outbound.md."""
        body: Literal["event", "template"] = "event"
        """The event itself as a CloudEvent in JSON, or what the receiver's template renders."""
        content_type: str | None = None
        """Of a rendered body; by default that of plain text or markdown. Of JSON it must be JSON."""
        accept: Accept = Accept()
        """Which answer is a success."""
        headers: Annotated[dict[str, str], Field(default_factory=dict)]
        """More headers; a secret as `env:NAME` or `file:/path`, with a word before it if need be: `Bearer env:NAME`."""
        limit: Rate | None = None
        """No more calls than this; none by default."""

        @field_validator("url", mode="before")
        @classmethod
        def _address(cls, url: Any) -> Any:
            if not isinstance(url, str):
                return url
            return SecretRef(url) if url.startswith(("env:", "file:")) else _checked(url)

        @field_validator("content_type")
        @classmethod
        def _media(cls, text: str | None) -> str | None:
            if text is not None and not _TYPE.fullmatch(text):
                raise ValueError("write a media type like application/json")
            return text

        @field_validator("headers")
        @classmethod
        def _more(cls, headers: dict[str, str]) -> dict[str, str]:
            for name, value in headers.items():
                require_header(name, value)
            return headers

        @model_validator(mode="after")
        def _together(self) -> Webhook.Config:
            if self.body == "event" and self.content_type is not None:
                raise ValueError("`content_type` is for `body: template`; an event is application/cloudevents+json")
            if isinstance(self.url, str):
                host = parse(self.url).origin.host
                kind = None if not _is_number(host) else Guard(self.allow).refuses(host, host)
                if kind:
                    raise OfKey("url", f"{host} is {kind} address; name it or its network in `allow`")
            return self

        def limit_domain(self) -> str:
            """The host, or the reference of an address that is a secret."""
            where = self.url.reference if isinstance(self.url, SecretRef) else parse(self.url).authority.lower()
            return f"webhook:{where}"

        def limits(self) -> tuple[Limit, ...]:
            return (self.limit,) if self.limit else ()

        def lines(self) -> int:
            return 1

        def for_programs(self) -> bool:
            """One that people read needs no other type than that of text."""
            return self.content_type is not None

    specimen: ClassVar = ChannelSpecimen(
        options={"url": f"{BASE}/hook", "secrets": [REFERENCE], "allow": ["127.0.0.1"], "body": "template"},
        kinds=dict.fromkeys(TYPES, BYTES),
        accepted=b"",
        refused=(),
        throttled=(),
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # noqa: S106 - published with the specification
        by_status=True,
        whole=True,
        recipients=0,
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._clock = context.clock
        self._shared = context.wire
        self._directory = context.directory
        self._wire: Wire | None = None
        if config.body == "event":
            self.content = events.content

    def __repr__(self) -> str:
        return f"Webhook({self._config.limit_domain()!r})"

    def repeat_key(self, call: Call, /) -> str:
        """The `webhook-id`."""
        return str(call.key)

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """The whole, without the tail where a `content_type` says that it is for programs. Raises Rejected for another
        kind, and for what is longer than any template renders."""
        self._require(content)
        for_people = tail and content.kind != events.KIND and not self._config.for_programs()
        whole = Content(content.kind, content.text + tail) if for_people else content
        if len(whole.text.encode()) > BYTES:
            raise Rejected(Reason.TOO_LONG, f"a webhook's body has at most {BYTES:,} bytes")
        return (whole,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Posts one body and judges the answer as `accept` says."""
        body, headers = self._form(call.content)
        secrets: list[str] = []
        try:
            url = self._url(secrets)
            headers |= {name: self._value(value, secrets) for name, value in self._config.headers.items()}
            keys = [one.get_secret_value() for reference in self._config.secrets for one in reference.values()]
            secrets += keys
            headers |= webhooks.headers(keys, self.repeat_key(call), int(self._clock.now()), body)
        except (SecretMissing, webhooks.NoSecret) as missing:
            raise Retryable(Reason.NOT_SENT, str(missing)) from None
        reply = await self._way().request("POST", url, body=body, headers=headers, deadline=call.deadline)
        failure = self._judge(reply, url, secrets)
        if failure:
            raise failure
        return [Receipt(recipient) for recipient in call.recipients]

    async def close(self) -> None:
        """Closes its connections; may be called twice."""
        if self._wire is not None:
            await self._wire.close()

    def _require(self, content: Content) -> None:
        known = (events.KIND,) if self._config.body == "event" else tuple(TYPES)
        if content.kind not in known:
            raise Rejected(Reason.REJECTED, f"this webhook takes {' or '.join(known)}, not {content.kind}")

    def _form(self, content: Content) -> tuple[bytes, dict[str, str]]:
        """Body and headers."""
        self._require(content)
        if content.kind == events.KIND:
            body, trace = events.parted(content)
            traced = {"traceparent": trace} if _TRACE.fullmatch(trace) else {}
            return body.encode(), {"Content-Type": cloudevents.STRUCTURED} | traced
        media = self._config.content_type or TYPES[content.kind]
        if cloudevents.is_json(media):
            try:
                msgspec.json.decode(content.text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise Rejected(Reason.TEMPLATE_BROKEN, f"the template renders no JSON: {error}") from None
        return content.text.encode(), {"Content-Type": media}

    def _url(self, secrets: list[str]) -> str:
        """The address. One that is a secret is checked now; what it holds beside the host is never shown."""
        if isinstance(self._config.url, str):
            return self._config.url
        url = self._config.url.reveal()
        secrets.append(url)
        try:
            return _checked(url)
        except ValueError as error:
            raise Rejected(Reason.CREDENTIALS, f"what {self._config.url.reference} holds: {error}") from None

    @staticmethod
    def _value(value: str, secrets: list[str]) -> str:
        before, reference = referred(value)
        if reference is None:
            return value
        secrets.append(reference.reveal())
        return before + secrets[-1]

    def _way(self) -> Wire:
        """Connections of its own: where they may lead, and whom they believe, is this channel's."""
        if self._wire is None:
            files = self._config.files(self._directory)
            way = msgspec.structs.replace(self._shared.way, allow=self._config.allow, **files)
            self._wire = self._shared.apart(way)
        return self._wire

    def _judge(self, reply: Reply, url: str, secrets: Sequence[str]) -> Failure | None:
        """What went wrong, or None. A 3xx or 4xx turned the request away, so nothing happened; after a 5xx it may have
        had its effect."""
        status, accept = reply.status, self._config.accept
        if 200 <= status < 300:
            if accept.status and status not in accept.status:
                said = _said(reply, url, secrets)
                return Retryable(Reason.BAD_REPLY, f"{said}: a status that `accept` does not name", ambiguous=True)
            return judge_body(reply.body, accept.body, _said(reply, url, secrets)) if accept.body else None
        said = _said(reply, url, secrets)
        if status == 410:
            return Rejected(Reason.GONE, f"{said}: it wants no more; take it out of the routes, or correct its `url`")
        after = self._after(reply)
        if status in (408, 425, 429):
            return Retryable(Reason.THROTTLED if status == 429 else Reason.BUSY, said, after=after)
        if 400 <= status < 500:
            return Rejected(Reason.REJECTED, said)
        if status < 400:
            return Retryable(Reason.BAD_REPLY, f"HTTP {status}: redirects are not followed; correct its `url`")
        return Retryable(Reason.BUSY if after else Reason.SERVER_ERROR, said, after=after, ambiguous=True)

    def _after(self, reply: Reply) -> float | None:
        """What Retry-After asks for, in seconds (RFC 9110, section 10.2.3), but no more than an hour."""
        text = reply.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return min(float(text[:9]), WAIT_MOST)
        try:
            moment = parsedate_to_datetime(text)
            then = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
        return min(max(then - self._clock.now(), 0.0), WAIT_MOST)


def _said(reply: Reply, url: str, secrets: Sequence[str]) -> str:
    """Status and beginning of an answer, without the secrets, and without path and query of an address that is one."""
    address = urlsplit(url) if url in secrets else None
    parts = [part for part in (address.path, address.query) if len(part) > 1] if address else []
    body = beginning(reply.body.decode(errors="replace"), [*secrets, *parts])
    return f"HTTP {reply.status}: {body}".removesuffix(": ")


def _checked(url: str) -> str:
    """The address. Raises ValueError."""
    try:
        address = parse(url)
    except UnicodeError:
        raise ValueError("no host") from None
    if not address.origin.tls and not is_loopback(address.origin.host):
        raise ValueError("write https://host/path; plain http is for this machine only")
    return url


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
