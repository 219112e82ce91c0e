"""What is written into andon.yaml: its entries, with what a person should read beside them, and as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from andon.config.mistakes import shortened

WIDTH = 120
_PLAIN = re.compile(r"(?:env:)?[A-Za-z_][\w./@+-]*|\d+(?:ms|s|m|h|d)", re.ASCII)
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


@dataclass
class Entry:
    """A named entry of a section, or a route. `beside` are comments that stand above it."""

    keys: dict[str, Any]
    beside: list[str] = field(default_factory=list)
    routes: list[Entry] = field(default_factory=list)


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def comments(texts: Iterable[str], indent: str) -> Iterator[str]:
    """Texts as comments; each on one line, whatever is in it."""
    for text in texts:
        line = "".join(sign if sign.isprintable() else "?" for sign in shortened(text))
        yield f"{indent}# {line}"


def section(name: str, entries: Mapping[str, Entry]) -> Iterator[str]:
    """A section of named entries; nothing for one that has none."""
    if entries:
        yield ""
        yield f"{name}:"
    for key, entry in entries.items():
        yield from comments(entry.beside, "  ")
        yield f"  {flow(key)}: {flow(entry.keys)}"


def route(entry: Entry, indent: str = "  ") -> Iterator[str]:
    """The keys of a route and the routes below it, each key on its line."""
    for key, value in entry.keys.items():
        yield f"{indent}{key}: {flow(value)}"
    if entry.routes:
        yield f"{indent}routes:"
    for child in entry.routes:
        yield from comments(child.beside, f"{indent}  ")
        line = f"{indent}  - {flow(child.keys)}"
        if not child.routes and len(line) <= WIDTH:
            yield line
        else:
            first, *rest = route(child, f"{indent}    ")
            yield f"{indent}  - {first.lstrip()}"
            yield from rest


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if not text.isprintable():
        return (
            '"'
            + "".join(sign if sign.isprintable() and sign not in '"\\' else f"\\U{ord(sign):08x}" for sign in text)
            + '"'
        )
    return "'" + text.replace("'", "''") + "'" if '"' in text or "\\" in text else f'"{text}"'
