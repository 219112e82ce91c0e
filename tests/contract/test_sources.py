"""Every installed source keeps the contract."""

from __future__ import annotations

import os
import re
from typing import Any

import msgspec
import pytest

from andon.core.event import Event
from andon.core.failure import Rejected
from andon.core.ports import Answer, Called, Inbound
from andon.core.specimen import REFERENCE
from andon.ingress.bodies.sealed import signature
from andon.ingress.sources.kafka import KafkaSource
from andon.ingress.sources.wecom_callback import WecomCallback
from andon.runtime.registry import Registry
from andon.testing.contract_sources import LAWS, run
from andon.testing.rig import ContractBroken

GROUP = "andon.sources"


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", Registry().kinds(GROUP))
def test_source_keeps_the_law(kind: str, name: str) -> None:
    run(name, Registry().plug_in(GROUP, kind))


class Raises(KafkaSource):
    def parse(self, inbound: Inbound, /) -> list[Event]:
        raise ValueError(inbound.body)


class Counts(KafkaSource):
    count = 0

    def parse(self, inbound: Inbound, /) -> list[Event]:
        Counts.count += 1
        try:
            (event,) = super().parse(inbound)
        except Rejected:
            raise Rejected("invalid", "") from None  # type: ignore[arg-type]
        return [event] * Counts.count


class Believes(WecomCallback):
    """Every signature is good."""

    def called(self, inbound: Inbound, /) -> Called:
        sealed = re.search(rb"<Encrypt>(.*)</Encrypt>", inbound.body)
        timestamp, nonce = inbound.query.get("timestamp", "1700000000"), inbound.query.get("nonce", "n")
        token = os.environ[REFERENCE.removeprefix("env:")]
        signed = signature(token, timestamp, nonce, sealed[1].decode() if sealed else "")
        query = {"msg_signature": signed, "timestamp": timestamp, "nonce": nonce}
        return super().called(msgspec.structs.replace(inbound, query=query))


class Timeless(WecomCallback):
    """What was signed once is good for ever."""

    class Config(WecomCallback.Config):
        within: float = 1e12


class Tells(WecomCallback):
    """The answer shows the token."""

    def called(self, inbound: Inbound, /) -> Called:
        token = os.environ[REFERENCE.removeprefix("env:")]
        return Called(super().called(inbound).events, Answer(token.encode()))


class Stumbles(WecomCallback):
    """Takes for granted that who asks says what for."""

    def greet(self, inbound: Inbound, /) -> Answer:
        return Answer(inbound.query["echostr"].encode())


class Lax(KafkaSource):
    class Config(KafkaSource.Config):
        model_config = {"extra": "ignore"}  # noqa: RUF012 - pydantic's way


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (Raises, "whatever_arrives_is_events_or_rejected"),
        (Counts, "whatever_arrives_is_events_or_rejected"),
        (Counts, "parsing_is_pure"),
        (Believes, "a_callback_is_verified_before_it_is_read"),
        (Timeless, "a_callback_is_verified_before_it_is_read"),
        (Tells, "what_a_vendor_calls_with_is_its_events_and_an_answer"),
        (Stumbles, "what_a_vendor_calls_with_is_its_events_and_an_answer"),
        (Lax, "configuration_refuses_unknown_keys"),
    ],
)
def test_broken_source_is_caught(broken: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        run(name, broken)
