"""The plug-ins that are installed: one entry-point line each, imported when first asked for.

Entry points: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Literal

from pydantic import BaseModel

from andon.config.plugs import CHANNELS, CONNECTORS, SOURCES, TICKET_SYSTEMS, Plug, PlugUnusable
from andon.config.section import Section
from andon.core.ports import Context

# A typing error must be refused, and a secret never be shown.
_RULES: tuple[Literal["extra", "hide_input_in_errors"], ...] = ("extra", "hide_input_in_errors")

_METHODS = {
    SOURCES: ("Source", ("parse",)),
    CONNECTORS: ("Connector", ("lookup", "close")),
    CHANNELS: ("Channel", ("split", "send", "close")),
    TICKET_SYSTEMS: ("TicketSystem", ("find", "open", "comment", "move", "reopen", "changes", "close")),
}
"""What every plug-in of a group is, and what it is asked for."""
_CONFIG_METHODS = {
    CONNECTORS: ("ConnectorConfig", ("policy",)),
    CHANNELS: ("ChannelConfig", ("limit_domain", "limits", "lines")),
}
"""The same of their `Config`: a service asks for it before it begins, and would end for want of it."""


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
        """The class's nested `Config`. Raises PlugUnusable for one that takes unknown keys or shows values, and where
        it, or the class, is not what the group needs."""
        plug_in = self.plug_in(group, kind)
        config = getattr(plug_in, "Config", None)
        if not (isinstance(config, type) and issubclass(config, BaseModel)):
            raise PlugUnusable(f"plug-in `{kind}` of {group} has no nested pydantic `Config`")
        if any(config.model_config.get(rule) != Section.model_config[rule] for rule in _RULES):
            raise PlugUnusable(f"the `Config` of plug-in `{kind}` of {group} does not have the rules of `Section`")
        _require(f"plug-in `{kind}` of {group}", plug_in, _METHODS.get(group))
        _require(f"the `Config` of plug-in `{kind}` of {group}", config, _CONFIG_METHODS.get(group))
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
        except Exception as error:  # a module may break in any way
            text = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
            raise PlugUnusable(f"plug-in `{kind}` of {group} cannot be imported: {text}") from error
        if not isinstance(plug_in, type):
            raise PlugUnusable(f"plug-in `{kind}` of {group} is no class")
        return plug_in


def _require(what: str, owner: type, needs: tuple[str, tuple[str, ...]] | None) -> None:
    """Raises PlugUnusable unless the class has the methods of a port."""
    port, methods = needs or ("", ())
    lacking = [name for name in methods if not callable(getattr(owner, name, None))]
    if lacking:
        raise PlugUnusable(f"{what} is no {port}: it has {', '.join(f'no `{name}`' for name in lacking)}")
