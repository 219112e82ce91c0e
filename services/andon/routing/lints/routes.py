"""Routes that nothing takes, that take what another one takes too, or that never speak."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from andon.core.matchers import Matcher
from andon.routing.lints.branches import Branch, Place
from andon.routing.lints.conditions import Conditions, Pool, pool_of
from andon.routing.lints.hours import Hours

Line = Callable[[Place], int]
Lint = tuple[Place, str]

_GROUPS = ("group_by", "group_wait", "group_interval", "repeat_interval")
_EXAMPLES = 200


def lints(root: Branch, hours: Hours, line: Line) -> Iterator[Lint]:
    """Every doubt about the tree. `line` gives the line of a place, for texts that name another route."""
    dead: set[Place] = set()
    for branch in root.walk():
        if branch.above and branch.above.place in dead:
            dead.add(branch.place)  # said of the route above it
        elif text := _unreachable(branch, line):
            dead.add(branch.place)
            yield branch.place, text
        else:
            yield from _of_one(branch, hours)
    yield from _Pairs(root, dead, hours, line).lints()


def _named(branch: Branch, line: Line) -> str:
    return f"route {branch.node.path} (line {line(branch.place)})"


def _unreachable(branch: Branch, line: Line) -> str:
    """Why no event takes the route; nothing where one may."""
    if clash := branch.own.contradiction():
        return f"never taken: {listed(clash)} cannot hold together; take one out"
    if clash := branch.known.contradiction():
        above = next(one for one in reversed(branch.lineage[:-1]) if set(clash) & set(one.node.matchers))
        where = _named(above, line)
        return f"never taken: {listed(clash)} cannot hold together, and one stands in {where} above it; change it"
    if taker := branch.taken_before(branch.known):
        return (
            f"never taken: {_named(taker, line)} takes all of it before and has no `continue`; "
            "move this route before that one, or delete it"
        )
    return ""


def listed(clash: Sequence[Matcher]) -> str:
    """Matchers as a text names them."""
    return " and ".join(dict.fromkeys(f"`{matcher.text}`" for matcher in clash))


def _of_one(branch: Branch, hours: Hours) -> Iterator[Lint]:
    last = branch.above is not None and branch.position == len(branch.above.children) - 1
    if last and branch.node.goes_on:
        yield (*branch.place, "continue"), "no effect: no route comes after the last one of a list; delete `continue`"
    mute = branch.route.mute_time_intervals
    if not hours.speaks(branch.route) and not any(map(hours.always, mute)):
        if branch.route.active_time_intervals:
            text = "never speaks: no time of its `active_time_intervals` is outside of its `mute_time_intervals`"
        else:
            text = "never speaks: its `mute_time_intervals` hold at any time"
        yield branch.place, f"{text}; change one of them"


class _Pairs:
    """Routes to one receiver that the same event takes. A pair is named only with an event that shows it."""

    def __init__(self, root: Branch, dead: set[Place], hours: Hours, line: Line) -> None:
        self._root = root
        self._hours = hours
        self._line = line
        self._pool: Pool = pool_of(root.matchers())
        self._of: dict[str, list[Branch]] = {}
        for branch in root.walk():
            if branch.place not in dead:
                self._of.setdefault(branch.receiver, []).append(branch)

    def lints(self) -> Iterator[Lint]:
        """At most one of each route: its doubt with the first of those before it."""
        for branches in self._of.values():
            before: list[Branch] = []
            for branch in branches:
                texts = (self._text(other, branch) for other in before if _goes_on(other, branch))
                if text := next(filter(None, texts), ""):
                    yield branch.place, text
                if any(one.node.goes_on for one in branch.lineage):
                    before.append(branch)

    def _text(self, first: Branch, second: Branch) -> str:
        """What two routes disagree about, or that they are the same; nothing where no event takes both."""
        if differ := self._differ(first, second):
            if self._meet(first, second):
                keys = " and ".join(f"`{key}`" for key in differ)
                return (
                    f"conflict: an event can take {_named(first, self._line)} too, for `{second.receiver}` as well and "
                    f"with another {keys}: {_which(differ)}; give both the same, or keep them apart by matchers"
                )
        elif self._mutes_differ(first, second):
            if self._meet(first, second):
                return (
                    f"conflict: an event can take {_named(first, self._line)} too, for `{second.receiver}` as well: "
                    "what one of them mutes the other tells; give both the same `mute_time_intervals`"
                )
        elif _same(first, second) and self._meet(first, second):
            return f"the same as {_named(first, self._line)}: `{second.receiver}` hears once; delete one of them"
        return ""

    def _differ(self, first: Branch, second: Branch) -> list[str]:
        """Keys that have one value only where both routes speak at the same time."""
        differ = [] if first.node.urgent == second.node.urgent else ["urgent"]
        if first.route.group_by is not None or second.route.group_by is not None:
            differ += [key for key in _GROUPS if getattr(first.route, key) != getattr(second.route, key)]
        return differ if differ and self._hours.speaks(first.route) & self._hours.speaks(second.route) else []

    def _mutes_differ(self, first: Branch, second: Branch) -> bool:
        """Whether one is muted while the other speaks; with active times that may be meant."""
        if first.route.active_time_intervals or second.route.active_time_intervals:
            return False
        if first.route.mute_time_intervals == second.route.mute_time_intervals:
            return False
        return self._hours.muted(first.route) != self._hours.muted(second.route)

    def _meet(self, first: Branch, second: Branch) -> bool:
        """Whether there is an event that takes both, as the router itself says."""
        both = Conditions([*first.known.matchers, *second.known.matchers])
        if both.contradiction():
            return False
        paths = {first.node.path, second.node.path}
        return any(paths <= self._root.takes(labels) for labels in both.examples(self._pool, _EXAMPLES))


def _goes_on(first: Branch, second: Branch) -> bool:
    """Whether the walk can come to the second route after the first."""
    fork = next((one for one, other in zip(first.lineage, second.lineage, strict=False) if one is not other), None)
    return fork is not None and fork.node.goes_on


def _same(first: Branch, second: Branch) -> bool:
    texts = [frozenset(matcher.text for matcher in one.known.matchers) for one in (first, second)]
    times = [(one.route.active_time_intervals, one.route.mute_time_intervals) for one in (first, second)]
    return texts[0] == texts[1] and times[0] == times[1] and not first.children and not second.children


def _which(differ: list[str]) -> str:
    words = ["it is urgent where either says so"] if "urgent" in differ else []
    return " and ".join([*words, "the first one's groups count"] if differ != ["urgent"] else words)
