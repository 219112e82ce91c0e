"""Alertmanager's silences over the door: a silence is a mute, said in Alertmanager's words.

Source: Alertmanager's OpenAPI document (api/v2/openapi.yaml); what an update may change and still be the same silence:
its package `silence` (canUpdate). docs/alertmanager.md says what is different here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec
import re2

from andon.config.published import Published
from andon.core.action import MUTE, REMUTE
from andon.core.alert_labels import OURS, written
from andon.core.failure import Invalid
from andon.core.matchers import Matcher, MatcherError, OnLabel, compile_matchers
from andon.core.mute import Mute
from andon.core.reason import Reason
from andon.ingress.bodies.strict import value_of
from andon.ingress.entry.clients import Client
from andon.ingress.muting.mutes import Moment, Mutes, in_utc
from andon.ingress.refusal import Refused, refused
from andon.runtime.changes import Change, muted, remuted

KEPT = timedelta(days=5)
"""How long a silence is shown after its end, as in Alertmanager."""
_MOST_KEPT = 1_000
_SIGNS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
_PARTS = {sign: parts for parts, sign in _SIGNS.items()}


class SilenceMatcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition on a label."""

    name: str
    value: str
    isRegex: bool  # noqa: N815 - the names are theirs
    isEqual: bool = True  # noqa: N815


class PostableSilence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A silence that is asked for, or with `id` one that is to be changed. `status` and `updatedAt` may stand in it, as
    in what was read, and mean nothing."""

    id: str = ""
    matchers: tuple[SilenceMatcher, ...]
    startsAt: Moment  # noqa: N815
    endsAt: Moment  # noqa: N815
    createdBy: str  # noqa: N815
    comment: str
    status: Any = None
    updatedAt: Any = None  # noqa: N815


class SilenceStatus(msgspec.Struct, frozen=True):
    """Whether it is `pending`, `active` or `expired`."""

    state: str


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A mute as Alertmanager shows a silence. `updatedAt` is when the version was published by which this door learnt
    of it as it is."""

    id: str
    status: SilenceStatus
    updatedAt: datetime  # noqa: N815
    matchers: tuple[SilenceMatcher, ...]
    startsAt: datetime  # noqa: N815
    endsAt: datetime  # noqa: N815
    createdBy: str  # noqa: N815
    comment: str


class Put(msgspec.Struct, frozen=True):
    """The answer to a silence that was asked for or changed."""

    silenceID: str  # noqa: N815


class Known:
    """The mutes of each version this door has seen, also those that are over."""

    def __init__(self) -> None:
        self._version = 0
        self._found: dict[str, tuple[Mute, datetime]] = {}
        self._over: set[str] = set()

    def take(self, newest: Published, now: datetime) -> list[tuple[Mute, datetime]]:
        """All of them, each with the time of the version by which it became known as it is."""
        if newest.version > self._version:
            self._version = newest.version
            told = {mute.id: mute for mute in newest.mutes}
            for which in self._found.keys() - told.keys() - self._over:
                mute, _ = self._found[which]
                begins, ends = min(mute.begins, newest.at), min(mute.ends, newest.at)
                self._found[which] = msgspec.structs.replace(mute, begins=begins, ends=ends), newest.at
                self._over.add(which)
            for which, mute in told.items():
                if which not in self._found or self._found[which][0] != mute:
                    self._found[which] = mute, newest.at
        old = [which for which in self._over if self._found[which][0].ends < now - KEPT]
        old += sorted(self._over.difference(old), key=lambda one: self._found[one][0].ends)[:-_MOST_KEPT]
        for which in old:
            del self._found[which]
            self._over.discard(which)
        return list(self._found.values())

    def over(self, which: str, now: datetime) -> bool:
        """Whether it is one of them, and has ended."""
        return which in self._found and self._found[which][0].ends <= now


class Silences:
    """The calls of `/api/v2/silences` and `/api/v2/silence/{id}`. Each leaves the record that a call of `/v1/mutes`
    leaves, and needs the same right. Methods raise Refused."""

    def __init__(self, mutes: Mutes) -> None:
        self._mutes = mutes
        self._known = Known()
        # Also of versions of which nobody asks: the first one without a silence tells when it ended.
        mutes.follow(lambda published: self._known.take(published, mutes.now()))

    async def all(self, client: Client, filters: Sequence[str] = (), creators: Sequence[str] = ()) -> list[Silence]:
        """Those that fit all filters, and are of one of the creators if any is named: active ones first, expired ones
        last."""
        found = [one for one in await self._shown(client) if not creators or one.createdBy in creators]
        tests = filters_of(filters)
        return sorted((one for one in found if _fits(one, tests)), key=_place)

    async def one(self, client: Client, which: str) -> Silence:
        """The one of this id."""
        found = next((one for one in await self._shown(client) if one.id == which), None)
        if found is None:
            raise Refused(Reason.INVALID, f"there is no silence {which[:100]!r}", status=404)
        return found

    async def put(self, client: Client, body: bytes) -> Put:
        """Publishes the mute of the body, or with its id the one there is, changed. What is over is made anew, under
        another id."""
        self._look()
        which = _id(body)
        mute = await (
            self._mutes.put(client, REMUTE, lambda _: _changed(_read(body), client), which)
            if which and not self._known.over(which, self._mutes.now())
            else self._mutes.put(client, MUTE, lambda now: muted(_mute(_read(body), client, now)))
        )
        return Put(mute.id)

    async def end(self, client: Client, which: str) -> None:
        """Publishes a version without it."""
        self._look()
        await self._mutes.end(client, which)

    async def _shown(self, client: Client) -> list[Silence]:
        await self._mutes.looked(client)
        now = self._mutes.now()
        return [_shown(mute, since, now) for mute, since in self._look()]

    def _look(self) -> list[tuple[Mute, datetime]]:
        return self._known.take(self._mutes.newest(), self._mutes.now())


