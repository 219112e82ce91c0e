"""Every installed source keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.event import Event
from andon.core.failure import Rejected
from andon.core.ports import Inbound
from andon.ingress.sources.kafka import KafkaSource
from andon.runtime.registry import Registry
from andon.testing.contract_sources import LAWS, run
from andon.testing.rig import ContractBroken

GROUP = "andon.sources"
OPTIONS: dict[str, dict[str, Any]] = {"http": {"token": "env:CONTRACT_TOKEN"}, "kafka": {"topic": "alarms"}}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", Registry().kinds(GROUP))
def test_source_keeps_the_law(kind: str, name: str) -> None:
    run(name, Registry().plug_in(GROUP, kind), OPTIONS[kind])


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


class Lax(KafkaSource):
    class Config(KafkaSource.Config):
        model_config = {"extra": "ignore"}  # noqa: RUF012 - pydantic's way


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (Raises, "whatever_arrives_is_events_or_rejected"),
        (Counts, "whatever_arrives_is_events_or_rejected"),
        (Counts, "parsing_is_pure"),
        (Lax, "configuration_refuses_unknown_keys"),
    ],
)
def test_broken_source_is_caught(broken: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        run(name, broken, OPTIONS["kafka"])
