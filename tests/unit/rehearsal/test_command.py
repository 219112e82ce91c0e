"""`andon test` and `andon apply`: options, forms of the answer, exit codes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from andon.cli.asking import where
from andon.cli.commands.check import checked
from andon.cli.commands.test import results_of, text
from andon.cli.main import main
from tests.unit.rehearsal.plant import EVENTS, Try, tried, write

__all__ = ["tried"]

SHIPPED = Path(__file__).parents[3] / "deploy" / "config"
GOOD = "    at: 2026-09-30 12:00\n    given: [{event: fault}]\n    expect: {receivers: [group]}\n"
BAD = GOOD.replace("[group]", "[leader]")
BOTH = f'{EVENTS}  - name: Minor faults\n{GOOD}  - name: 夜里 "<&\\a>"\n{BAD}'


@pytest.mark.parametrize("name", ["first", "demo"])
def test_what_is_shipped_passes_and_is_covered(name: str) -> None:
    results = results_of(checked(SHIPPED / name))
    assert results.verdicts
    assert not results.failed, "\n".join(text(results))
    assert results.coverage is not None
    assert results.coverage.left() == []


def test_json(tried: Try, tmp_path: Path) -> None:
    code, out, _ = tried(BOTH, "--json")
    told = json.loads(out[0])
    good, bad = told["tests"]
    assert (code, told["ok"]) == (1, False)
    assert (good["name"], good["passed"], good["failures"]) == ("Minor faults", True, [])
    assert (bad["file"], bad["line"], bad["column"]) == ("tests/a.yaml", 8, 11)
    (failure,) = bad["failures"]
    assert (failure["expected"], failure["came"], failure["line"]) == ("leader", "group", 11)
    assert failure["paths"]["e1"]["receivers"] == ["group"]
    assert tried(BOTH.replace("fault}", "falt}"), "--json").code == 2


def test_junit(tried: Try, tmp_path: Path) -> None:
    assert tried(BOTH, "--junit", str(tmp_path / "out.xml")).code == 1
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (root.tag, root.attrib["tests"], root.attrib["failures"]) == ("testsuites", "2", "1")
    (suite,) = root
    good, bad = suite
    assert (good.attrib["name"], list(good)) == ("Minor faults", [])
    assert (bad.attrib["name"], bad.attrib["line"]) == ('夜里 "<&\\a>"', "8")
    assert bad[0].attrib["message"] == "expected leader; came group"
    assert "→  0.0    group" in (bad[0].text or "")
    code, _, err = tried(BOTH, "--junit", str(tmp_path / "nowhere" / "out.xml"))
    assert (code, err) == (1, f"andon test: {tmp_path}/nowhere/out.xml cannot be written: No such file or directory\n")


def test_one_test_by_its_name(tried: Try) -> None:
    code, out, _ = tried(BOTH, "-k", "minor")
    assert (code, out[-1].startswith("OK 1 test,")) == (0, True)
    code, _, err = tried(BOTH, "-k", "nothing")
    assert code == 2
    assert err == "andon test: there is no test with 'nothing' in its name; write some as in docs/testing-rules.md\n"


def test_no_test_is_no_success(tried: Try, tmp_path: Path) -> None:
    assert tried("tests: []").code == 2
    (tmp_path / "tests" / "a.yaml").unlink()
    assert main(["test", str(tmp_path)]) == 2
    (tmp_path / "tests").rmdir()
    assert main(["test", str(tmp_path)]) == 2
    assert tried(BOTH, "--min-coverage", "101").code == 2


def test_tests_elsewhere(tried: Try, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"{EVENTS}  - name: other\n{GOOD}", encoding="utf-8")
    assert tried(BOTH, "--tests", str(other)).code == 0
    assert tried(BOTH, "--tests", str(other), "--tests", str(tmp_path / "tests")).code == 1


STORM = """\
version: 1
channels: {robot: {kind: wecom_robot, keys: [env:NOBODY_SET_THIS]}}
receivers: {group: {channel: robot, template: fault, merge: {over: 10/m, by: [line]}}, duty: {channel: robot}}
route:
  receiver: duty
  routes: [{matchers: [type=fault], receiver: group, group_by: [line], group_wait: 5s, group_interval: 1m}]
"""


COALESCING = """\
version: 1
channels: {app: {kind: wecom_app, corp_id: env:CORP, agent_id: 1, secret: env:SECRET, coalesce: 2s}}
receivers: {a: {channel: app, to: [li, wang], template: fault}, b: {channel: app, to: [zhao], template: fault}}
route: {receiver: a, routes: [{matchers: ['type!=""'], continue: true}, {matchers: [type=t], receiver: b}]}
"""


def test_one_call_for_several_receivers_is_a_notice_to_each(tried: Try) -> None:
    expect = (
        "{notices: [{receiver: a, at: 2s, to: [li, wang], events: e1}, {receiver: b, at: 2s, to: zhao, events: e1}]}"
    )
    tests = f"tests: [{{name: a, at: 2026-09-30 12:00, given: [{{type: t}}], expect: {expect}}}]"
    code, out, _ = tried(tests, plant=COALESCING)
    assert code == 0, "\n".join(out)


def test_ten_thousand_events_take_seconds_and_not_minutes(tmp_path: Path) -> None:
    """Of the processor, whoever else uses it: half of this or less at rest. In virtual time they last for 100 s."""
    given = '{type: fault, id: s, subject: "M-{n}", labels: {line: L3, state: raise}, times: 10000, every: 10ms}'
    expect = "{receivers: [group], outcomes: [{outcome: delivered, count: 3}, {outcome: merged, count: 9997}]}"
    storm = f"tests: [{{name: storm, at: 2026-09-30 19:58, given: [{given}], expect: {expect}}}]\n"
    write(tmp_path, storm, STORM)
    loaded = checked(tmp_path)
    began = time.process_time()
    results = results_of(loaded)
    took = time.process_time() - began
    assert not results.failed, "\n".join(text(results))
    assert took < 5.0


class _Reached(Exception):  # noqa: N818 - not an error: how far it came
    """The command wants to reach Kafka."""


@pytest.fixture
def no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    def cluster(*_: object) -> None:
        raise _Reached

    monkeypatch.setattr(where, "cluster", cluster)


@pytest.mark.usefixtures("no_kafka")
def test_apply_runs_them_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def apply(tests: str, *options: str) -> tuple[str, str]:
        write(tmp_path, tests)
        main(["apply", str(tmp_path), *options])
        answer = capsys.readouterr()
        return answer.out, answer.err

    out, err = apply(BOTH)
    assert "FAILED 1 of 2 tests" in out
    assert err == ""
    assert json.loads(apply(BOTH, "--json")[0])["ok"] is False
    out, err = apply(BOTH.replace("fault}", "falt}"))
    assert "did you mean `fault`?" in out
    assert err == ""
    out, err = apply(f"{EVENTS}  - name: a\n{GOOD}")
    assert out.startswith("OK 1 test, coverage ")
    assert "_Reached" in err
    (tmp_path / "tests" / "a.yaml").unlink()
    (tmp_path / "tests").rmdir()
    main(["apply", str(tmp_path)])
    out, err = capsys.readouterr()
    assert out == ""
    assert "_Reached" in err
    out, err = apply(BOTH, "--no-tests")
    assert out == ""
    assert err.startswith("andon apply: the tests of the rules were not run (--no-tests)\n")
    assert "_Reached" in err
