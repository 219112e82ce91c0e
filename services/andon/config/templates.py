"""The texts of the templates that lie beside andon.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SUFFIX = ".j2"
STRUCTURED = ".yaml"
MAX_BYTES = 128 << 10
_FORMS = (".md", ".txt", "")
_SECOND = ".md2"


def candidates(template: str, kind: str) -> tuple[str, ...]:
    """File names a template may have for a channel of that kind, best first.

    `.md.j2` is markdown, the rest text; `.md2.j2` is WeCom's second markdown, which only a file for one kind can be.
    """
    own = f"{template}.{kind}"
    return (f"{own}{_SECOND}{SUFFIX}", *(f"{name}{form}{SUFFIX}" for name in (own, template) for form in _FORMS))


def structured(template: str, kind: str, files: Iterable[str]) -> list[str]:
    """Those of the files that are this template in a structured kind for that kind of channel, sorted."""
    return sorted(file for file in files if is_structured(file) and parts_of(file)[:2] == (template, kind))


def is_structured(file: str) -> bool:
    """Whether a file's name is that of a structured template, NAME.CHANNEL_KIND.CONTENT_KIND.yaml."""
    return file.endswith(STRUCTURED) and file.count(".") > 2


def parts_of(file: str) -> tuple[str, str, str]:
    """Template, kind of channel and kind of content of a structured template's file."""
    name, channel, kind = file.removesuffix(STRUCTURED).rsplit(".", 2)
    return name, channel, kind


def name_of(file: str, kind: str) -> str:
    """The template a file belongs to, for a channel of that kind."""
    if is_structured(file):
        return parts_of(file)[0]
    name = file.removesuffix(SUFFIX)
    for form in (_SECOND, *_FORMS):
        name = name.removesuffix(form) if form else name
    return name.removesuffix(f".{kind}")


def read_templates(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Every template of the folder by its name, sorted; and of each that cannot be read what is wrong with it.

    A folder that is not there has none.
    """
    texts: dict[str, str] = {}
    unread: dict[str, str] = {}
    try:
        files = sorted(file for file in folder.iterdir() if _is_template(file.name))
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        return {}, {folder.name: f"cannot be read ({error.strerror})"}
    for file in files:
        text, problem = _text(file)
        if problem:
            unread[file.name] = problem
        else:
            texts[file.name] = text
    return texts, unread


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
