"""What all sources that vendors call back have in common: applications at one address, seals, and the time window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import msgspec
from pydantic import model_validator

from andon.config.secrets import SecretMissing, SecretRef
from andon.config.section import Section
from andon.core.event import Event
from andon.core.failure import Invalid, Retryable
from andon.core.ids import Namespace
from andon.core.ports import Answer, Called, Clock, Context, Inbound
from andon.core.reason import Reason
from andon.ingress.bodies import traceparent
from andon.ingress.bodies.randomness import Randomness
from andon.ingress.bodies.sealed import NotOurs, Seal
from andon.ingress.bodies.sent import check

_T = TypeVar("_T")
_R = TypeVar("_R")
_A = TypeVar("_A", bound="MaySeal")
MOST_SEALED = 1 << 20
_MOST_SEALS = 64
MOST_WITHIN = 86_400.0  # the door remembers what it took for three days
WRITTEN = "CreateTime"
_BEGUN = 1_700_000_000  # of November 2023: no door has taken a call before
_DIGITS = 10  # of such a time
_UNITS = ((10, 1), (13, 1_000), (16, 1_000_000))  # digits of a time of this age, and how many of its unit are a second

_canonical = msgspec.json.Encoder(order="deterministic").encode


class App(Section):
    """What one application at an address has of its own. The `Config` of a source is such an application itself, or has
    several in `apps`."""

    own_name: ClassVar = True

    def require(self) -> None:
        """Raises ValueError where something is missing."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        apps: Sequence[App] = getattr(self, "apps", ())
        if not apps:
            self.require()
        elif any(getattr(self, name) is not None for name in type(apps[0]).model_fields):
            raise ValueError("write the keys of one application here, or those of several in `apps`")
        return self


class Callback(ABC):
    """A source that a vendor calls back, but for what is the vendor's own."""

    def __init__(self, context: Context) -> None:
        self._name = context.name
        self._clock = context.clock
        self._random = Randomness().take

    @abstractmethod
    def called(self, inbound: Inbound, /) -> Called:
        """Raises Invalid (a Rejected), and Retryable without a secret."""

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        """The events of a callback. Raises as `called` does."""
        return self.called(inbound).events

    def greet(self, _inbound: Inbound, /) -> Answer:
        """Raises Invalid: most vendors ask by POST whether an address is ours."""
        raise Invalid(Reason.INVALID, "here is called by POST only")

    def _event(
        self,
        inbound: Inbound,
        type_: str,
        subject: str,
        identity: str,
        at: datetime,
        data: dict[str, Any],
        labels: Mapping[str, str],
    ) -> Event:
        """A new event of this source; empty labels are left out. Raises Invalid."""
        check(self._name, type_, subject, identity)
        trace = traceparent.accepted(inbound.headers.get("traceparent")) or traceparent.minted(self._random(24))
        said = {label: text for label, text in labels.items() if text}
        return Event(identity, self._name, type_, subject, at, data, said, traceparent=trace)


class Window:
    """How old, or how far ahead of our clock, a callback may be."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def require(self, timestamp: str) -> None:
        """Raises Invalid (UNAUTHORISED)."""
        signed = _seconds(timestamp)
        if signed is None or abs(self._clock.now() - signed) > self._seconds:
            text = f"it was not signed within {self._seconds:.0f} s of our time"
            raise Invalid(Reason.UNAUTHORISED, text, "timestamp")

    def require_written(self, timestamp: str, nonce: str, fields: Mapping[str, Any]) -> None:
        """What was sealed was written not long ago, if it says when, and its signature could be one of long ago. Raises
        Invalid (UNAUTHORISED)."""
        # Time and nonce are sorted and joined before they are signed, so that digits of a nonce may be shown as the
        # time once that has come: what was signed then still stands at the beginning or the end of the two. Not
        # `within`: WeChat repeats some pushes for hours, as they were written. It is enough that a call is too old
        # before the door forgets it.
        joined = "".join(sorted((timestamp, nonce)))
        signed = {joined[:_DIGITS], joined[-_DIGITS:]} - {timestamp}
        now = self._clock.now()
        if not any(one.isdecimal() and one.isascii() and _BEGUN <= int(one) <= now for one in signed):
            return
        written = _seconds(text_of(fields, WRITTEN).partition(".")[0])
        if written is not None and abs(now - written) > MOST_WITHIN:
            text = f"it was not written within {MOST_WITHIN:.0f} s of our time"
            raise Invalid(Reason.UNAUTHORISED, text, WRITTEN)


class Signed(NamedTuple):
    """The parameters of a callback's address that say by whom it is, and when."""

    signature: str
    timestamp: str
    nonce: str


class MaySeal(Protocol):
    """An application that may have what callbacks are sealed with."""

    @property
    def token(self) -> SecretRef | None: ...

    @property
    def aes_key(self) -> SecretRef | None: ...


class Keys(NamedTuple):
    """What one application seals with, and whom its callbacks are for."""

    token: SecretRef
    aes_key: SecretRef
    receiver: SecretRef | str


def keys_of(apps: Iterable[_A], receiver: Callable[[_A], SecretRef | str | None]) -> list[Keys]:
    """The keys of those applications that have any; `receiver` says whom an application's callbacks are for."""
    return [Keys(app.token, app.aes_key, receiver(app) or "") for app in apps if app.token and app.aes_key]


class Opened(NamedTuple):
    """The message of a callback, and the seal to answer with."""

    seal: Seal
    message: bytes


