"""`andon parallel report [--old FILE]`: what a source beside another path came to, and what that path lost."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, tzinfo
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from andon.cli.arguments import seconds
from andon.cli.asking import times, where
from andon.cli.asking.past import past
from andon.cli.asking.reading import Reading
from andon.cli.main import DONE, USAGE

if TYPE_CHECKING:
    from andon.cli.asking.past import Past
    from andon.routing.beside import Beside, Row

_HELP = """Counts what sources with `parallel: true` took in, and who would have heard of it. With --old it is held
against what the other path told: a CSV file with a header, or a file of JSON objects, one a line; `time` says when, the
other columns are labels of the event (or id, type, subject, source), as far as --by does not choose among them."""
_TIME = "time"
_SHOWN = 10


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("parallel", help="a source beside another path", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="report")
    report = commands.add_parser(
        "report", help="what came, who would have heard, what the other path lost", description=_HELP
    )
    report.add_argument("--since", type=times.point, default="7d", metavar="TIME", help=times.FORMS)
    report.add_argument("--until", type=times.point, metavar="TIME", help="until then (default: now)")
    report.add_argument("--old", type=Path, metavar="FILE", help="what the other path told: CSV, or JSON lines")
    report.add_argument("--by", type=_names, metavar="NAME,…", help="the columns to compare (default: all but time)")
    report.add_argument("--within", type=seconds, default=900.0, metavar="15m", help="how late it may have told")
    where.option(report)
    report.set_defaults(func=where.reported(_report))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, map(str.strip, text.split(","))))
    if not names or _TIME in names:
        raise argparse.ArgumentTypeError("names of columns, for example alertname,instance,state")
    return names


def _report(args: argparse.Namespace) -> int:
    from andon.kafka.scan import Scan

    with closing(Scan(where.cluster(args).link)) as scan:
        known = past(scan)
        if known.newest is None:
            raise SystemExit("no configuration is published; run `andon apply` first")
        sources = _sources(known)
        if not sources:
            raise SystemExit("no source has `parallel: true`, nor had one in a version that is still there")
        now = datetime.now(known.zone)
        since, until = times.moment(args.since, now), times.moment(args.until, now) if args.until else now
        if since >= until:
            print("andon parallel: --since is not before --until", file=sys.stderr)
            return USAGE
        names, rows = _rows(args.old, args.by, now.tzinfo) if args.old else ((), None)
        beside = _read(Reading(scan, sys.stderr), sources, names, since.timestamp(), until.timestamp())
        found = beside.report(rows, since=since.timestamp(), until=until.timestamp(), within=args.within)
    whole = {
        "since": since,
        "until": until,
        "sources": sorted(sources),
        "by": list(names),
        **msgspec.to_builtins(found),
    }
    print(msgspec.json.encode(whole).decode() if args.json else _text(whole, now.tzinfo))
    return DONE


def _sources(known: Past) -> frozenset[str]:
    """Every source that ever ran beside another path, as far as versions go back."""
    return frozenset(chain.from_iterable(version.settings.parallel() for version in known.board.all()))


def _read(reading: Reading, sources: frozenset[str], names: Sequence[str], since: float, until: float) -> Beside:
    from andon.core.event import Event
    from andon.core.outcome import OutcomeRecord
    from andon.kafka.codecs import Json
    from andon.kafka.topics import EVENTS, OUTCOMES
    from andon.routing.beside import Beside

    beside, outcomes, events = Beside(sources, names), Json(OutcomeRecord), Json(Event)
    # An event that came just before the end is decided after it.
    for record in reading.of(OUTCOMES, since):
        if (outcome := outcomes.read(record.value)) is not None:
            beside.ended(outcome)
    for record in reading.of(EVENTS, since, until):
        if (event := events.read(record.value)) is not None:
            beside.came(event, record.at / 1000)
    return beside


def _rows(file: Path, by: tuple[str, ...] | None, zone: tzinfo | None) -> tuple[tuple[str, ...], list[Row]]:
    """The names that are compared, and what the other path told. Exits with a sentence for what cannot be read."""
    from andon.routing.beside import row_of

    found: list[Row] = []
    names, columns = by, set[str]()
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            written = _csv(stream) if file.suffix.lower() == ".csv" else _json(stream)
            for number, row in written:
                names = names or tuple(name for name in row if name != _TIME)
                columns.update(row)
                found.append(row_of(row, _moment(row.get(_TIME, ""), f"{file}:{number}", zone), names))
    except OSError as error:
        raise SystemExit(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SystemExit(f"{file} is not UTF-8; save it as UTF-8, in Excel as 'CSV UTF-8'") from None
    except (csv.Error, _Unreadable) as error:
        raise SystemExit(f"{file} cannot be read: {error}") from None
    if not found:
        raise SystemExit(f"{file} has no row")
    if not names:
        raise SystemExit(f"{file} has no column beside {_TIME}, so nothing can be compared")
    if absent := [name for name in names if name not in columns]:
        raise SystemExit(f"{file} has no column `{'`, `'.join(absent)}`, so all would be lost; choose others with --by")
    return names, found


class _Unreadable(ValueError):  # noqa: N818 - a state of a file, told to its owner
    """A line that is no row."""


def _csv(stream: Any) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.DictReader(stream)
    if _TIME not in (reader.fieldnames or ()):
        raise _Unreadable(f"its header has no column `{_TIME}`")
    for row in reader:
        yield reader.line_num, {name: value or "" for name, value in row.items() if isinstance(name, str)}


def _json(stream: Any) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _Unreadable(f"line {number} is no JSON ({error})") from None
        if not isinstance(row, dict):
            raise _Unreadable(f"line {number} is not a JSON object")
        labels = row.pop("labels", {})
        whole = row | labels if isinstance(labels, dict) else row
        yield number, {name: str(value) for name, value in whole.items() if isinstance(value, str | int | float)}


def _moment(text: str, place: str, zone: tzinfo | None) -> float:
    """Seconds since 1970, or RFC 3339; without a zone it is the site's."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise SystemExit(
            f"{place}: {text!r} is not a time; write 2026-11-26T14:00:00+08:00, or seconds since 1970"
        ) from None


