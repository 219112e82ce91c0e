"""Reading andon.yaml: every mistake at once, each with its line and column; a file with a mistake gives no settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any

from pydantic import BaseModel, ValidationError

from andon.config.document import FILE_NAME, Document, Unreadable, file_of, parse, read
from andon.config.later import KINDS
from andon.config.mapfiles import Beside, with_maps
from andon.config.mistakes import Invalid, Mistake, Path, Place, hint, shortened
from andon.config.plugs import GROUPS, PLUGS, Plug, PlugChecker, PlugUnusable
from andon.config.published import MAX_BUNDLE, content_size
from andon.config.receivers import Templates
from andon.config.references import entries, reference_mistakes, template_mistakes
from andon.config.rules import rule_mistakes
from andon.config.settings import Settings
from andon.config.shapes import Found, shape_mistakes, without_mistakes
from andon.config.tables import Read, read_tables
from andon.config.templates import read_templates
from andon.core.tables import NO_TABLES, Tables


@dataclass(frozen=True)
class Loaded:
    """A file that was read. `files` are the texts of its templates by name, `tables` what it publishes of the tables
    `beside` it, `maps` are the files that stand in place of a part of it, `mistakes` stand in file order.

    `draft` is what could be read, even where a name, a rule or a value is wrong: to find more mistakes in, never to run
    with. `torn` are the maps it has not whole, so that what lacks in them may be in the file.
    """

    file: File
    document: Document | None
    mistakes: tuple[Mistake, ...]
    files: Mapping[str, str]
    draft: Settings | None
    tables: Tables = NO_TABLES
    beside: tuple[File, ...] = ()
    maps: Mapping[Path, Beside] = field(default_factory=dict)
    torn: frozenset[Path] = frozenset()

    @property
    def directory(self) -> File:
        """The folder that relative file names start from."""
        return self.file.parent.absolute()

    @property
    def settings(self) -> Settings:
        """The settings. Raises Invalid when there is a mistake."""
        if self.draft is None or self.mistakes:
            raise Invalid(self.mistakes)
        return self.draft

    def where(self, path: Path) -> Place:
        """Line and column of `path`, or of what stands nearest above it."""
        return self.document.where(path) if self.document else (1, 1)

    def mistake(self, path: Path, text: str, *, at_key: bool = False) -> Mistake:
        """A mistake at `path`, found by someone else (a matcher's syntax, a template). `at_key`: it is looked for at
        the key, even where a value stands behind it."""
        file, document, within = self._standing(path)
        place = document.keys.get(within) if document and at_key else None
        line, column = place or (document.where(within) if document else (1, 1))
        return Mistake(str(file), line, column, path, shortened(text))

    def warning(self, path: Path, text: str) -> Mistake:
        """A doubt about what stands at `path`, at its key where it has one."""
        return replace(self.mistake(path, text, at_key=True), severity="warning")

    def _standing(self, path: Path) -> tuple[File, Document | None, Path]:
        """The file and the document that hold `path`, and the way to it in there."""
        for place, (file, document) in self.maps.items():
            if path[: len(place)] == place:
                return file, document, path[len(place) :]
        return self.file, self.document, path


def load(path: File, plugs: PlugChecker | None = None) -> Loaded:
    """Reads andon.yaml, or the one in a folder. Raises nothing: whatever is wrong is among the mistakes.

    Without `plugs` the keys of plug-ins are not checked, and no tables are read: it is then not for publishing.
    """
    file = file_of(path)
    try:
        document = parse(read(file))
    except Unreadable as error:
        return Loaded(file, None, (Mistake(str(file), *error.place, (), shortened(_told(error, file))),), {}, None)
    return _checked(file, document, plugs)


def _told(error: Unreadable, file: File) -> str:
    """What to do where nobody named the file: it is looked for where one happens to be."""
    if file == File(FILE_NAME) and not os.path.exists(file):
        return f"{error.text} in this folder; name one by --config FILE|DIR or $ANDON_CONFIG"
    return error.text


def _checked(file: File, document: Document, plugs: PlugChecker | None) -> Loaded:
    maps = with_maps(_without_empty_sections(document.data), file.parent)
    data = maps.data
    settings, found = _settings(data)
    torn = frozenset(one.path[:-1] for one in found)
    found += maps.found
    files, found_in_templates = _templates(file.parent, data)
    found += [*found_in_templates, *reference_mistakes(data), *rule_mistakes(data)]
    read = Read(NO_TABLES, (), ())
    if plugs is not None:
        found += _plug_mistakes(data, plugs)
        read = read_tables(data, file.parent, plugs)
        found += read.found
    if settings is not None and (size := content_size(settings, files, read.tables)) > MAX_BUNDLE:
        text = f"{size >> 10} KiB with its templates and tables; at most {MAX_BUNDLE >> 10} KiB can be published"
        found.append(Found((), text))
    bare = Loaded(file, document, (), files, settings, read.tables, (*read.files, *maps.files), maps.beside, torn)
    mistakes = [_of_document(*one, file) for one in document.mistakes]
    mistakes += [_of_document(*one, beside.file) for beside in maps.beside.values() for one in beside.document.mistakes]
    mistakes += [bare.mistake(one.path, one.text, at_key=one.at_key) for one in found]
    return replace(bare, mistakes=tuple(sorted(dict.fromkeys(mistakes))))


def _of_document(place: Place, text: str, file: File) -> Mistake:
    """What could be read past."""
    return Mistake(str(file), *place, (), shortened(text))


def _without_empty_sections(data: Any) -> Any:
    """A section whose every line is commented out counts as not there."""
    return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


def _settings(data: Any) -> tuple[Settings | None, list[Found]]:
    """The settings, and what was left out of them for its shape; None where that is too much."""
    try:
        return _strict(_plugs_apart(data)), []
    except ValidationError as error:
        rest = without_mistakes(data, error)
        draft = None if rest is None else _settings(rest)[0]
        return draft, shape_mistakes(Settings, data, error)


def _strict(data: Any) -> Settings:
    """As strict as JSON: `yes` and `"2"` are text, neither true nor a number. The rules between keys look at the data
    itself, where they are text. Raises ValidationError."""
    return Settings.model_validate_json(json.dumps(data), strict=True, by_alias=True, by_name=False)


def _plugs_apart(data: Any) -> Any:
    """The data with the plug-ins' own keys under `options`, so that no key of theirs is taken for one of ours."""
    if not isinstance(data, dict):
        return data
    apart = dict(data)
    for section in GROUPS.keys() & data.keys():
        if isinstance(data[section], dict):
            ours = _own_keys(section)
            apart[section] = {name: _plug_apart(plug, ours) for name, plug in data[section].items()}
    return apart


def _own_keys(section: str) -> frozenset[str]:
    """The keys of a plug-in that are not its own."""
    return PLUGS.get(section, Plug).own_keys()


def _plug_apart(plug: Any, ours: frozenset[str]) -> Any:
    if not isinstance(plug, dict):
        return plug
    options = {key: value for key, value in plug.items() if key not in ours}
    return {"options": options} | {key: value for key, value in plug.items() if key in ours}


def _plug_mistakes(data: Any, plugs: PlugChecker) -> Iterator[Found]:
    for section, group in GROUPS.items():
        for name, plug in entries(data, section).items():
            if isinstance(plug, dict) and isinstance(plug.get("kind"), str):
                yield from _plug(section, group, name, plug, plugs)


def _plug(section: str, group: str, name: str, plug: dict[str, Any], plugs: PlugChecker) -> Iterator[Found]:
    kind = plug["kind"]
    known = plugs.kinds(group)
    if kind not in known:
        later = kind in KINDS[section]
        text = f"kind `{kind}` is not in this version" if later else f"there is no kind `{kind}`{hint(kind, known)}"
        yield Found((section, name, "kind"), text)
        return
    options = {key: value for key, value in plug.items() if key not in _own_keys(section)}
    try:
        model: type[BaseModel] = plugs.config_type(group, kind)
        model.model_validate(options)
        if plug.get("parallel") is True:
            yield from _beside((section, name), plug, model)
    except PlugUnusable as error:
        yield Found((section, name, "kind"), str(error))
    except ValidationError as error:
        yield from shape_mistakes(model, options, error, (section, name))


def _beside(above: tuple[str, ...], plug: dict[str, Any], model: type[BaseModel]) -> Iterator[Found]:
    """What would make a source tell somebody that is to run beside another path."""
    if not getattr(model, "own_name", False):
        text = f"kind `{plug['kind']}` cannot run beside another path: its events may come under another source's name"
        yield Found((*above, "parallel"), text)
    if plug.get("reply"):
        yield Found((*above, "reply"), "it would answer people, and a source beside another path tells nobody")


def _templates(directory: File, data: Any) -> tuple[dict[str, str], list[Found]]:
    named = entries(data, "templates").get("dir")
    folder = directory / (named if isinstance(named, str) else Templates().dir)
    try:
        texts, unread = read_templates(folder)
    except OSError as error:
        return {}, [Found(("templates", "dir"), f"{folder.name} cannot be read ({error.strerror})")]
    if isinstance(named, str) and not os.path.isdir(folder):
        return {}, [Found(("templates", "dir"), "there is no such folder")]
    found = [Found(("templates", "dir"), f"{name} {problem}") for name, problem in unread.items()]
    return texts, [*found, *template_mistakes(data, texts.keys() | unread.keys())]
