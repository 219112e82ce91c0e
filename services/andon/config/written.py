"""A published configuration as files again: `andon.yaml` and its templates. Comments are not part of a version."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from andon.config.document import FILE_NAME, MAX_BYTES
from andon.config.published import Published, plain
from andon.config.receivers import Templates
from andon.config.settings import Settings


def text(settings: Settings) -> str:
    """The text of an andon.yaml with these settings: what is the default is left out."""
    writer = YAML(typ="rt", pure=True)
    writer.default_flow_style = False
    writer.width = MAX_BYTES  # at the end of a line that it breaks it may lose a blank or change a backslash
    stream = StringIO()
    writer.dump(_as_written(plain(settings, whole=False)), stream)
    return stream.getvalue()


def write(published: Published, folder: Path) -> Iterator[Path]:
    """Writes a version into a folder, and nothing over anything else: yields each file. Raises FileExistsError before
    the first one is written, and OSError."""
    settings = _within(published.settings)
    templates = folder / settings.templates.dir
    texts = {folder / FILE_NAME: text(settings)}
    texts |= {templates / _name(name): content for name, content in published.files.items()}
    if there := next((file for file in texts if file.exists()), None):
        raise FileExistsError(f"{there} already exists; name a folder that is empty or does not exist yet")
    templates.mkdir(parents=True, exist_ok=True)
    for file, content in texts.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
        yield file


def _name(name: str) -> Path:
    """A template's name, with the folder of its type of event: whatever stands in a record leads nowhere else."""
    return Path(*[step for step in PurePosixPath(name).parts if step not in ("/", "..")][-2:])


def _within(settings: Settings) -> Settings:
    """With templates inside the folder, wherever they lay."""
    place = Path(settings.templates.dir)
    if not place.is_absolute() and ".." not in place.parts:
        return settings
    inside = settings.templates.model_copy(update={"dir": Templates().dir})
    return settings.model_copy(update={"templates": inside})


def _as_written(value: Any) -> Any:
    """With the keys of a plug-in beside its kind."""
    if isinstance(value, dict):
        options = value.get("options") if "kind" in value else None
        own = {key: inner for key, inner in value.items() if not (options is not None and key == "options")}
        return {key: _as_written(inner) for key, inner in (own | (options or {})).items()}
    return [_as_written(inner) for inner in value] if isinstance(value, list) else value