class Closed(NamedTuple):
    """An answer as it is sealed and signed."""

    encrypt: str
    signature: str
    timestamp: str
    nonce: str


class Seals:
    """The seals of all applications at one address: whose signature fits is whose callback it is."""

    def __init__(self, keys: Sequence[Keys], window: Window) -> None:
        self._keys = keys
        self._window = window
        self._made: dict[tuple[str, str, str], Seal] = {}

    def opened(self, signed: Signed, sealed: str) -> Opened:
        """Signature first, then the time, then what is inside. Raises Invalid (UNAUTHORISED), and Retryable when it
        may be signed with a secret that cannot be read."""
        if not (all(signed) and sealed):
            raise Invalid(Reason.UNAUTHORISED, "a callback is sealed, and signed with its timestamp and nonce")
        missing: Retryable | None = None
        ours = []
        for keys in self._keys:
            try:
                ours += [seal for seal in self._seals(keys) if seal.signed(*signed, sealed)]
            except Retryable as error:
                missing = error
        if not ours:
            raise missing or Invalid(Reason.UNAUTHORISED, "the signature is none of ours", "msg_signature")
        self._window.require(signed.timestamp)
        problem = NotOurs("")
        for seal in ours:
            try:
                return Opened(seal, seal.open(sealed))
            except NotOurs as error:
                problem = error
        raise Invalid(Reason.UNAUTHORISED, str(problem))

    def _seals(self, keys: Keys) -> Iterator[Seal]:
        """Every token with every key. Raises Retryable."""
        receiver = keys.receiver
        whom = values_of(receiver)[0] if isinstance(receiver, SecretRef) else receiver
        for token, aes_key in product(values_of(keys.token), values_of(keys.aes_key)):
            seal = self._made.get((token, aes_key, whom))
            yield seal or self._new(token, aes_key, whom, keys)

    def _new(self, token: str, aes_key: str, whom: str, keys: Keys) -> Seal:
        if len(self._made) >= _MOST_SEALS:  # those of secrets that were rotated out
            self._made.clear()
        try:
            seal = self._made[token, aes_key, whom] = Seal(token, aes_key, whom)
        except NotOurs as error:
            raise Retryable(Reason.UNAVAILABLE, f"{keys.aes_key.reference}: {error}") from None
        return seal


def closed(seal: Seal, message: bytes, timestamp: str, random: Callable[[int], bytes]) -> Closed:
    """A message sealed for its vendor."""
    nonce = str(int.from_bytes(random(5), "big"))
    sealed = seal.close(message, random(16))
    return Closed(sealed, seal.signature(timestamp, nonce, sealed), timestamp, nonce)


def values_of(secret: SecretRef) -> tuple[str, ...]:
    """Every value valid now: during a rotation there are two. Raises Retryable."""
    try:
        return tuple(value.get_secret_value() for value in secret.values())
    except SecretMissing as missing:
        raise Retryable(Reason.UNAVAILABLE, str(missing)) from None


def first_of(those: Iterable[_T], look: Callable[[_T], _R | None], otherwise: Invalid) -> _R:
    """The first answer that `look` has for one of those. Raises `otherwise` without one, or Retryable when a secret
    could not be read: it might have been that one's."""
    missing: Retryable | None = None
    for one in those:
        try:
            if (found := look(one)) is not None:
                return found
        except Retryable as error:
            missing = error
    raise missing or otherwise


def require_signed(secrets: Iterable[SecretRef], signed: Callable[[str], bool], otherwise: Invalid) -> None:
    """One of the secrets has signed. Raises as `first_of` does."""
    first_of(secrets, lambda one: any(signed(value) for value in values_of(one)) or None, otherwise)


def signed_by(query: Mapping[str, str]) -> Signed:
    """How WeCom and WeChat sign what they have sealed; empty texts where something is missing."""
    return Signed(*(query.get(name, "") for name in ("msg_signature", "timestamp", "nonce")))


def identity_of(ids: Namespace, fields: Mapping[str, Any]) -> str:
    """The id of a callback that its vendor gives none: it is known again by all that it says."""
    return str(ids.id(_canonical(fields).decode()))


def text_of(fields: Mapping[str, Any], *names: str) -> str:
    """The first of these members that is a text with something in it, or a whole number; else an empty text."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def within(fields: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object below these members, one inside of the other; without members where there is none."""
    for name in names:
        inner = fields.get(name)
        if not isinstance(inner, dict):
            return {}
        fields = inner
    return fields


def moment(text: str, field: str) -> datetime:
    """The time of a number of seconds, milliseconds or microseconds since 1970. Raises Invalid."""
    seconds = _seconds(text.partition(".")[0])
    if seconds is None:
        raise Invalid(Reason.INVALID, f"a callback says its time in {field}", field)
    return datetime.fromtimestamp(seconds, UTC)


def checked_size(body: bytes) -> bytes:
    """The body, if it is no longer than a callback is. Raises Invalid (TOO_LARGE)."""
    if len(body) > MOST_SEALED:
        raise Invalid(Reason.TOO_LARGE, f"a callback has at most {MOST_SEALED:,} bytes")
    return body


def _seconds(text: str) -> float | None:
    """A number of digits as seconds; vendors differ in the unit, which the length tells until the year 2286."""
    if text.isascii() and text.isdigit():
        for digits, unit in _UNITS:
            if len(text) <= digits:
                return int(text) / unit
    return None
