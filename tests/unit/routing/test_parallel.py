"""A source beside another path: decided upon and told to nobody, and what the other path lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from andon.cli.commands.parallel import _names, _rows
from andon.config.load import load
from andon.core.delivery import Delivery, delivery_id, ended_id
from andon.core.event import Event
from andon.core.mute import Mute
from andon.core.outcome import Delivered, Evidence, OutcomeRecord, Parked, Skipped
from andon.core.parallel import beside, would_have_heard
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.routing import Router, RoutingStage, explain
from andon.routing.beside import Beside, Report, Row, row_of
from andon.routing.causes import Cause, skipped
from andon.runtime.registry import Registry
from tests.unit.routing.events import TUESDAY_NOON, event, receivers, settings

ROUTE = {
    "receiver": "it",
    "routes": [
        {"matchers": ['line="L3"'], "receiver": "oncall", "continue": True},
        {"matchers": ['line="L3"'], "receiver": "班组, 三线"},
        {"matchers": ['line="L9"'], "mute_time_intervals": ["always"]},
    ],
}
CALLBACK = "{kind: wecom_callback, token: env:T, aes_key: env:K, receive_id: ww1"
NAMES = receivers("it", "oncall", "班组, 三线")
NOON = TUESDAY_NOON.timestamp()


def router(parallel: bool, *mutes: Mute) -> Router:
    given = settings(
        ROUTE,
        receivers=NAMES,
        calendar={"time_intervals": {"always": [{}]}},
        sources={"mes": {"kind": "alertmanager", "parallel": parallel}},
    )
    return Router(given, 7, dict.fromkeys(NAMES, "d"), mutes=mutes)


def staged(by: Router, *events: Event) -> Sequence[Result[Delivery]]:
    return asyncio.run(RoutingStage(by)(events))


def test_what_would_have_been_told_is_the_end_of_it() -> None:
    one = event(labels={"line": "L3"})
    other = msgspec.structs.replace(one, source="wms")
    (here,), (there,) = staged(router(True), one), staged(router(True), other)
    assert here.outputs == ()
    assert here.ended is not None
    assert would_have_heard(here.ended) == ("oncall", "班组, 三线")
    assert [delivery.receiver for delivery in there.outputs] == ["oncall", "班组, 三线"], "only this source is beside"
    assert staged(router(False), one)[0].outputs == router(False).route(one).outputs


def test_what_a_rule_ends_ends_by_that_rule() -> None:
    (silent,) = staged(router(True), event(labels={"line": "L9"}))
    assert silent.ended == Skipped(Reason.MUTED, "0.2 always")
    mute = Mute("m3", ('line="L3"',), TUESDAY_NOON, TUESDAY_NOON + timedelta(hours=1), "w", "x")
    drops = msgspec.structs.replace(mute, then="drop")
    assert staged(router(True, drops), event(labels={"line": "L3"}))[0].ended == Skipped(Reason.SILENCED, "mute m3")
    (held,) = staged(router(True, mute), event(labels={"line": "L3"}))
    assert held.outputs == ()
    assert would_have_heard(held.ended) == ("oncall", "班组, 三线")  # type: ignore[arg-type]


def test_rules_are_explained_and_rehearsed_as_if_it_were_the_only_path() -> None:
    one = event(labels={"line": "L3"})
    assert explain(router(True), one).receivers == explain(router(False), one).receivers == ("oncall", "班组, 三线")
    cause, said = skipped(beside(["oncall"]))
    assert cause is Cause.MUTE
    assert "parallel: true" in said


@pytest.mark.parametrize(
    "outcome", [Skipped(Reason.SILENCED, "mute m3"), Skipped(Reason.SILENCED, "parallel x"), Parked(Reason.EMPTY)]
)
def test_other_outcomes_are_no_such_end(outcome: Any) -> None:
    assert would_have_heard(outcome) is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{kind: alertmanager, token: env:T, parallel: true}", []),
        ("{kind: http, token: env:T, parallel: false}", []),
        ("{kind: http, token: env:T, parallel: true}", ["kind `http` cannot run beside another path"]),
        ("{kind: kafka, topic: x, parallel: true}", ["kind `kafka` cannot run beside another path"]),
        ("{kind: http, token: env:T, parallel: yes}", ["`parallel` must be true or false"]),
        ("{kind: alertmanager, token: env:T, parallel: maybe}", ["true or false"]),
        (f"{CALLBACK}, parallel: true}}", []),
        (f"{CALLBACK}, parallel: true, reply: 收到}}", ["it would answer people"]),
        (f"{CALLBACK}, reply: 收到}}", []),
    ],
)
def test_only_a_source_whose_events_have_its_own_name_can_be_beside(
    tmp_path: Path, source: str, said: list[str]
) -> None:
    text = f"version: 1\nsources: {{s: {source}}}\nroute: {{receiver: it}}\n"
    text += "channels: {c: {kind: wecom_robot, keys: [env:R]}}\nreceivers: {it: {channel: c}}\n"
    (tmp_path / "andon.yaml").write_text(text, encoding="utf-8")
    loaded = load(tmp_path, Registry())
    found = [one for one in loaded.mistakes if one.severity == "error"]
    assert len(found) == len(said), found
    for one, words in zip(found, said, strict=True):
        assert words in one.text
        assert one.path in (("sources", "s", "parallel"), ("sources", "s", "reply"))
        assert (one.line, one.column) > (1, 1)


def alert(number: int, name: str = "Hot", state: str = "raise", **labels: str) -> Event:
    return Event(
        f"e{number}", "mes", "prometheus.alert", "m8", TUESDAY_NOON, {}, {"alertname": name, "state": state} | labels
    )


def outcome(of: Event, ended: Any, delivery: bool = False) -> OutcomeRecord:
    which = delivery_id(of, "it") if delivery else None
    return OutcomeRecord(which or ended_id(of), of.id, of.source, of.subject, ended, datetime.now(UTC), which)


def report(*came: tuple[Event, float, Any], rows: Sequence[Row] | None = None, names: Sequence[str] = ()) -> Report:
    found = Beside(frozenset({"mes"}), names)
    for one, _, ended in came:
        if ended is not None:
            found.ended(outcome(one, ended))
    for one, at, _ in came:
        found.came(one, at)
    return found.report(rows, since=NOON, until=NOON + 86_400, within=900.0)


def test_a_report_counts_what_came_and_who_would_have_heard() -> None:
    heard = beside(["oncall", "it"])
    stranger = msgspec.structs.replace(alert(9), source="wms")
    found = report(
        (alert(1), NOON, heard),
        (alert(2), NOON + 1, beside(["it"])),
        (alert(3), NOON + 2, Skipped(Reason.MUTED, "0.2")),
        (alert(4), NOON + 3, None),
        (stranger, NOON, heard),
    )
    assert (found.taken, found.by_source, found.told, found.open) == (4, {"mes": 4}, 2, 1)
    assert (found.receivers, found.nobody, found.old) == ({"it": 2, "oncall": 1}, {"muted": 1}, None)


def test_an_outcome_of_a_delivery_is_of_before_it_was_beside() -> None:
    found = Beside(frozenset({"mes"}))
    found.ended(outcome(alert(1), Delivered(Evidence.VENDOR_ACCEPTED), delivery=True))
    found.came(alert(1), NOON)
    assert found.report(since=0, until=NOON * 2, within=1).open == 1


def test_what_the_other_path_lost_is_what_it_has_no_row_of() -> None:
    names, heard = ("alertname", "state"), beside(["it"])

    def row(minutes: float, name: str = "Hot", state: str = "firing") -> Row:
        return row_of({"alertname": name, "state": state}, NOON + 60 * minutes, names)

    found = report(
        (alert(1), NOON + 60, heard),  # told at once
        (alert(2, state="clear"), NOON + 120, heard),  # its end was never told
        (alert(3), NOON + 3_600, heard),  # told 16 minutes late is lost
        (alert(4, "Down"), NOON + 7_200, heard),  # told a little before it came here
        (alert(5, "Quiet"), NOON, Skipped(Reason.MUTED, "0.2")),  # nobody would have heard of it here either
        rows=[row(2), row(76), row(119.5, "Down"), row(600, "Down"), row(5, "Ghost"), row(-5), row(60 * 25)],
        names=names,
    )
    assert found.old
    assert (found.old.rows, found.old.outside, found.old.told, found.old.lost) == (5, 2, 2, 2)
    assert [(one.event, one.values, one.receivers) for one in found.old.lost_cases] == [
        ("e2", ("Hot", "clear"), ("it",)),
        ("e3", ("Hot", "raise"), ("it",)),
    ]
    assert found.old.lost_by_receiver == {"it": 2}
    # What it told again hours later is of an event that came; what never came is a row of its own.
    assert [one.values for one in found.old.unknown_cases] == [("Ghost", "raise")]
    assert found.old.never == ()


def test_each_row_stands_for_one_event() -> None:
    names, heard = ("alertname",), beside(["it"])
    came = [(alert(number), NOON + number, heard) for number in range(3)]
    found = report(*came, rows=[row_of({"alertname": "Hot"}, NOON + 10, names)], names=names)
    assert found.old
    assert (found.old.told, found.old.lost) == (1, 2)


def test_an_event_that_stands_twice_in_the_log_is_one() -> None:
    """Prometheus tells each of two doors."""
    names = ("alertname",)
    rows = [row_of({"alertname": "Hot"}, NOON + minutes * 60, names) for minutes in (1, 6)]
    twice = ((1, 0), (1, 0), (2, 5), (2, 5))
    came = [(alert(number), NOON + minutes * 60, beside(["it"])) for number, minutes in twice]
    found = report(*came, rows=rows, names=names)
    assert (found.taken, found.told, found.open) == (2, 2, 0)
    assert found.old is not None
    assert (found.old.told, found.old.lost) == (2, 0)


def test_a_column_that_no_event_has_is_named() -> None:
    rows = [row_of({"alertname": "Hot", "summary": "x"}, NOON, ("alertname", "summary"))]
    found = report((alert(1), NOON, beside(["it"])), rows=rows, names=("alertname", "summary"))
    assert found.old
    assert found.old.never == ("summary",)


def test_the_other_paths_record_is_csv_or_json_lines(tmp_path: Path) -> None:
    csv, lines = tmp_path / "old.csv", tmp_path / "old.jsonl"
    csv.write_bytes(
        "\ufefftime,alertname,state\n2023-11-14T12:00:00+08:00,热,firing\n1699934400,Hot,resolved\n".encode()
    )
    names, rows = _rows(csv, None, UTC)
    assert names == ("alertname", "state")
    assert rows == [Row(NOON, ("热", "raise")), Row(1_699_934_400.0, ("Hot", "clear"))]
    lines.write_text('{"time": "2023-11-14T04:00:00", "labels": {"alertname": "Hot"}, "n": 1}\n\n', encoding="utf-8")
    assert _rows(lines, ("alertname",), UTC) == (("alertname",), [Row(NOON, ("Hot",))])


def test_a_name_that_the_other_paths_record_lacks_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "told.csv"
    file.write_text("time,alertname,host\n1699934400,Hot,m8\n")
    with pytest.raises(SystemExit, match=r"told\.csv has no column `instance`, so all would be lost"):
        _rows(file, _names("alertname, instance"), UTC)
    assert _rows(file, _names("alertname, host"), UTC)[1] == [Row(1_699_934_400.0, ("Hot", "m8"))]
    file.write_bytes("time,alertname\n1699934400,热\n".encode("gbk"))
    with pytest.raises(SystemExit, match=r"told\.csv is not UTF-8; save it as UTF-8"):
        _rows(file, None, UTC)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "alertname\nHot\n", "no column `time`"),
        ("a.csv", "time,alertname\n", "has no row"),
        ("a.csv", "time\n2023-11-14\n", "nothing can be compared"),
        ("a.csv", "time,alertname\n\nsoon,Hot\n", "a.csv:3: 'soon' is not a time"),
        ("a.jsonl", "{", "line 1 is no JSON"),
        ("a.jsonl", "[1]", "line 1 is not a JSON object"),
        ("a.jsonl", '{"alertname": "Hot"}', "a.jsonl:1: '' is not a time"),
    ],
)
def test_what_is_no_record_is_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        _rows(tmp_path / name, None, UTC)
    assert said in str(stop.value)
