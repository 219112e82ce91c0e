"""Paths into JSON and into forms: JMESPath (https://jmespath.org/specification.html).

Two things beyond it: `$.` begins at the body where `each` lets paths begin further in, and names of letters of any
script need no quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import Parser
from jmespath.visitor import TreeInterpreter

from andon.core.failure import Invalid
from andon.core.paths import PathError
from andon.ingress.mapping.paths import Budget, Find, Scope, unusable

# Texts and literals stay as they are; a name in another script than Latin is put in quotes.
_WORD = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)|[^\W\d]\w*""")
_ROOT = re.compile(r"\$(?:\.|(?=\[)|$)")


class Jmes:
    """JMESPath over what JSON and forms are read as."""

    def root(self, document: Any, /) -> Any:
        return document

    def find(self, path: str, /) -> Find:
        inside = _ROOT.sub("", path, count=1) if path.startswith("$") else path
        node, from_root = _parsed(inside or "@", path), inside is not path

        def found(scope: Scope) -> Any:
            try:
                return _Interpreter(scope.budget).visit(node, scope.root if from_root else scope.item)
            except Invalid:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it stumbles over is in the body
                raise unusable(path, error) from None

        return found

    def places(self, path: str, /) -> Callable[[Scope], Sequence[Any] | None]:
        find = self.find(path)

        def found(scope: Scope) -> Sequence[Any] | None:
            several = find(scope)
            return several if isinstance(several, list) else None

        return found

    def plain(self, place: Any, /) -> Any:
        return place


class _Interpreter(TreeInterpreter):  # type: ignore[misc]  # it has no types
    """Counts what it does."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._budget = budget

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._budget.spend()
        return super().visit(node, *args, **kwargs)


def _parsed(text: str, path: str) -> Any:
    """The syntax tree. Raises PathError."""
    try:
        tree = Parser().parse(_WORD.sub(_quoted, text)).parsed
        wrong = next(_wrong_calls(tree), None)
    except (JMESPathError, RecursionError, ValueError) as error:
        first = str(error).partition("\n")[0].rstrip(":")
        names = "; a name with other signs than letters, digits and _ stands in double quotes"
        raise PathError(f"`{path}` is no JMESPath: {first}{names}") from None
    if wrong:
        raise PathError(f"`{path}`: {wrong}")
    return tree


def _quoted(match: re.Match[str]) -> str:
    word = match[0]
    return word if match[1] or word.isascii() else f'"{word}"'


def _wrong_calls(node: Any) -> Iterator[str]:
    """Functions that do not exist, or are called with too few or too many arguments; the library finds them only when
    a body is there."""
    if node["type"] == "function_expression":
        known = Functions.FUNCTION_TABLE.get(node["value"])
        if known is None:
            yield f"JMESPath has no function `{node['value']}`"
            return
        signature, given = known["signature"], len(node["children"])
        open_ended = bool(signature) and signature[-1].get("variadic", False)
        if given < len(signature) or (given > len(signature) and not open_ended):
            yield f"`{node['value']}` takes {len(signature)} argument{'s' * (len(signature) != 1)}, not {given}"
    for child in node.get("children", ()):
        if isinstance(child, dict):
            yield from _wrong_calls(child)
