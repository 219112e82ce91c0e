"""The tree of routes. A receiver of several integrations, or of none, has no word of its own here, so that its route is
given routes below it that say the same."""

from __future__ import annotations

from typing import Any

from andon.config.alertmanager.channels import Channels
from andon.config.alertmanager.layout import Entry
from andon.config.alertmanager.matchers import conditions, field
from andon.config.alertmanager.source import Part
from andon.config.alertmanager.times import Times
from andon.config.alertmanager.variables import free
from andon.config.units import duration_text

_TIMES = {"group_wait": 30.0, "group_interval": 300.0, "repeat_interval": 14_400.0}
_KNOWN = ("receiver", "group_by", "continue", "match", "match_re", "matchers", "routes", *_TIMES)
_INTERVALS = ("mute_time_intervals", "active_time_intervals")
_TWICE = "written once for each integration: a route below says `continue`, so no other form says the same"


class Routes:
    """The tree, translated. `silent` is the name of the interval by which nobody is told, once it is needed."""

    def __init__(self, root: Part, channels: Channels, times: Times) -> None:
        self.silent = ""
        self._channels = channels
        self._times = times
        self.root = self._first(root["route"])

    def _first(self, part: Part) -> Entry:
        if not part["receiver"]:
            raise part.wrong("must name a `receiver`: the one of all that no other route takes")
        names = self._ours(part)
        first = next(iter(names or self._channels.receivers), "")
        entry = Entry(
            {"receiver": first or self._channels.left(part["receiver"], "nobody", "no receiver tells anybody")}
        )
        groups = {"group_by": [], **{key: duration_text(length) for key, length in _TIMES.items()}}
        entry.keys |= groups | self._groups(part)
        part.unread(*_KNOWN)
        children = self._children(part, names)
        if len(names) == 1:
            entry.routes = children
        else:
            self._spread(entry, part, names, children)
        return entry

    def _route(self, part: Part, inherited: tuple[str, ...]) -> Entry:
        entry = Entry({})
        if texts := conditions(part):
            entry.keys["matchers"] = texts
        names = self._ours(part) if part["receiver"] else inherited
        if part["receiver"] and names:
            entry.keys["receiver"] = names[0]
        if part["continue"].flag(False):
            entry.keys["continue"] = True
        entry.keys |= self._groups(part)
        part.unread(*_KNOWN, *_INTERVALS)
        children = self._children(part, names)
        if len(names) == 1:
            entry.keys |= self._intervals(part)
            entry.routes = children
        elif not names:
            entry.keys |= self._nobody()
            entry.routes = children
        else:
            self._spread(entry, part, names, children)
        return entry

    def _spread(self, entry: Entry, part: Part, names: tuple[str, ...], children: list[Entry]) -> None:
        """Has each of these receivers told where no child is taken; nobody, where there is none.

        Routes after the children do that, unless one of the children lets the walk go on to them; then all children
        stand below each. A receiver that is named twice hears once.
        """
        times = self._intervals(part)
        ends = [{"receiver": name, **times} for name in names] or [self._nobody()]
        for keys in ends[:-1]:
            keys["continue"] = True
        if children and _takes_all(children[-1]):
            entry.routes = children
            return
        if not any("continue" in child.keys for child in children):
            entry.routes = [*children, *map(Entry, ends)]
            return
        entry.routes = [Entry(keys, [_TWICE] if number == 0 else [], children) for number, keys in enumerate(ends)]

    def _children(self, part: Part, names: tuple[str, ...]) -> list[Entry]:
        children: list[Entry] = []
        for child in part["routes"].parts():
            if children and _takes_all(children[-1]):
                child.note("never taken, for a route before it takes all; left out")
            else:
                children.append(self._route(child, names))
        return children

    def _ours(self, part: Part) -> tuple[str, ...]:
        name = part["receiver"].text()
        if name not in self._channels.of:
            raise part["receiver"].unknown("receiver", self._channels.of)
        return self._channels.of[name]

    def _groups(self, part: Part) -> dict[str, Any]:
        groups: dict[str, Any] = {}
        if part["group_by"]:
            names = [each.text() for each in part["group_by"].parts()]
            groups["group_by"] = names if names == ["..."] else list(map(field, names))
        return groups | {key: duration_text(part[key].seconds(0.0)) for key in _TIMES if part[key]}

    def _intervals(self, part: Part) -> dict[str, Any]:
        return {key: names for key in _INTERVALS if (names := self._names(part[key]))}

    def _names(self, part: Part) -> list[str]:
        for each in part.parts():
            if each.text() not in self._times.entries:
                raise each.unknown("time interval", self._times.entries)
        return [each.text() for each in part.parts()]

    def _nobody(self) -> dict[str, Any]:
        self.silent = self.silent or free("always", self._times.entries)
        return {"mute_time_intervals": [self.silent]}


def _takes_all(entry: Entry) -> bool:
    return not entry.keys.get("matchers") and "continue" not in entry.keys
