"""From a delivery to the text a person reads."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Template, TemplateError, TemplateSyntaxError, meta

from andon.config.receivers import MaskKind
from andon.config.settings import Settings
from andon.config.templates import candidates, is_structured, parts_of, structured
from andon.core.delivery import Delivery
from andon.core.digest import Digest
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.escape import sendable
from andon.egress.judge import fits
from andon.egress.masks import masker
from andon.egress.sandbox import Sandbox, Tally
from andon.egress.structure import Structure, marked
from andon.egress.structured import Broken, Card, Kinds, compiled, file_problems

REPEAT = "【可能重复】"
MAX_CHARACTERS = 65_536
_TEXT, _MARKDOWN, _MARKDOWN_2 = "text", "markdown", "markdown_v2"
_NONE: Mapping[str, Structure] = MappingProxyType({})
_BUILT_IN = {
    "plain.j2": """\
{% if labels.state == "clear" %}【恢复】{% elif labels.severity %}【{{ labels.severity }}】{% endif %}
{{ event.type }} {{ event.subject }}
时间：{{ event.time | at }}
{% for name, value in data | items %}
{{ name }}：{{ value }}
{% endfor %}
""",
    "digest.j2": """\
【合并 {{ digest.count }} 条】{{ digest.first | at }} 至 {{ digest.last | at }}
{% for line in digest.lines %}
{{ line.time | at(format="%H:%M:%S") }} {{ line.subject }} {{ line.text }}
{% endfor %}
{% if digest.left_out %}
另有 {{ digest.left_out }} 项较早的未列出
{% endif %}
""",
}
_KINDS = {".md.j2": _MARKDOWN, ".md2.j2": _MARKDOWN_2}
# What an expression in a template can raise beside Jinja's own errors.
_FAULTS = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)


class Rendered(msgspec.Struct, frozen=True):
    """A text for a channel, the file it was made with, and how many fields showed as missing in it."""

    content: Content
    file: str
    missing: int


class _Compiled(msgspec.Struct, frozen=True):
    template: Template
    kind: str
    knows_digest: bool

    @property
    def name(self) -> str:
        return str(self.template.name)

    def render(self, text_of: Callable[[Template], str]) -> Content:
        text = sendable(text_of(self.template)).strip()
        if not text:
            raise Rejected(Reason.EMPTY, f"{self.name} renders to nothing")
        return Content(self.kind, text)


_Usable = _Compiled | Card


class Renderer:
    """Renders deliveries with the published templates; one per configuration version, used by one thread.

    `files` maps file names to texts, `missing` is the mark of a field that is not there, `zone` the site's IANA time
    zone, `kinds` what structured kinds each kind of channel has, `mask` the kinds of numbers that are hidden.
    Everything is compiled once, here; a broken file is known then and refuses every delivery that needs it.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        missing: str,
        zone: str,
        kinds: Kinds | None = None,
        mask: Collection[MaskKind] = (),
    ) -> None:
        self._tally = Tally()
        texts = {**_BUILT_IN, **{name: text for name, text in files.items() if not is_structured(name)}}
        site = ZoneInfo(zone)
        masks = masker(mask)
        self._sandboxes = {
            kind: Sandbox(texts, kind, missing, site, self._tally, masks) for kind in (_TEXT, _MARKDOWN, _MARKDOWN_2)
        }
        self._compiled: dict[str, _Usable | Broken] = {name: self._compile(name, text) for name, text in texts.items()}
        for name in filter(is_structured, files):
            self._compiled[name] = compiled(name, files[name], kinds or {}, self._sandboxes)
        self._found: dict[tuple[str, str], _Usable | Broken] = {}

    def render(
        self, delivery: Delivery, kind: str, template: str, digest: Digest | None = None, repeat: bool = False
    ) -> Rendered:
        """The content for a channel of that kind.

        A template that does not mention `digest` is not asked for one: merged deliveries then look as the template
        `digest` says, so what was merged is never hidden. Templates are told of a `repeat`; the mark of one is put
        there by `repeated`. Raises Rejected: TEMPLATE_BROKEN, naming file and line, EMPTY, and TOO_LONG for a card.
        """
        found = self._find(template, kind)
        if digest and not (not isinstance(found, Broken) and found.knows_digest):
            template, found = "digest", self._find("digest", kind)
        if isinstance(found, Broken):
            raise Rejected(Reason.TEMPLATE_BROKEN, f"{self.file(template, kind)} {found.detail}")
        variables = _variables(delivery, digest, repeat)
        self._tally.missing = self._tally.steps = 0
        content = found.render(lambda template: self._text(template, variables))
        return Rendered(content, found.name, self._tally.missing)

    def broken(self) -> dict[str, tuple[str, ...]]:
        """Files that cannot be used: "line 3: unexpected '}'" by name."""
        return {name: found.details for name, found in self._compiled.items() if isinstance(found, Broken)}

    def file(self, template: str, kind: str) -> str:
        """The name of the file used for that template in a channel of that kind; the built-in `plain` when none is."""
        own = structured(template, kind, self._compiled)
        names = (
            *own,
            *candidates(template, kind),
            *structured("plain", kind, self._compiled),
            *candidates("plain", kind),
        )
        return next(name for name in names if name in self._compiled)

    def kind(self, file: str) -> str:
        """What a text template is sent as."""
        return next((kind for form, kind in _KINDS.items() if file.endswith(form)), _TEXT)

    def _find(self, template: str, kind: str) -> _Usable | Broken:
        found = self._found.get((template, kind))
        if found is None:
            found = self._found[template, kind] = self._compiled[self.file(template, kind)]
        return found

    def _compile(self, name: str, text: str) -> _Compiled | Broken:
        kind = self.kind(name)
        sandbox = self._sandboxes[kind]
        try:
            variables = meta.find_undeclared_variables(sandbox.parse(text))
            template = sandbox.get_template(name)
            # Jinja keeps a chain of dictionaries, and walks it for each rendering: a quarter of the whole.
            template.globals = dict(template.globals)
            return _Compiled(template, kind, "digest" in variables)
        except TemplateSyntaxError as error:
            return Broken((f"line {error.lineno}: {error.message}",))

    def _text(self, template: Template, variables: dict[str, Any]) -> str:
        pieces: list[str] = []
        room = MAX_CHARACTERS
        try:
            for piece in template.root_render_func(template.new_context(variables)):
                room -= len(piece)
                if room < 0:
                    break
                pieces.append(piece)
        except _FAULTS as error:
            raise Rejected(Reason.TEMPLATE_BROKEN, _detail(error, template)) from None
        if room < 0:
            raise Rejected(Reason.TEMPLATE_BROKEN, f"{template.name} renders more than {MAX_CHARACTERS} characters")
        return "".join(pieces)


