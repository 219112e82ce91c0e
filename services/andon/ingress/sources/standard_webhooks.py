"""Webhooks of any system that signs them by Standard Webhooks 1.0.0.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from pydantic import Field

from andon.config.maps import Lookup, Map, Moment
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Seconds
from andon.core.event import Event
from andon.core.failure import Invalid, Retryable
from andon.core.ports import Called, Context, Inbound, Mapped
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress.bodies import traceparent
from andon.ingress.bodies.callback import MOST_WITHIN, Callback, Window, checked_size, require_signed
from andon.ingress.bodies.sent import check
from andon.ingress.mapping import EventMap
from andon.web.webhooks import NoSecret, signed_with

# The payload that the specification recommends, and what a CloudEvent has in its place.
_RECOMMENDED = Map(
    type="{type}",
    subject=Lookup(from_="subject", else_=""),
    time=Moment(from_="time || timestamp", else_="now"),
    data="{data || @}",
)
_SIGNED = ("id", "timestamp", "signature")


class StandardWebhooks(Callback):
    """Verified webhooks. A webhook is known by its `webhook-id`, which stays the same over its repeats and is signed;
    its events are all of the body's or none."""

    class Config(Section):
        """What the other system signs with."""

        secrets: tuple[SecretRef, ...] = Field(min_length=1, max_length=8)
        """`whsec_…`, the secret of both sides, or `whpk_…`, the other side's public key. Each may have signed; a file
        may hold two lines during a rotation."""
        within: Seconds = Field(default=300.0, gt=0, le=MOST_WITHIN)
        """How old, or how far ahead of our clock, an attempt may be."""
        own_name: ClassVar = True

    specimen: ClassVar = SourceSpecimen(
        options={"secrets": [REFERENCE]},
        headers={
            "webhook-id": "msg_1",
            "webhook-timestamp": "1700000000",
            "webhook-signature": "v1,roBlk5ZsE4H5VqHbPdUVYHULQhY/HojiuOVrvYvWOn0=",
        },
        body=b'{"type":"order.late","timestamp":"2023-11-14T22:13:20Z","data":{"order":"4711"}}',
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # noqa: S106 - published with the specification
    )
    own_ids: ClassVar = True

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(context)
        self._secrets = config.secrets
        self._window = Window(context.clock, config.within)
        self._map = context.map or EventMap(_RECOMMENDED, "UTC", self._random)

    def called(self, inbound: Inbound, /) -> Called:
        """Raises Invalid (a Rejected), and Retryable without a secret, or with one that is none."""
        identity = self._verified(inbound)
        now = self._clock.now()
        trace = traceparent.accepted(inbound.headers.get("traceparent")) or traceparent.minted(self._random(24))
        document = self._map.read(inbound.body, inbound.headers.get("content-type", ""))
        found = self._map.events(document, self._name, now, trace)
        events = [_named(one, identity, at, len(found)) for at, one in enumerate(found, 1) if one is not None]
        return Called(events, left_out=found.count(None))

    def _verified(self, inbound: Inbound) -> str:
        """The id of a webhook that was signed with one of our secrets, not long ago."""
        identity, timestamp, signatures = (inbound.headers.get(f"webhook-{name}", "") for name in _SIGNED)
        if not (identity and timestamp and signatures):
            raise Invalid(Reason.UNAUTHORISED, "a webhook has webhook-id, webhook-timestamp and webhook-signature")
        body = checked_size(inbound.body)
        otherwise = Invalid(Reason.UNAUTHORISED, "the signature is none of ours", "webhook-signature")
        try:
            require_signed(
                self._secrets, lambda secret: signed_with(secret, identity, timestamp, body, signatures), otherwise
            )
        except NoSecret as error:
            raise Retryable(Reason.UNAVAILABLE, str(error)) from None
        self._window.require(timestamp)
        return identity


def _named(one: Mapped | Invalid, identity: str, number: int, count: int) -> Event:
    """The event under the id of its webhook, with its number where there are several. Raises Invalid."""
    if isinstance(one, Invalid):
        raise one
    event = one.event
    name = identity if count == 1 else f"{identity}/{number}"
    check(event.source, event.type, event.subject, name)
    return msgspec.structs.replace(event, id=name)
