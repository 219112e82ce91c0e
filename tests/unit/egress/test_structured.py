"""Cards: no data forges their structure, every field is judged before anything is sent, nothing is hidden or cut."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.cli.commands.check import checked
from andon.core.digest import merged
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.cards import dingtalk, feishu, wecom, wecom_app
from andon.egress.judge import fits, problems
from andon.egress.look import Look
from andon.egress.parts import repeated
from andon.egress.render import Renderer
from andon.egress.structure import Structure
from andon.egress.words import words_of
from andon.testing.builders import delivery, event

REPEAT = words_of("zh").repeat
KINDS = {
    "wecom_robot": wecom.ROBOT,
    "wecom_app": wecom_app.APP,
    "dingtalk_robot": dingtalk.ROBOT,
    "feishu_robot": feishu.ROBOT,
}

NOTICE = """\
card_type: text_notice
main_title:
  title: "{{ data.title }}"
  desc: "{% if data.desc %}{{ data.desc }}{% endif %}"
horizontal_content_list:
  - {keyname: 产线, value: "{{ labels.line }}"}
source: {desc: 安灯, desc_color: "{{ 2 if labels.severity == 'critical' else 0 }}"}
card_action: {type: 1, url: "https://mes.corp/{{ data.id }}"}
"""


def rendered(source: str, file: str = "fault.wecom_robot.template_card.yaml", **data: Any) -> Content:
    channel = file.split(".")[1]
    return Renderer({file: source}, "【缺】", KINDS).render(delivery(event(data=data)), channel, Look("fault")).content


def refusal(source: str, file: str = "fault.wecom_robot.template_card.yaml", **data: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        rendered(source, file, **data)
    return caught.value


# Rendering


def test_card_is_the_files_structure_with_the_events_texts() -> None:
    content = rendered(NOTICE, title="停机", id=7)
    assert content.kind == "template_card"
    assert json.loads(content.text) == {
        "card_type": "text_notice",
        "main_title": {"title": "停机"},
        "horizontal_content_list": [{"keyname": "产线", "value": "L3"}],
        "source": {"desc": "安灯", "desc_color": 2},
        "card_action": {"type": 1, "url": "https://mes.corp/7"},
    }


@given(st.text(max_size=60))
def test_no_data_changes_the_structure(value: str) -> None:
    try:
        card = json.loads(rendered(NOTICE, title=value or "x", id="1", desc=value).text)
    except Rejected as refused:
        assert refused.reason is Reason.TEMPLATE_BROKEN  # noqa: PT017 - blank titles leave no card
        return
    assert set(card) == {"card_type", "main_title", "horizontal_content_list", "source", "card_action"}
    assert set(card["main_title"]) <= {"title", "desc"}
    assert all(isinstance(text, str) for text in card["main_title"].values())
    assert card["card_action"] == {"type": 1, "url": "https://mes.corp/1"}


@pytest.mark.parametrize(
    "value", ['"}, "card_action": {"url": "http://evil"}, "x": "', "{{ 7 * 7 }}", "{% raw %}", "<@all>"]
)
def test_hostile_values_are_only_text(value: str) -> None:
    title = json.loads(rendered(NOTICE, title=value, id=1).text)["main_title"]["title"]
    assert title == value.replace("<@", "＜＠").replace("＠all", "＠all")


ACTION = """\
title: 停机
text: "**{{ data.v }}** [单](https://mes.corp)"
btns: [{title: "{{ data.v }}", actionURL: "https://mes.corp"}]
"""


def test_values_are_escaped_where_the_vendor_reads_markdown_and_only_there() -> None:
    card = json.loads(rendered(ACTION, "fault.dingtalk_robot.actionCard.yaml", v="*a* [x](http://b)").text)
    assert card["text"] == "**＊a＊ [x］(http://b)** [单](https://mes.corp)"
    assert card["btns"][0]["title"] == "*a* [x](http://b)"


def test_nobody_but_the_file_calls_everybody() -> None:
    post = 'zh_cn: {content: [[{tag: at, user_id: "{{ data.who }}"}, {tag: text, text: "{{ data.text }}"}]]}'
    file = "fault.feishu_robot.post.yaml"
    parts = json.loads(rendered(post, file, who="ou_1", text='<at user_id="all"></at>').text)["zh_cn"]["content"][0]
    assert parts == [{"tag": "at", "user_id": "ou_1"}, {"tag": "text", "text": '＜at user_id="all">＜/at>'}]
    assert "everybody" in refusal(post, file, who="all", text="x").detail
    own = 'zh_cn: {content: [[{tag: at, user_id: "all"}]]}'
    assert "all" in rendered(own, file).text


@pytest.mark.parametrize(
    ("text", "data", "reason", "said"),
    [
        (NOTICE, {"title": "", "id": 1}, Reason.TEMPLATE_BROKEN, "`main_title.title` or `sub_title_text` is missing"),
        ('articles: [{title: "{{ data.t }}", url: "https://x.cn"}]', {"t": "汉" * 43}, Reason.TOO_LONG, "shorten"),
        ('articles: [{title: x, url: "{{ data.u }}"}]', {"u": "mes.corp/1"}, Reason.TEMPLATE_BROKEN, "begins with"),
        ('articles: [{title: x, url: "{{ data.u }}"}]', {"u": "javascript:alert(1)"}, Reason.TEMPLATE_BROKEN, "url"),
        ('articles: [{title: "{{ 1 / 0 }}", url: "https://x.cn"}]', {}, Reason.TEMPLATE_BROKEN, "line 1 `articles[0]"),
    ],
)
def test_what_is_no_card_when_rendered_is_parked_and_says_why(
    text: str, data: dict[str, Any], reason: Reason, said: str
) -> None:
    file = "fault.wecom_robot.news.yaml" if text.startswith("articles") else "fault.wecom_robot.template_card.yaml"
    error = refusal(text, file, **data)
    assert error.reason is reason
    assert said in error.detail
    assert error.detail.startswith(file)


def test_card_over_the_vendors_body_is_parked_and_never_split() -> None:
    error = refusal(ACTION, "fault.dingtalk_robot.actionCard.yaml", v="x" * 20_000)
    assert error.reason is Reason.TOO_LONG
    assert "never split; shorten" in error.detail


def test_refusal_never_quotes_the_event() -> None:
    assert (
        "secret"
        not in refusal('articles: [{title: x, url: "{{ data.u }}"}]', "fault.wecom_robot.news.yaml", u="secret").detail
    )


# Digests and repeats

DIGEST = merged(merged(None, event()), event(subject="M-08", time=datetime(2026, 11, 22, 7, tzinfo=UTC)))


def test_what_was_merged_is_never_hidden_by_a_card() -> None:
    file = "fault.wecom_robot.news.yaml"
    plain = Renderer({file: 'articles: [{title: x, url: "https://x.cn"}]'}, "", KINDS)
    found = plain.render(delivery(), "wecom_robot", Look("fault"), DIGEST).content
    assert found.kind == "text"
    assert found.text.startswith("【合并 2 条】")
    own = Renderer(
        {file: 'articles: [{title: "{{ digest.count if digest else 1 }} 条", url: "https://x.cn"}]'}, "", KINDS
    )
    found = own.render(delivery(), "wecom_robot", Look("fault"), DIGEST).content
    assert (found.kind, json.loads(found.text)["articles"][0]["title"]) == ("news", "2 条")
    card = Renderer(
        {
            file: 'articles: [{title: x, url: "https://x.cn"}]',
            f"digest{file.removeprefix('fault')}": 'articles: [{title: "{{ digest.count }}", url: "https://x.cn"}]',
        },
        "",
        KINDS,
    )
    assert card.render(delivery(), "wecom_robot", Look("fault"), DIGEST).content.kind == "news"


MARKED = [
    ("wecom_robot", "news", {"articles": [{"title": "x", "url": "https://x.cn"}]}, ("articles", 0, "title")),
    (
        "wecom_robot",
        "template_card",
        {"card_type": "text_notice", "main_title": {"title": "x"}},
        ("main_title", "title"),
    ),
    ("wecom_robot", "template_card", {"card_type": "text_notice", "sub_title_text": "x"}, ("sub_title_text",)),
    ("dingtalk_robot", "link", {"title": "x", "text": "y", "messageUrl": "https://x.cn"}, ("title",)),
    ("dingtalk_robot", "actionCard", {"title": "t", "text": "x", "singleTitle": "y"}, ("text",)),
    (
        "feishu_robot",
        "post",
        {"zh_cn": {"content": [[{"tag": "text", "text": "x"}]]}},
        ("zh_cn", "content", 0, 0, "text"),
    ),
    ("feishu_robot", "interactive", {"elements": [{"tag": "markdown", "content": "x"}]}, ("elements", 0, "content")),
]


@pytest.mark.parametrize(("channel", "kind", "value", "way"), MARKED)
def test_mark_of_a_repeat_stands_where_people_look(
    channel: str, kind: str, value: dict[str, Any], way: tuple[str | int, ...]
) -> None:
    if "card_type" in value:
        value = {**value, "card_action": {"type": 1, "url": "https://x.cn"}}
    if kind == "actionCard":
        value = {**value, "singleURL": "https://x.cn"}
    assert fits(KINDS[channel][kind], value)
    (content,) = repeated(Content(kind, json.dumps(value)), KINDS[channel], REPEAT)
    shown: Any = json.loads(content.text)
    for step in way:
        shown = shown[step]
    assert (content.kind, shown) == (kind, REPEAT + "x")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("image", {"file": "plan.png"}),
        ("news", {"articles": [{"title": "x" * 120, "url": "https://x.cn"}]}),
    ],
)
def test_mark_goes_before_what_has_no_place_for_it(kind: str, value: dict[str, Any]) -> None:
    whole = Content(kind, json.dumps(value))
    assert repeated(whole, KINDS["wecom_robot"], REPEAT) == (Content("text", REPEAT), whole)


# andon check

PLANT = """\
version: 1
channels:
  wecom: {kind: wecom_robot, keys: [env:A]}
  ding: {kind: dingtalk_robot, robots: [{token: env:B}]}
  fei: {kind: feishu_robot, robots: [{hook: env:C}]}
