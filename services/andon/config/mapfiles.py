"""Reads the files that stand for the maps of sources, so that a version of the configuration has what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

from andon.config.document import MAX_BYTES, Document, Unreadable, parse
from andon.config.mistakes import Path
from andon.config.references import matches
from andon.config.shapes import Found


class Beside(NamedTuple):
    """A file with a part of the configuration."""

    file: File
    document: Document


class MapFiles(NamedTuple):
    """The data of andon.yaml with the content of the files its maps name, these files by the place they stand in for,
    what is wrong with them, and every one that was named."""

    data: Any
    beside: Mapping[Path, Beside]
    found: tuple[Found, ...]
    files: tuple[File, ...]


def with_maps(data: Any, folder: File) -> MapFiles:
    """Reads the files that stand for maps. What cannot be read is left out, and said."""
    beside: dict[Path, Beside] = {}
    found: list[Found] = []
    files: list[File] = []
    sources = dict(data["sources"]) if isinstance(data, dict) and isinstance(data.get("sources"), dict) else {}
    for place, name in list(_named(data)):
        file = folder / name
        files.append(file)
        source = str(place[1])
        sources[source] = {key: inner for key, inner in sources[source].items() if key != "map"}
        try:
            beside[place] = Beside(file, _read(file))
        except Unreadable as error:
            line, column = error.place
            found.append(Found(place, f"{name}:{line}:{column}: {error.text}"))
        else:
            sources[source]["map"] = beside[place].document.data
    return MapFiles({**data, "sources": sources} if files else data, beside, tuple(found), tuple(files))


def _named(data: Any) -> Iterator[tuple[Path, str]]:
    for place, written in matches(data, ("sources", "*", "map")):
        if isinstance(written, str):
            yield place, written


def _read(file: File) -> Document:
    """Raises Unreadable."""
    try:
        with file.open("rb") as stream:
            return parse(stream.read(MAX_BYTES + 1))
    except OSError as error:
        raise Unreadable((1, 1), f"cannot be read ({error.strerror})") from None
