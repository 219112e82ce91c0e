"""An Alertmanager configuration as andon.yaml: the same labels reach the same receivers, and no secret is copied."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from andon.cli.main import main
from andon.config.alertmanager import Translation, translate
from andon.config.load import Loaded, load
from andon.config.mistakes import Invalid
from andon.routing import Router
from tests.unit.routing.events import event

EXAMPLE = Path(__file__).parent / "alertmanager" / "plant.yml"
TEXTS = ("", "a", "b", "ab")
LABELS = [dict(zip(("x", "y"), texts, strict=True)) for texts in product(TEXTS, TEXTS)]
PATTERNS = ("a|b", "a.*", "", ".+")


def made(given: dict[str, Any] | bytes) -> Translation:
    raw = given if isinstance(given, bytes) else json.dumps(given).encode()
    return translate(raw, "alertmanager.yml")


def loaded(translation: Translation, folder: Path) -> Loaded:
    (folder / "andon.yaml").write_text(translation.text, encoding="utf-8")
    return load(folder)


def router(found: Loaded) -> Router:
    return Router(found.settings, 1, dict.fromkeys(found.settings.receivers, "domain"))


# Alertmanager's documented semantics, without a line of ours.


def naive_conditions(route: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, value in route.get("match", {}).items():
        yield name, "=", value
    for name, value in route.get("match_re", {}).items():
        yield name, "=~", value
    for text in route.get("matchers", []):
        match = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', text)
        assert match
        yield match[1], match[2], match[3]


def naive_holds(condition: tuple[str, str, str], labels: dict[str, str]) -> bool:
    name, sign, value = condition
    seen = labels.get(name, "")
    equal = re.fullmatch(value, seen) is not None if "~" in sign else seen == value
    return equal != sign.startswith("!")


def naive_receivers(route: dict[str, Any], labels: dict[str, str], receiver: str) -> set[str]:
    receiver = route.get("receiver", receiver)
    found: set[str] = set()
    for child in route.get("routes", []):
        if all(naive_holds(each, labels) for each in naive_conditions(child)):
            found |= naive_receivers(child, labels, receiver)
            if not child.get("continue"):
                break
    return found or {receiver}


def random_route(random: Random, depth: int) -> dict[str, Any]:
    route: dict[str, Any] = {}
    name, value, pattern = random.choice("xy"), random.choice(TEXTS), random.choice(PATTERNS)
    form = random.choice(("match", "match_re", "matchers", "matchers", "none"))
    if form == "match":
        route["match"] = {name: value}
    elif form == "match_re":
        route["match_re"] = {name: pattern}
    elif form == "matchers":
        sign = random.choice(("=", "!=", "=~", "!~"))
        route["matchers"] = [f'{name}{sign}"{pattern if "~" in sign else value}"']
    if random.random() < 0.35:
        route["continue"] = True
    if random.random() < 0.6:
        route["receiver"] = random.choice(("one", "two", "three", "none", "pager"))
    if random.random() < 0.3:
        route[random.choice(("group_wait", "group_interval", "repeat_interval"))] = random.choice(("1m", "2h", "1h30m"))
    if depth and random.random() < 0.6:
        route["routes"] = [random_route(random, depth - 1) for _ in range(random.randint(1, 3))]
    return route


def random_configuration(random: Random) -> dict[str, Any]:
    mail, wechat = {"to": "a@corp.cn"}, {"agent_id": "7", "to_user": "wang"}
    routes = [random_route(random, 2) for _ in range(random.randint(0, 4))]
    return {
        "global": {
            "smtp_smarthost": "mail.corp.cn:587",
            "smtp_from": "alerts@corp.cn",
            "wechat_api_corp_id": "ww1",
            "wechat_api_secret": "s",
        },
        "route": {"receiver": random.choice(("one", "two", "three", "none")), "routes": routes},
        "receivers": [
            {"name": "one", "email_configs": [mail]},
            {"name": "two", "email_configs": [mail], "wechat_configs": [wechat]},
            {"name": "three", "wechat_configs": [wechat, wechat], "webhook_configs": [{"url": "https://a.cn/x"}]},
            {"name": "none"},
            {"name": "pager", "pagerduty_configs": [{"routing_key": "0" * 32}]},
        ],
    }


@pytest.mark.parametrize("seed", range(12))
def test_same_labels_same_receivers(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    for _ in range(5):
        given = random_configuration(random)
        translation = made(given)
        found = loaded(translation, tmp_path)
        assert found.mistakes == ()
        ours = router(found)
        for labels in LABELS:
            heard = {each.receiver for each in ours.route(event(labels=labels)).outputs}
            wanted = naive_receivers(given["route"], labels, "")
            assert heard == {name for there in wanted for name in translation.receivers[there]}, (labels, given)


@pytest.fixture(scope="module")
def example() -> Translation:
    return made(EXAMPLE.read_bytes())


def test_the_example_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "alertmanager", str(EXAMPLE), "--to", str(tmp_path / "new")]) == 0
    report = capsys.readouterr().out
    assert main(["check", str(tmp_path / "new")]) == 0
    written = (tmp_path / "new" / "andon.yaml").read_text(encoding="utf-8")
    assert not re.search("SECRET[^_]", report + written), "in names of variables it stands before a _"
    assert "  SMTP_PASSWORD: the password of that account (line 7)" in report.splitlines()
    assert "warning" not in capsys.readouterr().out
    assert main(["import", "alertmanager", str(EXAMPLE)]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err.splitlines()[:-1]) == (written, report.splitlines()[:-1])
    assert main(["import", "alertmanager", str(EXAMPLE), "--to", str(tmp_path / "new")]) == 1
    assert "already exists" in capsys.readouterr().err
    file = tmp_path / "new" / "andon.yaml"
    assert main(["import", "alertmanager", str(EXAMPLE), "--to", str(file)]) == 1
    assert capsys.readouterr().err == f"andon import: {file} is not a folder; name one\n"


def test_routes_of_the_example(example: Translation, tmp_path: Path) -> None:
    ours = router(loaded(example, tmp_path))

    def heard(**labels: str) -> list[str]:
        return [each.receiver for each in ours.route(event(labels=labels)).outputs]  # on a Tuesday at noon

    assert heard() == ["duty"]
    assert heard(severity="info") == []
    assert heard(service="press-7", severity="critical", line="L3", team="press shop", 零件="轴承") == [
        "both-wechat",
        "both-wechat-2",
        "both-email",
        "pager",
    ]
    assert heard(team="press shop", severity="minor", 零件="轴承") == ["buyers"]
    assert heard(exported_state="firing", type="machine") == ["duty"], "`type` is no label here: the report says so"
    assert ours.root.children[3].matchers[0].text == 'exported_state="firing"', "as the source calls that label"


def test_what_the_example_became(example: Translation, tmp_path: Path) -> None:
    found = loaded(example, tmp_path).settings
    assert found.site.zone == "Asia/Shanghai"
    root = found.route
    assert (root.group_by, root.group_wait, root.group_interval, root.repeat_interval) == (
        ("alertname", "labels.type"),
        45.0,
        300.0,
        5400.0,
    )
    assert found.receivers["duty"].to == ("wang", "li", "party:12")
    assert found.receivers["duty"].send_resolved
    assert found.receivers["both-wechat"].channel == "wecom-1000002" == found.receivers["duty"].channel
    assert not found.receivers["both-email"].send_resolved
    assert found.receivers["both-email"].to == ("it@corp.cn", "boss@corp.cn")
    assert found.channels["wecom-1000003"].options["base_url"] == "https://wecom.corp.cn"
    assert found.channels["mail-2"].options["password"] == "file:/run/mail"
    assert found.channels["buyers"].options["headers"] == {"Authorization": "Bearer env:BUYERS_TOKEN"}
    assert found.channels["hook"].options["url"] == "file:/run/hook"
    assert root.routes[2].group_by == ("...",)
    assert root.routes[2].active_time_intervals == ("production",)
    (new_year,) = found.calendar.time_intervals["new-year"]
    assert (new_year.months, new_year.days_of_month, new_year.years) == (("january",), ("1:3", "-1"), ("2026:2030",))
    assert new_year.location == "UTC", "as Alertmanager has it where nothing is said"
    assert set(found.calendar.time_intervals) == {"production", "new-year", "night", "always"}
    assert set(example.variables) == {
        "ALERTMANAGER_TOKEN", "BUYERS_TOKEN", "BUYERS_URL", "PAGER_URL", "SMTP_PASSWORD", "SMTP_USER", "SMTP_USER_2",
        "WECOM_CORP_ID", "WECOM_CORP_ID_2", "WECOM_SECRET_1000002", "WECOM_SECRET_1000003",
    }  # fmt: skip


def test_what_has_no_equivalent_has_its_place(example: Translation) -> None:
    places = {".".join(map(str, note.path)): (note.line, note.text) for note in example.notes}
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for path, words in {
        "global.resolve_timeout": "resolve_timeout",
        "global.slack_api_url": "slack_api_url",
        "templates": "templates:",
        "route.routes.3.match.type": "type: machine",
        "inhibit_rules.2": "- target_matchers",
        "receivers.2.slack_configs.0": "slack_configs",
        "receivers.3.email_configs.0.to": "CommonLabels.owner",
        "receivers.5.webhook_configs.0": "http://10.1.2.3",
        "receivers.6.webhook_configs.0.max_alerts": "max_alerts",
        "receivers.7.pagerduty_configs.0": "pagerduty_configs",
    }.items():
        line, text = places[path]
        assert words in lines[line - 1], (path, line)
        assert not re.search("SECRET[^_]", text)


def test_inhibition_rules_are_in_force_with_an_episode_for_each_cause(example: Translation, tmp_path: Path) -> None:
    found = loaded(example, tmp_path).settings
    stop, critical = found.inhibit_rules
    assert stop.source_matchers == ('alertname="LineStop"',)
    assert (stop.target_matchers, stop.equal) == (('severity=~"minor|major"',), ("line", "labels.type"))
    assert (critical.source_matchers, critical.target_matchers) == (('severity="critical"',), ('severity="minor"',))
    assert {one.matchers for one in found.episodes.values()} == {stop.source_matchers, critical.source_matchers}
    assert all(one.ticket_system is None for one in found.episodes.values())
    assert "would mean everything: left out: {source_matchers: [], target_matchers: ['severity=" in example.text


def test_a_configuration_whose_rules_are_all_left_out_is_one(tmp_path: Path) -> None:
    translation = made(
        b"route: {receiver: a}\nreceivers: [{name: a}]\ninhibit_rules: [{source_matchers: ['x=y'], equal: [z]}]"
    )
    found = loaded(translation, tmp_path).settings
    assert (found.inhibit_rules, found.episodes) == ((), {})
    assert any("would mean everything" in note.text for note in translation.notes)


def test_the_zone_of_the_machine_is_taken_for_ours_and_said(tmp_path: Path) -> None:
    text = (
        "route: {receiver: duty, routes: [{receiver: duty, mute_time_intervals: [night]}]}\n"
        "receivers: [{name: duty, webhook_configs: [{url: 'https://a/'}]}]\n"
        "time_intervals: [{name: night, time_intervals: [{location: Local, months: [may]}]}]"
    )
    translation = made(text.encode())
    assert loaded(translation, tmp_path).settings.site.zone == "Asia/Shanghai"
    assert any(note.line == 3 and "`Local`" in note.text and "Asia/Shanghai" in note.text for note in translation.notes)


@pytest.mark.parametrize("empty", ["{name: never, time_intervals: []}", "{name: never}"])
@pytest.mark.parametrize("key", ["mute_time_intervals", "active_time_intervals"])
def test_an_interval_that_never_holds_stays_one(empty: str, key: str, tmp_path: Path) -> None:
    duty = "{name: duty, wechat_configs: [{corp_id: c, agent_id: '1', api_secret: s, to_user: wang}]}"
    text = (
        f"route: {{receiver: duty, routes: [{{matchers: ['x=y'], {key}: [never]}}]}}\n"
        f"receivers: [{duty}]\ntime_intervals: [{empty}]"
    )
    translation = made(text.encode())
    found = loaded(translation, tmp_path)
    assert found.mistakes == ()
    assert found.settings.calendar.time_intervals == {"never": ()}
    told = router(found).route(event(labels={"x": "y"}))
    assert (told.ended is None) is (key == "mute_time_intervals")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("receivers: []", "alertmanager.yml:1:1: the file has no `route`, so it is not one of Alertmanager's"),
        ("route: {receiver: a}\nreceivers: [{name: b}]", "yml:1:19: `receiver` names no receiver; possible: `b`"),
        ("route: {receiver: a, group_wait: 5}\nreceivers: [{name: a}]", "1:34: `group_wait` must be a duration"),
        ("route: {receiver: a, routes: [{matchers: ['x']}]}\nreceivers: [{name: a}]", "`matchers[0]` is no matcher"),
        ("route: {receiver: a, routes: [{match_re: {x: '('}}]}\nreceivers: [{name: a}]", "1:46: `x` cannot be read"),
        ("route: {receiver: a}\nreceivers: [{name: a}, {name: a}]", "2:31: `name` must be a name of its own"),
        ("route: [", "not YAML"),
        ("a: &x {b: 1}\nroute: {<<: *x}", "is not part of YAML 1.2"),
        ("route: {receiver: a}\nreceivers: [{name: a, email_configs: [{to: b}]}]", "2:39: `email_configs[0]` needs"),
    ],
)  # fmt: skip
def test_what_is_no_configuration(text: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        made(text.encode())
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["1.10", "1e3", "True", "0x1F", "+5", "007", "yes", "2026-11-28"])
def test_a_value_stays_as_it_is_written(text: str) -> None:
    rules = f"route: {{receiver: a, routes: [{{receiver: a, match: {{x: {text}}}}}]}}\nreceivers: [{{name: a}}]"
    assert f"matchers: ['x=\"{text}\"']" in made(rules.encode()).text


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("foo=bar", 'foo="bar"'),
        ('{foo="bar"}', 'foo="bar"'),
        ('"a b" != "c,d"', '"a b"!="c,d"'),
        ("foo = bar baz", 'foo="bar baz"'),
        ('foo=~"\\\\d+"', 'foo=~"\\\\d+"'),
        ('foo=~"\\d+"', 'foo=~"\\\\d+"'),
        ("line in [a]", None),
        ("data.x=1", '"data.x"="1"'),
        ('foo="a\nb"', 'foo="a\\nb"'),
    ],
)
def test_every_syntax_of_matchers(text: str, ours: str | None) -> None:
    given = {"route": {"receiver": "a", "routes": [{"matchers": [text]}]}, "receivers": [{"name": "a"}]}
    if ours is None:
        with pytest.raises(Invalid):
            made(given)
        return
    assert "'" + ours.replace("'", "''") + "'" in made(given).text


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    name = 'x\n#"]}: &a !t \u2028\x07'
    given = {
        "route": {"receiver": name, "routes": [{"match": {"a": name}}]},
        "receivers": [{"name": name, "webhook_configs": [{"url": "https://a.cn/SECRET", name: 1}]}],
    }
    translation = made(given)
    assert "SECRET" not in translation.text
    found = loaded(translation, tmp_path)
    assert found.mistakes == ()
    assert [each.receiver for each in router(found).route(event(labels={"a": name})).outputs] == list(
        found.settings.receivers
    )


def test_no_secret_is_copied_from_where_none_belongs() -> None:
    urls = {"api_url": "https://proxy:SECRET@wecom.corp.cn/cgi-bin/"}
    wechat = {"agent_id": "7", "corp_id": "SECRET", "api_secret": "SECRET", "to_user": "wang", **urls}
    basic = {"basic_auth": {"username": "SECRET", "password": "SECRET"}, "proxy_url": "http://a:SECRET@b:1"}
    hook = {"url": "https://SECRET:SECRET@a.cn/SECRET", "http_config": basic}
    receiver = {
        "name": "a",
        "wechat_configs": [wechat],
        "webhook_configs": [hook],
        "slack_configs": [{"api_url": "SECRET"}],
    }
    site = {"smtp_auth_secret": "SECRET", "slack_api_url": "https://SECRET", "opsgenie_api_key": "SECRET"}
    found = made({"global": site, "route": {"receiver": "a"}, "receivers": [receiver]})
    assert not re.search("SECRET(?!_7)", found.text + str(found.notes) + str(found.variables))
    assert "base_url:" not in found.text


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "alertmanager", str(EXAMPLE), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["mistakes"], answer["written"]) == (True, [], None)
    assert answer["receivers"]["both"] == ["both-wechat", "both-wechat-2", "both-email"]
    assert {"line", "column", "path", "text"} == set(answer["notes"][0])
