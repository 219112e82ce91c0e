"""Templates of structured kinds: `<name>.<channel kind>.<content kind>.yaml`, compiled once, rendered to JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Template, TemplateSyntaxError, meta

from andon.config.mistakes import hint
from andon.config.templates import parts_of
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.escape import sendable
from andon.egress.judge import problems
from andon.egress.sandbox import Sandbox
from andon.egress.structure import Leaf, Person, Problem, Structure, Text, Way, leaves, read

Kinds = Mapping[str, Mapping[str, Structure]]
"""The structured kinds of every kind of channel."""

_encode = msgspec.json.Encoder().encode


class Broken(msgspec.Struct, frozen=True):
    """A file that cannot be used, and why: "line 3: …"."""

    details: tuple[str, ...]

    @property
    def detail(self) -> str:
        return "; ".join(self.details)


class _Open(msgspec.Struct, frozen=True):
    """A text of the structure that is rendered."""

    way: Way
    leaf: Leaf
    template: Template


class Card(msgspec.Struct, frozen=True):
    """A compiled template of a structured kind."""

    name: str
    kind: str
    structure: Structure
    data: Any
    open: tuple[_Open, ...]
    knows_digest: bool

    def render(self, text_of: Callable[[Template], str]) -> Content:
        """The content. A text that renders to nothing is left out.

        Raises Rejected: TEMPLATE_BROKEN for what is no such card, TOO_LONG, both with what to do.
        """
        # A copy: what is rendered is written into it.
        value = msgspec.json.decode(_encode(self.data))
        empty: list[Way] = []
        for one in self.open:
            text = sendable(text_of(one.template)).strip()
            if isinstance(one.leaf, Person) and text.removeprefix("@") == "all":
                raise Rejected(
                    Reason.TEMPLATE_BROKEN, f"{self.name}: {named(one.way)} calls everybody by what data says"
                )
            if text:
                _at(value, one.way[:-1])[one.way[-1]] = read(one.leaf, text)
            else:
                empty.append(one.way)
        for way in reversed(empty):
            del _at(value, way[:-1])[way[-1]]
        found = next(problems(self.structure.shape, value), None)
        if found is not None:
            reason = Reason.TOO_LONG if found.too_long else Reason.TEMPLATE_BROKEN
            raise Rejected(reason, f"{self.name} as rendered: {said(found)}")
        whole = _encode(value)
        if self.structure.most and len(whole) > self.structure.most:
            raise Rejected(
                Reason.TOO_LONG,
                f"{self.name} renders {len(whole):,} bytes, a {self.kind} may have {self.structure.most:,} and is never"
                " split; shorten its texts (truncate) or use a text template",
            )
        return Content(self.kind, whole.decode())


def compiled(name: str, text: str, kinds: Kinds, sandboxes: Mapping[str, Sandbox]) -> Card | Broken:
    """A file's template, or what is wrong with it."""
    # The reader of YAML is loaded only where there are such templates.
    from andon.config.document import Unreadable, parse

    channel, kind = parts_of(name).channel, parts_of(name).kind
    structure = kinds.get(channel, {}).get(kind)
    if structure is None:
        return Broken((f"line 1: {_unknown(channel, kind, kinds)}",))
    try:
        document = parse(text.encode())
    except Unreadable as error:
        return Broken((f"line {error.place[0]}: {error.text}",))
    wrong = [f"line {place[0]}: {said}" for place, said in document.mistakes]
    wrong += [f"line {document.where(one.way)[0]}: {said(one)}" for one in problems(structure.shape, document.data)]
    opened: list[_Open] = []
    variables: set[str] = set()
    for way, source, leaf in leaves(structure.shape, document.data):
        sandbox = sandboxes["markdown" if isinstance(leaf, Text) and leaf.markdown else "text"]
        line = document.where(way)[0]
        try:
            variables |= meta.find_undeclared_variables(sandbox.parse(source))
            template = sandbox.from_string(source)
        except TemplateSyntaxError as error:
            wrong.append(f"line {line}: {named(way)} {error.message}")
            continue
        template.name = f"{name} line {line} {named(way)}"
        template.globals = dict(template.globals)
        opened.append(_Open(way, leaf, template))
    if wrong:
        return Broken(tuple(wrong))
    return Card(name, kind, structure, document.data, tuple(opened), "digest" in variables)


def file_problems(name: str, text: str, kinds: Kinds, folder: Path) -> Iterator[str]:
    """What is wrong with the files a template names, looked for in `folder`: "line 2: …"."""
    from andon.config.document import Unreadable, parse

    channel, kind = parts_of(name).channel, parts_of(name).kind
    structure = kinds.get(channel, {}).get(kind)
    try:
        document = parse(text.encode())
    except Unreadable:
        return
    if structure is not None:
        known = set(problems(structure.shape, document.data))
        for one in problems(structure.shape, document.data, folder):
            if one not in known:
                yield f"line {document.where(one.way)[0]}: {said(one)}"


def said(problem: Problem) -> str:
    """A problem in one sentence."""
    if problem.text.startswith(("`", "unknown key")) or not problem.way:
        return problem.text
    return f"{named(problem.way)} {problem.text}"


def named(way: Way) -> str:
    """A way as people write it: `articles[0].title`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)
    return f"`{text.removeprefix('.')}`"


def _unknown(channel: str, kind: str, kinds: Kinds) -> str:
    if channel not in kinds:
        named_as = "a file is named NAME.CHANNEL_KIND.CONTENT_KIND.yaml"
        return f"there is no kind of channel `{channel}`{hint(channel, kinds)} ({named_as})"
    known = ", ".join(f"`{name}`" for name in sorted(kinds[channel])) or "none"
    return f"`{channel}` has no structured kind `{kind}`; it has {known}"


def _at(value: Any, way: Way) -> Any:
    for step in way:
        value = value[step]
    return value
