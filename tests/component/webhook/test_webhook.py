"""The webhook channel against its strict stand-in, the official library and a name that leads astray.

Each check is a sentence about any webhook channel; channels with a seeded mistake break the one named beside them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook as Official

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Call, Context, Receipt, Reply, Way, Wire
from andon.core.reason import Reason
from andon.dev.webhook import Fault, WebhookStandIn
from andon.egress.channels.webhook import Webhook
from andon.runtime.clock import SystemClock
from andon.testing.builders import call, event
from andon.web import webhooks
from andon.web.wire import HttpWire
from tests.rig.serving import served
from tests.rig.tls import Authority
from tests.unit.web.rig import Names

OLD = "whsec_" + b64encode(b"o" * 32).decode()
NEW = "whsec_" + b64encode(b"n" * 32).decode()
KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PRIVATE = "whsk_" + b64encode(b"s" * 32).decode()
PUBLIC = "whpk_" + b64encode(KEY.public_key().public_bytes_raw()).decode()


class Scene:
    """A channel of this type, its wire, and the stand-in it speaks to."""

    def __init__(self, channel_type: type[Webhook], standin: WebhookStandIn, wire: Wire) -> None:
        self.type = channel_type
        self.standin = standin
        self.wire = wire
        self.opened: list[Webhook] = []

    def channel(self, **options: Any) -> Webhook:
        base = {"url": f"{self.standin.url}/hook", "secrets": ["env:HOOK_NEW"], "allow": ["127.0.0.1"]}
        config = self.type.Config(**{**base, "body": "template", **options})
        self.opened.append(self.type(config, Context("mes", Path(), SystemClock(), self.wire)))
        return self.opened[-1]

    async def send(self, one: Call | None = None, **options: Any) -> Sequence[Receipt] | Failure:
        try:
            return await self.channel(**options).send(one or call("停机", delivery=uuid4()))
        except Failure as failure:
            return failure


Check = Callable[[Scene], Awaitable[None]]


def run(check: Check, channel_type: type[Webhook] = Webhook, *secrets: str) -> None:
    async def scene() -> None:
        wire = HttpWire()
        async with WebhookStandIn(secrets or (NEW,)) as standin:
            stage = Scene(channel_type, standin, wire)
            try:
                async with asyncio.timeout(20):
                    await check(stage)
            finally:
                for channel in stage.opened:
                    await channel.close()
                await wire.close()

    asyncio.run(scene())


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOOK_OLD": OLD, "HOOK_NEW": NEW, "HOOK_KEY": PRIVATE}.items():
        monkeypatch.setenv(name, value)
    Names(monkeypatch, {"hook.test": [["127.0.0.1"]], "inside.test": [["127.0.0.1"]]})


# ---- checks


async def is_signed_as_the_receiver_verifies(scene: Scene) -> None:
    result = await scene.send(call('{"a": "é"}', recipients=("mes",)), content_type="application/json")
    assert result == [Receipt("mes")], (result, scene.standin.counts)
    (taken,) = scene.standin.seen
    assert (taken.content_type, taken.body) == ("application/json", '{"a": "é"}')
    assert Official(NEW).verify(taken.body, dict(taken.headers)) == {"a": "é"}


async def event_is_taken_as_a_cloud_event(scene: Scene) -> None:
    channel = scene.channel(body="event")
    content = channel.content(event())
    await channel.send(call(content.text, content.kind))
    assert scene.standin.seen[0].content_type == "application/cloudevents+json"
    assert msgspec.json.decode(scene.standin.seen[0].body)["id"] == "e-1"


async def old_and_new_secret_overlap(scene: Scene) -> None:
    result = await scene.send(secrets=["env:HOOK_NEW", "env:HOOK_OLD", "env:HOOK_KEY"])
    assert not isinstance(result, Failure), (result, scene.standin.counts)


async def repeat_has_the_same_id_and_a_time_of_its_own(scene: Scene) -> None:
    scene.standin.fail(Fault("reset", times=1, seen=True))
    one = call("停机", delivery=uuid4())
    first = await scene.send(one)
    assert isinstance(first, Retryable)
    assert first.ambiguous
    await asyncio.sleep(1.1)
    assert not isinstance(await scene.send(one), Failure)
    assert [taken.repeat for taken in scene.standin.seen] == [False, True]
    before, after = (int(taken.headers["webhook-timestamp"]) for taken in scene.standin.seen)
    assert after > before
    assert scene.standin.counts["/hook"].repeats == 1


async def another_delivery_has_another_id(scene: Scene) -> None:
    await scene.send()
    await scene.send()
    assert [taken.repeat for taken in scene.standin.seen] == [False, False]


async def gone_is_parked(scene: Scene) -> None:
    scene.standin.fail(Fault("status", code=410))
    result = await scene.send()
    assert isinstance(result, Rejected)
    assert result.reason is Reason.GONE


async def throttle_waits_as_long_as_it_was_told(scene: Scene) -> None:
    scene.standin.fail(Fault("status", code=429, headers={"Retry-After": "17"}))
    result = await scene.send()
    assert isinstance(result, Retryable)
    assert (result.reason, result.after, result.ambiguous) == (Reason.THROTTLED, 17.0, False)


async def refusal_shows_its_text_without_our_secret(scene: Scene) -> None:
    scene.standin.fail(Fault("status", code=422, text=f"unknown machine, {NEW}"))
    result = await scene.send()
    assert isinstance(result, Rejected)
    assert "unknown machine" in result.detail
    assert NEW not in str(result)
    assert NEW.removeprefix("whsec_") not in str(result)


async def name_that_leads_inside_is_refused_before_a_byte_left(scene: Scene) -> None:
    # The authority is believed, so that nothing but the address can refuse it.
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")

    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        async with served(serve, authority.server("inside.test")) as port:
            url, ca = f"https://inside.test:{port}/x", f"file:{authority.ca}"
            result = await scene.send(url=url, ca=ca, allow=[])
            assert isinstance(result, Rejected), result
            assert "127.0.0.1" in result.detail
            assert heard == []
            for allow in (["127.0.0.0/8"], ["inside.test"]):
                assert not isinstance(await scene.send(url=url, ca=ca, allow=allow), Failure)
    assert len(heard) == 2


async def redirect_is_not_followed(scene: Scene) -> None:
    location = {"Location": f"{scene.standin.url}/other"}
    scene.standin.fail(Fault("status", key="/hook", code=307, headers=location))
    assert isinstance(await scene.send(), Failure)
    assert "/other" not in scene.standin.counts


async def body_decides_where_it_is_configured(scene: Scene) -> None:
    accept = {"body": {"path": "$.code", "equals": 0}}
    scene.standin.fail(Fault("status", code=200, text='{"code": 0}', times=1))
    assert not isinstance(await scene.send(accept=accept), Failure)
    scene.standin.fail(Fault("status", code=200, text='{"code": 500, "msg": "no such machine"}'))
    result = await scene.send(accept=accept)
    assert isinstance(result, Rejected)
    assert "no such machine" in result.detail


async def lost_answers_are_ambiguous_and_within_the_deadline(scene: Scene) -> None:
    for fault in (Fault("hang"), Fault("reset"), Fault("close"), Fault("drip", seconds=0.1)):
        scene.standin.faults[:] = [fault]
        began = time.monotonic()
        result = await scene.send(call(deadline=1.5))
        assert isinstance(result, Retryable), fault
        assert result.ambiguous
        assert time.monotonic() - began < 8


CHECKS: list[Check] = [
    is_signed_as_the_receiver_verifies,
    event_is_taken_as_a_cloud_event,
    repeat_has_the_same_id_and_a_time_of_its_own,
    another_delivery_has_another_id,
    gone_is_parked,
    throttle_waits_as_long_as_it_was_told,
    refusal_shows_its_text_without_our_secret,
    name_that_leads_inside_is_refused_before_a_byte_left,
    redirect_is_not_followed,
    body_decides_where_it_is_configured,
    lost_answers_are_ambiguous_and_within_the_deadline,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_webhook(check: Check) -> None:
    run(check)


@pytest.mark.parametrize("known", [OLD, NEW, PUBLIC], ids=["old", "new", "public"])
def test_a_receiver_that_knows_one_of_the_secrets_is_enough(known: str) -> None:
    run(old_and_new_secret_overlap, Webhook, known)


def test_a_receiver_that_knows_none_refuses() -> None:
    async def check(scene: Scene) -> None:
        result = await scene.send(secrets=["env:HOOK_OLD"])
        assert isinstance(result, Rejected)
        assert 'HTTP 401: {"error":"signature"}' in result.detail

    run(check)


# ---- seeded mistakes

Headers = Callable[[Sequence[str], str, int, bytes], Mapping[str, str]]


class _Resigns(Webhook):
    """Signs in its own way: the wire it was given sees other headers."""

    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        raise NotImplementedError

    def _way(self) -> Wire:
        channel, wire = self, super()._way()

        class Between:
            async def request(self, method: str, url: str, /, *, body: bytes, headers: Any, deadline: float) -> Reply:
                signed = channel.resign(headers["webhook-id"], int(headers["webhook-timestamp"]), body)
                return await wire.request(method, url, body=body, headers={**headers, **signed}, deadline=deadline)

        return Between()  # type: ignore[return-value]


class SignsTheBodyAlone(_Resigns):
    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        mac = hmac.digest(b"n" * 32, body, hashlib.sha256)
        return {"webhook-signature": "v1," + b64encode(mac).decode()}


class TimestampInMilliseconds(_Resigns):
    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        return webhooks.headers([NEW], identity, timestamp * 1000, body)


class SignsWithTheSecretsText(_Resigns):
    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        text = "whsec_" + b64encode(NEW.encode()[:64]).decode()
        return webhooks.headers([text], identity, timestamp, body)


class NewIdEachTime(_Resigns):
    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        return webhooks.headers([NEW], str(uuid4()), timestamp, body)


class IdOfTheReceiver(_Resigns):
    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        return webhooks.headers([NEW], "mes", timestamp, body)


class SignsWithTheFirstOnly(_Resigns):
    def resign(self, identity: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        return webhooks.headers([NEW], identity, timestamp, body)


class GoesWhereverTheNameLeads(Webhook):
    def _way(self) -> Wire:
        if self._wire is None:
            way = Way(ca=self._config.ca)
            self._wire = self._shared.apart(way)
        return self._wire


class FollowsRedirects(Webhook):
    def _way(self) -> Wire:
        wire = super()._way()

        class Between:
            async def request(self, method: str, url: str, /, *, body: bytes, headers: Any, deadline: float) -> Reply:
                reply = await wire.request(method, url, body=body, headers=headers, deadline=deadline)
                if place := reply.headers.get("location"):
                    return await wire.request(method, place, body=body, headers=headers, deadline=deadline)
                return reply

        return Between()  # type: ignore[return-value]


class GoneIsRetried(Webhook):
    def _judge(self, reply: Reply, url: str, secrets: Sequence[str]) -> Failure | None:
        return Retryable(Reason.GONE) if reply.status == 410 else super()._judge(reply, url, secrets)


class EveryStatusOf2xxIsSuccess(Webhook):
    def _judge(self, reply: Reply, url: str, secrets: Sequence[str]) -> Failure | None:
        return None if reply.status < 300 else super()._judge(reply, url, secrets)


class ForgetsRetryAfter(Webhook):
    def _after(self, reply: Reply) -> float | None:
        return None


class ShowsTheAnswerAsItIs(Webhook):
    def _judge(self, reply: Reply, url: str, secrets: Sequence[str]) -> Failure | None:
        return super()._judge(reply, "", ())


class LostAnswerIsSafe(Webhook):
    async def send(self, call: Call, /) -> Sequence[Receipt]:
        try:
            return await super().send(call)
        except Retryable as failure:
            raise Retryable(failure.reason) from None


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (SignsTheBodyAlone, is_signed_as_the_receiver_verifies),
        (TimestampInMilliseconds, is_signed_as_the_receiver_verifies),
        (SignsWithTheSecretsText, is_signed_as_the_receiver_verifies),
        (NewIdEachTime, repeat_has_the_same_id_and_a_time_of_its_own),
        (IdOfTheReceiver, another_delivery_has_another_id),
        (GoesWhereverTheNameLeads, name_that_leads_inside_is_refused_before_a_byte_left),
        (FollowsRedirects, redirect_is_not_followed),
        (GoneIsRetried, gone_is_parked),
        (EveryStatusOf2xxIsSuccess, body_decides_where_it_is_configured),
        (ForgetsRetryAfter, throttle_waits_as_long_as_it_was_told),
        (ShowsTheAnswerAsItIs, refusal_shows_its_text_without_our_secret),
        (LostAnswerIsSafe, lost_answers_are_ambiguous_and_within_the_deadline),
    ],
)
def test_seeded_mistake_is_caught(broken: type[Webhook], check: Check) -> None:
    with pytest.raises(AssertionError):
        run(check, broken)


def test_mistake_in_the_rotation_is_caught() -> None:
    with pytest.raises(AssertionError):
        run(old_and_new_secret_overlap, SignsWithTheFirstOnly, OLD)
