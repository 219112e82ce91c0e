"""Where the secrets of the source are from now on. Their values are compared, to give one name to one secret, and never
written anywhere."""

from __future__ import annotations

import re
from collections.abc import Container

from andon.config.alertmanager.source import Part


class Variables:
    """The environment variables that have to be set: `named` has what belongs into each."""

    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        self._known: dict[tuple[str, str], str] = {}

    def env(self, part: Part, name: str, what: str) -> str:
        """A reference to a value of the source; `name` is what the variable is called where that is free."""
        key = (what, part.text())
        if key not in self._known:
            self._known[key] = free(re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET", self.named, "_")
            line = part.source.where(part.path)[0]
            self.named[self._known[key]] = f"{what} (line {line})"
        return f"env:{self._known[key]}"

    def secret(self, part: Part, key: str, name: str, what: str) -> str:
        """A reference to the secret `key` of a map, or to the file that `<key>_file` names."""
        file = part[f"{key}_file"]
        return f"file:{file.text()}" if file else self.env(part[key], name, what)


def free(name: str, taken: Container[str], joint: str = "-") -> str:
    """The name, or the first of name-2, name-3, … that is not taken."""
    number = 1
    while (found := name if number == 1 else f"{name}{joint}{number}") in taken:
        number += 1
    return found
