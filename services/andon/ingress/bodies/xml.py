"""XML from outside as plain values. No DTD, no entities, a bounded depth: what such things are for is never in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from andon.core.failure import Invalid
from andon.core.reason import Reason

DEPTH = 16
DEEPEST = 32  # of a tree: messages of other systems stand in envelopes
MOST_NODES = 20_000


def fields_of(body: bytes, lists: Collection[str] = ()) -> dict[str, Any]:
    """The children of the root by their names: text, or fields again. What stands more than once is a list, and so are
    the elements named in `lists`, also when they stand once. Attributes are left out. Raises Invalid (MALFORMED)."""
    found = _parsed(body, _Fields(lists))
    if not isinstance(found, dict):
        raise Invalid(Reason.MALFORMED, "the XML has no fields")
    return found


def tree_of(body: bytes | str) -> Element:
    """The root, for whoever looks for something by its path. Raises Invalid (MALFORMED, TOO_LARGE)."""
    root: Element = _parsed(body, _Tree())
    return root


def _parsed(body: bytes | str, target: object) -> Any:
    """What the target makes of the body. Raises Invalid (MALFORMED)."""
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    try:
        parser.feed(body)
        return parser.close()
    except DefusedXmlException:
        raise Invalid(Reason.MALFORMED, "XML with a DTD or entities is not taken") from None
    except (ParseError, ValueError, LookupError) as error:
        raise Invalid(Reason.MALFORMED, f"no XML: {error}") from None


class _Tree(TreeBuilder):
    """Builds the tree while the parser reads, as deep and as large as is allowed."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._nodes = 0

    def start(self, tag: str, attributes: Mapping[str, str], /) -> Element:
        self._depth += 1
        self._nodes += 1 + len(attributes)
        if self._depth > DEEPEST:
            raise Invalid(Reason.MALFORMED, f"the XML is nested deeper than {DEEPEST} levels")
        if self._nodes > MOST_NODES:
            raise Invalid(Reason.TOO_LARGE, f"the XML has more than {MOST_NODES:,} elements and attributes")
        return super().start(tag, dict(attributes))

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


class _Fields:
    """Builds the fields while the parser reads."""

    def __init__(self, lists: Collection[str]) -> None:
        self._lists = lists
        self._open: list[tuple[dict[str, Any], list[str]]] = []
        self._root: dict[str, Any] | str = ""

    def start(self, _name: str, _attributes: Mapping[str, str]) -> None:
        if len(self._open) == DEPTH:
            raise Invalid(Reason.MALFORMED, f"the XML is nested deeper than {DEPTH} levels")
        self._open.append(({}, []))

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1][1].append(text)

    def end(self, name: str) -> None:
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
