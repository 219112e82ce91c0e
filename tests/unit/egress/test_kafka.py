"""A topic of another cluster: what keeps a channel out of it is told as that, and read again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from confluent_kafka import KafkaError

from andon.core.delivery import delivery_id
from andon.core.failure import Failure, Retryable
from andon.core.outcome import Evidence
from andon.core.ports import Call, Context, Receipt, Wire
from andon.core.reason import Reason
from andon.egress.channels.kafka import KafkaTopic
from andon.kafka import producer
from andon.testing.builders import event
from andon.testing.clock import ManualClock


class Client:
    """The library's: one with the password `good` is let in. Another one has the records in `placed` partitions, for it
    had been let in before, and is refused at its next poll."""

    made: ClassVar[list[Client]] = []
    placed: int | None = None

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.closed = False
        self._held: list[Any] = []
        Client.made.append(self)

    @property
    def password(self) -> str:
        return cast("str", self.settings["sasl.password"])

    def __len__(self) -> int:
        return len(self._held)

    def produce(self, topic: str, _value: object, _key: object, on_delivery: Any, headers: object) -> None:
        assert headers
        self._held.append((topic, on_delivery))

    def poll(self, _wait_s: float) -> None:
        if self.password == "good":
            self._report(None, 0)
        elif self._held:
            self.settings["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "Authentication failed"))

    def purge(self) -> None:
        self._report(KafkaError(KafkaError._PURGE_QUEUE), Client.placed)

    def _report(self, error: KafkaError | None, partition: int | None) -> None:
        held, self._held = self._held, []
        for topic, told in held:
            place = SimpleNamespace(topic=topic, partition=partition, offset=0, timestamp=(1, 0))
            told(error, SimpleNamespace(**{name: lambda value=value: value for name, value in vars(place).items()}))

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    monkeypatch.setattr(producer, "Producer", Client)
    monkeypatch.setattr(producer, "_LEAVE_S", 0.0)
    monkeypatch.setattr(Client, "made", [])
    monkeypatch.setattr(Client, "placed", None)
    monkeypatch.setenv("ANDON_TEST_USER", "andon")
    monkeypatch.setenv("ANDON_TEST_PASSWORD", "of the past")
    return Client.made


SASL = {"user": "env:ANDON_TEST_USER", "password": "env:ANDON_TEST_PASSWORD"}


def channel(clock: ManualClock, **more: object) -> KafkaTopic:
    config = KafkaTopic.Config.model_validate({"topic": "alarms", "bootstrap": "127.0.0.1:1", **more})
    return KafkaTopic(config, Context("out", Path(), clock, cast("Wire", None)))


def sent(one: KafkaTopic) -> Coroutine[Any, Any, Sequence[Receipt]]:
    of = event()
    return one.send(Call(delivery_id(of, "out"), "out", ("out",), one.content(of)))


async def failed(one: KafkaTopic) -> Failure:
    with pytest.raises(Retryable) as failure:
        await sent(one)
    return failure.value


async def not_sent(one: KafkaTopic) -> str:
    failure = await failed(one)
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
    return failure.detail


def test_a_file_that_cannot_be_used_is_named_and_read_again_some_seconds_later(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"

    async def main() -> None:
        clock = ManualClock()
        one = channel(clock, tls={"ca": f"file:{ca}"})
        missing = f"the TLS file {ca} cannot be used: No such file or directory"
        assert await not_sent(one) == missing
        ca.write_text("half of a")
        clock.advance(4)
        assert await not_sent(one) == missing
        clock.advance(1)
        garbled = await not_sent(one)
        assert garbled.startswith(f"the TLS file {ca} cannot be used: ")
        assert garbled != missing
        await one.close()

    asyncio.run(main())


def test_a_login_that_is_refused_is_tried_again_some_seconds_later_with_the_secret_of_then(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = "the Kafka at 127.0.0.1:1 refuses the account (sasl); correct its user or password"

    async def main() -> None:
        clock = ManualClock()
        one = channel(clock, sasl=SASL)
        assert await not_sent(one) == refused
        monkeypatch.setenv("ANDON_TEST_PASSWORD", "good")
        clock.advance(4)
        assert await not_sent(one) == refused
        assert len(clients) == 1
        clock.advance(1)
        assert await sent(one) == [Receipt("out", Evidence.RECEIPT)]
        assert [client.password for client in clients] == ["of the past", "good"]
        await one.close()

    asyncio.run(main())
    assert [client.closed for client in clients] == [True, True]


def test_what_may_have_left_before_the_login_was_refused_is_ambiguous(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "placed", 0)

    async def main() -> None:
        one = channel(ManualClock(), sasl=SASL)
        first = await failed(one)
        assert isinstance(first, Retryable)
        assert (first.reason, first.ambiguous) == (Reason.CONNECTION, True)
        assert "refuses the account" in first.detail
        assert await not_sent(one) == first.detail, "of the next one nothing left"
        await one.close()

    asyncio.run(main())
    assert [client.closed for client in clients] == [True]


def test_a_channel_that_has_nothing_to_send_does_not_go_on_asking_who_refuses_it(
    clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDON_TEST_PASSWORD", "good")

    async def main() -> None:
        one = channel(ManualClock(), sasl=SASL)
        await sent(one)
        clients[0].settings["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "Authentication failed"))

    asyncio.run(main())
    assert clients[0].closed


def test_a_cluster_that_was_never_reached_has_nothing() -> None:
    async def main() -> None:
        one = channel(ManualClock())
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("andon.egress.channels.kafka._TIMEOUT_S", 0.5)
            assert await not_sent(one) == "Local: Message timed out"
        await one.close()

    asyncio.run(main())
