"""Webhooks and mail as the egress desk serves them: built from a configuration, told of an event, known by its id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import pytest

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.event import Home
from andon.core.failure import Retryable
from andon.core.policy import OnAmbiguous
from andon.core.work import Item
from andon.dev.webhook import Fault, WebhookStandIn
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES
from andon.runtime.clock import SystemClock
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.testing.builders import delivery, event
from andon.testing.mail import FakeMail
from andon.web.wire import HttpWire

T = TypeVar("T")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOME = Home(DELIVERIES, 3)
FILES = {"board.j2": '{"text": {{ data.text | tojson }}}', "mail.md.j2": "# {{ event.subject }}\n\n{{ data.text }}"}


def desk(play: Callable[[EgressWork, WebhookStandIn, FakeMail], Awaitable[T]]) -> T:
    async def scene() -> T:
        wire = HttpWire()
        async with WebhookStandIn([SECRET]) as standin, FakeMail() as server:
            hook = {"kind": "webhook", "url": f"{standin.url}/hook", "secrets": ["env:HOOK"], "allow": ["127.0.0.1"]}
            mail = {"kind": "smtp", "host": "127.0.0.1", "port": server.port, "tls": "none", "from": "andon@corp.cn"}
            text = {"body": "template", "content_type": "application/json"}
            settings: dict[str, Any] = {
                "version": 1,
                "channels": {"mes": hook, "board": {**hook, **text}, "mail": mail},
                "receivers": {
                    "mes": {"channel": "mes"},
                    "board": {"channel": "board", "template": "board"},
                    "it": {"channel": "mail", "to": ["it@corp.cn"], "template": "mail"},
                },
                "route": {"receiver": "mes"},
            }
            published = Published(1, datetime.now(UTC), "test", "/", Settings.model_validate(settings), FILES)
            receivers = Receivers(published, Registry(), wire, SystemClock())
            try:
                return await play(EgressWork(receivers, Metrics()), standin, server)
            finally:
                await receivers.close()
                await wire.close()

    return asyncio.run(scene())


def item(work: EgressWork, receiver: str, **changes: Any) -> Item:
    of = delivery(event(data={"text": 'a "b"\n汉'}), receiver=receiver, domain="d", **changes)
    taken = work.read(Record(HOME.topic, HOME.partition, 1, 0, b"d", encode(of))).item
    assert taken
    return taken


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", SECRET)


def test_event_goes_out_with_the_deliverys_id_and_again_after_a_lost_answer() -> None:
    async def play(work: EgressWork, standin: WebhookStandIn, _server: FakeMail) -> tuple[UUID, OnAmbiguous]:
        of = item(work, "mes")
        assert of.group is None, "an event is never merged"
        standin.fail(Fault("reset", times=1, seen=True))
        with pytest.raises(Retryable) as lost:
            await work.call(of, 0, 5.0)
        assert lost.value.ambiguous
        await work.call(of, 0, 5.0)
        assert [(one.id, one.repeat) for one in standin.seen] == [(str(of.id), False), (str(of.id), True)]
        assert json.loads(standin.seen[0].body)["data"] == {"text": 'a "b"\n汉'}
        return of.id, work.policy("mes").on_ambiguous

    identity, ambiguous = desk(play)
    assert identity
    assert ambiguous is OnAmbiguous.RESEND_KEYED


def test_template_renders_json_for_a_board() -> None:
    async def play(work: EgressWork, standin: WebhookStandIn, _server: FakeMail) -> OnAmbiguous:
        await work.call(item(work, "board"), 0, 5.0)
        assert json.loads(standin.seen[0].body) == {"text": 'a "b"\n汉'}
        assert standin.seen[0].content_type == "application/json"
        return work.policy("board").on_ambiguous

    assert desk(play) is OnAmbiguous.RESEND_KEYED


def test_mail_is_rendered_for_its_recipients_and_marked_when_it_may_be_a_repeat() -> None:
    async def play(work: EgressWork, _standin: WebhookStandIn, server: FakeMail) -> None:
        of = item(work, "it", recipients=("it@corp.cn",))
        await work.call(of, 0, 5.0)
        of.marked = True
        await work.call(of, 0, 5.0)
        one, two = server.mails
        assert one.recipients == two.recipients == ("it@corp.cn",)
        assert b"text/html" in one.data
        assert b"Subject: line-3/M-07\r\n" in one.data
        assert work.policy("it").on_ambiguous is OnAmbiguous.RESEND_MARKED

    desk(play)