def _read(body: bytes) -> PostableSilence:
    """Raises Refused."""
    try:
        asked: PostableSilence = value_of(body, PostableSilence)
    except Invalid as invalid:
        raise refused(invalid) from None
    return asked


def _id(body: bytes) -> str:
    """Which silence a body is about; what is wrong with it is told by `_read`."""
    try:
        return msgspec.json.decode(body, type=_Named).id
    except (ValueError, RecursionError):
        return ""


class _Named(msgspec.Struct):
    id: str = ""


def _changed(asked: PostableSilence, client: Client) -> Change:
    """The same silence, if it takes the same and did not begin otherwise; else another one in its place.

    What a matcher cannot be said by in Alertmanager's words stays as it is where it comes back as it was shown.
    """

    def change(mute: Mute, now: datetime) -> Mute:
        before = dict(zip(shown_matchers(mute), (one.text for one in compile_matchers(mute.matchers)), strict=True))
        wanted = msgspec.structs.replace(_mute(asked, client, now, before), then=mute.then)
        begins = in_utc(asked.startsAt, "startsAt")
        same = set(asked.matchers) == set(before)
        kept = same and (begins >= now if mute.begins > now else _to_ms(begins) == _to_ms(mute.begins))
        if not kept:
            return wanted
        begins = mute.begins if _to_ms(begins) == _to_ms(mute.begins) else begins
        return msgspec.structs.replace(wanted, id=mute.id, matchers=mute.matchers, begins=begins)

    return remuted(asked.id, change)


def _mute(
    asked: PostableSilence, client: Client, now: datetime, before: Mapping[SilenceMatcher, str] = MappingProxyType({})
) -> Mute:
    """What a silence is as a mute. What it held is told in a digest when it is over, for Alertmanager tells of an alert
    again that goes on after its silence. Raises Refused."""
    for number, one in enumerate(asked.matchers):
        if one.name in OURS and one not in before:
            detail = f"{OURS[one.name]}: a silence cannot name it, `andon mute` can"
            raise Refused(Reason.INVALID, detail, f"matchers[{number}].name")
    texts = tuple(
        before.get(one) or written((one.name, _SIGNS[one.isEqual, one.isRegex], one.value)) for one in asked.matchers
    )
    begins, ends = max(in_utc(asked.startsAt, "startsAt"), now), in_utc(asked.endsAt, "endsAt")
    return Mute("", texts, begins, ends, asked.createdBy or client.name, asked.comment)


def _text(matcher: SilenceMatcher) -> str:
    return written((matcher.name, _SIGNS[matcher.isEqual, matcher.isRegex], matcher.value))


def _to_ms(moment: datetime) -> int:
    """Alertmanager's clients read and write times to the millisecond."""
    return int(moment.timestamp() * 1_000)


def shown_matchers(mute: Mute) -> tuple[SilenceMatcher, ...]:
    """Its matchers in Alertmanager's words: a list after `in` as a pattern, a comparison of values as a name."""
    return tuple(map(_shown_matcher, compile_matchers(mute.matchers)))


def _shown_matcher(matcher: Matcher) -> SilenceMatcher:
    label = matcher.label
    if label is None:
        return SilenceMatcher(matcher.text, "", isRegex=False)
    if label.sign == "in":
        return SilenceMatcher(label.name, "|".join(map(re2.escape, label.values)), isRegex=True)
    is_equal, is_regex = _PARTS[label.sign]
    return SilenceMatcher(label.name, label.values[0], is_regex, is_equal)


def _shown(mute: Mute, since: datetime, now: datetime) -> Silence:
    state = "expired" if mute.ends <= now else "active" if mute.begins <= now else "pending"
    return Silence(
        id=mute.id,
        status=SilenceStatus(state),
        updatedAt=since,
        matchers=shown_matchers(mute),
        startsAt=mute.begins,
        endsAt=mute.ends,
        createdBy=mute.creator,
        comment=mute.why,
    )


def _place(silence: Silence) -> tuple[int, float]:
    """Alertmanager's order: active by end, pending by beginning, expired with the last one first."""
    match silence.status.state:
        case "active":
            return 0, silence.endsAt.timestamp()
        case "pending":
            return 1, silence.startsAt.timestamp()
        case _:
            return 2, -silence.endsAt.timestamp()


def filters_of(texts: Sequence[str]) -> tuple[OnLabel, ...]:
    """The conditions of `filter=`. Raises Refused."""
    try:
        matchers = compile_matchers(texts)
    except MatcherError as error:
        raise Refused(Reason.INVALID, str(error), "filter") from None
    labels = tuple(one.label for one in matchers if one.label is not None)
    if len(labels) < len(matchers):
        raise Refused(
            Reason.INVALID, "a filter is about labels; values of data. and facts. are not known here", "filter"
        )
    return labels


def _fits(silence: Silence, filters: Sequence[OnLabel]) -> bool:
    """As in Alertmanager, a filter looks at the value in the silence's own matcher of that name."""
    texts = {one.name: one.value for one in silence.matchers}
    return all(one.fits(texts.get(one.name, "")) for one in filters)
