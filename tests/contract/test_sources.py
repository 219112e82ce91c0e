"""Every installed source keeps the contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from andon.core.event import Event
from andon.core.failure import Rejected
from andon.core.ports import Inbound
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

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        seals = list(self._seals())
        body = re.search(rb"<Encrypt>(.*)</Encrypt>", inbound.body)
        timestamp, nonce = inbound.query.get("timestamp", "1700000000"), inbound.query.get("nonce", "n")
        signature = seals[0].signature(timestamp, nonce, body[1].decode() if body else "")
        query = {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}
        return super().parse(msgspec.structs.replace(inbound, query=query))


class Timeless(WecomCallback):
    """What was signed once is good for ever."""

    class Config(WecomCallback.Config):
        within: float = 1e12


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
        (Lax, "configuration_refuses_unknown_keys"),
    ],
)
def test_broken_source_is_caught(broken: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        run(name, broken)