receivers:
  a: {channel: wecom, template: fault}
  b: {channel: ding, template: fault}
  c: {channel: fei, template: fault}
route: {receiver: a}
"""


def said(tmp_path: Path, files: dict[str, str], plant: str = PLANT) -> list[str]:
    (tmp_path / "andon.yaml").write_text(plant, encoding="utf-8")
    (tmp_path / "templates").mkdir(exist_ok=True)
    for name, text in {"fault.j2": "x", **files}.items():
        (tmp_path / "templates" / name).write_text(text, encoding="utf-8")
    found = checked(tmp_path).mistakes
    return [f"{one.line}: {one.text.removeprefix('template ')}" for one in found]


WECOM, DING, FEI = "fault.wecom_robot.", "fault.dingtalk_robot.", "fault.feishu_robot."
LINK = '{title: x, text: y, messageUrl: "https://x.cn"}'
CHECKS = [
    (WECOM + "template_card", NOTICE, ""),
    (
        WECOM + "template_card",
        NOTICE.replace("keyname", "keynane"),
        "line 6: unknown key `keynane`; did you mean `keyname`?",
    ),
    (
        WECOM + "template_card",
        NOTICE.replace("  title", "  titel"),
        "line 3: unknown key `titel`; did you mean `title`?",
    ),
    (WECOM + "template_card", NOTICE.replace("text_notice", "button_interaction"), "line 1: `card_type` is not known"),
    (
        WECOM + "template_card",
        NOTICE.replace("text_notice", '"{{ data.k }}"'),
        "line 1: `card_type` must be written out",
    ),
    (WECOM + "template_card", NOTICE.replace("type: 1", "type: 2"), "line 8: `appid` is missing: `type: 2` needs it"),
    (WECOM + "template_card", NOTICE.replace("type: 1", "type: 3"), "line 8: `card_action.type` must be 1, 2"),
    (
        WECOM + "template_card",
        NOTICE.replace("https://mes", "mes"),
        "line 8: `card_action.url` must be an address that",
    ),
    (WECOM + "template_card", NOTICE.replace("data.id", "data.id |"), "line 8: `card_action.url` "),
    (
        WECOM + "template_card",
        NOTICE + "jump_list: [" + "{title: x}, " * 4 + "]\n",
        "line 9: `jump_list` takes at most 3 entries, not 4",
    ),
    (WECOM + "news", "articles: []", "line 1: `articles` takes at least 1 entries, not 0"),
    (WECOM + "news", "articles: [{title: x}]", "line 1: `url` is missing"),
    (WECOM + "news", "articles: {title: x}", "line 1: `articles` must be a list"),
    (WECOM + "news", "articles: [x", "line 1: not YAML"),
    (WECOM + "video", "file: x", "line 1: `wecom_robot` has no structured kind `video`; it has `file`, `image`"),
    ("fault.wecom_bot.news", "x: 1", "line 1: there is no kind of channel `wecom_bot`"),
    (DING + "link", LINK, ""),
    (
        DING + "link",
        LINK.replace("messageUrl", "messageURL"),
        "line 1: unknown key `messageURL`; did you mean `messageUrl`?",
    ),
    (DING + "actionCard", ACTION + "btnOrientation: 0\n", 'line 4: `btnOrientation` must be `"0"`, `"1"`'),
    (DING + "actionCard", ACTION + "singleTitle: x\n", "line 1: `singleTitle` stands alone"),
    (DING + "actionCard", "title: x\ntext: y\n", "line 1: `btns`, or `singleTitle` and `singleURL`, is missing"),
    (FEI + "interactive", "elements: [{tag: hr}]", ""),
    (
        FEI + "interactive",
        "schema: 2.0\nbody: {elements: [{tag: hr}]}",
        'line 1: `schema` must be text: write `"2.0"`, in quotes',
    ),
    (
        FEI + "interactive",
        "elements:\n- {tag: markdwn, content: x}",
        "line 2: `tag` is not known; did you mean `markdown`?",
    ),
    (FEI + "interactive", "elements: [{tag: hr}]\nheader: {title: x}", "line 2: `header.title` must be a map"),
    (FEI + "post", "zh_cn: {content: [[{tag: a, text: x, href: x}]]}", "line 1: `zh_cn.content[0][0].href` must be an"),
]


@pytest.mark.parametrize(("name", "text", "wanted"), CHECKS)
def test_check_refuses_a_card_with_file_and_line(tmp_path: Path, name: str, text: str, wanted: str) -> None:
    found = said(tmp_path, {f"{name}.yaml": text})
    if not wanted:
        assert found == []
        return
    assert any(f"{name}.yaml {wanted}" in one for one in found), found


def test_check_looks_at_the_files_a_card_names(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * (3 << 20))
    (tmp_path / "text.png").write_bytes(b"no picture")
    (tmp_path / "good.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    wanted = {
        "big.png": "`big.png` has 3,145,736 bytes; the vendor takes 1 to 2,097,152",
        "text.png": "`text.png` is no JPG or PNG image",
        "gone.png": "`gone.png` cannot be read (No such file or directory)",
        "../x.png": "`../x.png` lies outside of the configuration's folder",
        "'{{ data.f }}'": "`file` must be the name of a JPG or PNG image beside andon.yaml, written out",
    }
    for file, text in wanted.items():
        found = said(tmp_path, {f"{WECOM}image.yaml": f"file: {file}"})
        assert any(text in one and "line 1" in one for one in found), found
    assert said(tmp_path, {f"{WECOM}image.yaml": "file: good.png"}) == []


def test_check_names_two_cards_of_one_template(tmp_path: Path) -> None:
    files = {f"{WECOM}news.yaml": 'articles: [{title: x, url: "https://x.cn"}]', f"{WECOM}template_card.yaml": NOTICE}
    assert any("news.yaml is used and this never" in one for one in said(tmp_path, files))


def test_check_refuses_what_a_channel_does_not_take(tmp_path: Path) -> None:
    (found,) = said(tmp_path, {"fault.feishu_robot.md2.j2": "|a|"})
    assert found.endswith("is markdown_v2, and a feishu_robot takes markdown, text")


def test_check_refuses_people_and_repeats_a_robot_cannot_serve(tmp_path: Path) -> None:
    many = "[" + ", ".join(f"u{number}" for number in range(51)) + "]"
    plant = PLANT.replace("b: {", f"b: {{to: {many}, ").replace("c: {", "c: {on_ambiguous: resend_keyed, ")
    people, repeat = said(tmp_path, {}, plant)
    assert people == "8: 51 people; a DingTalk robot calls 50 by name at most"
    assert repeat.startswith(
        "9: `resend_keyed` needs a channel whose other side knows a repeat; nobody behind a feishu"
    )


CONFIGURATIONS = [
    ("robots: [{token: env:B}]", "robots: [{token: 3f9a}]", "4:", "`token`: a secret is written as env:NAME"),
    ("robots: [{token: env:B}]", "robots: [{tokn: env:B}]", "4:", "unknown key `tokn`; did you mean `token`?"),
    ("robots: [{token: env:B}]", "robots: []", "4:", "`robots`: needs at least one entry"),
    ("robots: [{token: env:B}]", "robots: [{token: env:B}, {token: env:B}]", "4:", "the same token stands twice"),
    (
        "robots: [{hook: env:C}]",
        "robots: [{hook: env:C}], base_url: 'http://x.cn'",
        "5:",
        "plain http would show the key",
    ),
    ("robots: [{hook: env:C}]", "robots: [{hook: env:C}], burst: 5", "5:", "is not a rate"),
    ("robots: [{hook: env:C}]", "keys: [env:C]", "5:", "unknown key `keys`"),
    ("kind: feishu_robot", "kind: feishu_bot", "5:", "there is no kind `feishu_bot`; did you mean `feishu_robot`?"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "wanted"), CONFIGURATIONS)
def test_check_refuses_a_bad_robot_with_its_line(
    tmp_path: Path, right: str, wrong: str, line: str, wanted: str
) -> None:
    found = said(tmp_path, {}, PLANT.replace(right, wrong))
    assert any(one.startswith(line) and wanted in one for one in found), found


def test_card_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "channels" / "cards.md").read_text(encoding="utf-8")
    block = page.split("```yaml\n")[1].split("```")[0]
    name = block.split("\n")[0].removeprefix("# ")
    assert said(tmp_path, {name: block}) == []
    card = json.loads(rendered(block, name, code="E-104").text)
    assert card["main_title"] == {"title": "line-3/M-07 停机", "desc": "冲压机 7"}


@pytest.mark.parametrize("kinds", [*KINDS.values(), {"another card": wecom_app.REPLACED}])
def test_nothing_at_all_breaks_the_judge(kinds: dict[str, Structure]) -> None:
    for structure in kinds.values():
        for value in (None, [], {}, "x", 1, {"x": 1}, [[1]]):
            assert all(one.text for one in problems(structure.shape, value))
