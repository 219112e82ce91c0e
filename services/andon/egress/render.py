"""From a delivery to the text a person reads."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Template, TemplateError, TemplateSyntaxError, meta

from andon.config.settings import MaskKind, Settings
from andon.config.templates import candidates
from andon.core.delivery import Delivery
from andon.core.digest import Digest
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.escape import sendable
from andon.egress.masks import masker
from andon.egress.sandbox import Sandbox, Tally

REPEAT = "【可能重复】"
MAX_CHARACTERS = 65_536
_TEXT, _MARKDOWN = "text", "markdown"
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


class _Broken(msgspec.Struct, frozen=True):
    detail: str


class Renderer:
    """Renders deliveries with the published templates; one per configuration version, used by one thread.

    `files` maps file names to texts, `missing` is the mark of a field that is not there, `zone` the site's IANA time
    zone, `mask` the kinds of numbers that are hidden. Everything is compiled once, here; a broken file is known then
    and refuses every delivery that needs it.
    """

    def __init__(self, files: Mapping[str, str], missing: str, zone: str, mask: Collection[MaskKind] = ()) -> None:
        self._tally = Tally()
        texts = {**_BUILT_IN, **files}
        site = ZoneInfo(zone)
        masks = masker(mask)
        self._sandboxes = {kind: Sandbox(texts, kind, missing, site, self._tally, masks) for kind in (_TEXT, _MARKDOWN)}
        self._compiled = {name: self._compile(name, text) for name, text in texts.items()}
        self._found: dict[tuple[str, str], _Compiled | _Broken] = {}

    def render(
        self, delivery: Delivery, kind: str, template: str, digest: Digest | None = None, repeat: bool = False
    ) -> Rendered:
        """The content for a channel of that kind.

        A template that does not mention `digest` is not asked for one: merged deliveries then look as the template
        `digest` says, so what was merged is never hidden. A `repeat` begins with 【可能重复】. Raises
        Rejected(TEMPLATE_BROKEN), naming file and line, and Rejected(EMPTY).
        """
        found = self._find(template, kind)
        if digest and not (isinstance(found, _Compiled) and found.knows_digest):
            found = self._find("digest", kind)
        if isinstance(found, _Broken):
            raise Rejected(Reason.TEMPLATE_BROKEN, f"{self.file(template, kind)} {found.detail}")
        text = sendable(self._text(found.template, _variables(delivery, digest, repeat))).strip()
        if not text:
            raise Rejected(Reason.EMPTY, f"{found.template.name} renders to nothing")
        content = Content(found.kind, text)
        return Rendered(repeated(content) if repeat else content, str(found.template.name), self._tally.missing)

    def broken(self) -> dict[str, str]:
        """Files that do not compile: "line 3: unexpected '}'" by name."""
        return {name: found.detail for name, found in self._compiled.items() if isinstance(found, _Broken)}

    def file(self, template: str, kind: str) -> str:
        """The name of the file used for that template in a channel of that kind; the built-in `plain` when none is."""
        names = (*candidates(template, kind), *candidates("plain", kind))
        return next(name for name in names if name in self._compiled)

    def _find(self, template: str, kind: str) -> _Compiled | _Broken:
        found = self._found.get((template, kind))
        if found is None:
            found = self._found[template, kind] = self._compiled[self.file(template, kind)]
        return found

    def _compile(self, name: str, text: str) -> _Compiled | _Broken:
        kind = _MARKDOWN if name.endswith(".md.j2") else _TEXT
        sandbox = self._sandboxes[kind]
        try:
            variables = meta.find_undeclared_variables(sandbox.parse(text))
            template = sandbox.get_template(name)
            # Jinja keeps a chain of dictionaries, and walks it for each rendering: a quarter of the whole.
            template.globals = dict(template.globals)
            return _Compiled(template, kind, "digest" in variables)
        except TemplateSyntaxError as error:
            return _Broken(f"line {error.lineno}: {error.message}")

    def _text(self, template: Template, variables: dict[str, Any]) -> str:
        self._tally.missing = self._tally.steps = 0
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


def repeated(content: Content) -> Content:
    """The content with the mark of a possible repeat before it."""
    return Content(content.kind, f"{REPEAT}\n{content.text}" if content.kind == _MARKDOWN else REPEAT + content.text)


def check(settings: Settings, files: Mapping[str, str]) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with the templates: pairs of a place in andon.yaml (the receiver that uses the file, else
    `templates`) and a sentence."""
    renderer = Renderer(files, settings.templates.missing, settings.site.zone, settings.templates.mask)
    used: dict[str, tuple[str | int, ...]] = {}
    for name, receiver in settings.receivers.items():
        if receiver.channel in settings.channels:
            kind = settings.channels[receiver.channel].kind
            used.setdefault(renderer.file(receiver.template, kind), ("receivers", name, "template"))
    broken = renderer.broken()
    return [(used.get(file, ("templates",)), f"template {file} {detail}") for file, detail in broken.items()]


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
    place = str(template.name)
    for frame, line in traceback.walk_tb(error.__traceback__):
        source = frame.f_globals.get("__jinja_template__")
        if isinstance(source, Template):
            place = f"{source.name} line {source.get_corresponding_lineno(line)}"
    quoting = isinstance(error, ValueError | LookupError) and not isinstance(error, TemplateError)
    return f"{place}: {type(error).__name__}" if quoting else f"{place}: {error}"
