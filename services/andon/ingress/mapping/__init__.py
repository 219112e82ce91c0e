"""What other systems send becomes events, by the `map` of their source (docs/mapping.md).

Compiled once, then only called. Whatever is sent, the answer is events or `Invalid`, within a bounded time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from andon.config.maps import Lookup, Map
from andon.config.mistakes import Path
from andon.core.event import CLEAR, RAISE, STATE, Event
from andon.core.failure import Invalid
from andon.core.ids import Namespace, uuid7
from andon.core.paths import PathError
from andon.core.ports import Mapped
from andon.core.reason import Reason
from andon.ingress.bodies.randomness import Randomness
from andon.ingress.bodies.sent import check
from andon.ingress.mapping import values
from andon.ingress.mapping.bodies import form_of, json_of, xml_of
from andon.ingress.mapping.jmes import Jmes
from andon.ingress.mapping.paths import Budget, Language, Scope
from andon.ingress.mapping.xpath import XPath

MOST_EVENTS = 1_000
MOST_BYTES = 4 << 20
NEW = "new"

_T = TypeVar("_T")
_READERS = {"json": json_of, "xml": xml_of, "form": form_of}
_NOTHING: tuple[Any, ...] = (None, 0, "", [], {})  # False is 0
_ids = Namespace(UUID("1d3b8f0a-94b1-5c0e-8a5f-52c6b7a90e3d"))
_canonical = msgspec.json.Encoder(order="deterministic").encode


class _Making(NamedTuple):
    """What an event has that stands in no body."""

    source: str
    now: float
    trace: str


class MapError(ValueError):
    """A map cannot be compiled: every mistake with its place in the map."""

    def __init__(self, mistakes: Sequence[tuple[Path, str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, place))}: {text}" for place, text in mistakes))
        self.mistakes = tuple(mistakes)


class EventMap:
    """A map, compiled; `zone` is that of times that say none."""

    def __init__(self, rules: Map, zone: str, random: Callable[[int], bytes] | None = None) -> None:
        """Raises MapError."""
        self._random = random or Randomness().take
        self._reader = _READERS[rules.body]
        self._language: Language = XPath(rules.namespaces) if rules.body == "xml" else Jmes()
        parts = _Parts()
        language, text = self._language, partial(values.text, self._language)
        self._each = parts.made(("each",), language.places, rules.each) if rules.each else None
        self._each_path = rules.each or ""
        self._when = parts.made(("when",), language.find, rules.when) if rules.when else None
        self._type = parts.made(("type",), text, rules.type, "type")
        self._subject = parts.made(("subject",), text, rules.subject, "subject") if rules.subject else None
        self._mint = rules.id == NEW
        self._id = parts.made(("id",), text, rules.id, "id") if rules.id and not self._mint else None
        if isinstance(rules.id, str) and not self._mint and "{" not in rules.id:
            parts.mistakes.append((("id",), f"all would be the same event; write a path, or `{NEW}`"))
        when = rules.time
        self._time = parts.made(("time",), partial(values.moment, language), when, zone) if when else None
        self._labels = [
            (name, parts.made(("labels", name), text, one, f"labels.{name}")) for name, one in rules.labels.items()
        ]
        parts.mistakes += _states(rules.labels.get(STATE))
        self._data = self._compiled_data(rules.data, parts)
        if parts.mistakes:
            raise MapError(parts.mistakes)

    def read(self, body: bytes, content_type: str = "") -> Any:
        """The document in a body. Raises Invalid."""
        return self._reader(body, content_type)

    def events(self, document: Any, source: str, now: float, trace: str) -> list[Mapped | Invalid | None]:
        """An answer for each event of a document, in order; None for one that the map leaves out. A bad one takes no
        good one with it. Raises Invalid for a document that holds no events at all, or takes too long to look through.
        """
        root, budget = self._language.root(document), Budget()
        whole, made = Scope(root, root, budget), _Making(source, now, trace)
        if self._each is None:
            return [self._one(whole, made)[0]]
        places = self._each(whole)
        if places is None:
            raise Invalid(Reason.INVALID, f"`each` needs a list at `{self._each_path}`", self._each_path)
        if len(places) > MOST_EVENTS:
            raise Invalid(Reason.TOO_LARGE, f"at most {MOST_EVENTS:,} events, not {len(places):,}", self._each_path)
        found: list[Mapped | Invalid | None] = []
        left = MOST_BYTES
        for number, place in enumerate(places):
            try:
                one, size = self._one(Scope(place, root, budget), made)
                left -= size
                if left < 0:
                    raise _too_much()
                found.append(one)
            except Invalid as invalid:
                if invalid.reason is Reason.TOO_LARGE:
                    raise
                found.append(Invalid(invalid.reason, f"event {number + 1}: {invalid.detail}", invalid.field))
        return found

    def _one(self, scope: Scope, made: _Making) -> tuple[Mapped | None, int]:
        """The event at a place, and the length of its content. Raises Invalid."""
        if self._when is not None and not _holds(self._when(scope)):
            return None, 0
        kind = self._type(scope)
        subject = (self._subject(scope) if self._subject else "") or made.source
        given = self._id(scope) if self._id else ""
        at = self._time(scope) if self._time else None
        labels = {name: said for name, text in self._labels if (said := text(scope))}
        if labels.get(STATE, RAISE) not in (RAISE, CLEAR):
            raise Invalid(Reason.INVALID, f"`labels.state` must become {RAISE} or {CLEAR}", "labels.state")
        plain = self._language.plain(scope.item)
        data = self._data(scope) if self._data else plain if isinstance(plain, dict) else {"value": plain}
        content = _canonical((kind, subject, at, labels, data, plain if self._data else None))
        if len(content) > MOST_BYTES:
            raise _too_much()
        digest = blake2b(content, digest_size=16).digest()
        identity = given or str(self._minted(made) if self._mint else _ids.id(f"{made.source}\n{digest.hex()}"))
        check(made.source, kind, subject, identity)
        at = at or datetime.fromtimestamp(made.now, UTC)
        event = Event(identity, made.source, kind, subject, at, data, labels, traceparent=made.trace)
        return Mapped(event, digest), len(content)

    def _minted(self, made: _Making) -> UUID:
        return uuid7(made.now, self._random(10))

    def _compiled_data(self, written: Any, parts: _Parts) -> Callable[[Scope], dict[str, Any]] | None:
        if written is None:
            return None
        if isinstance(written, str):
            whole = parts.made(("data",), values.kept, self._language, written, "data")
            return lambda scope: found if isinstance(found := whole(scope), dict) else {"value": found}
        fields = [
            (name, parts.made(("data", name), values.kept, self._language, one, f"data.{name}"))
            for name, one in written.items()
        ]
        return lambda scope: {name: found for name, value in fields if (found := value(scope)) != ""}


class _Parts:
    """Compiles the parts of a map, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.mistakes: list[tuple[Path, str]] = []

    def made(self, place: Path, make: Callable[..., _T], *arguments: Any) -> _T:
        try:
            return make(*arguments)
        except PathError as error:
            within = (error.key,) if isinstance(error, values.Misplaced) else ()
            self.mistakes.append(((*place, *within), str(error)))
            return _never  # type: ignore[return-value]  # the map is refused


def _never(*_arguments: object) -> Any:
    raise AssertionError("a map with a mistake is not used")


def _states(written: object) -> Iterator[tuple[Path, str]]:
    """What a `state` may become and must not."""
    if not isinstance(written, Lookup):
        return
    for key, word in (written.table or {}).items():
        if word not in (RAISE, CLEAR):
            yield ("labels", STATE, "table", key), f"a state is `{RAISE}` or `{CLEAR}`, not `{word}`"
    if written.else_ not in (None, "", RAISE, CLEAR):
        yield ("labels", STATE, "else"), f"a state is `{RAISE}` or `{CLEAR}`, not `{written.else_}`"


def _holds(value: Any) -> bool:
    return not any(value is nothing or value == nothing for nothing in _NOTHING)


def _too_much() -> Invalid:
    return Invalid(Reason.TOO_LARGE, f"what is made of it has more than {MOST_BYTES >> 20} MiB")
