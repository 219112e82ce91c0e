"""The texts of the templates that lie beside andon.yaml."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".j2"
MAX_BYTES = 128 << 10
_FORMS = (".md", ".txt", "")


def candidates(template: str, kind: str) -> tuple[str, ...]:
    """File names a template may have for a channel of that kind, best first; `.md.j2` is markdown, the rest text."""
    return tuple(f"{name}{form}{SUFFIX}" for name in (f"{template}.{kind}", template) for form in _FORMS)


def name_of(file: str, kind: str) -> str:
    """The template a file belongs to, for a channel of that kind."""
    name = file.removesuffix(SUFFIX)
    for form in _FORMS:
        name = name.removesuffix(form) if form else name
    return name.removesuffix(f".{kind}")


def read_templates(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Every `*.j2` of the folder by its name, sorted; and of each that cannot be read what is wrong with it.

    A folder that is not there has none.
    """
    texts: dict[str, str] = {}
    unread: dict[str, str] = {}
    try:
        files = sorted(file for file in folder.iterdir() if file.name.endswith(SUFFIX))
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
