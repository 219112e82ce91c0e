"""How much text a template may make of a value: two small values of an event could ask for gigabytes together.

What an operator, a filter or a method adds is bounded before it is made. What a template shows is bounded by the
renderer, and loops by `range`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, Undefined, filters, pass_environment
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import SandboxedFormatter

MAX_CHARACTERS = 65_536
MAX_INDENT = 16
# A key with parentheses in it, and a width that a value gives, end at the sign that stands for itself.
_CONVERSION = re.compile(r"%(?:\(([^()]*)\))?[-#0 +]*([0-9]*)(?:\.([0-9]*))?[hlL]?(.)", re.DOTALL)
_UNBOUNDED = ("*", "(")
_NUMBER = re.compile("[0-9]+")
# Digits of the greatest float, its sign and its fraction.
_LONGEST_NUMBER = 400


def within(size: int) -> None:
    """Raises SecurityError for more characters, or entries, than a notice can have."""
    if size > MAX_CHARACTERS:
        raise SecurityError(f"makes more than {MAX_CHARACTERS} characters")


def indented(width: int | None) -> None:
    """Checks by how much JSON is to be indented, each level of it."""
    if width is not None and width > MAX_INDENT:
        raise SecurityError(f"indents by more than {MAX_INDENT}")


def repeated(left: Any, right: Any) -> None:
    """Checks what `*` is about to make."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, Sequence) and isinstance(count, int):
            within(len(sequence) * count)


def formatted(text: str, values: Any) -> Any:
    """`text % values`; a missing field, when one is wanted as a number."""
    size = 0
    shown = list(values) if isinstance(values, tuple) else [values]
    for name, width, precision, sign in _CONVERSION.findall(text):
        if sign in _UNBOUNDED:
            raise SecurityError("a width in a format is written as a number, and a name without parentheses")
        size += int(width or 0) + int(precision or 0)
        # What has no name is shown once.
        if name and isinstance(values, Mapping):
            shown.append(values.get(name))
            size += _LONGEST_NUMBER if isinstance(shown[-1], Undefined) else len(str(shown[-1])) + _LONGEST_NUMBER
        within(size)
    try:
        return text % values
    except (TypeError, UndefinedError):
        missing = [one for one in shown if isinstance(one, Undefined)]
        if not missing:
            raise
        return missing[0]


class Formatter(SandboxedFormatter):
    """`str.format`, for one text."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._size = 0

    def format_field(self, value: Any, format_spec: str) -> Any:
        within(sum(int(number) for number in _NUMBER.findall(format_spec)))
        made = super().format_field(value, format_spec)
        self._size += len(made)
        within(self._size)
        return made


def called(function: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """Checks what a method of a text or a number is about to make; its arguments."""
    if not isinstance(getattr(function, "__self__", None), str | bytes | int):
        return arguments
    of: Any = function.__self__
    match function.__name__, arguments:
        case "join", (entries,):
            entries = list(entries)
            within(len(of) * len(entries))
            return (entries,)
        case "replace", (old, new, *_):
            within(of.count(old) * len(new))
        case "translate", (dict() as table,):
            within(len(of) * max((len(str(one)) for one in table.values()), default=0))
        case "expandtabs", _:
            width = next(iter((*arguments, *named.values())), 8)
            within(of.count("\t" if isinstance(of, str) else b"\t") * width)
        case _:
            within(max((one for one in (*arguments, *named.values()) if isinstance(one, int)), default=0))
    return arguments


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Iterator[list[Any]]:
    within(linecount)
    return filters.do_batch(value, linecount, fill_with)


def _center(value: Any, width: int = 80) -> str:
    within(width)
    return filters.do_center(value, width)


def _format(value: Any, *arguments: Any, **named: Any) -> Any:
    return formatted(str(value), named or arguments)


def _indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = str(s)
    within((len(width) if isinstance(width, str) else width) * (len(text.splitlines()) + 1))
    return filters.do_indent(text, width, first, blank)


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(environment, attribute), value)
    texts, between = [str(one) for one in value], str(d)
    within(len(texts) * len(between))
    return between.join(texts)


def _replace(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(s), str(old), str(new)
    within(text.count(old) * len(new))
    return text.replace(old, new, -1 if count is None else count)


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    within(abs(precision))
    return filters.do_round(value, precision, method)


def _slice(value: Collection[Any], slices: int, fill_with: Any = None) -> Iterator[list[Any]]:
    within(slices)
    return filters.sync_do_slice(value, slices, fill_with)


@pass_environment
def _wordwrap(
    environment: Environment,
    s: Any,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str | None = None,
    break_on_hyphens: bool = True,
) -> str:
    # What is no number, but compares with one (a missing field, NaN), would wrap for ever.
    width = int(width)
    within(len(wrapstring or "") * (len(s) // max(width, 1) + len(s.splitlines())))
    return filters.do_wordwrap(environment, s, width, break_long_words, wrapstring, break_on_hyphens)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "batch": _batch,
    "center": _center,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "slice": _slice,
    "wordwrap": _wordwrap,
}
"""Jinja2's own, bounded."""
