"""The plug-ins that are installed: one entry-point line each, imported when first asked for.

Entry points: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Literal

from pydantic import BaseModel

from andon.config.plugs import Plug, PlugUnusable
from andon.config.section import Section
from andon.core.ports import Context

# A typing error must be refused, and a secret never be shown.
_RULES: tuple[Literal["extra", "hide_input_in_errors"], ...] = ("extra", "hide_input_in_errors")


@cache
def installed(group: str) -> EntryPoints:
    """What is installed of a group. To find it out reads a file of every package, some milliseconds."""
    return entry_points(group=group)


class Registry:
    """Kinds of plug-ins by entry-point group (`andon.channels`, …).

    A plug-in is a class with a nested `Config`, best derived from `Section`; it is built as `cls(config, context)`.
    `extra` adds classes to what is installed, by group and kind. Knowing the kinds imports no plug-in.
    """

    def __init__(self, extra: Mapping[str, Mapping[str, type]] | None = None) -> None:
        self._types: dict[tuple[str, str], type] = {
            (group, kind): plug_in for group, kinds in (extra or {}).items() for kind, plug_in in kinds.items()
        }

    def kinds(self, group: str) -> tuple[str, ...]:
        """Every kind in a group, sorted."""
        added = {kind for known, kind in self._types if known == group}
        return tuple(sorted(added | installed(group).names))

    def plug_in(self, group: str, kind: str) -> type[Any]:
        """The class. Raises PlugUnusable when there is none, or it cannot be imported."""
        if (group, kind) not in self._types:
            self._types[group, kind] = self._imported(group, kind)
        return self._types[group, kind]

    def config_type(self, group: str, kind: str) -> type[BaseModel]:
        """The class's nested `Config`. Raises PlugUnusable for one that takes unknown keys or shows values."""
        config = getattr(self.plug_in(group, kind), "Config", None)
        if not (isinstance(config, type) and issubclass(config, BaseModel)):
            raise PlugUnusable(f"plug-in `{kind}` of {group} has no nested pydantic `Config`")
        if any(config.model_config.get(rule) != Section.model_config[rule] for rule in _RULES):
            raise PlugUnusable(f"the `Config` of plug-in `{kind}` of {group} does not have the rules of `Section`")
        return config

    def config(self, group: str, plug: Plug) -> BaseModel:
        """The plug-in's own keys, checked. Raises PlugUnusable, or pydantic's ValidationError (without values)."""
        return self.config_type(group, plug.kind).model_validate(plug.options)

    def build(self, group: str, plug: Plug, context: Context) -> Any:
        """A plug-in, ready to work. Raises as `config` does, and what the class itself raises."""
        return self.plug_in(group, plug.kind)(self.config(group, plug), context)

    def _imported(self, group: str, kind: str) -> type:
        points = {point.value: point for point in installed(group).select(name=kind)}
        if not points:
            raise PlugUnusable(f"there is no plug-in `{kind}` in {group}")
        if len(points) > 1:
            raise PlugUnusable(f"plug-in `{kind}` of {group} is registered twice: {' and '.join(sorted(points))}")
        try:
            plug_in = points.popitem()[1].load()
        except (ImportError, AttributeError) as error:
            raise PlugUnusable(f"plug-in `{kind}` of {group} cannot be imported: {error}") from error
        if not isinstance(plug_in, type):
            raise PlugUnusable(f"plug-in `{kind}` of {group} is no class")
        return plug_in
