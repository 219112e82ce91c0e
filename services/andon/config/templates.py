"""The names and texts of the templates that lie beside andon.yaml.

A file is called NAME, then for which kind of channel and in which language it is, where that matters, then what it is
sent as: `fault.wecom_robot.en.md.j2`, or `fault.wecom_app.en.textcard.yaml` for a structured kind. One that is for a
single type of event lies in a folder with the type's name. What says most is used first: the type, then the language,
then the kind.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".j2"
STRUCTURED = ".yaml"
MAX_BYTES = 128 << 10
LANGUAGE = re.compile(r"[a-z]{2}(?:-[A-Z]{2})?")
_FORMS = (".md", ".txt", "")
_SECOND = ".md2"


class Named(NamedTuple):
    """What the name of a structured template's file says; `type` and `language` may be empty."""

    type: str
    template: str
    channel: str
    language: str
    kind: str


def best(files: Collection[str], template: str, kind: str, language: str = "", event_type: str = "") -> str | None:
    """The file that is used for a template in a channel of that kind, told in that language, of events of that type."""
    return next(_found(files, template, kind, language, event_type), None)


def _found(files: Collection[str], template: str, kind: str, language: str, event_type: str) -> Iterator[str]:
    for folder in (event_type, "") if event_type else ("",):
        for tongue in languages(language):
            yield from structured(template, kind, files, tongue, folder)
            names = candidates(template, kind, tongue)
            yield from (name for name in (f"{folder}/{one}" if folder else one for one in names) if name in files)


def languages(language: str) -> tuple[str, ...]:
    """The language, that without its country, and none: in this order a reader of it is served."""
    return tuple(dict.fromkeys((language, language.partition("-")[0], "")))


def candidates(template: str, kind: str, language: str = "") -> tuple[str, ...]:
    """File names a text template in just that language may have for a channel of that kind, best first.

    `.md.j2` is markdown, the rest text; `.md2.j2` is WeCom's second markdown, which only a file for one kind can be.
    """
    tongue = f".{language}" if language else ""
    own, common = f"{template}.{kind}{tongue}", f"{template}{tongue}"
    return (f"{own}{_SECOND}{SUFFIX}", *(f"{name}{form}{SUFFIX}" for name in (own, common) for form in _FORMS))


def structured(template: str, kind: str, files: Iterable[str], language: str = "", folder: str = "") -> list[str]:
    """Those of the files that are this template in a structured kind for just that, sorted."""
    wanted = (folder, template, kind, language)
    return sorted(file for file in files if is_structured(file) and parts_of(file)[:4] == wanted)


def is_structured(file: str) -> bool:
    """Whether a file's name is that of a structured template, NAME.CHANNEL_KIND[.LANGUAGE].CONTENT_KIND.yaml."""
    return file.endswith(STRUCTURED) and file.rpartition("/")[2].count(".") > 2


def parts_of(file: str) -> Named:
    """What a structured template's file is for."""
    folder, _, name = file.rpartition("/")
    steps = name.removesuffix(STRUCTURED).split(".")
    kind = steps.pop()
    language = steps.pop() if len(steps) > 2 and LANGUAGE.fullmatch(steps[-1]) else ""
    return Named(folder, ".".join(steps[:-1]), steps[-1], language, kind)


def stem_of(file: str) -> str:
    """A text template's name without its folder and without what it is sent as: NAME[.CHANNEL_KIND][.LANGUAGE]."""
    name = file.rpartition("/")[2].removesuffix(SUFFIX)
    for form in (_SECOND, *_FORMS):
        name = name.removesuffix(form) if form else name
    return name


def name_of(file: str, kind: str) -> str:
    """The template a file belongs to, for a channel of that kind."""
    if is_structured(file):
        return parts_of(file).template
    return stem_of(file).removesuffix(f".{language_of(file)}").removesuffix(f".{kind}")


def language_of(file: str) -> str:
    """The language a file's name ends in; empty for one without."""
    if is_structured(file):
        return parts_of(file).language
    _, dot, last = stem_of(file).rpartition(".")
    return last if dot and LANGUAGE.fullmatch(last) else ""


def is_of(file: str, template: str, kind: str) -> bool:
    """Whether a file is this template for that kind of channel, in some language and for some type of event, be it
    one that another file goes before."""
    if is_structured(file):
        return parts_of(file)[1:3] == (template, kind)
    name = file.rpartition("/")[2]
    return any(name in candidates(template, kind, language) for language in {"", language_of(file)})


def types_of(files: Iterable[str]) -> frozenset[str]:
    """The types of events that have templates of their own."""
    return frozenset(file.rpartition("/")[0] for file in files) - {""}


def read_templates(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Every template of the folder and of the folders in it by its name, sorted; and of each that cannot be read what
    is wrong with it.

    A folder that is not there has none; one whose name begins with a dot is left alone. Raises OSError for a folder
    that cannot be read.
    """
    texts: dict[str, str] = {}
    unread: dict[str, str] = {}
    try:
        files = sorted(_templates(folder))
    except (FileNotFoundError, NotADirectoryError):
        return {}, {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        text, problem = _text(file)
        if problem:
            unread[name] = problem
        else:
            texts[name] = text
    return texts, unread


def _templates(folder: Path) -> Iterator[Path]:
    for file in folder.iterdir():
        if _is_template(file.name):
            yield file
        elif file.is_dir() and not file.name.startswith("."):
            yield from (inner for inner in file.iterdir() if _is_template(inner.name))


def _is_template(file: str) -> bool:
    return file.endswith(SUFFIX) or is_structured(file)


def _text(file: Path) -> tuple[str, str]:
    """The text, or what is wrong with the file."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            return "", f"is larger than {MAX_BYTES >> 10} KiB"
        return raw.decode("utf-8-sig").replace("\r\n", "\n"), ""
    except OSError as error:
        return "", f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "", "is not UTF-8; save it as UTF-8"
