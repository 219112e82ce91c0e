"""What one receiver's notices look like: the file that is used, language, clock, watermark, and links to the whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from andon.config.receivers import Receiver
from andon.config.settings import Settings
from andon.config.templates import best, is_of, parts_of, read_templates
from andon.core.digest import Digest, Line, combined, merged
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.channels.wecom_robot import WecomRobot
from andon.egress.look import Ends, Look, look_of
from andon.egress.names import mistakes
from andon.egress.parts import parts
from andon.egress.render import Renderer
from andon.egress.words import words_of
from andon.testing.builders import delivery, event
from andon.testing.contract_channels import unnumbered

KINDS = ("wecom_robot", "wecom_app", "smtp")
ENGLISH = Look("plain", "en", ZoneInfo("Europe/Berlin"))
LINK = "https://mes.corp/events/{id}?of={subject}"
ORDER = [
    "fault.raised/fault.wecom_robot.en-GB.textcard.yaml",
    "fault.raised/fault.wecom_robot.en-GB.md2.j2",
    "fault.raised/fault.wecom_robot.en-GB.md.j2",
    "fault.raised/fault.en-GB.j2",
    "fault.raised/fault.wecom_robot.en.j2",
    "fault.raised/fault.en.md.j2",
    "fault.raised/fault.wecom_robot.txt.j2",
    "fault.raised/fault.j2",
    "fault.wecom_robot.en-GB.j2",
    "fault.en.j2",
    "fault.wecom_robot.textcard.yaml",
    "fault.wecom_robot.md.j2",
    "fault.wecom_robot.j2",
    "fault.md.j2",
    "fault.txt.j2",
    "fault.j2",
]


def shown(source: str, look: Look, of: Any = None, digest: Digest | None = None, **options: Any) -> str:
    renderer = Renderer({f"{look.template}.j2": source} if source else {}, **options)
    return renderer.render(delivery(of or event()), "wecom_robot", look, digest).content.text


# ---- which file


def test_what_says_most_is_used_first() -> None:
    files = [*ORDER, "fault.zh.j2", "fault.smtp.en.j2", "other/fault.en-GB.j2", "faults.en.j2"]
    found = []
    while (file := best(files, "fault", "wecom_robot", "en-GB", "fault.raised")) is not None:
        found.append(file)
        files.remove(file)
    assert found == ORDER
    assert best(ORDER, "fault", "wecom_robot", "zh", "fault.cleared") == "fault.wecom_robot.textcard.yaml"
    assert best(ORDER, "fault", "smtp", "en") == "fault.en.j2"
    assert parts_of(ORDER[0]) == ("fault.raised", "fault", "wecom_robot", "en-GB", "textcard")
    assert parts_of("a.b.smtp.card.yaml") == ("", "a.b", "smtp", "", "card")
    assert all(is_of(file, "fault", "wecom_robot") for file in ORDER)
    assert not any(is_of(file, "fault", "smtp") for file in ORDER if "wecom_robot" in file)
    assert not any(is_of(file, "faul", "wecom_robot") for file in ORDER)


def test_a_folder_holds_what_is_for_one_type_of_event(tmp_path: Path) -> None:
    for name in ("a.j2", "mes.fault/a.j2", "mes.fault/notes.txt", ".hidden/a.j2", "mes.fault/deep/a.j2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    files, unread = read_templates(tmp_path)
    assert (files, unread) == ({"a.j2": "a.j2", "mes.fault/a.j2": "mes.fault/a.j2"}, {})
    renderer = Renderer(files)
    for of, text in (("mes.fault", "mes.fault/a.j2"), ("mes.other", "a.j2"), ("..", "a.j2")):
        assert renderer.render(delivery(event(type=of)), "smtp", Look("a")).content == Content("text", text)


def test_types_from_outside_are_not_kept() -> None:
    renderer = Renderer({"a.j2": "x", "known/a.j2": "y"})
    for number in range(100):
        renderer.render(delivery(event(type=f"t{number}")), "smtp", Look("a"))
    renderer.render(delivery(event(type="known")), "smtp", Look("a"))
    assert len(renderer._found) == 2


# ---- language and clock


def test_built_in_texts_speak_the_readers_language() -> None:
    of = event(labels={"severity": "major"}, data={"code": "E-7"})
    assert shown("", ENGLISH, of) == "[major] mes.fault.raised line-3/M-07\nTime: 2026-11-22 07:03:05\ncode: E-7"
    assert shown("", ENGLISH, event(labels={"state": "clear"}, data={})).startswith("[resolved] mes.fault.raised")
    digest = merged(merged(None, of), event(subject="M-08"))
    assert shown("", ENGLISH, of, msgspec.structs.replace(digest, left_out=3)) == (
        "[2 in one] 2026-11-22 07:03:05 to 2026-11-22 07:03:05\n07:03:05 line-3/M-07 mes.fault.raised major\n"
        "07:03:05 M-08 mes.fault.raised raise critical\nand 3 older ones that are not listed"
    )
    assert shown("{{ data.no }}", msgspec.structs.replace(ENGLISH, template="x")) == "[missing]"
    assert shown("{{ data.no }}", Look("x"), missing="?") == "?"
    assert [words_of(one).suffix for one in ("zh", "zh-TW", "en", "de")] == ["zh", "zh", "en", "en"]


def test_a_file_replaces_a_built_in_text_of_its_language_only() -> None:
    renderer = Renderer({"plain.en.j2": "mine", "digest.j2": "all"})
    assert renderer.file("plain", "smtp", "en") == "plain.en.j2"
    assert renderer.file("plain", "smtp", "zh") == "plain.zh.j2"
    assert renderer.render(delivery(), "smtp", ENGLISH).content.text == "mine"
    assert renderer.render(delivery(), "smtp", Look("plain")).content.text.startswith("【critical】")
    assert {renderer.file("digest", "smtp", one) for one in ("zh", "en")} == {"digest.j2"}


def test_times_are_told_on_the_readers_clock() -> None:
    source = "{{ event.time }} {{ event.time | date }} {{ event.time | time }} {{ '2026-11-22T23:30:00Z' | at }}"
    renderer = Renderer({"x.j2": source + " {{ data.no | date }} {{ event.time | time('%H') }}"})
    for zone, text in (
        ("Asia/Shanghai", "2026-11-22 14:03:05 2026-11-22 14:03 2026-11-23 07:30:00 【缺】 14"),
        ("America/New_York", "2026-11-22 01:03:05 2026-11-22 01:03 2026-11-22 18:30:00 【缺】 01"),
    ):
        assert renderer.render(delivery(), "smtp", Look("x", zone=ZoneInfo(zone))).content.text == text


def test_a_receiver_has_the_look_of_the_site_unless_it_says_otherwise() -> None:
    settings = Settings.model_validate(
        {
            "version": 1,
            "site": {"language": "en", "zone": "Europe/Berlin"},
            "templates": {"watermark": True, "link": LINK},
            "route": {"receiver": "a"},
        }
    )
    own = {"language": "zh", "zone": "Asia/Tokyo", "watermark": False, "long": "link", "template": "t"}
    assert look_of(Receiver(channel="c"), settings) == Look("plain", "en", ZoneInfo("Europe/Berlin"), watermark=True)
    assert look_of(Receiver(channel="c", **own), settings) == Look("t", "zh", ZoneInfo("Asia/Tokyo"), cut=True)


# ---- ends


def sent(text: str, look: Look, kind: str = "j2", digest: Digest | None = None, *, marked: bool = False) -> list[str]:
    renderer = Renderer({f"{look.template}.{kind}": text}, link=LINK)
    found = renderer.render(delivery(event(id="e 1)")), "wecom_robot", look, digest)
    robot = WecomRobot(
        WecomRobot.Config(keys=("env:K",)),
        SimpleNamespace(wire=None, directory=Path(), clock=None),  # type: ignore[arg-type]
    )
    served = SimpleNamespace(channel=robot, structures=robot.structures, look=look, programs=False)
    made = parts(served, found.content, found.ends, marked=marked)  # type: ignore[arg-type]
    assert all(len(one.text.encode()) <= {"text": 2048, "markdown": 4096}[one.kind] for one in made)
    return [one.text for one in made]


def test_a_watermark_ends_every_part_and_counts() -> None:
    look = Look("x", zone=ZoneInfo("UTC"), watermark=True)
    tail = f"\nl3-group · {str(delivery(event(id='e 1)')).id)[:8]} · 2026-11-22 06:03:05"
    assert sent("停机", look) == ["停机" + tail]
    text = "冲压机 7 停机。" * 200
    made = sent(text, look)
    assert len(made) > 1
    assert all(one.endswith(tail) for one in made)
    assert "".join(unnumbered([one.removesuffix(tail) for one in made])) == text
    assert sent("**停机**", look, "md.j2") == ["**停机**\n" + tail]


def test_a_watermark_can_break_no_markup() -> None:
    renderer = Renderer({"x.md.j2": "a"})
    found = renderer.render(delivery(receiver="a*b*[x](y)"), "wecom_robot", Look("x", watermark=True))
    assert found.ends.tail.startswith("\n\na＊b＊[x］(y) · ")


@pytest.mark.parametrize(
    ("time", "zone"),
    [(datetime.max.replace(tzinfo=UTC), "Asia/Shanghai"), (datetime.min.replace(tzinfo=UTC), "America/New_York")],
)
def test_a_watermark_whose_time_is_beyond_the_readers_calendar_is_refused_as_a_broken_template_is(
    time: datetime, zone: str
) -> None:
    of = delivery(event(time=time))
    with pytest.raises(Rejected) as refused:
        Renderer({"x.j2": "a"}).render(of, "wecom_robot", Look("x", zone=ZoneInfo(zone), watermark=True))
    assert refused.value.reason is Reason.TEMPLATE_BROKEN
    assert refused.value.detail == f"x.j2: the watermark: the event's time is in no year of {zone}"
    assert Renderer({"x.j2": "a"}).render(of, "wecom_robot", Look("x", zone=ZoneInfo(zone))).content.text == "a"


def test_what_is_too_long_is_cut_with_a_link_to_the_whole() -> None:
    look, text = Look("x", cut=True), "".join(f"第 {number} 行。\n" for number in range(300))
    rest = "\n……（未完） 全文: https://mes.corp/events/e%201%29?of=line-3%2FM-07"
    (one,) = sent(text, look)
    assert one.endswith("行。\n" + rest)
    assert text.startswith(one.removesuffix(rest))
    assert 1_800 < len(one.encode()) <= 2_048
    assert sent("短", look) == ["短"]
    (again,) = sent(text, look, marked=True)
    assert again.startswith("【可能重复】第 0 行")
    assert again.endswith(rest)
    (both,) = sent(text, msgspec.structs.replace(look, watermark=True, language="en"))
    assert "\n… (there is more) the whole: https://mes.corp/events/e%201%29?of=line-3%2FM-07\nl3-group · " in both


def test_a_cut_through_markup_closes_it() -> None:
    (one,) = sent("# 停机\n**" + "冲压机 7 停机 " * 400 + "**", Look("x", cut=True), "md.j2")
    body, _, rest = one.partition("\n\n……（未完） [全文](https://mes.corp/events/e%201%29?of=line-3%2FM-07)")
    assert rest == ""
    assert body.startswith("# 停机\n**")
    assert body.rstrip().endswith("**")


def test_what_was_merged_is_told_whole_and_each_of_it_has_its_link() -> None:
    digest = None
    for number in range(20):
        one = event(id=f"e-{number}", subject=f"M-{number:02}", labels={"code": "长" * 60})
        digest = merged(digest, one)
    assert digest is not None
    made = sent("only {{ data.code }}", Look("x", cut=True), digest=digest)
    assert len(made) > 1
    whole = "".join(unnumbered(made))
    for number in range(20):
        assert f"https://mes.corp/events/e-{number}?of=M-{number:02}\n" in whole + "\n"


def test_a_link_is_missing_where_there_is_none() -> None:
    assert shown("{{ event | link }} {{ data | link }} {{ data.x | link }}", Look("x")) == "【缺】 【缺】 【缺】"
    assert shown("{% if event | link %}a{% else %}b{% endif %}", Look("x")) == "b"
    assert shown("{{ event | link }}", Look("x"), link=LINK) == "https://mes.corp/events/e-1?of=line-3%2FM-07"
    old = Digest(1, event().time, event().time, (Line("M", "t", datetime(2026, 1, 1, tzinfo=UTC)),))
    assert "http" not in shown("", Look("plain"), digest=combined(old, old), link=LINK)


def test_a_link_that_would_leave_no_room_is_not_cut_for() -> None:
    renderer = Renderer({"x.j2": "停" * 2_000}, link=LINK)
    found = renderer.render(delivery(event(id="汉" * 300)), "wecom_robot", Look("x", cut=True))
    robot = WecomRobot(WecomRobot.Config(keys=("env:K",)), SimpleNamespace(wire=None, directory=Path(), clock=None))  # type: ignore[arg-type]
    served = SimpleNamespace(channel=robot, structures={}, look=Look("x", cut=True))
    assert len(parts(served, found.content, found.ends, marked=False)) == 3  # type: ignore[arg-type]


def test_marks_of_both_languages_have_room_in_a_part() -> None:
    assert all(len(words_of(one).repeat.encode()) + 1 <= 24 for one in ("zh", "en"))
    assert Ends() == Ends("", "")


# ---- check


def said(files: dict[str, str], receiver: dict[str, Any] | None = None, site: str = "zh") -> list[str]:
    settings = Settings.model_validate(
        {
            "version": 1,
            "site": {"language": site},
            "channels": {"c": {"kind": "wecom_robot", "keys": ["env:A"]}},
            "receivers": {"r": {"channel": "c", "template": "fault", **(receiver or {})}},
            "route": {"receiver": "r"},
        }
    )
    return [f"{'.'.join(map(str, place))}: {text}" for place, text in mistakes(settings, files, KINDS)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "fault.wecom_robt.j2",
            "`wecom_robt` is neither a kind of channel nor the language of a receiver; did you mean `wecom_robot`?",
        ),
        (
            "fault.wecom_robot.zn.md.j2",
            "`zn` is neither a kind of channel nor the language of a receiver; possible: `en`, `smtp`,",
        ),
        ("other.smpt.j2", "`smpt` is neither a kind of channel nor the language of a receiver; did you mean `smtp`?"),
        ("mes.fault/fault.stmp.j2", "`stmp` is neither"),
        ("fault.en.wecom_robot.j2", "a file is named NAME.CHANNEL_KIND.LANGUAGE and what it is sent as, in this order"),
        ("fault.smtp.wecom_app.j2", "a file is named NAME.CHANNEL_KIND.LANGUAGE"),
        ("fault.wecom_app.zn.textcard.yaml", "no receiver has the language `zn`; possible: `en`, `zh`"),
    ],
)
def test_a_template_that_nothing_goes_by_is_refused(file: str, text: str) -> None:
    (found,) = said({"fault.j2": "x", file: "x"})
    assert found.startswith(f"templates: template {file} is not used: {text}")


def test_names_that_something_goes_by_are_fine() -> None:
    files = (
        "fault.wecom_robot.en.md2.j2",
        "a/fault.smtp.j2",
        "plain.zh-TW.j2",
        "digest.en.j2",
        "head.common.j2",
        "x.j2",
    )
    texts = {**dict.fromkeys(files, "x"), "fault.j2": "{% include 'head.common.j2' %}"}
    assert said(texts, {"language": "zh-TW"}) == []
    assert said({"v2.fault.j2": "x"}, {"template": "v2.fault"}) == []


def test_a_language_without_templates_is_refused() -> None:
    assert said({"fault.j2": "x"}, {"language": "de"}) == [
        "receivers.r.language: no template is in the language `de`; possible: `en`, `zh`"
    ]
    assert said({"fault.j2": "x", "fault.de.j2": "x"}, {"language": "de-AT"}) == []
    assert said({"fault.j2": "x"}, site="zn") == [
        "site.language: no template is in the language `zn`; possible: `en`, `zh`"
    ]


@pytest.mark.parametrize("language", ["english", "EN", "e", "zh_TW", "zh-tw", ""])
def test_what_is_no_language_is_refused(language: str) -> None:
    with pytest.raises(ValueError, match="is not a language; write a code of ISO 639-1"):
        Receiver(channel="c", language=language)


@pytest.mark.parametrize(
    "link",
    [
        "mes.corp/{id}",
        "ftp://x/{id}",
        "https://mes.corp/x",
        "https://x/{event}",
        "https://x/{id} y",
        "https://x/({id})",
        "https:///{id}",
        "https://x/" + "a" * 600 + "{id}",
    ],
)
def test_what_is_no_link_is_refused(link: str) -> None:
    with pytest.raises(ValueError, match="must be an address like"):
        Settings.model_validate({"version": 1, "route": {"receiver": "a"}, "templates": {"link": link}})
