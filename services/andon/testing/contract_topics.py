"""The contract of every channel that takes events and writes them to a topic of Kafka, as laws it keeps or breaks.

    for law in LAWS: run(law, MyChannel, bootstrap, topic)

needs the channel's class with its nested `Config` and its `specimen` (core.specimen.TopicSpecimen), the address of a
broker, and a topic that nobody else uses. Each law raises ContractBroken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from pydantic import BaseModel

from andon.core.event import Event, Home
from andon.core.failure import Rejected, Retryable
from andon.core.ports import Call, Channel, ChannelConfig, Context, EventChannel, Receipt, Wire
from andon.core.specimen import BASE, TOPIC, TopicSpecimen
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.records import Record
from andon.testing.builders import call, event
from andon.testing.clock import ManualClock
from andon.testing.rig import ContractBroken, expect, expect_refused

Law = Callable[["TopicRig"], Awaitable[None]]
LAWS: dict[str, Law] = {}

_SECONDS = 60.0
_NOBODY = "127.0.0.1:1"


class TopicRig:
    """A channel built from its own `specimen`, and the topic it writes to."""

    def __init__(self, channel_type: type[Any], bootstrap: str, topic: str) -> None:
        self._type = channel_type
        self._topic = topic
        self._link = Connection(bootstrap)
        self.config_type: type[BaseModel] = channel_type.Config
        self.options = self.filled(bootstrap)
        self.config: Any = self.config_type.model_validate(self.options)
        self.channel = self.built(self.config)

    def filled(self, bootstrap: str) -> dict[str, Any]:
        """The specimen's options for a broker."""
        specimen: TopicSpecimen = self._type.specimen
        place = {BASE: bootstrap, TOPIC: self._topic}
        return {key: place.get(value, value) for key, value in specimen.options.items()}

    def built(self, config: Any) -> Channel:
        """A channel of this configuration."""
        channel: Channel = self._type(config, Context("contract", Path(), ManualClock(), cast("Wire", None)))
        return channel

    def call(self, of: Event, channel: Channel | None = None, **changes: Any) -> Call:
        """The call that sends an event."""
        content = cast("EventChannel", channel or self.channel).content(of)
        return call(content.text, content.kind, **{"delivery": uuid4(), **changes})

    async def records(self) -> list[Record]:
        """What stands in the topic."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[Record]:
        count = Cluster(self._link).partitions()[self._topic]
        reader = TopicReader(self._link, {Home(self._topic, number): BEGINNING for number in range(count)})
        try:
            return list(reader.until_end(_SECONDS))
        finally:
            reader.close()


def law(function: Law) -> Law:
    """Adds a law under its own name."""
    LAWS[function.__name__] = function
    return function


def run(name: str, channel_type: type[Any], bootstrap: str, topic: str) -> None:
    """Holds `channel_type` to one law. Raises ContractBroken."""

    async def scene() -> None:
        rig = TopicRig(channel_type, bootstrap, topic)
        try:
            async with asyncio.timeout(_SECONDS):
                await LAWS[name](rig)
        finally:
            await rig.channel.close()

    asyncio.run(scene())


@law
async def configuration_tells_the_desk_its_limits(rig: TopicRig) -> None:
    limits: ChannelConfig = rig.config
    again: Any = rig.config_type.model_validate(rig.options)
    expect(limits.limit_domain() and limits.limit_domain() == again.limit_domain(), "a limit domain is stable")
    expect(all(limit.count > 0 and limit.period > 0 for limit in limits.limits()), "limits are positive")
    expect(limits.lines() >= 1, "a channel has a line")


@law
async def configuration_refuses_unknown_keys_and_our_own_topics(rig: TopicRig) -> None:
    own = {key: "andon.events" if value == rig.options["topic"] else value for key, value in rig.options.items()}
    for options in ({**rig.options, "nonsense": 1}, own):
        expect_refused(rig.config_type, options, "an unknown key and a topic of Andon's own are refused")


@law
async def event_is_never_split(rig: TopicRig) -> None:
    content = rig.call(event(data={"text": "汉" * 300_000})).content
    expect(list(rig.channel.split(content)) == [content], "an event is one part, however long it is")


@law
async def anything_but_an_event_is_rejected(rig: TopicRig) -> None:
    for attempt in (rig.channel.send(call()), _split(rig)):
        try:
            await attempt
        except Rejected:
            continue
        raise ContractBroken("a text is Rejected")
    expect(not await rig.records(), "and nothing is written")


async def _split(rig: TopicRig) -> None:
    rig.channel.split(call().content)


@law
async def receipts_mean_that_the_record_stands(rig: TopicRig) -> None:
    one = rig.call(event(), recipients=("one", "two"))
    receipts = await rig.channel.send(one)
    expect([receipt.recipient for receipt in receipts] == ["one", "two"], "there is a receipt for each recipient")
    expect(all(isinstance(receipt, Receipt) and receipt.failed is None for receipt in receipts), "receipts are given")
    records = await rig.records()
    expect(len(records) == 1, "one call is one record")
    expect(_names(records[0], str(one.delivery)), "a record names its delivery")


@law
async def repeat_can_be_known(rig: TopicRig) -> None:
    one = rig.call(event())
    await rig.channel.send(one)
    await rig.channel.send(one)
    first, second = await rig.records()
    expect(_said(first) == _said(second), "what is sent again is the same record, with the same delivery in it")


@law
async def calls_at_the_same_time_do_not_mix(rig: TopicRig) -> None:
    calls = [rig.call(event(id=f"e-{number}", subject=f"s-{number}")) for number in range(32)]
    await asyncio.gather(*(rig.channel.send(one) for one in calls))
    records = await rig.records()
    for one in calls:
        mine = [record for record in records if _names(record, str(one.delivery))]
        expect(len(mine) == 1, "a call is one record")
        expect(mine[0].key == f"s-{calls.index(one)}".encode(), "and that of its own event")


@law
async def no_acknowledgement_is_no_delivery(rig: TopicRig) -> None:
    channel = rig.built(rig.config_type.model_validate(rig.filled(_NOBODY)))
    began = asyncio.get_running_loop().time()
    try:
        await channel.send(rig.call(event(), channel, deadline=0.5))
    except Retryable:
        expect(asyncio.get_running_loop().time() - began < 5, "a call ends within its deadline")
    else:
        raise ContractBroken("silence is not success")
    finally:
        closing = asyncio.ensure_future(channel.close())
        await asyncio.wait([closing], timeout=30)
        expect(closing.done(), "a channel without a broker can be closed")


@law
async def close_may_be_called_twice(rig: TopicRig) -> None:
    await rig.channel.send(rig.call(event()))
    await rig.channel.close()
    await rig.channel.close()


def _said(record: Record) -> tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...]]:
    return record.key, record.value, record.headers


def _names(record: Record, delivery: str) -> bool:
    return delivery.encode() in record.value or any(delivery.encode() == value for _, value in record.headers)
