"""The contract of connectors, as checks that run against any of them.

A plug-in's author writes one `ConnectorCase` and runs every entry of `CHECKS` on it; a plug-in that has the static
method `contract_case(directory)` is found by our own tests once it is registered. Each check builds its connectors
anew and raises AssertionError with a sentence that says what is wrong.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Connector, Context, Facts, Wire
from andon.enrichment.config import ConnectorConfig
from andon.enrichment.mapping import RESERVED
from andon.testing.clock import ManualClock
from andon.testing.standstill import LONGEST, LOOKS, blocks
from andon.web.nowire import NoWire

DEADLINE = 10.0
"""Seconds of real time a check may take before it counts as hanging."""
_HANGS = 0.05

ODD_KEYS = (
    "",
    " ",
    "no such key",
    "'; DROP TABLE machines; --",
    '" OR "1"="1',
    "%",
    "M-0_",
    "*",
    "../../etc/passwd",
    "钥匙-不存在",
    "🔧",
    "e\u0301",
    "\u202eM-01",
    "M-01\n",
    "\tM-01",
    "nul\0nul",
    "0" * 10_000,
)


class ConnectorCase(msgspec.Struct, frozen=True):
    """One connector with a source that knows something.

    `known` holds at least two keys with the facts the connector must answer them with; none of `ODD_KEYS` may be known.
    `cut_off` makes the source unusable for connectors built afterwards; one that works may go on knowing what it has
    read. `wire` is for connectors that speak HTTP. `hang`, where a test can do that, makes the source take questions of
    connectors built afterwards and never answer one.
    """

    plugin: type[Any]
    options: Mapping[str, Any]
    directory: Path
    known: Mapping[str, Mapping[str, Any]]
    cut_off: Callable[[], object]
    wire: Wire = NoWire()
    hang: Callable[[], object] | None = None

    def build(self) -> Connector:
        """A connector of this case, built as the runtime builds it."""
        context = Context("case", self.directory, ManualClock(), self.wire)
        connector: Connector = self.plugin(self.plugin.Config.model_validate(dict(self.options)), context)
        return connector


Check = Callable[[ConnectorCase], Awaitable[None]]


async def answers_in_order(case: ConnectorCase) -> None:
    """One answer per key, in the order of the keys, with unknown keys between them."""
    keys = [*reversed(list(case.known)), "no such key", *case.known]
    _expect(case, keys, await _ask(case, keys))


async def says_not_found(case: ConnectorCase) -> None:
    """An unknown key is no failure: found False, and no values."""
    for answer in await _ask(case, ["no such key"]):
        _require(not answer.found, "an unknown key was answered as found")
        _require(not answer.values, "an answer that is not found has values")


async def answers_nothing_to_nothing(case: ConnectorCase) -> None:
    """No keys, no answers."""
    _require(list(await _ask(case, [])) == [], "an empty list of keys was answered")


async def answers_repeated_keys(case: ConnectorCase) -> None:
    """A key asked twice in one call is answered twice."""
    keys = [key for key in case.known for _ in range(3)]
    _expect(case, keys, await _ask(case, keys))


async def answers_a_thousand_keys(case: ConnectorCase) -> None:
    """A whole window of keys in one call."""
    keys = [*(f"unknown-{number}" for number in range(1_000 - len(case.known))), *case.known]
    _expect(case, keys, await _ask(case, keys))


async def takes_odd_keys(case: ConnectorCase) -> None:
    """Keys are data: whatever they hold, they are looked for and not found, and the known ones still are."""
    keys = [*ODD_KEYS, *case.known]
    _expect(case, keys, await _ask(case, keys))
    for key in ODD_KEYS:
        _expect(case, [key], await _ask(case, [key]))


async def answers_together(case: ConnectorCase) -> None:
    """Lookups that run at the same time don't mix their answers."""
    connector = case.build()
    names = list(case.known)
    questions = [[names[number % len(names)], f"unknown-{number}"] for number in range(20)]
    try:
        answers = await asyncio.gather(*(connector.lookup(keys) for keys in questions))
    finally:
        await connector.close()
    for keys, answer in zip(questions, answers, strict=True):
        _expect(case, keys, answer)


async def answers_alike_twice(case: ConnectorCase) -> None:
    """What a caller does with an answer doesn't change the next one."""
    connector = case.build()
    keys = [*case.known, "no such key"]
    try:
        for answer in await connector.lookup(keys):
            if isinstance(answer.values, dict):
                answer.values.clear()
                answer.values["changed"] = True
        _expect(case, keys, await connector.lookup(keys))
    finally:
        await connector.close()


