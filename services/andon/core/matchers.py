"""Conditions on an event: Alertmanager's label matchers, and comparisons of values in `data` and `facts`.

Label matchers follow Alertmanager's UTF-8 syntax (docs/routing.md lists the differences): `name="value"`, `!=`, `=~`,
`!~`; names and values with or without double quotes (`<` and `>` in a name only inside them); patterns are RE2 and
match the whole value; a label that is not there equals the empty text. `type`, `subject` and `source` are labels of
every event.

Comparisons are ours: `data.temperature > 90`, `data.quantity < data.safety_stock`, `facts.machine.leader exists`,
`data.code in [E12, E13]`. A value that is not there, or is not a number where one is needed, matches nothing, whatever
the operator.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import re2

from andon.core.event import Event
from andon.core.matcher_text import MatcherError as MatcherError
from andon.core.matcher_text import Token, tokens_of
from andon.core.paths import Lookup, PathError, compile_path, is_path, number_of, text_of

PSEUDO_LABELS = ("type", "subject", "source")

Test = Callable[[Event], bool]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_POWER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)[eE][+-]?\d+")
_PATTERN_CACHE = 1_024
LONGEST_REMEMBERED = 256
"""Letters of a text that answers are remembered of: what is longer comes once, and would fill the memory."""


class OnLabel(msgspec.Struct, frozen=True):
    """A condition on one label, in parts. `fits` says whether the label may have that text; it never raises."""

    name: str
    sign: str  # = != =~ !~ or in
    values: tuple[str, ...]  # one, but for a list after `in`
    fits: Callable[[str], bool]


class Matcher(msgspec.Struct, frozen=True):
    """One compiled condition. Neither `holds` nor `seen` raises.

    `seen` is the value the condition looks at, for explanations. `label` has the parts of a condition on a label; a
    comparison has none.
    """

    text: str
    holds: Test
    seen: Callable[[Event], str | None]
    label: OnLabel | None = None

    @property
    def equals(self) -> tuple[str, str] | None:
        """(name, value) of a plain equality on a label, by which a table of routes can be indexed."""
        return (self.label.name, self.label.values[0]) if self.label and self.label.sign == "=" else None


def compile_matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """The matchers of all texts; as in Alertmanager one text may hold several: `{line="L3", code=~"E1.*"}`.

    Raises MatcherError.
    """
    return tuple(matcher for text in texts for matcher in _parse(text))


def all_hold(tests: Sequence[Test], event: Event) -> bool:
    """Whether every test holds; true of none."""
    for test in tests:  # noqa: SIM110 - the hot path of routing: a generator costs more than the tests
        if not test(event):
            return False
    return True


def label_value(name: str) -> Callable[[Event], str]:
    """The function that reads a label, or the pseudo-label `type`, `subject` or `source`; "" when it is not there."""
    if name in PSEUDO_LABELS:
        return operator.attrgetter(name)
    return lambda event: event.labels.get(name, "")


def _parse(text: str) -> list[Matcher]:
    tokens = tokens_of(text)
    index = 1 if tokens[0].kind == "open" else 0
    closing = "close" if index else "end"
    found: list[Matcher] = []
    while tokens[index].kind != closing:
        name, sign, value = tokens[index], tokens[index + 1], tokens[min(index + 2, len(tokens) - 1)]
        if name.kind not in ("word", "quoted") or not name.text:
            raise MatcherError(text, name.column, "a matcher begins with the name of a label")
        if sign.says("exists") and name.kind == "word":
            found.append(_exists(text, name))
            index += 2
        elif value.kind == "list":
            found.append(_among(text, name, value))
            index += 3
        else:
            found.append(_condition(text, name, sign, value))
            index += 3
        if tokens[index].kind == "comma":
            index += 1
        elif tokens[index].kind != closing:
            raise MatcherError(text, tokens[index].column, "after a matcher comes a comma or its end")
    if closing == "close" and tokens[index + 1].kind != "end":
        raise MatcherError(text, tokens[index + 1].column, "nothing may follow the closing brace")
    if not found:
        raise MatcherError(text, 1, "the matcher is empty")
    return found


def _condition(text: str, name: Token, sign: Token, value: Token) -> Matcher:
    if sign.says("in"):
        raise MatcherError(text, value.column, "after `in` comes a list like [E12, E13]")
    if sign.kind != "operator":
        raise MatcherError(
            text, sign.column, "after the name comes one of = != =~ !~ in, or == < <= > >= exists for a value"
        )
    if value.kind not in ("word", "quoted"):
        raise MatcherError(text, value.column, "the value is missing")
    if name.kind == "word" and name.text.startswith(("data.", "facts.")):
        return _comparison(text, name, sign, value)
    if sign.text not in ("=", "!=", "=~", "!~"):
        raise MatcherError(text, sign.column, f"labels are text; {sign.text} compares values of data. and facts. only")
    return _label(text, name.text, sign.text, value)


def _label(text: str, name: str, sign: str, value: Token) -> Matcher:
    read = label_value(name)
    if sign in ("=~", "!~"):
        pattern = _pattern(text, value)
        fits = pattern if sign == "=~" else _not(pattern)
        holds = _read_and(read, _remembering(pattern), sign == "=~")
    else:
        fits = value.text.__eq__ if sign == "=" else value.text.__ne__
        holds = _equality(name, value.text, sign == "=")
    return Matcher(_written(name, sign, value), holds, read, OnLabel(name, sign, (value.text,), fits))


def _not(fits: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda seen: not fits(seen)


def _equality(name: str, wanted: str, equal: bool) -> Test:
    if name in PSEUDO_LABELS:
        read = label_value(name)
        return (lambda event: read(event) == wanted) if equal else (lambda event: read(event) != wanted)
    if equal:
        return lambda event: event.labels.get(name, "") == wanted  # the hot path: no second call
    return lambda event: event.labels.get(name, "") != wanted


def _read_and(read: Callable[[Event], str], fits: Callable[[str], bool], wanted: bool) -> Test:
    return lambda event: fits(read(event)) is wanted


def _pattern(text: str, value: Token) -> Callable[[str], bool]:
    """Whether a whole text fits the pattern."""
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(value.text, options)
    except re2.error as error:
        detail = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise MatcherError(text, value.column, f"the pattern cannot be read: {detail}") from None
    return lambda seen: compiled.fullmatch(seen) is not None


def _remembering(fits: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same with its last answers: labels have few values, and a call of RE2 is slow."""
    known = lru_cache(maxsize=_PATTERN_CACHE)(fits)
    return lambda seen: known(seen) if len(seen) <= LONGEST_REMEMBERED else fits(seen)


