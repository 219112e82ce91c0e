"""`map` of a source, in andon.yaml or in a file beside it: mistakes where they stand, and its way into a version."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from ruamel.yaml import YAML

from andon.cli.commands.check import checked
from andon.cli.main import main
from andon.config.load import Loaded, load
from andon.config.maps import Map
from andon.config.published import bundle, content_digest, published, unbundle
from andon.config.written import write as write_out
from andon.core.ports import Inbound, Mapped
from andon.ingress.configured import callbacks_of, sources_of
from andon.ingress.mapping import EventMap
from andon.ingress.sources.http import HttpSource
from andon.runtime.registry import Registry
from andon.testing.clock import ManualClock

HEAD = """\
version: 1
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot}}
route: {receiver: shift}
sources:
"""
INLINE = """\
  wms:
    kind: http
    token: env:WMS
    map:
      type: wms.alarm
      subject: "{bin}"
      time: "{at}"
      labels:
        code: {from: code, else: ""}
        state: {from: on, table: {"1": raise, "0": clear}}
"""
NAMED = "  wms: {kind: http, token: env:WMS, map: maps/wms.yaml}\n"


def written(folder: Path, sources: str, named: str = "") -> Path:
    (folder / "andon.yaml").write_text(HEAD + sources, encoding="utf-8")
    if named:
        (folder / "maps").mkdir(exist_ok=True)
        (folder / "maps" / "wms.yaml").write_text(named, encoding="utf-8")
    return folder / "andon.yaml"


def dedented() -> str:
    """The map of INLINE as a file of its own."""
    _, _, rest = INLINE.partition("map:\n")
    return "".join(line[6:] for line in rest.splitlines(keepends=True))


def mistakes(loaded: Loaded) -> list[str]:
    return [f"{Path(one.file).name}:{one.line}:{one.column}: {one.text}" for one in loaded.mistakes]


def test_a_file_and_the_same_in_place_are_the_same_settings(tmp_path: Path) -> None:
    inline = load(written(tmp_path, INLINE), Registry())
    named = load(written(tmp_path, NAMED, dedented()), Registry())
    assert inline.settings == named.settings
    assert content_digest(inline) == content_digest(named)
    assert named.beside == (tmp_path / "maps" / "wms.yaml",), "what `andon up` watches"
    assert not inline.beside


def test_a_version_has_the_content_and_comes_back_as_files(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, NAMED, dedented()), Registry())
    one = unbundle(bundle(published(loaded, 1, "wang", datetime(2026, 11, 26, tzinfo=UTC))))
    assert one.settings == loaded.settings
    other = tmp_path / "other"
    assert list(write_out(one, other))
    again = load(other, Registry())
    assert again.settings.sources == loaded.settings.sources


def test_a_changed_file_is_other_content(tmp_path: Path) -> None:
    before = content_digest(load(written(tmp_path, NAMED, dedented()), Registry()))
    after = content_digest(load(written(tmp_path, NAMED, dedented().replace("{bin}", "{place}")), Registry()))
    assert before != after


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"{bin}"', '"{b-in}"', "2:10: `b-in` is no JMESPath"),
        ('"{bin}"', '"{bin"', "2:10: '{bin' has a single '{'"),
        ('"{bin}"', '"{}"', "2:10: there is no path in these braces"),
        ("from: code", "from: 'len(a)'", "5:16: `len(a)`: JMESPath has no function `len`"),
        ("from: code", "from: 'max(a, b)'", "5:16: `max(a, b)`: `max` takes 1 argument, not 2"),
        ("from: code", "frm: code", "5:10: unknown key `frm`; did you mean `from`?"),
        ('"1": raise', '"1": up', "6:34: a state is `raise` or `clear`, not `up`"),
        ('time: "{at}"', "time: {from: at, format: '%H:%M'}", "3:26: `%H:%M` does not say day and time"),
        ('time: "{at}"', "time: {from: at, zone: Mars}", "3:24: "),
        ('time: "{at}"', "time: {from: at, format: '%Y-%m-%d %H:%M %Z'}", "3:26: names of zones are not clear"),
        ("type: wms.alarm\n", "", "1:1: `type` is missing"),
        ("type: wms.alarm", "type: wms.alarm\nid: fixed", "2:5: all would be the same event"),
        ("type: wms.alarm", "type: wms.alarm\nbody: yaml", "2:7: `body` must be"),
        ("type: wms.alarm", "type: wms.alarm\nwhen: 'a ='", "2:7: `a =` is no JMESPath"),
        ("type: wms.alarm", "type: wms.alarm\neach: '[[['", "2:7: `[[[` is no JMESPath"),
        ("type: wms.alarm", "type: wms.alarm\ntype: twice", "2:1: duplicate key `type`"),
        (
            "type: wms.alarm",
            "type: wms.alarm\nbody: xml\nwhen: '//a = //b'",
            "3:7: `//a = //b`: `=` compares a path with",
        ),
        ("type: wms.alarm", "type: wms.alarm\nbody: xml\nwhen: 's:a'", "3:7: `s:a` is no XPath 1.0"),
    ],
)
def test_mistakes_stand_in_the_file_that_has_them(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = dedented()
    assert old in text
    found = mistakes(checked(written(tmp_path, NAMED, text.replace(old, new, 1))))
    assert any(one.startswith(f"wms.yaml:{said}") for one in found), found


def test_mistakes_of_an_inline_map_stand_in_andon_yaml(tmp_path: Path) -> None:
    found = mistakes(checked(written(tmp_path, INLINE.replace('"{bin}"', '"{b-in}"'))))
    assert [one.partition(" is no")[0] for one in found] == ["andon.yaml:11:16: `b-in`"]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (NAMED, "andon.yaml:6:42: maps/wms.yaml:1:1: cannot be read (No such file or directory)"),
        ("  prom: {kind: alertmanager, token: env:P, map: {type: x, id: '{y}'}}\n", "takes no map"),
        ("  wms: {kind: http, token: env:WMS, map: [1]}\n", "`map` must be a map"),
    ],
)
def test_what_is_no_map(tmp_path: Path, sources: str, said: str) -> None:
    (found,) = mistakes(checked(written(tmp_path, sources)))
    assert said in found


def test_a_file_that_is_no_yaml_says_where(tmp_path: Path) -> None:
    (found,) = mistakes(checked(written(tmp_path, NAMED, "type: [a\n")))
    assert found.startswith("andon.yaml:6:42: maps/wms.yaml:2:1: not YAML")


def test_a_map_by_which_two_events_may_be_one_is_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, NAMED, dedented().replace('time: "{at}"\n', ""))
    assert main(["check", str(file)]) == 0
    warning = capsys.readouterr().out.splitlines()[0]
    assert "wms.yaml:1:1: warning: with neither `id` nor `time` two equal bodies are one event" in warning
    file = written(tmp_path, NAMED, dedented().replace('time: "{at}"', "id: new"))
    assert main(["check", str(file)]) == 0
    assert "warning" not in capsys.readouterr().out


def test_the_maps_of_the_pages_are_maps() -> None:
    for page in ("mapping.md", "callbacks/standard_webhooks.md"):
        text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
        blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        assert blocks
        for block in blocks:
            said = YAML(typ="safe").load(block)
            rules = said.get("map") or next(iter(said["sources"].values()))["map"]
            assert EventMap(Map.model_validate(rules), "Asia/Shanghai")


def test_the_door_builds_its_sources_with_their_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WMS", "SHOP"):
        monkeypatch.setenv(name, "x")
    shop = "  shop: {kind: standard_webhooks, secrets: [env:SHOP], map: {type: shop}}\n"
    loaded = checked(written(tmp_path, NAMED + shop, dedented()))
    one = published(loaded, 1, "wang", datetime(2026, 11, 26, tzinfo=UTC))
    sources = sources_of(one, Registry(), ManualClock(1_764_144_000.0))
    body = b'{"bin": "A-01", "at": "2025-11-26 16:00:00", "on": 1}'
    (made,) = cast("HttpSource", sources["wms"]).mapped(Inbound("wms", {}, body))
    assert isinstance(made, Mapped)
    assert (made.event.source, made.event.subject, made.event.labels) == ("wms", "A-01", {"state": "raise"})
    assert made.event.time.isoformat() == "2025-11-26T16:00:00+08:00", "the zone is the site's"
    assert set(callbacks_of(sources)) == {"shop"}