async def answers_in_json(case: ConnectorCase) -> None:
    """Values survive the way through a topic, and none has a name enrichment uses itself."""
    for answer in await _ask(case, list(case.known)):
        values = dict(answer.values)
        try:
            back = msgspec.json.decode(msgspec.json.encode(values))
        except (TypeError, OverflowError, msgspec.MsgspecError) as error:
            raise AssertionError(f"an answer cannot be written as JSON: {error}") from None
        _require(back == values, "an answer changes when it is written as JSON and read again")
        _require(not RESERVED.intersection(values), f"an answer has a value named {sorted(RESERVED)}")


async def ends_when_cancelled(case: ConnectorCase) -> None:
    """A cancelled lookup ends as cancelled (or had its answer already), and the connector goes on."""
    connector = case.build()
    keys = list(case.known)
    try:
        for turns in range(4):
            lookup = asyncio.ensure_future(connector.lookup(keys))
            for _ in range(turns):
                await asyncio.sleep(0)
            lookup.cancel()
            done, _ = await asyncio.wait({lookup}, timeout=DEADLINE / 2)
            _require(bool(done), "a cancelled lookup goes on")
            if not lookup.cancelled():
                _require(lookup.exception() is None, "a cancelled lookup failed with something else")
                _expect(case, keys, lookup.result())
        _expect(case, keys, await connector.lookup(keys))
    finally:
        await connector.close()


async def leaves_a_source_that_hangs(case: ConnectorCase) -> None:
    """A lookup whose source never answers ends as cancelled as soon as it is."""
    if case.hang is None:
        return
    case.hang()
    connector = case.build()
    try:
        lookup = asyncio.ensure_future(connector.lookup(list(case.known)))
        done, _ = await asyncio.wait({lookup}, timeout=_HANGS)
        _require(not done, "the source hangs, and yet there is an answer")
        lookup.cancel()
        await asyncio.wait({lookup}, timeout=DEADLINE / 2)
        if lookup.done() and not lookup.cancelled():
            lookup.exception()  # taken note of: asyncio would tell of it whenever the task is collected
        _require(lookup.cancelled(), "a cancelled lookup goes on, or ends as something else")
    finally:
        await connector.close()


async def closes_twice(case: ConnectorCase) -> None:
    """Closing may be repeated, before and after use."""
    unused, used = case.build(), case.build()
    await used.lookup(list(case.known))
    for connector in (unused, unused, used, used):
        await connector.close()


async def fails_by_the_book(case: ConnectorCase) -> None:
    """Without its source a connector raises Retryable or Rejected: not another error, and no "not found"."""
    case.cut_off()
    connector = case.build()
    try:
        await connector.lookup(list(case.known))
    except (Retryable, Rejected):
        return
    except Exception as error:  # whatever else it raises is the finding
        raise AssertionError(f"without its source the connector raised {type(error).__name__}") from error
    finally:
        await connector.close()
    raise AssertionError("without its source the connector answered")


async def tells_a_lost_source_from_an_unknown_key(case: ConnectorCase) -> None:
    """A connector that has worked and loses its source still answers what it knew, or raises Retryable or Rejected."""
    connector, keys = case.build(), list(case.known)
    try:
        _expect(case, keys, await connector.lookup(keys))
        case.cut_off()
        try:
            answers = await connector.lookup(keys)
        except (Retryable, Rejected):
            return
        except Exception as error:  # whatever else it raises is the finding
            raise AssertionError(f"when it lost its source the connector raised {type(error).__name__}") from error
        _expect(case, keys, answers)
    finally:
        await connector.close()


async def leaves_the_event_loop_to_others(case: ConnectorCase) -> None:
    """What blocks runs in a thread: while it is asked, everything else in the process goes on."""
    connector = case.build()
    try:
        blocked = await blocks(lambda: connector.lookup(list(case.known)))
    finally:
        await connector.close()
    _require(not blocked, f"each of {LOOKS} lookups blocked the event loop for {LONGEST * 1000:g} ms and more")


async def refuses_unknown_options(case: ConnectorCase) -> None:
    """`Config` has the keys common to all connectors and refuses those it doesn't know."""
    config = getattr(case.plugin, "Config", None)
    if not (isinstance(config, type) and issubclass(config, ConnectorConfig)):
        raise AssertionError("the connector has no nested Config derived from ConnectorConfig")
    try:
        config.model_validate({**case.options, "no_such_option": 1})
    except ValidationError:
        return
    raise AssertionError("Config takes a key it does not know")


