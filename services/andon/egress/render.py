"""From a delivery to the text a person reads."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Template, TemplateError, TemplateSyntaxError, meta
from msgspec.structs import replace

from andon.config.receivers import MaskKind
from andon.config.settings import Settings
from andon.config.templates import best, is_structured, parts_of, structured, types_of
from andon.core.delivery import Delivery
from andon.core.digest import Digest
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress import escape
from andon.egress.amount import MAX_CHARACTERS
from andon.egress.escape import sendable
from andon.egress.look import NO_ENDS, Ends, Look
from andon.egress.masks import masker
from andon.egress.missing import Render
from andon.egress.sandbox import Sandbox, link_to
from andon.egress.structured import Broken, Card, Kinds, compiled, file_problems
from andon.egress.words import BUILT_IN, words_of

_TEXT, _MARKDOWN, _MARKDOWN_2 = "text", "markdown", "markdown_v2"
_SHORT = 8
_KINDS = {".md.j2": _MARKDOWN, ".md2.j2": _MARKDOWN_2}
# What an expression in a template can raise beside Jinja's own errors.
_FAULTS = (
    *(TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
    RecursionError,
)


class Rendered(msgspec.Struct, frozen=True):
    """A text for a channel, the file it was made with, how many fields showed as missing in it, and how it ends."""

    content: Content
    file: str
    missing: int
    ends: Ends = NO_ENDS


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
            raise Rejected(Reason.EMPTY, f"{self.name} renders to nothing; give it a text for such an event")
        return Content(self.kind, text)


_Usable = _Compiled | Card


class Renderer:
    """Renders deliveries with the published templates; one per configuration version, used by one thread.

    `files` maps file names to texts. `missing` is the mark of a field that is not there, by default that of the
    reader's language. `kinds` says what structured kinds each kind of channel has, `mask` which numbers are hidden,
    `link` where an event can be looked up, with `{id}` or `{subject}` in it. Everything is compiled once, here; a
    broken file is known then and refuses every delivery that needs it.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        missing: str | None = None,
        kinds: Kinds | None = None,
        mask: Collection[MaskKind] = (),
        link: str | None = None,
    ) -> None:
        self._files = frozenset(files)
        self._types = types_of(files)
        self._run = Render()
        self._mark = missing
        self._address = link or ""
        texts = {**BUILT_IN, **{name: text for name, text in files.items() if not is_structured(name)}}
        masks = masker(mask)
        self._sandboxes = {
            kind: Sandbox(texts, kind, self._run, masks, self._address) for kind in (_TEXT, _MARKDOWN, _MARKDOWN_2)
        }
        self._compiled: dict[str, _Usable | Broken] = {name: self._compile(name, text) for name, text in texts.items()}
        for name in filter(is_structured, files):
            self._compiled[name] = compiled(name, files[name], kinds or {}, self._sandboxes)
        self._found: dict[tuple[str, str, str, str], _Usable | Broken] = {}

    def render(
        self, delivery: Delivery, kind: str, look: Look, digest: Digest | None = None, repeat: bool = False
    ) -> Rendered:
        """The content for a channel of that kind, as its receiver's notices look.

        A template that does not mention `digest` is not asked for one: merged deliveries then look as the template
        `digest` says, so what was merged is never hidden. Templates are told of a `repeat`; the mark of one is put
        there by `parts`. Raises Rejected: TEMPLATE_BROKEN, naming file and line, EMPTY, and TOO_LONG for a card.
        """
        template, of = look.template, delivery.event.type
        found = self._find(template, kind, look.language, of)
        if digest and not (not isinstance(found, Broken) and found.knows_digest):
            template, found = "digest", self._find("digest", kind, look.language, of)
        if isinstance(found, Broken):
            raise Rejected(Reason.TEMPLATE_BROKEN, f"{self.file(template, kind, look.language, of)} {found.detail}")
        variables = self._variables(delivery, digest, repeat)
        self._run.begin(look.words.missing if self._mark is None else self._mark, look.zone)
        content = found.render(lambda template: self._text(template, variables))
        plain = not (look.watermark or look.cut)
        try:
            ends = NO_ENDS if plain else self._ends(delivery, content.kind, look, merged=digest is not None)
        except OverflowError:
            detail = f"{found.name}: the watermark: the event's time is in no year of {look.zone}"
            raise Rejected(Reason.TEMPLATE_BROKEN, detail) from None
        return Rendered(content, found.name, self._run.missing, ends)

    def _variables(self, delivery: Delivery, digest: Digest | None, repeat: bool) -> dict[str, Any]:
        given = delivery.event
        event = replace(given, data=self._run.fields(given.data), facts=self._run.fields(given.facts))
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

    def tells_digests(self, template: str, kind: str, language: str) -> bool:
        """Whether a digest has the form of that template whatever the event: the template itself handles `digest`, or
        a template `digest` is just for that kind of channel."""
        return all(self._tells_digests(template, kind, language, of) for of in ("", *self._types))

    def _tells_digests(self, template: str, kind: str, language: str, event_type: str) -> bool:
        found = self._find(template, kind, language, event_type)
        own = self.file("digest", kind, language, event_type).rpartition("/")[2].startswith(f"digest.{kind}.")
        return own or (not isinstance(found, Broken) and found.knows_digest)

    def changes(self, template: str, kind: str, language: str) -> frozenset[bool]:
        """Whether that template changes what was sent before, instead of telling something: both, where that depends
        on the event."""
        found = [self._find(template, kind, language, of) for of in ("", *self._types)]
        return frozenset(isinstance(one, Card) and not one.structure.notice for one in found)

    def broken(self) -> dict[str, tuple[str, ...]]:
        """Files that cannot be used: "line 3: unexpected '}'" by name."""
        return {name: found.details for name, found in self._compiled.items() if isinstance(found, Broken)}

    def file(self, template: str, kind: str, language: str, event_type: str = "") -> str:
        """The name of the file used for that template in a channel of that kind; the built-in `plain` when none is."""
        event_type = event_type if event_type in self._types else ""
        suffix = words_of(language).suffix
        for name in (template, "plain"):
            found = best(self._files, name, kind, language, event_type)
            if found or f"{name}.{suffix}.j2" in BUILT_IN:
                return found or f"{name}.{suffix}.j2"
        raise AssertionError("`plain` is built in")

    def _ends(self, delivery: Delivery, kind: str, look: Look, *, merged: bool) -> Ends:
        """What was merged is told in parts: no link leads to all of it."""
        marked, event, words = kind.startswith(_MARKDOWN), delivery.event, look.words
        tail = rest = ""
        if look.watermark:
            time = event.time.astimezone(look.zone).strftime("%Y-%m-%d %H:%M:%S")
            line = f"{delivery.receiver} · {str(delivery.id)[:_SHORT]} · {time}"
            tail = f"\n\n{escape.markdown(line)}" if marked else f"\n{escape.plain(line)}"
        if look.cut and self._address and not merged:
            link = link_to(self._address, event.id, event.subject)
            rest = f"\n\n{words.more} [{words.whole}]({link})" if marked else f"\n{words.more} {words.whole}: {link}"
        return Ends(tail, rest)

    def used(self, template: str, kind: str, language: str) -> tuple[str, ...]:
        """The files used for that template in a channel of that kind, whatever the event."""
        return tuple(dict.fromkeys(self.file(template, kind, language, of) for of in ("", *sorted(self._types))))

    def kind(self, file: str) -> str:
        """What a template is sent as."""
        if is_structured(file):
            return parts_of(file).kind
        return next((kind for form, kind in _KINDS.items() if file.endswith(form)), _TEXT)

    def _find(self, template: str, kind: str, language: str, event_type: str) -> _Usable | Broken:
        # Types come from outside, so only those that have templates are kept.
        key = (template, kind, language, event_type if event_type in self._types else "")
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._compiled[self.file(*key)]
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
    shared = settings.templates
    renderer = Renderer(files, shared.missing, kinds, shared.mask, shared.link)
    used: dict[str, tuple[str | int, ...]] = {}
    unfit: list[tuple[tuple[str | int, ...], str]] = []
    for name, receiver in settings.receivers.items():
        if receiver.channel in settings.channels:
            kind, place = settings.channels[receiver.channel].kind, ("receivers", name, "template")
            known = (takes or {}).get(kind, ())
            language = receiver.language or settings.site.language
            for file in renderer.used(receiver.template, kind, language):
                used.setdefault(file, place)
                if known and not is_structured(file) and (content := renderer.kind(file)) not in known:
                    text = f"template {file} is {content}, and a {kind} takes {', '.join(sorted(known))}"
                    unfit.append((place, text))
    found = [(file, detail) for file, details in renderer.broken().items() for detail in details]
    for file in filter(is_structured, files):
        if folder is not None:
            found += [(file, detail) for detail in file_problems(file, files[file], kinds or {}, folder)]
        of = parts_of(file)
        twins = structured(of.template, of.channel, files, of.language, of.type)
        if twins[0] != file:
            found.append((file, f"line 1: {twins[0]} is used and this never; keep one of them"))
    return [*unfit, *((used.get(file, ("templates",)), f"template {file} {detail}") for file, detail in found)]


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