def _exists(text: str, name: Token) -> Matcher:
    read = _path(text, name)
    return Matcher(f"{name.text} exists", lambda event: read(event) is not None, _shown(read))


def _among(text: str, name: Token, values: Token) -> Matcher:
    """Whether a label, a value, or one of a list of values, is in a written list; each entry as after `==`."""
    written = f"{name.text} in {values.text}"
    if not (name.kind == "word" and name.text.startswith(("data.", "facts."))):
        read, texts = label_value(name.text), tuple(entry.text for entry in values.entries)
        wanted = frozenset(texts)
        on = OnLabel(name.text, "in", texts, wanted.__contains__)
        return Matcher(written, lambda event: read(event) in wanted, read, on)
    value, words, numbers, powers = _path(text, name), set[str](), set[float | int](), set[float]()
    for entry in values.entries:
        number = _written_number(entry)
        if entry.kind == "word" and is_path(entry.text):
            raise MatcherError(text, entry.column, f'a list holds values; the text itself is written "{entry.text}"')
        if number is None:
            words.add(entry.text)
        else:
            numbers.add(number)
        if (power := _power(entry)) is not None:
            powers.add(power)

    def is_listed(one: Any) -> bool:
        return text_of(one) in words or number_of(one) in numbers or (_is_number(one) and one in powers)

    def holds(event: Event) -> bool:
        seen = value(event)
        return any(map(is_listed, seen)) if isinstance(seen, list) else is_listed(seen)

    return Matcher(written, holds, _shown(value))


def _comparison(text: str, name: Token, sign: Token, value: Token) -> Matcher:
    left = _path(text, name)
    written = _written(name.text, sign.text, value)
    if sign.text == "=":
        raise MatcherError(text, sign.column, "a value of data. or facts. is compared with ==")
    if sign.text in ("=~", "!~"):
        fits, wanted = _remembering(_pattern(text, value)), sign.text == "=~"
        return Matcher(written, lambda e: (seen := text_of(left(e))) is not None and fits(seen) is wanted, _shown(left))
    compare = _ORDER[sign.text]
    if value.kind == "word" and is_path(value.text):
        return Matcher(written, _between(left, _path(text, value), compare), _shown(left))
    number = _written_number(value)
    if compare not in (operator.eq, operator.ne):
        least = _amount(value.text) if value.kind == "word" else None
        if least is None:
            raise MatcherError(text, value.column, f"{sign.text} needs a number or another value like data.name")
        return Matcher(written, lambda e: (seen := _amount(left(e))) is not None and compare(seen, least), _shown(left))
    if number is not None:
        return Matcher(
            written, lambda e: (seen := number_of(left(e))) is not None and compare(seen, number), _shown(left)
        )
    word, power = value.text, _power(value)

    def equals(event: Event) -> bool:
        one = left(event)
        if power is not None and _is_number(one):
            return compare(one, power)
        return (seen := text_of(one)) is not None and compare(seen, word)

    return Matcher(written, equals, _shown(left))


def _written_number(value: Token) -> float | int | None:
    return number_of(value.text) if value.kind == "word" else None


def _power(value: Token) -> float | None:
    """The number with an exponent that stands in a matcher. A number of JSON is compared with it; beside a text it is a
    text, for codes look like that."""
    return float(value.text) if value.kind == "word" and _POWER.fullmatch(value.text) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _amount(value: Any) -> float | int | None:
    """The value as a number in an order (`> 100`), where a text may have an exponent: a code means nothing there."""
    power = isinstance(value, str) and _POWER.fullmatch(value.strip())
    return float(value) if power else number_of(value)


def _between(left: Lookup, right: Lookup, compare: Callable[[Any, Any], bool]) -> Test:
    def holds(event: Event) -> bool:
        one, other = left(event), right(event)
        first, second = number_of(one), number_of(other)
        if first is not None and second is not None:
            return compare(first, second)
        if compare is not operator.eq and compare is not operator.ne:
            first, second = _amount(one), _amount(other)
            return first is not None and second is not None and compare(first, second)
        words = text_of(one), text_of(other)
        return None not in words and compare(*words)

    return holds


def _path(text: str, name: Token) -> Lookup:
    try:
        return compile_path(name.text)
    except PathError as error:
        raise MatcherError(text, name.column, str(error)) from None


def _shown(read: Lookup) -> Callable[[Event], str | None]:
    def seen(event: Event) -> str | None:
        value = read(event)
        text = text_of(value)
        return text if text is not None or value is None else f"<{type(value).__name__}>"

    return seen


def _written(name: str, sign: str, value: Token) -> str:
    return f'{name}{sign}"{value.text}"' if value.kind == "quoted" else f"{name}{sign}{value.text}"