CHECKS: tuple[Check, ...] = (
    answers_in_order,
    says_not_found,
    answers_nothing_to_nothing,
    answers_repeated_keys,
    answers_a_thousand_keys,
    takes_odd_keys,
    answers_together,
    answers_alike_twice,
    answers_in_json,
    ends_when_cancelled,
    leaves_a_source_that_hangs,
    closes_twice,
    fails_by_the_book,
    tells_a_lost_source_from_an_unknown_key,
    leaves_the_event_loop_to_others,
    refuses_unknown_options,
)


def run(check: Check, case: ConnectorCase) -> None:
    """Runs one check in an event loop of its own. Raises AssertionError, also when the check hangs or breaks."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                await check(case)
        except TimeoutError:
            raise AssertionError(f"the connector hangs in: {check.__doc__}") from None
        except AssertionError:
            raise
        except Exception as error:  # a connector may break in any way
            raise AssertionError(f"{type(error).__name__} in: {check.__doc__}") from error

    asyncio.run(bounded())


def csv_case(directory: Path) -> ConnectorCase:
    """The kind `csv` with a table of three machines."""
    from andon.enrichment.connectors.csv import CsvTable

    table = directory / "machines.csv"
    known = {
        "M-01": {"machine_no": "M-01", "line": "L3", "leader": "张伟"},
        "M-02": {"machine_no": "M-02", "line": "L4", "leader": ""},
        "冲压-3": {"machine_no": "冲压-3", "line": "L5", "leader": 'say "hi", twice'},
    }
    lines = ["machine_no,line,leader", "M-01,L3,张伟", "M-02,L4,", '冲压-3,L5,"say ""hi"", twice"', ""]
    table.write_text("\n".join(lines), encoding="utf-8")
    options = {"file": "machines.csv", "key": "machine_no"}
    return ConnectorCase(CsvTable, options, directory, known, table.unlink)


def sql_case(directory: Path) -> ConnectorCase:
    """The kind `sql` with a view in a SQLite file."""
    from andon.enrichment.connectors.sql import SqlView

    file = directory / "mes.db"
    known: dict[str, dict[str, Any]] = {
        "M-01": {"machine_no": "M-01", "leader": "张伟", "age_days": 3650},
        "冲压-3": {"machine_no": "冲压-3", "leader": None, "age_days": 1},
    }
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE machines (machine_no TEXT PRIMARY KEY, leader TEXT, age_days INTEGER)")
        database.executemany("INSERT INTO machines VALUES (?, ?, ?)", [tuple(row.values()) for row in known.values()])
        database.execute("CREATE VIEW v_machines AS SELECT * FROM machines")
    options = {"url": "sqlite:///mes.db", "view": "v_machines", "key": "machine_no"}
    return ConnectorCase(SqlView, options, directory, known, file.unlink)


CASES: Mapping[str, Callable[[Path], ConnectorCase]] = {"csv": csv_case, "sql": sql_case}
"""The cases of the kinds that come with Andon."""


def case_of(kind: str, plugin: type[Any], directory: Path) -> ConnectorCase:
    """The case of a registered kind: ours, or the plug-in's own `contract_case`. Raises AssertionError without one."""
    provider: Callable[[Path], ConnectorCase] | None = CASES.get(kind) or getattr(plugin, "contract_case", None)
    if provider is None:
        raise AssertionError(f"the connector {kind} has no contract_case(directory), so nothing proves it")
    return provider(directory)


def _require(holds: bool, problem: str) -> None:
    """Not `assert`, which a plug-in author's `python -O` would skip."""
    if not holds:
        raise AssertionError(problem)


async def _ask(case: ConnectorCase, keys: Sequence[str]) -> Sequence[Facts]:
    connector = case.build()
    try:
        return await connector.lookup(keys)
    finally:
        await connector.close()


def _expect(case: ConnectorCase, keys: Sequence[str], answers: Sequence[Facts]) -> None:
    _require(len(answers) == len(keys), f"{len(keys)} keys had {len(answers)} answers")
    for key, answer in zip(keys, answers, strict=True):
        if key in case.known:
            _require(answer.found, f"the known key {key!r} was not found")
            _require(dict(answer.values) == dict(case.known[key]), f"the answer to {key!r} is wrong")
        else:
            _require(not answer.found and not answer.values, f"the unknown key {key[:20]!r} was found")
