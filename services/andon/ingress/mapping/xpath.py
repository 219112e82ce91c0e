"""Paths into XML: XPath 1.0 (https://www.w3.org/TR/1999/REC-xpath-19991116/), without variables, and without comparing
two lists of nodes with each other, whose cost is the product of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast
from xml.etree.ElementTree import Element, ElementTree

from elementpath import XPathContext
from elementpath.exceptions import ElementPathError
from elementpath.tree_builders import get_node_tree
from elementpath.xpath1 import XPath1Parser
from elementpath.xpath_nodes import ElementNode, XPathNode
from elementpath.xpath_tokens import XPathFunction, XPathToken

from andon.core.failure import Invalid
from andon.core.paths import PathError
from andon.ingress.mapping.paths import Budget, Find, Scope, unusable

_COMPARISONS = frozenset({"=", "!=", "<", ">", "<=", ">="})
_NUMBERS = frozenset({"(integer)", "(decimal)", "(float)", "+", "-", "div", "mod"})
_TEXTS = frozenset({"(string)", "string", "concat", "substring", "substring-before", "substring-after", "translate"})
_TEXTS |= {"normalize-space", "name", "local-name", "namespace-uri"}
_NODES, _TEXT, _VALUE = "nodes", "text", "value"
_NOT_HERE = {"$": "there are no variables", "id": "there is no `id()` without a DTD"}


class XPath:
    """XPath over the tree of an XML body. A path without a `/` before it begins at the root element."""

    def __init__(self, namespaces: Mapping[str, str]) -> None:
        self._parser = XPath1Parser(namespaces=dict(namespaces))

    def root(self, document: Element, /) -> ElementNode:
        tree = get_node_tree(ElementTree(document))
        return next(child for child in tree if isinstance(child, ElementNode))

    def find(self, path: str, /) -> Find:
        select = self._selecting(path)

        def found(scope: Scope) -> Any:
            values = [_value(one) for one in select(scope)]
            return (values[0] if len(values) == 1 else values) if values else None

        return found

    def places(self, path: str, /) -> Callable[[Scope], Sequence[Any] | None]:
        select = self._selecting(path)

        def found(scope: Scope) -> Sequence[Any] | None:
            several = select(scope)
            return several if all(isinstance(one, ElementNode) for one in several) else None

        return found

    def plain(self, place: ElementNode, /) -> Any:
        return _plain(place)

    def _selecting(self, path: str) -> Callable[[Scope], list[Any]]:
        """Raises PathError."""
        try:
            token = self._parser.parse(path)
            wrong = next(_wrong(token), None)
        except (ElementPathError, RecursionError, ValueError, TypeError) as error:
            raise PathError(f"`{path}` is no XPath 1.0: {error}") from None
        if wrong:
            raise PathError(f"`{path}`: {wrong}")

        def selected(scope: Scope) -> list[Any]:
            try:
                return list(token.select(_Context(scope)))
            except Invalid:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it stumbles over is in the body
                raise unusable(path, error) from None

        return selected


def _wrong(token: XPathToken) -> Iterator[str]:
    """What is no part of these paths."""
    for one in token.iter():
        if one.symbol in _NOT_HERE and (one.symbol == "$" or one.label == "function"):
            yield _NOT_HERE[one.symbol]
        if one.symbol in _COMPARISONS:
            left, right = sorted(map(_kind, one))
            if left == right == _NODES:
                yield f"`{one.symbol}` compares a path with a value, not two paths; write string(…) around one of them"
            elif one.symbol in ("=", "!=") and _NODES in (left, right) and _TEXT not in (left, right):
                yield f"`{one.symbol}` compares a path with a text; write number(…) around the path, or quotes"


def _kind(token: XPathToken) -> str:
    """What an operand is: nodes, a text, or another value."""
    if token.symbol == "(" and len(token) == 1:
        return _kind(token[0])
    if token.symbol in _TEXTS:
        return _TEXT
    called = isinstance(token, XPathFunction) and token.label == "function"
    return _VALUE if called or token.symbol in _NUMBERS | _COMPARISONS | {"and", "or"} else _NODES


def _charged(walk: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def charged(context: _Context, *args: Any, **kwargs: Any) -> Iterator[Any]:
        context.budget.spend()
        for node in walk(context, *args, **kwargs):
            context.budget.spend()
            yield node

    return charged


class _Context(XPathContext):
    """Counts every node that an axis goes over."""

    budget: Budget

    def __init__(self, scope: Scope) -> None:
        super().__init__(root=scope.root.root_node, item=scope.item)
        self.budget = scope.budget

    def __copy__(self) -> _Context:
        # Each evaluation of an argument, such as one that walks no axis: string(/).
        self.budget.spend()
        copied: _Context = super().__copy__()  # type: ignore[assignment]
        return copied

    iter_attributes = _charged(XPathContext.iter_attributes)
    iter_children_or_self = _charged(XPathContext.iter_children_or_self)
    iter_matching_nodes = _charged(XPathContext.iter_matching_nodes)
    iter_parent = _charged(XPathContext.iter_parent)
    iter_siblings = _charged(XPathContext.iter_siblings)
    iter_descendants = _charged(XPathContext.iter_descendants)
    iter_ancestors = _charged(XPathContext.iter_ancestors)
    iter_preceding = _charged(XPathContext.iter_preceding)
    iter_followings = _charged(XPathContext.iter_followings)


def _value(found: Any) -> Any:
    """The same, but an element that only holds a text is that text, whatever its attributes."""
    if isinstance(found, ElementNode) and not len(element := cast("Element", found.value)):
        return (element.text or "").strip()
    return _plain(found)


def _plain(found: Any) -> Any:
    """Elements as fields, every other node as its text, numbers as numbers; what is no number is nothing."""
    if isinstance(found, ElementNode):
        return fields_of_element(cast("Element", found.value))
    if isinstance(found, XPathNode):
        return str(found.string_value).strip()
    if isinstance(found, bool | str):
        return found
    if isinstance(found, int | float | Decimal):
        number = float(found)
        return None if not math.isfinite(number) else int(number) if number.is_integer() else number
    return str(found)


def fields_of_element(element: Element) -> Any:
    """The text of an element, or its fields: children by their names without namespace, a list where one comes more
    than once; attributes with an `@` before them, and `#text` beside them."""
    fields: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
    several: set[str] = set()
    for child in element:
        name, value = _local(child.tag), fields_of_element(child)
        if name in several:
            fields[name].append(value)
        elif name in fields:
            fields[name] = [fields[name], value]
            several.add(name)
        else:
            fields[name] = value
    text = (element.text or "").strip()
    if not fields:
        return text
    return fields | {"#text": text} if text else fields


def _local(name: str) -> str:
    return name.rpartition("}")[2]
