"""XML from outside as plain values. No DTD, no entities, a bounded depth: what such things are for is never in it. And
a bounded number of elements: Python is told of each, before anybody knows who sent it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from andon.core.failure import Invalid
from andon.core.reason import Reason

DEPTH = 16
DEEPEST = 32  # of a tree: messages of other systems stand in envelopes
MOST_NODES = 20_000


def fields_of(body: bytes, lists: Collection[str] = ()) -> dict[str, Any]:
    """The children of the root by their names: text, or fields again. What stands more than once is a list, and so are
    the elements named in `lists`, also when they stand once. Attributes are left out. Raises Invalid (MALFORMED,
    TOO_LARGE)."""
    found = _parsed(body, _Fields(lists))
    if not isinstance(found, dict):
        raise Invalid(Reason.MALFORMED, "the XML has no fields")
    return found


def tree_of(body: bytes | str) -> Element:
    """The root, for whoever looks for something by its path. Raises Invalid (MALFORMED, TOO_LARGE)."""
    root: Element = _parsed(body, _Tree())
    return root


def _parsed(body: bytes | str, target: _Target) -> Any:
    """What the target makes of the body. Raises Invalid (MALFORMED, TOO_LARGE)."""
    nodes = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal nodes
        nodes += 1 + len(attributes)
        if nodes > MOST_NODES:
            raise Invalid(Reason.TOO_LARGE, f"the XML has more than {MOST_NODES:,} elements and attributes")
        target.start(name, attributes)

    # Expat itself: ElementTree's parser in Python, which is the one that can be told to refuse a DTD, took an eighth of
    # the time of a callback.
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = target.end
    parser.CharacterDataHandler = target.data
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Invalid(Reason.MALFORMED, f"no XML: {error}") from None
    return target.close()


def _no_doctype(*_declared: object) -> None:
    """Entities, external ones too, are declared in a DTD or nowhere (XML 1.0, section 4.2)."""
    raise Invalid(Reason.MALFORMED, "XML with a DTD or entities is not taken")


def _named(name: str) -> str:
    """As ElementTree writes a name: {namespace}name."""
    return "{" + name if "}" in name else name


class _Target(Protocol):
    """What is told of the parts of a document as they are read; names are written namespace}name."""

    def start(self, name: str, attributes: dict[str, str], /) -> object: ...

    def data(self, text: str, /) -> object: ...

    def end(self, name: str, /) -> object: ...

    def close(self) -> object: ...


class _Tree(TreeBuilder):
    """Builds the tree while the parser reads, as deep as is allowed."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Invalid(Reason.MALFORMED, f"the XML is nested deeper than {DEEPEST} levels")
        return super().start(_named(tag), {_named(name): value for name, value in attributes.items()})

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(_named(tag))


class _Fields:
    """Builds the fields while the parser reads."""

    def __init__(self, lists: Collection[str]) -> None:
        self._lists = lists
        self._open: list[tuple[dict[str, Any], list[str]]] = []
        self._root: dict[str, Any] | str = ""

    def start(self, _name: str, _attributes: dict[str, str], /) -> None:
        if len(self._open) == DEPTH:
            raise Invalid(Reason.MALFORMED, f"the XML is nested deeper than {DEPTH} levels")
        self._open.append(({}, []))

    def data(self, text: str, /) -> None:
        if self._open:
            self._open[-1][1].append(text)

    def end(self, name: str, /) -> None:
        name = _named(name)
        fields, texts = self._open.pop()
        value = fields or "".join(texts)
        if not self._open:
            self._root = value
            return
        above = self._open[-1][0]
        if name not in above:
            above[name] = [value] if name in self._lists else value
        elif isinstance(above[name], list):
            above[name].append(value)
        else:
            above[name] = [above[name], value]

    def close(self) -> dict[str, Any] | str:
        return self._root
