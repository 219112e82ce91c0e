"""`andon check`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from andon.cli.commands.check import checked
from andon.cli.main import main
from andon.routing import mistakes
from tests.config.plant import changed, registry, said, write

SMALL = """\
version: 1
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot}}
route: {receiver: shift, routes: [{matchers: ['line="1"'], urgent: true}]}
"""
TOO_LONG = "x" * 300
DOUBTFUL = """\
version: 1
calendar: {time_intervals: {night: [{times: ["20:00-08:00"]}]}}
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}, spare: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers:
  shift: {channel: robot, template: fault}
  office: {channel: robot}
route:
  receiver: shift
  routes:
    - {matchers: ['line=~"L1|L2"']}
    - {matchers: ['line="L1"'], urgent: true}
    - {matchers: ['line="L3"'], continue: true}
"""


def write_templates(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = folder / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL)
    for arguments in (["check", str(file)], ["check", str(tmp_path)], ["--config", str(file), "check"]):
        assert main(arguments) == 0
        answer = capsys.readouterr()
        assert answer.out == f"OK {file}: 0 sources, 0 connectors, 1 channel, 1 receiver, 2 routes, 1 template\n"
        assert answer.err == ""


def test_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL.replace("receivers", "reciever").replace("version: 1", "version: 2"))
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:1:10: `version` must be 1",
        f"{file}:3:1: unknown key `reciever`; did you mean `receivers`?",
        f"{file}:4:19: there is no receiver `shift` under `receivers`",
    ]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL)
    assert main(["check", "--json", str(file)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["counts"]["routes"] == 2
    file.write_text(SMALL + "limits: {windw: 700}\n")
    assert main(["check", "--json", str(file)]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "file": str(file),
        "mistakes": [
            {
                "file": str(file),
                "line": 5,
                "column": 10,
                "path": ["limits", "windw"],
                "text": "unknown key `windw`; did you mean `window`?",
                "severity": "error",
            }
        ],
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("files", "warned"),
    [
        ({"board.j2": "{}"}, True),
        ({"board.j2": "{}", "digest.j2": "合并"}, True),
        ({"board.j2": "{}", "digest.webhook.j2": "{}"}, False),
        ({"board.j2": '{"count": {{ digest.count if digest else 1 }}}'}, False),
        ({"board.j2": "{{ digest }}", "mes.fault.raised/board.j2": "{}"}, True),
    ],
)
def test_a_program_that_has_no_form_for_what_was_merged_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], warned: bool
) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(
        "version: 1\n"
        "channels: {board: {kind: webhook, url: env:U, body: template, content_type: application/json}}\n"
        "receivers: {board: {channel: board, template: board}}\n"
        "route: {receiver: board}\n"
    )
    write_templates(tmp_path, files)
    assert main(["check", str(file)]) == 0
    text = "template board has no form for what was merged, so every notice is sent alone"
    assert capsys.readouterr().out.splitlines()[:-1] == (
        [f"{file}:3:37: warning: {text}; use `digest` in it, or write digest.webhook.j2"] if warned else []
    )


@pytest.mark.parametrize(
    ("kind", "files", "unheard"),
    [
        ("wecom_robot", {"fault.j2": "停机"}, ""),
        ("wecom_robot", {"fault.md.j2": "停机"}, "markdown"),
        ("wecom_robot", {"fault.md.j2": "停机 <@{{ data.who }}>"}, ""),
        ("wecom_robot", {"fault.md.j2": "停机 {% include 'who.j2' %}", "who.j2": "<@zhang>"}, ""),
        ("wecom_robot", {"fault.wecom_robot.md2.j2": "停机"}, "markdown_v2"),
        ("wecom_robot", {"fault.j2": "停机", "mes.fault/fault.md.j2": "停机"}, "markdown"),
        ("wecom_robot", {"fault.wecom_robot.news.yaml": "articles: [{title: 停机, url: 'https://a.cn'}]"}, "news"),
        ("feishu_robot", {"fault.md.j2": "停机"}, ""),
        ("feishu_robot", {"fault.feishu_robot.post.yaml": "zh_cn: {content: [[{tag: text, text: 停机}]]}"}, "post"),
        ("dingtalk_robot", {"fault.md.j2": "停机"}, ""),
    ],
)
def test_a_robot_that_calls_nobody_of_to_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, files: dict[str, str], unheard: str
) -> None:
    keys = {
        "wecom_robot": "keys: [env:K]",
        "feishu_robot": "robots: [{hook: env:H}]",
        "dingtalk_robot": "robots: [{token: env:T}]",
    }
    file = tmp_path / "andon.yaml"
    file.write_text(
        "version: 1\n"
        f"channels: {{robot: {{kind: {kind}, {keys[kind]}}}}}\n"
        "receivers: {team: {channel: robot, to: [all], template: fault}}\n"
        "route: {receiver: team}\n"
    )
    write_templates(tmp_path, files)
    assert main(["check", str(file)]) == 0
    warnings = capsys.readouterr().out.splitlines()[:-1]
    assert len(warnings) == bool(unheard)
    for warning in warnings:
        assert warning.startswith(f"{file}:3:36: warning: nobody of `to` is called by the template ")
        assert f"and this is {unheard};" in warning


def test_what_is_hardly_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(DOUBTFUL)
    (tmp_path / "templates").mkdir()
    for name, text in {
        "fault.wecom_robot.md.j2": "{% include 'head.j2' %}",
        "head.j2": "甲",
        "digest.j2": "乙",
        "falt.md.j2": "丙",
        "fault.smtp.md.j2": "丁",
    }.items():
        (tmp_path / "templates" / name).write_text(text)
    assert main(["check", str(file)]) == 0
    taken = (
        "never taken: route 0.0 (line 10) takes all of it before and has no `continue`; "
        "move this route before that one, or delete it"
    )
    *warnings, last = capsys.readouterr().out.splitlines()
    assert warnings == [
        f"{file}:1:1: warning: no receiver uses the template falt.md.j2; name it at one, or delete the file",
        f"{file}:1:1: warning: no receiver uses the template fault.smtp.md.j2; name it at one, or delete the file",
        f"{file}:2:29: warning: nothing uses the time interval `night`; name it somewhere, or delete it",
        f"{file}:3:59: warning: nothing uses the channel `spare`; name it somewhere, or delete it",
        f"{file}:6:3: warning: nothing uses the receiver `office`; name it somewhere, or delete it",
        f"{file}:11:7: warning: {taken}",
        f"{file}:12:33: warning: no effect: no route comes after the last one of a list; delete `continue`",
    ]
    assert last.endswith("2 templates, 7 warnings")
    assert main(["check", "--strict", str(file)]) == 1
    capsys.readouterr()
    assert main(["check", "--strict", "--json", str(file)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["mistakes"], len(answer["warnings"])) == (True, [], 7)
    assert {warning["severity"] for warning in answer["warnings"]} == {"warning"}
    assert answer["warnings"][-1]["path"] == ["route", "routes", 2, "continue"]
    file.write_text(DOUBTFUL.replace("version: 1", "version: 2"))
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().out == f"{file}:1:10: `version` must be 1\n", "mistakes first"


def test_an_expression_may_name_any_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL.replace("channel: robot", "channel: robot, template: fault"))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "fault.j2").write_text("{%- include labels.line ~ '.j2' ignore missing %}")
    (tmp_path / "templates" / "L1.j2").write_text("甲")
    assert main(["check", "--strict", str(file)]) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["demo", "first"])
def test_what_we_ship_is_meant(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--strict", f"{Path(__file__).parents[2]}/deploy/config/{folder}"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path}/andon.yaml:1:1: there is no such file\n"


@pytest.mark.parametrize("given", [["check", TOO_LONG], ["check", "--config", TOO_LONG], ["test", TOO_LONG], ["check"]])
def test_a_file_that_nobody_may_look_at(
    given: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may look at everything; a name that the system refuses is like one that it keeps from us."""
    monkeypatch.setenv("ANDON_CONFIG", TOO_LONG)
    assert main(given) in (1, 2)
    told = capsys.readouterr()
    assert (told.out, told.err) == (f"{TOO_LONG}:1:1: cannot be read (File name too long)\n", "")


