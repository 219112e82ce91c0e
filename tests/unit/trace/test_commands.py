"""What the commands say without a system: wrong words, nothing that runs, and how texts stand in columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from andon.cli import main as frame
from andon.cli.asking import where
from andon.cli.commands import dlq, whatif
from andon.cli.commands.check import checked
from andon.cli.shown.columns import columns, width
from andon.config import published as versions
from andon.config.difference import difference
from andon.config.published import Published
from andon.core.outcome import Parked
from andon.core.reason import Reason
from andon.egress.lints import moved
from andon.kafka.connection import LARGEST_PARKED
from andon.kafka.records import Record
from andon.kafka.topics import EVENTS
from andon.runtime import parked
from andon.runtime.dlq import REASON, TOPIC, dlq_copy
from andon.runtime.parked import _next, entry_of
from andon.runtime.registry import Registry
from andon.runtime.trace import needle

POISON = Parked(Reason.UNDECODABLE, "no JSON")
CONFIG = """
version: 1
kafka: {bootstrap: "127.0.0.1:1"}
sources: {mes: {kind: http, token: env:TOKEN}}
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT_1]}}
receivers: {组: {channel: robot}}
route: {receiver: 组}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "andon.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "argv",
    [
        ["trace"],
        ["trace", "a", "b"],
        ["why"],
        ["why", "张三", "--since", "soon"],
        ["whatif"],
        ["whatif", "--routes", "x", "--from", "yesterday"],
        ["whatif", "--routes", "x", "--fail-above", "-1"],
        ["whatif", "--routes", "nowhere"],
        ["topics", "offsets"],
        ["topics", "offsets", "ingress"],
        ["topics", "offsets", "andon-nothing", "--restore"],
        ["topics", "members"],
        ["topics", "members", "ingress"],
        ["topics", "members", "egress", "--remove", "last"],
        ["topics", "drop"],
        ["dlq"],
        ["dlq", "redrive", "seventeen"],
        ["dlq", "redrive"],
        ["dlq", "redrive", "3-17", "--all"],
        ["dlq", "list", "--since", "soon"],
        ["config"],
        ["config", "rollback", "1"],
        ["config", "show", "newest"],
        ["config", "log", "--last", "0"],
        ["config", "export", "1"],
    ],
)
def test_wrong_usage_is_exit_two(argv: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert frame.main([*argv, "--data", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert len(told.err.strip().splitlines()[-1]) > 20


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        *((["config", *words], "such as 12") for words in (["show", "x"], ["show", "-1"], ["diff", "1", "1.5"])),
        (["config", "rollback", "newest", "--why", "loud"], "'newest' is no version, a number as `andon config log`"),
        (["config", "log", "--last", "9" * 20], "write for example 20"),
        (["config", "rollback", "1", "--why", "\udcbb\udcbb"], "--why: it is not UTF-8"),
        (["apply", "--author", "\udcbb"], "--author: it is not UTF-8"),
        (["unmute", "m1", "--why", "\udcbb"], "--why: it is not UTF-8"),
        (["mute", "line=L3", "--for", "2h", "--why", "\udcbb"], "--why: it is not UTF-8"),
        (["mute", "line=\udcbb", "--for", "2h", "--why", "x"], "MATCHER: it is not UTF-8"),
    ],
)
def test_what_is_wrong_with_an_argument_is_said(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert frame.main([*argv, "--data", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["trace", "e-1"],
        ["config", "log"],
        ["config", "rollback", "1", "--why", "loud"],
        ["explain", "e-1"],
        ["why", "张三"],
        ["topics"],
        ["topics", "check"],
        ["topics", "offsets", "andon-routing"],
        ["dlq", "list"],
    ],
)
def test_an_embedded_kafka_that_does_not_run_is_one_sentence(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    assert frame.main([*argv, "--data", "here"]) == 1
    err = capsys.readouterr().err
    assert err == (
        f"andon {argv[0]}: the embedded Kafka on here/kafka does not run; "
        "start it with `andon up` or `andon broker start`\n"
    )


def test_a_kafka_that_does_not_answer_is_one_sentence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["trace", "e-1", "--config", str(config)]) == 1
    assert capsys.readouterr().err == "andon trace: no Kafka broker answers at 127.0.0.1:1; is it running?\n"


@pytest.mark.parametrize(
    "words", [["\udcff"], ["张三", "--event", "\udcff"], ["张三", "--subject", "L3\udcff"], ["张三", "\udcff"]]
)
def test_what_is_no_text_was_never_told(words: list[str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["why", *words, "--config", str(config)]) == 1
    assert "what was asked for is not UTF-8" in capsys.readouterr().err


def test_a_configuration_that_was_named_and_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.main(["topics", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_the_configuration_of_the_last_run_is_used_without_another(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data, elsewhere):
        folder.mkdir()
    (data / "run.json").write_text(json.dumps({"config": str(config)}))
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    args = SimpleNamespace(bootstrap=None, config=Path("andon.yaml"), config_given=False, data=data)
    assert where.cluster(args).link.bootstrap == "127.0.0.1:1"  # type: ignore[arg-type]


def test_nobody_to_ask_means_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(SystemExit, match="Say --yes"):
        where.agreed("Delete it?", yes=False)
    assert where.agreed("Delete it?", yes=True)


@pytest.mark.parametrize(("answer", "meant"), [("y", True), ("Yes ", True), ("", False), ("no", False)])
def test_a_person_decides(answer: str, *, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _question: answer)
    assert where.agreed("Delete it?", yes=False) is meant


def test_columns_align_chinese_too() -> None:
    lines = list(columns([("三线班组", "a"), ("duty", "b")], 2))
    assert lines == ["  三线班组  a", "  duty      b"]
    assert width("三线e\u0301") == 5


def published(file: Path) -> Published:
    from datetime import UTC, datetime

    return versions.unbundle(versions.bundle(versions.published(checked(file), 1, "me", datetime.now(UTC))))


def changed(config: Path, old: str, new: str) -> list[str]:
    before = published(config)
    config.write_text(config.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return list(difference(before, checked(config)))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("{receiver: 组}", "{receiver: 组, routes: [{matchers: [line=L3], receiver: 组}]}", False),
        (
            "route:",
            "connectors: {m: {kind: csv, file: m.csv, key: k}}\nenrich: [{connector: m, labels: {l: a}}]\nroute:",
            True,
        ),
    ],
)
def test_what_if_says_that_no_connector_was_asked_anew(config: Path, before: str, after: str, *, said: bool) -> None:
    old = published(config)
    text = config.read_text(encoding="utf-8")
    assert before in text
    config.write_text(text.replace(before, after, 1), encoding="utf-8")
    notes = list(whatif.unasked(old.settings, published(config).settings))
    assert bool(notes) is said
    assert all("as they were recorded" in note for note in notes)


def test_no_difference_to_itself(config: Path) -> None:
    assert list(difference(published(config), checked(config))) == []


def test_the_first_configuration_is_all_new(config: Path) -> None:
    lines = list(difference(None, checked(config)))
    assert '+ receivers.组.channel: "robot"' in lines
    assert all(line.startswith("+ ") for line in lines)


def test_a_changed_value_shows_both(config: Path) -> None:
    assert changed(config, "ROBOT_1", "ROBOT_2") == ['~ channels.robot.keys: ["env:ROBOT_1"] → ["env:ROBOT_2"]']


def test_a_template_that_differs_in_no_line_shows_too(config: Path) -> None:
    folder = config.parent / "templates"
    folder.mkdir()
    for name, text in {"a.j2": "a", "b.j2": "", "c.j2": "c"}.items():
        (folder / name).write_text(text)
    before = published(config)
    (folder / "a.j2").write_text("a\n")
    (folder / "b.j2").rename(folder / "d.j2")
    assert list(difference(before, checked(config))) == [
        "~ templates/a.j2: other line ends",
        "- templates/b.j2: without a line",
        "+ templates/d.j2: without a line",
    ]


def test_what_comes_and_goes_shows_its_path(config: Path) -> None:
    told = changed(config, "{receiver: 组}", "{receiver: 组, routes: [{matchers: ['line=\"L3\"'], receiver: 组}]}")
    assert told == ['+ route.routes[0].matchers: ["line=\\"L3\\""]', '+ route.routes[0].receiver: "组"']


@pytest.mark.parametrize(
    ("keys", "moves"),
    [
        ("env:ROBOT_1, env:ROBOT_2", False),
        ("env:ROBOT_2, env:ROBOT_1", True),
        ("env:ROBOT_2", True),
    ],
    ids=["behind the first", "before it", "in its place"],
)
def test_a_pool_with_another_first_robot_is_one_whose_limits_are_counted_anew(
    config: Path, keys: str, moves: bool
) -> None:
    before = published(config).settings
    config.write_text(CONFIG.replace("[env:ROBOT_1]", f"[{keys}]"), encoding="utf-8")
    told = list(moved(before, published(config).settings, Registry()))
    assert [text[:72] for text in told] == [
        "组 moves from wecom_robot:env:ROBOT_1 to wecom_robot:env:ROBOT_2: what waits"[:72]
    ] * moves


def test_who_comes_goes_or_has_no_limit_moves_nowhere(config: Path) -> None:
    before = published(config).settings
    hook = "{kind: webhook, url: https://HOST/x}"
    text = CONFIG.replace("receivers: {组: {channel: robot}}", "receivers: {板: {channel: hook}}")
    text = text.replace("receiver: 组", "receiver: 板").replace("channels: {", f"channels: {{hook: {hook}, ")
    config.write_text(text.replace("HOST", "a.example.cn"), encoding="utf-8")
    old = published(config).settings
    config.write_text(text.replace("HOST", "b.example.cn"), encoding="utf-8")
    new = published(config).settings
    assert [*moved(before, old, Registry()), *moved(old, new, Registry())] == []


def test_a_template_shows_its_changed_lines(config: Path) -> None:
    before = published(config)
    (config.parent / "templates").mkdir()
    (config.parent / "templates" / "fault.j2").write_text("{{ subject }} 停机\n", encoding="utf-8")
    lines = list(difference(before, checked(config)))
    assert "+{{ subject }} 停机" in lines


@pytest.mark.parametrize(
    ("value", "event", "delivery"),
    [
        (b'{"id": "e-1", "source": "mes", "subject": "M-7"}', "e-1", None),
        (b'{"id": "d-1", "receiver": "duty", "event": {"id": "e-1", "source": "mes", "subject": "M-7"}}', "e-1", "d-1"),
        (b"\xff\xfe", None, None),
        (b"[1, 2]", None, None),
        (b"", None, None),
    ],
)
def test_a_parked_record_tells_what_it_can(value: bytes, event: str | None, delivery: str | None) -> None:
    headers = ((TOPIC, b"andon.events"), (REASON, b"rejected"), ("other", b"\xff"))
    found = entry_of(Record("andon.dlq", 3, 17, 1_000, b"k", value, headers))
    assert (found.id, found.event, found.delivery) == ("3-17", event, delivery)
    assert (found.reason, found.origin.topic, found.origin.partition, found.redrive) == (
        "rejected",
        "andon.events",
        -1,
        0,
    )


def test_a_record_without_our_headers_is_listed_all_the_same() -> None:
    found: Any = entry_of(Record("andon.dlq", 0, 0, 0, None, b"x"))
    assert (found.reason, found.origin.topic, found.event) == ("", "", None)


def test_what_was_cut_says_how_long_it_was_and_is_not_redriven() -> None:
    whole = Record("andon.dlq", 0, 0, 0, b"k", b"{}", dlq_copy(EVENTS, 1, 2, b"k", b"{}", POISON).headers)
    note = dlq_copy(EVENTS, 1, 3, b"k", b"x" * (9 << 20), POISON)
    cut = Record("andon.dlq", 0, 1, 0, note.key, note.value or b"", note.headers)
    assert len(cut.value) + len(cut.key or b"") < LARGEST_PARKED
    assert (entry_of(whole).cut, entry_of(cut).cut) == (None, 9 << 20)
    assert [one.offset for one in _next(iter([whole, cut]), {"0-0", "0-1"})] == [0]
    assert "parked, cut" in dlq.text([entry_of(cut)])


@pytest.mark.parametrize(("astray", "code"), [([], 0), (["0-0 was passed over: why"], 1)])
def test_a_redrive_says_what_it_passed_over_and_fails_for_it(
    astray: list[str], code: int, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lying = Record("andon.dlq", 0, 0, 0, b"k", b"{}", dlq_copy(EVENTS, 1, 2, b"k", b"{}", POISON).headers)

    async def redrive(_link: object, chosen: set[str], feeds: Sequence[object], told: Callable[[str], None]) -> int:
        assert (chosen, list(feeds)) == ({"0-0"}, []), "of a topic of Andon's own the sources are not asked for"
        for why in astray:
            told(why)
        return 1 - len(astray)

    monkeypatch.setattr(parked, "redrive", redrive)
    monkeypatch.setattr(dlq, "_entries", lambda _args: [entry_of(lying)])
    assert frame.main(["dlq", "redrive", "0-0", "--config", str(config), "--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"redriven": 1 - len(astray)}
    assert err == "".join(f"andon dlq redrive: {why}\n" for why in astray)


def test_a_key_without_end_is_left_out_of_the_copy() -> None:
    note = dlq_copy(EVENTS, 1, 2, b"k" * (9 << 20), b"value", POISON)
    assert (note.key, note.value) == (b"", b"value")


def test_an_id_is_looked_for_as_json_writes_it() -> None:
    assert needle('a"b\\c') == b'a\\"b\\\\c'
    assert needle("路径") == "路径".encode()


def test_an_export_into_what_is_no_folder_is_one_sentence(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    board = SimpleNamespace(version=lambda _number: versions.unpublished(checked(config)))
    monkeypatch.setattr("andon.cli.commands.config._board", lambda _args: board)
    assert frame.main(["config", "export", "1", "--to", str(tmp_path / "file")]) == 1
    why = f"{tmp_path / 'file'} cannot be written (Not a directory); name another folder"
    assert capsys.readouterr().err == f"andon config: {why}\n"
