"""What is allowed in the routing part of a configuration but probably not intended: doubts, not mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from andon.config.calendar import intervals
from andon.config.settings import Settings
from andon.core.event import CLEAR, STATE
from andon.core.matchers import Matcher, compile_matchers
from andon.core.workdays import Workdays
from andon.routing.lints import routes
from andon.routing.lints.branches import Branch, Place
from andon.routing.lints.conditions import Conditions
from andon.routing.lints.hours import Hours, years_of
from andon.routing.lints.routes import Line, Lint, listed
from andon.routing.tree import compile_tree

__all__ = ["check"]

_ENDED = frozenset({CLEAR})


def check(settings: Settings, workdays: Workdays, year: int, line: Line) -> list[Lint]:
    """Every doubt about routes, times, inhibition and matchers elsewhere: its path and one sentence. For settings
    without mistakes only. Times are judged from `year` on; `line` gives the line of a place in the file."""
    known = intervals(settings.calendar.time_intervals, settings.site.zone, workdays)
    hours = Hours(known, years_of(settings.calendar.time_intervals, year))
    root = Branch(compile_tree(settings.route, known), settings.route)
    return [
        *_intervals(settings, hours),
        *routes.lints(root, hours, line),
        *_never_meant(settings),
        *_shared(settings),
        *_inhibitions(settings),
    ]


def _intervals(settings: Settings, hours: Hours) -> Iterator[Lint]:
    for name in settings.calendar.time_intervals:
        if not hours.opens(name):
            yield ("calendar", "time_intervals", name), f"`{name}` never opens from now on; change it, or delete it"


def _never_meant(settings: Settings) -> Iterator[Lint]:
    """Rules beside the routes whose matchers contradict each other."""
    for number, rule in enumerate(settings.enrich):
        yield from _contradiction(rule.matchers, ("enrich", number), "nothing is ever asked")
    for name, fault in settings.episodes.items():
        yield from _contradiction(fault.matchers, ("episodes", name), "no event is a fault of this rule")
    for name, planned in settings.maintenance.items():
        yield from _contradiction(planned.matchers, ("maintenance", name), "nothing is ever silent")


def _shared(settings: Settings) -> Iterator[Lint]:
    """Rules of episodes by which different subjects have one fault: each partition knows but those of its own."""
    for name, rule in settings.episodes.items():
        subjects = Conditions(compile_matchers(rule.matchers)).values.get("subject")
        if "subject" not in rule.key and (subjects is None or len(subjects) != 1):
            text = "without `subject`, faults of different subjects share tickets: the end of one closes another's, "
            yield ("episodes", name, "key"), f"{text}and a later one may open none; put `subject` first"


def _inhibitions(settings: Settings) -> Iterator[Lint]:
    faults = [compile_matchers(rule.matchers) for rule in settings.episodes.values()]
    for number, rule in enumerate(settings.inhibit_rules):
        place = ("inhibit_rules", number)
        never = [
            *_contradiction(rule.source_matchers, (*place, "source_matchers"), "there is no such cause"),
            *_contradiction(rule.target_matchers, (*place, "target_matchers"), "it holds nothing back"),
        ]
        yield from never
        if never:
            continue
        source = Conditions(compile_matchers(rule.source_matchers))
        target = Conditions(compile_matchers(rule.target_matchers))
        if target.values.get(STATE) == _ENDED:
            text = "never holds anything back: the end of a fault is always told; take `state` out"
            yield (*place, "target_matchers"), text
        if source.values.get(STATE) == _ENDED or not any(_meets(source, fault) for fault in faults):
            text = "never fires: no rule under `episodes` makes an open fault of such an event; add one"
            yield (*place, "source_matchers"), text
        for index, name in enumerate(rule.equal):
            label = name.removeprefix("labels.")
            causes, held = source.values.get(label), target.values.get(label)
            if causes and held and "" not in causes | held and not causes & held:
                text = f"never fires: `{name}` has other values in the cause than in what it holds back; take it out"
                yield (*place, "equal", index), text


def _meets(source: Conditions, fault: Sequence[Matcher]) -> bool:
    return not Conditions([*source.matchers, *fault]).contradiction()


def _contradiction(texts: Sequence[str], place: Place, so: str) -> Iterator[Lint]:
    if clash := Conditions(compile_matchers(texts)).contradiction():
        yield place, f"{listed(clash)} cannot hold together, so {so}; take one out"
