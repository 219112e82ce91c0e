"""An Alertmanager configuration as it is read: each part knows its place, and takes down what is to be said of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from andon.config.document import Document
from andon.config.mistakes import Invalid, Mistake, Path, Place, hint, named, shortened

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_LENGTHS = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True, order=True)
class Note:
    """What a person has to know or do, and the place in the source that it is about (line and column from 1)."""

    line: int
    column: int
    path: Path = field(compare=False)
    text: str


class Source:
    """The file, with the notes that were taken while it was read."""

    def __init__(self, file: str, document: Document) -> None:
        self.file = file
        self.document = document
        self.notes: list[Note] = []

    @property
    def root(self) -> Part:
        return Part(self, self.document.data, ())

    def where(self, path: Path) -> Place:
        return self.document.where(path)


class Part:
    """A value of the source. What is not there is a part too, and false. Reading one as what it is not raises Invalid,
    as Alertmanager would refuse it."""

    def __init__(self, source: Source, value: Any, path: Path) -> None:
        self.source = source
        self.value = value
        self.path = path

    def __bool__(self) -> bool:
        return self.value is not None

    def __getitem__(self, key: str) -> Part:
        return Part(self.source, self._map().get(key), (*self.path, key))

    def items(self) -> Iterator[tuple[str, Part]]:
        """The entries of a map, in their order."""
        return ((key, self[key]) for key in self._map())

    def parts(self) -> Iterator[Part]:
        """The entries of a list."""
        if self.value is not None and not isinstance(self.value, list):
            raise self.wrong("must be a list")
        return (Part(self.source, each, (*self.path, number)) for number, each in enumerate(self.value or ()))

    def text(self, default: str = "") -> str:
        """A scalar as text, as Alertmanager reads one where it wants text."""
        if isinstance(self.value, dict | list):
            raise self.wrong("must be text")
        return default if self.value is None else str(self.value)

    def flag(self, default: bool) -> bool:
        """A truth value, in any spelling of YAML 1.1."""
        if self.value is None:
            return default
        if self.text().lower() not in _TRUTHS:
            raise self.wrong("must be true or false")
        return _TRUTHS[self.text().lower()]

    def seconds(self, default: float) -> float:
        """A duration in Prometheus' form, 1h30m."""
        if self.value is None:
            return default
        match = _DURATION.fullmatch(self.text())
        if self.text() == "0" or not match or not self.text():
            if self.text() == "0":
                return 0.0
            raise self.wrong("must be a duration like 30s, 5m or 1h30m")
        return sum(int(count) * length for count, length in zip(match.groups("0"), _LENGTHS, strict=True))

    def note(self, text: str) -> str:
        """Takes down what is to be said of this part, and gives it back."""
        self.source.notes.append(Note(*self.source.where(self.path), self.path, shortened(text)))
        return text

    def unread(self, *known: str) -> None:
        """Notes every key of a map that is not among those."""
        for key, part in self.items():
            if key not in known:
                part.note(f"`{key}` has no equivalent and was left out")

    def wrong(self, text: str) -> Invalid:
        """That the source is no configuration of Alertmanager's, here."""
        line, column = self.source.where(self.path)
        return Invalid([Mistake(self.source.file, line, column, self.path, f"{named(self.path)} {text}")])

    def unknown(self, what: str, known: object) -> Invalid:
        """That a name names nothing."""
        names = [str(name) for name in known] if isinstance(known, list | tuple | dict) else []
        return self.wrong(f"names no {what}{hint(self.text(), names)}")

    def _map(self) -> dict[str, Any]:
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.wrong("must be a map")
        return self.value
