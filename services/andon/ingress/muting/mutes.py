"""Mutes over the door: what a client asks for, whether it may, and the record that each call leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeVar
from uuid import uuid4

import msgspec
from msgspec import UNSET, Meta, UnsetType

from andon.config.published import Published
from andon.config.units import seconds
from andon.core.action import LIST_MUTES, MUTE, UNMUTE, Action
from andon.core.failure import Invalid
from andon.core.mute import Mute, MuteWrong, Then
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.ingress.bodies.strict import value_of
from andon.ingress.entry.clients import Client
from andon.ingress.refusal import Refused, refused
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import ACTIONS
from andon.runtime.changes import Change, NoSuchMute, Said, muted, unmuted
from andon.runtime.publishing import publish

T = TypeVar("T")

RIGHT = "mutes"
_AGAIN_S = 5
_WITHIN_S = 25.0

Moment = Annotated[datetime, Meta(tz=True)]


class NewMute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"lasts": "for", "begins": "from"}.get):
    """A mute that is asked for. One of `for` (a duration like 2h) and `until` says when it ends; `from` is now unless
    it is given. `creator` is who asked the client for it."""

    matchers: tuple[str, ...]
    why: str
    lasts: str | UnsetType = UNSET
    until: Moment | UnsetType = UNSET
    begins: Moment | UnsetType = UNSET
    then: Then = "digest"
    creator: str | UnsetType = UNSET


class Ended(msgspec.Struct, frozen=True):
    """A mute that is over, and the version of the configuration without it."""

    id: str
    version: int


class Configuration(Protocol):
    """The published configuration, as the door changes it."""

    def newest(self) -> Published:
        """The newest version this process knows."""

    def follow(self, told: Callable[[Published], object]) -> None:
        """Tells the newest version now, and each later one when this process learns of it."""

    async def publish(self, change: Change) -> Published:
        """Raises what the change raises, and KafkaFailure."""

    async def record(self, action: Action) -> None:
        """Keeps what was asked for. Raises KafkaFailure."""


class Mutes:
    """The calls of `/v1/mutes`. Each leaves a record of its own, or one with the version that came of it; without that
    there is no answer but 503. Methods raise Refused."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        self._configuration = configuration
        self._clock = clock

    async def running(self, client: Client) -> list[Mute]:
        """What is not over."""
        now = self.now()
        return [one for one in (await self.looked(client)).mutes if one.ends > now]

    def newest(self) -> Published:
        """The newest version this door knows."""
        return self._configuration.newest()

    def follow(self, told: Callable[[Published], object]) -> None:
        """Tells the newest version now, and each later one when this door learns of it."""
        self._configuration.follow(told)

    async def looked(self, client: Client, on: str = "") -> Published:
        """The newest version, for a client that may see what is muted; `on` says at what it looks beside that."""

        async def call() -> Published:
            await self._record(client, LIST_MUTES, done=True, on=on)
            return self._configuration.newest()

        return await self._called(client, LIST_MUTES, on, call)

    async def create(self, client: Client, body: bytes) -> Mute:
        """Publishes the mute of the body."""
        return await self.put(client, MUTE, lambda now: muted(_wanted(body, client, now)))

    async def put(self, client: Client, action: str, wanted: Callable[[datetime], Change], on: str = "") -> Mute:
        """Publishes the mute that a change makes or changes."""

        async def call() -> Mute:
            change = wanted(self.now())._replace(client=client.name)
            return (await self._configuration.publish(change)).mutes[-1]

        return await self._called(client, action, on, call)

    async def end(self, client: Client, which: str) -> Ended:
        """Publishes a version without it."""

        async def call() -> Ended:
            change = unmuted(which, Said(client.name, f"unmute {which}"))._replace(client=client.name)
            return Ended(which, (await self._configuration.publish(change)).version)

        return await self._called(client, UNMUTE, which, call)

    async def _called(self, client: Client, action: str, on: str, call: Callable[[], Awaitable[T]]) -> T:
        try:
            if RIGHT not in client.source.may:
                raise Refused(Reason.FORBIDDEN, f"the source {client.name} lacks `may: [{RIGHT}]`")
            return await call()
        except KafkaFailure as failure:
            raise Refused(Reason.UNAVAILABLE, f"not known to be done: {failure}", after=_AGAIN_S) from None
        except MuteWrong as wrong:
            refusal = Refused(Reason.INVALID, str(wrong), wrong.field)
        except NoSuchMute as none:
            refusal = Refused(Reason.INVALID, str(none), status=404)
        except Refused as no:
            refusal = no
        try:
            await self._record(client, action, done=False, on=on, why=str(refusal))
        except KafkaFailure as failure:
            raise Refused(Reason.UNAVAILABLE, f"the record of the call failed: {failure}", after=_AGAIN_S) from None
        raise refusal

    async def _record(self, client: Client, action: str, *, done: bool, on: str = "", why: str = "") -> None:
        # What a client wrote may be long, and what it was refused for quotes it.
        one = Action(uuid4(), self.now(), client.name, action, done, on[:200], why[:500], client=client.name)
        await self._configuration.record(one)

    def now(self) -> datetime:
        """The time by this door's clock."""
        return datetime.fromtimestamp(self._clock.now(), UTC)


def _wanted(body: bytes, client: Client, now: datetime) -> Mute:
    """Raises Refused."""
    try:
        asked: NewMute = value_of(body, NewMute)
    except Invalid as invalid:
        raise refused(invalid) from None
    begins = now if asked.begins is UNSET else in_utc(asked.begins, "from")
    if (asked.lasts is UNSET) is (asked.until is UNSET):
        raise Refused(Reason.INVALID, "say how long: one of `for` and `until`", "for")
    ends = _end(begins, asked.lasts) if asked.until is UNSET else in_utc(asked.until, "until")
    return Mute("", asked.matchers, begins, ends, asked.creator or client.name, asked.why, asked.then)


def in_utc(moment: datetime, field: str) -> datetime:
    """The moment in UTC. Raises Refused, which names the field, for one that no calendar has there."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Refused(Reason.INVALID, "the time lies outside the years 1 to 9999", field) from None


def _end(begins: datetime, lasts: str | UnsetType) -> datetime:
    try:
        return begins + timedelta(seconds=seconds(lasts))
    except (ValueError, OverflowError) as error:
        raise Refused(Reason.INVALID, str(error), "for") from None


class PublishedConfiguration:
    """The configuration in Kafka. `newest` is set as services learn of a version."""

    def __init__(self, link: Connection, publisher: Publisher, newest: Published) -> None:
        self._link = link
        self._publisher = publisher
        self._newest = newest
        self._followers: list[Callable[[Published], object]] = []
        self._turn = asyncio.Lock()

    def take(self, published: Published) -> None:
        """A version came into force."""
        if published.version > self._newest.version:
            self._newest = published
            for told in self._followers:
                told(published)

    def newest(self) -> Published:
        return self._newest

    def follow(self, told: Callable[[Published], object]) -> None:
        self._followers.append(told)
        told(self._newest)

    async def publish(self, change: Change) -> Published:
        try:
            async with asyncio.timeout(_WITHIN_S), self._turn:
                after = await publish(self._link, change)
        except TimeoutError:
            raise KafkaFailure("Kafka did not answer in time; ask what is muted before you try again") from None
        self.take(after)
        return after

    async def record(self, action: Action) -> None:
        (fate,) = await self._publisher.append([Outgoing(ACTIONS, action.actor.encode(), msgspec.json.encode(action))])
        if isinstance(fate, str):
            raise KafkaFailure(fate)