def repeated(content: Content, structures: Mapping[str, Structure] = _NONE) -> tuple[Content, ...]:
    """The content with the mark of a possible repeat where people see it: before a text, in a card's first words, or
    as a text of its own before what has no words."""
    structure = structures.get(content.kind)
    if structure is None:
        mark = f"{REPEAT}\n" if content.kind.startswith(_MARKDOWN) else REPEAT
        return (Content(content.kind, mark + content.text),)
    value = msgspec.json.decode(content.text)
    if marked(structure, value, REPEAT) and fits(structure, value):
        return (Content(content.kind, msgspec.json.encode(value).decode()),)
    return Content(_TEXT, REPEAT), content


def check(
    settings: Settings,
    files: Mapping[str, str],
    kinds: Kinds | None = None,
    takes: Mapping[str, Collection[str]] | None = None,
    folder: Path | None = None,
) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the templates: pairs of a place in andon.yaml (the receiver that uses the file, else
    `templates`) and a sentence. `takes` has the kinds of content of every kind of channel; files that cards name are
    looked for in `folder`."""
    look = settings.templates
    renderer = Renderer(files, look.missing, settings.site.zone, kinds, look.mask)
    used: dict[str, tuple[str | int, ...]] = {}
    unfit: list[tuple[tuple[str | int, ...], str]] = []
    for name, receiver in settings.receivers.items():
        if receiver.channel in settings.channels:
            kind = settings.channels[receiver.channel].kind
            file, place = renderer.file(receiver.template, kind), ("receivers", name, "template")
            used.setdefault(file, place)
            known = (takes or {}).get(kind, ())
            if known and not is_structured(file) and (content := renderer.kind(file)) not in known:
                text = f"template {file} is {content}, and a {kind} takes {', '.join(sorted(known))}"
                unfit.append((place, text))
    found = [(file, detail) for file, details in renderer.broken().items() for detail in details]
    for file in filter(is_structured, files):
        if folder is not None:
            found += [(file, detail) for detail in file_problems(file, files[file], kinds or {}, folder)]
        twins = structured(*parts_of(file)[:2], files)
        if twins[0] != file:
            found.append((file, f"line 1: {twins[0]} is used and this never; keep one of them"))
    return [*unfit, *((used.get(file, ("templates",)), f"template {file} {detail}") for file, detail in found)]


def _variables(delivery: Delivery, digest: Digest | None, repeat: bool) -> dict[str, Any]:
    event = delivery.event
    return {
        "event": event,
        "labels": event.labels,
        "facts": event.facts,
        "data": event.data,
        "receiver": delivery.receiver,
        "delivery": str(delivery.id),
        "digest": digest,
        "repeat": repeat,
    }


def _detail(error: Exception, template: Template) -> str:
    """File, line and cause; a ValueError or LookupError is named only, because its text may quote the event."""
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name} line {error.lineno}: {error.message}"
    place = _place(template, None)
    for frame, line in traceback.walk_tb(error.__traceback__):
        source = frame.f_globals.get("__jinja_template__")
        if isinstance(source, Template):
            place = _place(source, source.get_corresponding_lineno(line))
    quoting = isinstance(error, ValueError | LookupError) and not isinstance(error, TemplateError)
    return f"{place}: {type(error).__name__}" if quoting else f"{place}: {error}"


def _place(template: Template, line: int | None) -> str:
    """File and line; the name of a card's text says its line in the file itself."""
    name = str(template.name)
    return name if line is None or name.endswith("`") else f"{name} line {line}"
