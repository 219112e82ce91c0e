"""A configuration without a mistake gives settings, and says where everything stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.config.load import load
from andon.config.mistakes import Invalid
from andon.config.plugs import ChannelPlug
from andon.config.templates import best
from andon.core.policy import Limit
from andon.egress import render
from tests.config.plant import PLANT, changed, read, registry, said, write


def test_whole_plant(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    assert said(loaded) == []
    settings = loaded.settings
    assert settings.kafka.retention == 14 * 86_400
    assert settings.limits.body == 512 << 10
    assert settings.calendar.time_intervals["night"][0].times == ("20:00-24:00", "00:00-08:00")
    assert settings.channels["printer"] == ChannelPlug(kind="paper", options={"keys": ["env:PRINTER"]})
    merge = settings.receivers["shift"].merge
    assert merge is not None
    assert merge != "none"
    assert merge.over == Limit(10, 60.0)
    assert [route.continue_ for route in settings.route.routes] == [True, False]
    assert loaded.files == {"fault.paper.j2": "{{ subject }} 故障\n", "head.j2": "甲\n"}
    assert loaded.directory == tmp_path


def test_folder_means_its_andon_yaml(tmp_path: Path) -> None:
    write(tmp_path)
    assert load(tmp_path, registry()).settings == read(tmp_path).settings


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + PLANT.replace("\n", "\r\n").encode())
    assert said(load(file, registry())) == []
    file.write_bytes(
        b"\xef\xbb\xbf" + PLANT.replace("\n", "\r\n").replace("template: fault", "template: falt").encode()
    )
    assert said(load(file, registry())) == [
        "21:37: there is no template `falt` (falt.paper.j2 or falt.j2); did you mean `fault`?"
    ]


def test_without_plug_ins_their_keys_are_not_checked(tmp_path: Path) -> None:
    file = write(tmp_path, changed("kind: book", "kind: nobody, anything: goes"))
    assert said(load(file)) == []
    assert len(load(file, registry()).mistakes) == 1


def test_settings_of_a_bad_file_are_refused_with_every_mistake(tmp_path: Path) -> None:
    loaded = read(tmp_path, changed("window: 800, queue: 600", "window: 80, queue: 60"))
    with pytest.raises(Invalid) as refused:
        _ = loaded.settings
    assert len(str(refused.value).splitlines()) == 2
    assert str(refused.value).startswith(f"{tmp_path}/andon.yaml:5:18: `window`: must be 500 to 1000")


def test_where(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    assert loaded.where(("channels", "robot")) == (16, 3)  # a map: its name
    assert loaded.where(("channels", "robot", "keys", 1)) == (18, 25)  # text: itself
    assert loaded.where(("route", "routes", 1, "matchers", 0)) == (31, 19)
    assert loaded.where(("route", "routes", 1)) == (31, 7)  # an entry of a list
    assert loaded.where(("route", "routes", 1, "active_time_intervals", 4)) == (31, 7)  # not there: what is above it
    assert loaded.where(()) == (1, 1)


def test_section_with_every_line_commented_out_counts_as_absent(tmp_path: Path) -> None:
    text = changed("sources:\n  line: {kind: door", "sources:\n  # line: {kind: door")
    loaded = read(tmp_path, text)
    assert said(loaded) == []
    assert loaded.settings.sources == {}


def test_one_file_may_serve_two_channels_with_one_secret(tmp_path: Path) -> None:
    assert said(read(tmp_path, changed("keys: [env:PRINTER]", "keys: [env:ROBOT_1]"))) == []


def test_options_named_options_are_the_plug_ins_own(tmp_path: Path) -> None:
    loaded = read(
        tmp_path, changed("{kind: paper, keys: [env:PRINTER]}", "{kind: paper, options: {keys: [env:PRINTER]}}")
    )
    assert said(loaded) == ["19:3: `keys` is missing", "19:26: unknown key `options`; possible: `keys`, `size`"]


def test_plain_may_be_used_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "plain.paper.j2").write_text("x")
    loaded = read(tmp_path)
    assert said(loaded) == []
    assert loaded.files["plain.paper.j2"] == "x"


@pytest.mark.parametrize(
    "name",
    [
        "sign.paper.md.j2",
        "sign.paper.txt.j2",
        "sign.paper.j2",
        "sign.md.j2",
        "sign.zh.j2",
        "sign.paper.zh.md.j2",
        "sign.j2",
    ],
)
def test_names_a_template_may_have(name: str, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / name).write_text("x")
    assert said(read(tmp_path, changed("template: fault", "template: sign"))) == []
    assert "did you mean `sign`?" in said(read(tmp_path, changed("template: fault", "template: sig")))[0]


def test_egress_looks_for_the_same_files() -> None:
    for files in (["fault.paper.zh.j2", "fault.zh.j2", "fault.j2"], ["fault.zh.j2", "fault.j2"], ["fault.j2"]):
        assert render.Renderer(dict.fromkeys(files, "x")).file("fault", "paper", "zh") == files[0]
        assert best(files, "fault", "paper", "zh") == files[0]


def test_template_falls_back_to_the_name_without_a_kind(tmp_path: Path) -> None:
    assert said(read(tmp_path, changed("template: fault", "template: head"))) == []
