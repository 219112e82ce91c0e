"""`andon test [DIR]`: runs the tests of the rules, which lie as YAML in `tests` beside andon.yaml, in virtual time."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from andon.cli.main import DONE, FAILED, USAGE
from andon.cli.shown.decision import lines
from andon.runtime.logs import safe

if TYPE_CHECKING:
    from andon.config.load import Loaded
    from andon.config.mistakes import Mistake
    from andon.rehearsal.coverage import Coverage
    from andon.rehearsal.run import Verdict


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("test", help="run the tests of the rules", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, metavar="DIR", help="andon.yaml or its folder, as --config")
    parser.add_argument(
        "--tests",
        type=Path,
        action="append",
        metavar="PATH",
        help="a file of tests, or a folder of them; again for more",
    )
    parser.add_argument("-k", dest="named", default="", metavar="NAME", help="only tests with this in their names")
    parser.add_argument(
        "--min-coverage", type=_percent, metavar="PERCENT", help="fail when the tests reach less of the rules"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results as JUnit XML too")
    parser.set_defaults(func=_test)


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentage from 0 to 100")
    return value


@dataclass(frozen=True)
class Results:
    """What became of the tests of a configuration. With `mistakes` none was run."""

    loaded: Loaded
    mistakes: tuple[Mistake, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    coverage: Coverage | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """How many tests failed."""
        return sum(not one.passed for one in self.verdicts)


def results_of(loaded: Loaded, paths: Sequence[Path] | None = None, named: str = "") -> Results:
    """Runs the tests beside a configuration that has no mistake, or those at `paths`."""
    from andon.rehearsal.rules import Rules
    from andon.rehearsal.run import run
    from andon.rehearsal.suites import FOLDER, find, read_suites

    began = perf_counter()
    beside = loaded.directory / FOLDER
    files, lost = find(paths or ((beside,) if beside.is_dir() else ()))
    suites, found = read_suites(files, loaded.settings)
    if lost or found:
        return Results(loaded, (*lost, *found))
    if not suites:
        return Results(loaded)
    rules = Rules(loaded)
    verdicts = tuple(run(rules, suites, named))
    return Results(loaded, (), verdicts, rules.coverage, perf_counter() - began)


def _test(args: argparse.Namespace) -> int:
    """Exit code 1 when a test fails or too little is covered, 2 for a mistake in a file and when there is no test."""
    from andon.cli.commands.check import checked

    loaded = checked(args.path or args.config)
    results = Results(loaded, loaded.mistakes) if loaded.mistakes else results_of(loaded, args.tests, args.named)
    if not results.mistakes and not results.verdicts:
        named = f" with '{args.named}' in its name" if args.named else ""
        print(f"andon test: there is no test{named}; write some as in docs/testing-rules.md", file=sys.stderr)
        return USAGE
    short = _short(results, args.min_coverage)
    if args.junit and not results.mistakes:
        from andon.rehearsal.junit import junit

        _write(args.junit, junit(results.verdicts, lambda one: "\n".join(failures(one))))
    if args.json:
        print(json.dumps(answer(results, ok=not short and not results.failed), ensure_ascii=False))
    else:
        print("\n".join(map(safe, text(results))))
        if short and results.coverage:
            print(f"FAILED coverage is {results.coverage.percent:.1f} %, and {args.min_coverage:g} % are asked for")
    return USAGE if results.mistakes else FAILED if results.failed or short else DONE


def _short(results: Results, least: float | None) -> bool:
    """Whether less is covered than is asked for."""
    return results.coverage is not None and least is not None and results.coverage.percent < least


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise SystemExit(f"{file} cannot be written: {error.strerror}") from None


# ---- as a person reads it


def text(results: Results) -> Iterator[str]:
    """The mistakes; else each failed test with what was expected, what came and why, what is not covered, and a line
    that sums it up."""
    if results.mistakes:
        yield from map(str, results.mistakes)
        return
    for one in results.verdicts:
        if not one.passed:
            yield f"FAILED {one.file}:{one.line}:{one.column}: {one.name}"
            yield from failures(one)
    tests = f"{len(results.verdicts)} {'test' if len(results.verdicts) == 1 else 'tests'}"
    said = f"FAILED {results.failed} of {tests}" if results.failed else f"OK {tests}"
    if coverage := results.coverage:
        yield from _left(results.loaded, coverage)
        said += f", coverage {coverage.percent:.1f} % ({coverage.reached} of {len(coverage.branches)})"
    yield f"{said}, {results.seconds:.2f} s"


def failures(verdict: Verdict) -> Iterator[str]:
    """Why a test failed: for each expectation what came instead, and the way of its events through the routes."""
    for one in verdict.failures:
        yield f"  line {one.line}, column {one.column}"
        yield f"    expected  {one.expected}"
        yield f"    came      {one.came}"
        for event, path in one.paths.items():
            yield f"    {event}"
            yield from (f"    {line}" for line in lines(msgspec.to_builtins(path)))


def _left(loaded: Loaded, coverage: Coverage) -> Iterator[str]:
    """One line for each rule: where it stands, and what no test lets it do."""
    at: dict[tuple[Any, str], list[str]] = {}
    for branch in coverage.left():
        at.setdefault((branch.place, branch.rule), []).append(branch.does)
    for (place, rule), does in at.items():
        line, column = loaded.where(place)
        yield f"{loaded.file}:{line}:{column}: {rule}: never {' nor '.join(does)}"


# ---- as a program reads it


def answer(results: Results, *, ok: bool) -> dict[str, Any]:
    """The same for `--json`."""
    from dataclasses import asdict

    if results.mistakes:
        return {"ok": False, "mistakes": [asdict(one) for one in results.mistakes]}
    told: dict[str, Any] = {"ok": ok, "tests": [_verdict(one) for one in results.verdicts]}
    if coverage := results.coverage:
        counts = {"percent": round(coverage.percent, 2), "reached": coverage.reached, "of": len(coverage.branches)}
        told["coverage"] = counts | {"left": list(_places(results.loaded, coverage))}
    return told


def _verdict(one: Verdict) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(one)
    return {"name": plain.pop("name"), "passed": one.passed, **plain}


def _places(loaded: Loaded, coverage: Coverage) -> Iterator[Mapping[str, Any]]:
    for branch in coverage.left():
        line, column = loaded.where(branch.place)
        yield {"line": line, "column": column, **msgspec.to_builtins(branch)}
