"""What stands in a map, compiled: texts with paths in braces, translations, times, and what is kept as it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from andon.config.maps import Lookup, Moment
from andon.core.failure import Invalid
from andon.core.paths import Braced, PathError, pieces_of, text_of
from andon.core.reason import Reason
from andon.ingress.bodies.sent import moment_of
from andon.ingress.mapping.paths import Find, Language, Scope

LONGEST_TEXT = 4_096
_LONGEST_TIME = 64
_DAY_ALONE = len("2026-03-01")
_SHOWN = 40
_EPOCHS = {"seconds": 1.0, "milliseconds": 1_000.0}
_ISO = "iso"
_TRIAL = datetime(2031, 12, 28, 23, 58, tzinfo=UTC)  # no two of its parts can be taken for each other

Text = Callable[[Scope], str]
"""The text, which is empty only where the map leaves the value out. Raises Invalid."""


class Misplaced(PathError):  # noqa: N818 - as its base, a state of the file
    """A mistake in one key of a value that has several."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def missing(where: str, path: str) -> Invalid:
    return Invalid(Reason.INVALID, f"`{where}` needs `{path}`, and there is nothing", path)


def text(language: Language, written: str | Lookup, where: str) -> Text:
    """A value as text; `where` is its key in the map. Raises PathError."""
    if isinstance(written, Lookup):
        return _looked_up(_from(language, written, where), written, where)
    pieces = [_one_text(language, one.path, where) if isinstance(one, Braced) else one for one in pieces_of(written)]

    def together(scope: Scope) -> str:
        return "".join([piece if isinstance(piece, str) else _there(piece(scope), where, piece) for piece in pieces])

    return together


def kept(language: Language, written: str | Lookup, where: str) -> Callable[[Scope], Any]:
    """A value of `data`: what a single path finds stays as it is, all else is text. Raises PathError."""
    path = single_path(written)
    if path is None:
        return text(language, written, where)
    find = language.find(path)

    def found(scope: Scope) -> Any:
        value = find(scope)
        if value is None:
            raise missing(where, path)
        return value

    return found


def single_path(written: str | Lookup) -> str | None:
    """The path of a text that is nothing else than one in braces. Raises PathError."""
    pieces = list(pieces_of(written)) if isinstance(written, str) else []
    return pieces[0].path if len(pieces) == 1 and isinstance(pieces[0], Braced) else None


def moment(language: Language, written: str | Moment, zone: str) -> Callable[[Scope], datetime | None]:
    """The time, with a zone; None: that of arrival. Raises PathError."""
    if isinstance(written, str):
        plain = text(language, written, "time")
        return lambda scope: _read_time(plain(scope), partial(_iso, zone=ZoneInfo(zone)), _ISO)
    find, form = _from(language, written, "time"), written.format
    read = _reader(form, ZoneInfo(written.zone or zone))

    def found(scope: Scope) -> datetime | None:
        said = find(scope)
        if not said and written.else_ is not None:
            return None
        return _read_time(_there(said, "time", find), read, form)

    return found


class _OneText:
    """The one text at a path; empty where there is nothing."""

    def __init__(self, find: Find, path: str, where: str) -> None:
        self._find = find
        self._where = where
        self.path = path

    def __call__(self, scope: Scope) -> str:
        value = self._find(scope)
        said = text_of(value)
        if said is None:
            if value is None:
                return ""
            kind = "a list" if isinstance(value, list) else "an object"
            raise Invalid(Reason.INVALID, f"`{self._where}`: `{self.path}` is {kind}, not one value", self.path)
        if len(said) > LONGEST_TEXT:
            raise Invalid(Reason.INVALID, f"`{self._where}` is longer than {LONGEST_TEXT:,} characters", self.path)
        return said.strip()


def _one_text(language: Language, path: str, where: str) -> _OneText:
    if not path:
        raise PathError("there is no path in these braces; write `{{}}` to mean the signs themselves")
    return _OneText(language.find(path), path, where)


def _from(language: Language, written: Lookup | Moment, where: str) -> _OneText:
    try:
        return _one_text(language, written.from_, where)
    except PathError as error:
        raise Misplaced("from", str(error)) from None


def _there(said: str, where: str, find: _OneText) -> str:
    if not said:
        raise missing(where, find.path)
    return said


def _looked_up(find: _OneText, written: Lookup, where: str) -> Text:
    table, otherwise = written.table, written.else_

    def found(scope: Scope) -> str:
        said = find(scope)
        word = said if table is None else table.get(said)
        if word is not None and said:
            return word
        if otherwise is not None:
            return otherwise
        if not said:
            raise missing(where, find.path)
        raise Invalid(
            Reason.INVALID, f"`{where}`: the table has nothing for '{said[:_SHOWN]}', which `{find.path}` is", find.path
        )

    return found


def _reader(form: str, zone: ZoneInfo) -> Callable[[str], datetime]:
    """Raises Misplaced for a format that does not say day and time."""
    if form == _ISO:
        return partial(_iso, zone=zone)
    if form in _EPOCHS:
        return lambda said: datetime.fromtimestamp(float(said) / _EPOCHS[form], UTC)
    if "%Z" in form:
        raise Misplaced("format", "names of zones are not clear; write `zone`, or `%z` for +0800")
    try:
        whole = _formatted(_TRIAL.strftime(form), form, ZoneInfo("UTC")) == _TRIAL
    except ValueError as error:
        raise Misplaced("format", f"`{form}` is no format of a time: {error}") from None
    if not whole:
        raise Misplaced("format", f"`{form}` does not say day and time; write for example `%Y-%m-%d %H:%M:%S`")
    return partial(_formatted, form=form, zone=zone)


def _formatted(said: str, form: str, zone: ZoneInfo) -> datetime:
    return _zoned(datetime.strptime(said, form), zone)  # noqa: DTZ007 - it gets one where it has none


def _iso(said: str, zone: ZoneInfo) -> datetime:
    if len(said) <= _DAY_ALONE:
        raise ValueError("a day has no time of day")
    return _zoned(datetime.fromisoformat(said), zone)


def _zoned(found: datetime, zone: ZoneInfo) -> datetime:
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _read_time(said: str, read: Callable[[str], datetime], form: str) -> datetime:
    try:
        if len(said) <= _LONGEST_TIME:
            return moment_of(read(said).isoformat())
    except (ValueError, OverflowError, OSError, Invalid):
        pass
    raise Invalid(Reason.INVALID, f"`time`: '{said[:_SHOWN]}' is no time between 1970 and 9998 as `{form}`", "time")