def test_what_needs_kafka_says_why_a_file_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "log", "--config", TOO_LONG]) == 2
    assert capsys.readouterr().err == f"andon config: {TOO_LONG}:1:1: cannot be read (File name too long)\n"


def test_a_file_that_nobody_may_look_at_where_nobody_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for an account of its own in the home of root; the link is to a name that the system refuses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    Path("andon.yaml").symlink_to(TOO_LONG)
    assert main(["check"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("andon.yaml:1:1: cannot be read (File name too long) in this folder; name one by")
    assert told.err == ""


def test_no_file_where_nobody_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    assert main(["check"]) == 1
    said = "there is no such file in this folder; name one by --config FILE|DIR or $ANDON_CONFIG"
    assert capsys.readouterr().out == f"andon.yaml:1:1: {said}\n"
    assert main(["apply"]) == 2
    assert said in capsys.readouterr().out
    (tmp_path / "andon.yml").touch()
    main(["check"])
    assert "rename andon.yml to andon.yaml" in capsys.readouterr().out


def test_what_a_service_finds_has_its_place(tmp_path: Path) -> None:
    text = changed("matchers: ['line=\"line-3\"']", "matchers: ['line=\"line-3\"', 'line=~\"(\"']")
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("31:36: ")
    text = changed('"20:00-24:00"', '"20:00-25:00"')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("8:22: ")
    text = changed("by: subject", 'by: "subject["')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("14:69: ")
    file = write(tmp_path)
    (tmp_path / "texts" / "fault.paper.j2").write_text("{{ subject")
    (mistake,) = said(checked(file, registry()))
    assert mistake.startswith("21:37: template fault.paper.j2 ")


def test_a_field_that_digests_go_by_is_found_at_its_place(tmp_path: Path) -> None:
    text = changed("by: [line, code]", 'by: [line, "data."]')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("21:64: 'data.' names no value")
    text = changed("body: 512KiB", 'body: 512KiB, storm: {over: 10/m, by: [""]}')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("5:85: '' names no value")


def test_what_routing_could_not_start_with_is_a_mistake_even_if_nobody_looked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mistakes, "_key", lambda fields, place: ())
    text = changed("by: [line, code]", 'by: [line, "data."]')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("1:1: routing cannot work with it: 'data.' names no value")


WRONG_IN_MANY_WAYS = """\
version: 1
site: {zone: Asia/Shanghai, langage: zh}
calendar: {time_intervals: {night: [{times: ["20:00-25:00"]}]}}
sources:
  mes: {kind: http, token: env:MES, expect: {event_within: soon, receiver: shift}}
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot, merge: {over: 10/x, by: [line]}}}
enrich:
  - {matchers: ['type~"x"'], connector: machine, by: "subject["}
route:
  receiver: shift
  group_by: line
  group_wait: 5s
  routes:
    - {matchers: ['line="L3'], urgent: perhaps}
    - {matchers: ['line="L3"'], receiver: 7}
    - {matchers: ['data.temperature > abc']}
"""


def test_a_value_of_the_wrong_shape_hides_no_mistake_of_another_kind(tmp_path: Path) -> None:
    """So that nobody has to mend a file one run at a time. What a map lacks since its value could not be read is not
    missed: that source expects something, and there are groups."""
    mistakes = said(checked(write(tmp_path, WRONG_IN_MANY_WAYS)))
    places = [":".join(mistake.split(":")[:2]) for mistake in mistakes]
    shapes = ["2:29", "5:60", "7:51", "12:13", "15:40", "16:43"]
    rules = ["3:46", "9:17", "9:41", "9:54", "15:19", "17:19"]
    assert places == sorted([*shapes, *rules], key=lambda place: [int(part) for part in place.split(":")]), mistakes


def test_what_stands_behind_a_value_of_the_wrong_shape_is_found_at_its_own_place(tmp_path: Path) -> None:
    routes = "route: {receiver: shift, routes: [{matchers: ['a=\"1']}, 7, {matchers: ['b=\"1\"']}, {receiver: offce}]}"
    mistakes = said(checked(write(tmp_path, SMALL[: SMALL.index("route:")] + routes)))
    assert [mistake.partition(": ")[0] for mistake in mistakes] == ["4:47", "4:57", "4:94"]


def test_services_are_asked_beside_wrong_names_and_rules(tmp_path: Path) -> None:
    text = changed('line="line-3"', 'line=~"("').replace("receiver: office", "receiver: offce")
    text = text.replace("channel: printer", "channel: prnter").replace("template: fault", "template: falt")
    file = write(tmp_path, text)
    (tmp_path / "texts" / "head.j2").write_bytes(b"\xff")
    assert [mistake.split(":")[0] for mistake in said(checked(file, registry()))] == ["21", "22", "28", "31", "32"]


def test_command(tmp_path: Path) -> None:
    """As a person runs it: one process, no trace of Python in what is read."""
    run = subprocess.run(
        [sys.executable, "-m", "andon.cli.main", "check", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (1, "")