def _text(whole: Mapping[str, Any], zone: tzinfo | None) -> str:
    from andon.cli.shown.columns import columns, line
    from andon.runtime.logs import safe

    sources = ", ".join(f"{count:,} from {name}" for name, count in whole["by_source"].items()) or "nothing"
    nobody = ", ".join(f"{count:,} {reason}" for reason, count in whole["nobody"].items())
    said = [
        line("parallel", ", ".join(whole["sources"])),
        line("time", f"{whole['since']:%Y-%m-%d %H:%M} to {whole['until']:%m-%d %H:%M %Z}"),
        line("taken", f"{whole['taken']:,} events: {sources}"),
        line("would tell", f"{whole['told']:,} of them to somebody; not told here, for the sources are parallel"),
    ]
    said += [line("nobody", nobody)] if nobody else []
    said += [line("open", f"{whole['open']:,} not decided, or told before `parallel` held")] if whole["open"] else []
    if whole["receivers"]:
        rows = [("RECEIVER", "NOTICES"), *((name, f"{count:,}") for name, count in whole["receivers"].items())]
        said += ["", *columns(rows, 0)]
    if whole["old"]:
        said += ["", *_old(whole["old"], whole["by"], zone)]
    return "\n".join(safe(one).rstrip() for one in said)


def _old(old: Mapping[str, Any], names: Sequence[str], zone: tzinfo | None) -> Iterator[str]:
    from andon.cli.shown.columns import columns, line

    outside = f" (and {old['outside']:,} of another time)" if old["outside"] else ""
    yield line("old path", f"{old['rows']:,} rows{outside}, compared by {', '.join(names)}")
    yield line("both told", f"{old['told']:,} events")
    yield line("it lost", f"{old['lost']:,} events that somebody would have heard of here")
    yield line("it alone", f"{old['unknown']:,} rows about which no event came here")
    for name in old["never"]:
        yield line("note", f"no event has a value for `{name}`: leave it out of the file, or choose with --by")
    for title, cases in (("LOST", old["lost_cases"]), ("IT ALONE", old["unknown_cases"])):
        if cases:
            yield ""
            yield from columns([(title, *names, "RECEIVERS"), *(_case(one, zone) for one in cases[:_SHOWN])], 0)


def _case(case: Mapping[str, Any], zone: tzinfo | None) -> Sequence[str]:
    at = datetime.fromtimestamp(case["at"], zone)
    return f"{at:%m-%d %H:%M:%S}", *case["values"], ", ".join(case.get("receivers", ()))
