"""Mentions a template writes around a value: `<@{{ data.who }}>` calls whom an event names, and never everybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from andon.egress.escape import Escaped, Raw

# What stands before the name of a person: `<@` or `@`, and `<at ` with whatever is within it.
_CALLS = re.compile(r"(?:@|<at\s[^<>]*)\Z", re.IGNORECASE)
_LONGEST = 256
# Also among others: `<at ids=wang,all>`.
_EVERYBODY = re.compile(r"""((?:\A|,)\s*+(?:["']\s*+)?)a(?=ll(?![\w.\-@]))""", re.IGNORECASE)
_FILTER = "never_everybody"


class Mentions(Extension):
    """Gives each value that a template shows where a person is named to a filter, unless it is shown `raw`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters[_FILTER] = never_everybody

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        shown: list[Token] = []
        said, calls = "", False
        for token in stream:
            if token.type == "data":
                said = (said + token.value)[-_LONGEST:]
                calls = _CALLS.search(said) is not None
            if shown or (calls and token.type == "variable_begin"):
                shown.append(token)
            else:
                yield token
            if shown and token.type == "variable_end":
                yield from _filtered(shown)
                shown = []
        yield from shown


def _filtered(shown: list[Token]) -> Iterator[Token]:
    begin, *expression, end = shown
    if not expression:
        yield from shown
        return
    yield from (begin, Token(begin.lineno, "lparen", "("), *expression, Token(end.lineno, "rparen", ")"))
    yield from (Token(end.lineno, "pipe", "|"), Token(end.lineno, "name", _FILTER), end)


def never_everybody(value: Any) -> Any:
    """The value; `all`, which would call everybody, with its first letter full-width."""
    if not isinstance(value, str) or isinstance(value, Raw):
        return value
    text = _EVERYBODY.sub(r"\1ａ", value)
    return Escaped(text) if isinstance(value, Escaped) else text
