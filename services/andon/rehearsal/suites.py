"""Reading files of rule tests: every mistake at once, each with its line and column and the nearest valid name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from andon.config.document import Document, Unreadable, parse, read
from andon.config.mistakes import Mistake, Path, Place, hint, shortened
from andon.config.settings import Settings
from andon.config.shapes import Found, shape_mistakes
from andon.core.mute import MuteWrong, require_named
from andon.core.reason import Reason
from andon.rehearsal.given import ids_of, names
from andon.rehearsal.moments import OUTSIDE, MomentError, beginning, is_told, moment
from andon.rehearsal.written import MOST_EVENTS, Case, Expect, Given, NoticeExpected, OutcomeExpected, Suite

FOLDER = "tests"


@dataclass(frozen=True)
class ReadSuite:
    """A file without a mistake."""

    file: File
    document: Document
    suite: Suite

    def place(self, *path: str | int) -> Place:
        """Line and column."""
        return self.document.where(path)


def find(paths: Iterable[File]) -> tuple[list[File], list[Mistake]]:
    """The files of tests that `paths` are or hold, sorted; a file that is not there is a mistake, a folder is not."""
    files: list[File] = []
    mistakes: list[Mistake] = []
    for path in paths:
        if not os.path.isdir(path):
            files.append(path)
            continue
        try:
            inner = sorted(path.iterdir())  # `glob` takes a folder that it may not read for an empty one
        except OSError as error:
            mistakes.append(Mistake(str(path), 1, 1, (), f"cannot be read ({error.strerror})"))
            continue
        files += [file for file in inner if file.name.endswith(".yaml")]
        mistakes += [
            Mistake(str(file), 1, 1, (), f"is not read; rename it to {file.stem}.yaml")
            for file in inner
            if file.name.endswith(".yml")
        ]
    return files, mistakes


def read_suites(files: Sequence[File], settings: Settings) -> tuple[list[ReadSuite], list[Mistake]]:
    """The files that have no mistake, and the mistakes of the others in file order."""
    suites: list[ReadSuite] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            document = parse(read(file))
        except Unreadable as error:
            mistakes.append(Mistake(str(file), *error.place, (), shortened(error.text)))
            continue
        suite, found = _suite(document, settings)
        wrong = [Mistake(str(file), *place, (), shortened(text)) for place, text in document.mistakes]
        wrong += [_mistake(file, document, one) for one in found]
        if suite is None or wrong:
            mistakes += sorted(dict.fromkeys(wrong))
        else:
            suites.append(ReadSuite(file, document, suite))
    return suites, mistakes


def _mistake(file: File, document: Document, found: Found) -> Mistake:
    place = document.keys.get(found.path) if found.at_key else None
    return Mistake(str(file), *(place or document.where(found.path)), found.path, shortened(found.text))


def _suite(document: Document, settings: Settings) -> tuple[Suite | None, list[Found]]:
    try:
        suite = Suite.model_validate(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        return None, shape_mistakes(Suite, document.data, error)
    return suite, list(_Rules(suite, settings).mistakes())


class _Rules:
    """What must hold between the keys of a file and those of the configuration."""

    def __init__(self, suite: Suite, settings: Settings) -> None:
        self._suite = suite
        self._settings = settings
        self._zone = ZoneInfo(settings.site.zone)

    def mistakes(self) -> Iterator[Found]:
        for name, pattern in self._suite.events.items():
            yield from self._facts(pattern.facts, ("events", name))
        seen: dict[str, int] = {}
        for number, case in enumerate(self._suite.tests):
            if seen.setdefault(case.name, number) != number:
                yield Found(("tests", number, "name"), f"test {seen[case.name] + 1} of this file has this name already")
            yield from self._case(case, ("tests", number))

    def _case(self, case: Case, path: Path) -> Iterator[Found]:
        try:
            begins = beginning(case.at, self._zone)
        except MomentError as error:
            yield Found((*path, "at"), str(error))
            return
        yield from self._given(case, begins, path)
        for number, answer in enumerate(case.answers):
            yield from self._receiver(answer.receiver, (*path, "answers", number, "receiver"))
            yield from self._stretch(answer.at, answer.until, begins, (*path, "answers", number))
        for number, mute in enumerate(case.mutes):
            place = (*path, "mutes", number)
            yield from self._stretch(mute.at, mute.until, begins, place)
            try:
                require_named(mute.matchers)
            except MuteWrong as error:
                yield Found((*place, error.field), str(error))
        yield from self._moment(case.until, begins, (*path, "until"))
        yield from self._expect(case, begins, (*path, "expect"))

    def _given(self, case: Case, begins: float, path: Path) -> Iterator[Found]:
        if not case.given:
            yield Found((*path, "given"), "nothing is given; a test needs an event")
        if sum(given.times for given in case.given) > MOST_EVENTS:
            yield Found((*path, "given"), f"more than {MOST_EVENTS:,} events in one test")
        seen: set[str] = set()
        for number, given in enumerate(case.given):
            place = (*path, "given", number)
            ids = ids_of(given, number)
            if twice := next((one for one in ids if one in seen), None):
                yield Found((*place, "id"), f"there is an event `{twice}` in this test already")
            seen.update(ids)
            if given.event is not None and given.event not in self._suite.events:
                known = self._suite.events
                yield Found(
                    (*place, "event"), f"there is no event `{given.event}` under `events`{hint(given.event, known)}"
                )
            elif not given.type and not (given.event and self._suite.events[given.event].type):
                yield Found(place, "`type` is missing")
            yield from self._moment(given.at, begins, (*place, "at"))
            yield from self._last(case, given, begins, (*place, "at"))
            yield from self._facts(given.facts, place)

    def _last(self, case: Case, given: Given, begins: float, path: Path) -> Iterator[Found]:
        """What is wrong with the time of the last of an entry's events."""
        first = self._read(given.at, begins)
        if first is None:
            return
        last, until = first + (given.times - 1) * given.every, self._read(case.until, begins)
        if not is_told(last):
            yield Found(path, f"its last one lies {OUTSIDE}")
        elif until is not None and last > until:
            yield Found(path, "its last one comes after the clock stops (`until`)")

    def _facts(self, facts: Mapping[str, Any], path: Path) -> Iterator[Found]:
        for name, said in facts.items():
            if name not in self._settings.connectors:
                text = f"there is no connector `{name}` under `connectors`{hint(name, self._settings.connectors)}"
                yield Found((*path, "facts", name), text, at_key=True)
            elif name not in {rule.connector for rule in self._settings.enrich}:
                yield Found(
                    (*path, "facts", name), f"no rule of `enrich` asks `{name}`, so it has no facts", at_key=True
                )
            elif not isinstance(said, Mapping):
                yield Found((*path, "facts", name), "what a connector says is a map, such as `{line: L3}`", at_key=True)

    def _expect(self, case: Case, begins: float, path: Path) -> Iterator[Found]:
        expect, known = case.expect, names(case)
        if expect == Expect():
            yield Found(path, f"nothing is expected{hint('', Expect.model_fields)}")
        for number, name in enumerate(expect.receivers or ()):
            yield from self._receiver(name, (*path, "receivers", number))
        for name in expect.totals:
            yield from self._receiver(name, (*path, "totals", name), at_key=True)
        for key, notices in (("notices", expect.notices or ()), ("includes", expect.includes)):
            for number, notice in enumerate(notices):
                yield from self._notice(notice, begins, known, (*path, key, number))
        for number, ending in enumerate(expect.outcomes):
            yield from self._ending(ending, known, (*path, "outcomes", number))

    def _notice(self, notice: NoticeExpected, begins: float, known: Iterable[str], path: Path) -> Iterator[Found]:
        yield from self._receiver(notice.receiver, (*path, "receiver"))
        yield from self._moment(notice.at, begins, (*path, "at"))
        one = isinstance(notice.events, str)
        for number, name in enumerate(listed(notice.events)):
            yield from _event(name, known, (*path, "events") if one else (*path, "events", number))

    def _ending(self, ending: OutcomeExpected, known: Iterable[str], path: Path) -> Iterator[Found]:
        if ending.event is not None:
            yield from _event(ending.event, known, (*path, "event"))
        if ending.receiver is not None:
            yield from self._receiver(ending.receiver, (*path, "receiver"))
        if ending.reason is not None and ending.reason not in list(Reason):
            yield Found((*path, "reason"), f"there is no reason `{ending.reason}`{hint(ending.reason, list(Reason))}")
        if ending.outcome is ending.reason is ending.by is None:
            yield Found(path, "`outcome`, `reason` or `by` is missing")

    def _receiver(self, name: str, path: Path, *, at_key: bool = False) -> Iterator[Found]:
        known = self._settings.receivers
        if name not in known:
            yield Found(path, f"there is no receiver `{name}` under `receivers`{hint(name, known)}", at_key)

    def _moment(self, text: str | None, begins: float, path: Path) -> Iterator[Found]:
        try:
            if text is not None:
                moment(text, begins, self._zone)
        except MomentError as error:
            yield Found(path, str(error))

    def _stretch(self, at: str, until: str | None, begins: float, path: Path) -> Iterator[Found]:
        yield from self._moment(at, begins, (*path, "at"))
        yield from self._moment(until, begins, (*path, "until"))
        first, last = self._read(at, begins), self._read(until, begins)
        if first is not None and last is not None and last <= first:
            yield Found((*path, "until"), "it would end before it begins")

    def _read(self, text: str | None, begins: float) -> float | None:
        """None for one that is not there, or cannot be read."""
        try:
            return moment(text, begins, self._zone) if text is not None else None
        except MomentError:
            return None


def _event(name: str, known: Iterable[str], path: Path) -> Iterator[Found]:
    if name not in known:
        yield Found(path, f"no event of this test is called `{name}`{hint(name, known)}")


def listed(texts: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """A text, or several, as several."""
    return (texts,) if isinstance(texts, str) else texts or ()
