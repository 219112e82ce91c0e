"""docs/configuration.md, made from the settings: `python -m andon.config.reference > docs/configuration.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from andon.config.later import KEYS, KINDS
from andon.config.plugs import Plug
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.settings import Settings
from andon.config.shapes import arms_of, fields_of
from andon.config.units import duration_text, rate, seconds, share, share_text, size, size_text

_INTRODUCTION = """\
# Configuration: andon.yaml

`andon check` names every mistake as `file:line:column: text`; `andon apply` publishes what has none. Without a path
both read `$ANDON_CONFIG`, else `./andon.yaml`; a folder means the `andon.yaml` in it. Relative file names start from
its folder, but those of `listen`, `kafka.tls`, `file:` secrets and `store.url`, which are to be written whole
(`kafka.data` starts from the data directory). This page is made from the program
(`python -m andon.config.reference`); `schemas/andon.yaml.json` is the same for editors.

- The file is YAML 1.2 in UTF-8, at most 1 MiB, one document. `00123`, `20:00`, `yes` and `on` are text; keys are always
  text. A key that stands twice is refused. Anchors and aliases work; tags and `<<` do not.
- A map holds named things, a list holds an order. Unknown keys are refused.
- A **duration** is written `10s`, `5m`, `2h` or `190d` (also `ms`); a bare number means seconds. A **rate** is `10/m`,
  `5/10m` or `50/s`. A **size** is `512KiB` or `1MiB`; a bare number means bytes.
- A **secret** is written as `env:NAME` or `file:/path`, never as its value. A `file:` is read again at every use, one
  for Kafka when a connection is set up: to Andon's own cluster, when a process starts (docs/kafka.md). During a
  rotation it may hold two lines, the new value first. An address with a password or a key in it is refused.
- Plug-ins (`sources`, `connectors`, `channels`, `ticket_systems`) have a `kind` and keys of their own, checked by the
  plug-in.
- Templates are the `*.j2` files in `templates.dir`: a receiver's `template: fault` on a channel of kind `wecom_robot`
  is `fault.wecom_robot.j2`, else `fault.j2`; `.md.j2` instead of `.j2` makes it markdown; a language may stand before
  that, and a folder with a type of event around it (docs/templates.md). Cards are
  `fault.wecom_robot.template_card.yaml` and the like (docs/channels/cards.md). `plain` is built in. They are published
  with the file.
"""


_UNITS: dict[Any, str] = {seconds: "duration", rate: "rate", size: "size", share: "percentage"}


def reference_text() -> str:
    """The whole page."""
    first: dict[type[Section], str] = {}
    sections = [_INTRODUCTION]
    for path, model in _sections("", Settings):
        known = first.setdefault(model, path) != path
        sections.append(f"## `{path}`\n\nAs `{first[model]}`.\n" if known else _section(path, model))
    return "\n".join([*sections, _later()])


def _sections(path: str, model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """Every map of the file with its path, in the file's order; a map within itself (a route) comes once."""
    yield path, model
    for key, field in fields_of(model).items():
        inner_path = f"{path}.{key}" if path else key
        for inner, suffix in _sections_within(field.annotation):
            if inner is not model:
                yield from _sections(inner_path + suffix, inner)


def _sections_within(annotation: Any) -> Iterator[tuple[type[Section], str]]:
    for arm in arms_of(annotation):
        if get_origin(arm) is dict:
            yield from ((inner, ".NAME" + suffix) for inner, suffix in _sections_within(get_args(arm)[1]))
        elif get_origin(arm) is tuple:
            yield from ((inner, "[]" + suffix) for inner, suffix in _sections_within(get_args(arm)[0]))
        elif isinstance(arm, type) and issubclass(arm, Section):
            yield arm, ""


def _section(path: str, model: type[Section]) -> str:
    title = f"## `{path}`" if path else "## The file"
    rows = [
        f"| `{key}` | {_type_of(field)} | {_default_of(field)} | {' '.join((field.description or '').split())} |"
        for key, field in fields_of(model).items()
        if not (issubclass(model, Plug) and key == "options")
    ]
    table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows]
    own = ["", "The other keys are the plug-in's own."] if issubclass(model, Plug) else []
    return "\n".join([title, "", " ".join((model.__doc__ or "").split()), "", *table, *own, ""])


def _type_of(field: FieldInfo) -> str:
    own = [entry for arm in get_args(field.annotation) for entry in getattr(arm, "__metadata__", ())]
    for entry in (*field.metadata, *own):
        if (unit := _UNITS.get(getattr(entry, "func", None))) is not None:
            return unit
    return _type_name(field.annotation) + _range_of(field)


def _range_of(field: FieldInfo) -> str:
    least = next((entry.ge for entry in field.metadata if isinstance(entry, Ge)), None)
    most = next((entry.le for entry in field.metadata if isinstance(entry, Le)), None)
    if least is None:
        return ""
    return f", {least} to {most}" if most is not None else f", at least {least}"


def _type_name(annotation: Any) -> str:
    return " or ".join(_arm_name(arm) for arm in arms_of(annotation) if arm is not type(None))


def _arm_name(arm: Any) -> str:
    if get_origin(arm) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(arm))
    if get_origin(arm) is tuple:
        return f"list of {_type_name(get_args(arm)[0])}"
    if get_origin(arm) is dict:
        return f"map of {_type_name(get_args(arm)[1])}"
    if issubclass(arm, StrEnum):
        return ", ".join(f"`{value}`" for value in arm)
    if issubclass(arm, Section):
        return "map"
    return {str: "text", int: "whole number", bool: "true or false", SecretRef: "secret"}[arm]


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value, unit = field.get_default(call_default_factory=True, validated_data={}), _type_of(field)
    if value is None or isinstance(value, Section) or value in ((), {}):
        return ""
    if unit == "duration":
        return f"`{duration_text(value)}`"
    if unit == "size":
        return f"`{size_text(value)}`"
    if unit == "rate":
        return f"`{value.count}/{duration_text(value.period)}`"
    if unit == "percentage":
        return f"`{share_text(value)}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _later() -> str:
    keys = [
        ".".join([*("NAME" if step == "*" else step for step in path), key])
        for path, words in KEYS.items()
        for key in sorted(words)
    ]
    kinds = [f"{section}: {', '.join(f'`{kind}`' for kind in sorted(words))}" for section, words in KINDS.items()]
    return "\n".join(
        [
            "## Not in this version",
            "",
            "These words belong to the file; their parts do not exist yet, so they are refused by name.",
            "",
            "Keys: " + ", ".join(f"`{key}`" for key in keys) + ".",
            "",
            "Kinds, unless a plug-in that is installed has the name: " + "; ".join(kinds) + ".",
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(reference_text())
