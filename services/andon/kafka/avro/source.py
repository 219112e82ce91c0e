"""Python that is written for one schema and then run: the codec of its records without a call for each field.

A tree of functions, one for each type, spends most of its time in calling: the same record costs it twice as much.
What a schema says reaches the text as a number or as a quoted literal only; all else is handed over by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_INDENT = "    "


class Source:
    """Functions in the making. `names` is what their text may mention."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = dict(names)
        self._texts: list[str] = []
        self._count = 0

    def new(self, stem: str) -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{stem}{self._count}"

    def give(self, thing: Any) -> str:
        """The name by which the text may mention a thing."""
        name = self.new("thing")
        self._names[name] = thing
        return name

    def function(self, head: str, body: list[str]) -> str:
        """Adds a function with the arguments `head`; its name."""
        name = self.new("function")
        self._texts.append("\n".join([f"def {name}({head}):", *indented(body)]))
        return name

    def made(self, name: str) -> Callable[..., Any]:
        """The function of that name, ready to be called."""
        exec(compile("\n".join(self._texts), "<avro>", "exec"), self._names)  # noqa: S102 - see the module's text
        found: Callable[..., Any] = self._names[name]
        return found


def indented(lines: list[str]) -> list[str]:
    """The lines as the body of what stands before them."""
    return [_INDENT + line for line in lines]
