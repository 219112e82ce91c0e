"""`andon check` names what is wrong with a card of a WeCom application, by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from andon.cli.commands.check import checked
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.cards.wecom_app import APP
from andon.egress.look import Look
from andon.egress.parts import repeated
from andon.egress.render import Renderer
from andon.egress.words import words_of
from andon.testing.builders import delivery, event

REPEAT = words_of("zh").repeat
PLANT = """\
version: 1
channels: {app: {kind: wecom_app, corp_id: env:A, agent_id: 1, secret: env:B}}
receivers:
  people: {channel: app, to: [wang], template: fault}
  chat: {channel: app, to: ["chat:shift-3"], template: other}
route: {receiver: people}
"""
BUTTONS = """\
card_type: button_interaction
source: {desc: 安灯, desc_color: 2}
main_title: {title: "{{ event.subject }}"}
button_list:
  - {text: 接手, style: 1, key: take}
  - {text: 看板, type: 1, url: "https://mes.corp/1"}
button_selection: {question_key: why, option_list: [{id: "1", text: 模具}, {id: "2", text: 电气}]}
"""
VOTE = """\
card_type: vote_interaction
main_title: {title: 原因}
checkbox:
  question_key: why
  option_list:
    - {id: "1", text: 模具, is_checked: true}
    - {id: "2", text: 电气, is_checked: false}
submit_button: {text: 提交, key: sent}
"""
MULTIPLE = """\
card_type: multiple_interaction
main_title: {title: 原因}
select_list:
  - {question_key: why, option_list: [{id: "1", text: 模具}]}
submit_button: {text: 提交, key: sent}
"""
NEWS = """\
card_type: news_notice
main_title: {title: 停机}
card_image: {url: "https://mes.corp/1.png", aspect_ratio: 2.25}
action_menu: {action_list: [{text: 静音, key: mute}]}
card_action: {type: 1, url: "https://mes.corp/1"}
"""
MINIPROGRAM = """\
appid: wx1
title: "{{ event.subject }}"
page: "pages/fault?id={{ event.id | urlencode }}"
content_item: [{key: 代码, value: "{{ data.code }}"}]
"""
CARD = 'title: 停机\ndescription: "{{ data.code }}"\nurl: "https://mes.corp/1"\n'


def said(tmp_path: Path, files: dict[str, str], plant: str = PLANT) -> list[str]:
    (tmp_path / "andon.yaml").write_text(plant, encoding="utf-8")
    (tmp_path / "templates").mkdir(exist_ok=True)
    for name, text in {"fault.j2": "x", "other.j2": "x", **files}.items():
        (tmp_path / "templates" / name).write_text(text, encoding="utf-8")
    return [f"{one.line}: {one.text.removeprefix('template ')}" for one in checked(tmp_path).mistakes]


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("template_card", BUTTONS, ""),
        ("template_card", VOTE, ""),
        ("template_card", MULTIPLE, ""),
        ("template_card", NEWS, ""),
        ("textcard", CARD, ""),
        ("template_card", BUTTONS.replace("key: take", "kye: take"), "line 5: unknown key `kye`; did you mean `key`?"),
        ("template_card", BUTTONS.replace(", key: take", ""), "line 5: `key` is missing: a button of `type: 0`"),
        ("template_card", BUTTONS.replace("https", "mailto"), "line 6: `button_list[1].url` must be an address"),
        ("template_card", BUTTONS.replace(', url: "https://mes.corp/1"', ""), "line 6: `url` is missing: a button"),
        ("template_card", BUTTONS.replace("style: 1", "style: 5"), "line 5: `button_list[0].style` must be 1, 2, 3, 4"),
        (
            "template_card",
            BUTTONS.replace("key: take", f"key: {'k' * 1_025}"),
            "line 5: `button_list[0].key` has 1,025",
        ),
        ("template_card", BUTTONS.replace("type: 1", "key: take"), "line 6: `button_list[1].key` stands twice"),
        ("template_card", BUTTONS.replace('id: "2"', 'id: "1"'), "`button_selection.option_list[1].id` stands twice"),
        ("template_card", BUTTONS.replace("main_title", "main_tile"), "line 1: `main_title` is missing"),
        ("template_card", BUTTONS + "task_id: mine\n", "line 8: unknown key `task_id`"),
        ("template_card", BUTTONS + "jump_list: [{title: x}]\n", "line 8: unknown key `jump_list`"),
        ("template_card", BUTTONS.replace("button_inter", "button_intre"), "line 1: `card_type` is not known; did you"),
        ("template_card", VOTE.replace(", is_checked: true", ""), "line 6: `is_checked` is missing"),
        ("template_card", VOTE.replace("true", '"yes"'), "line 6: `checkbox.option_list[0].is_checked` must be true"),
        ("template_card", VOTE.replace("key: sent", "text: x"), "line 8: "),
        ("template_card", VOTE.replace("  question_key: why\n", ""), "line 3: `question_key` is missing"),
        ("template_card", MULTIPLE.replace("select_list:", "select_list: &a"), ""),
        ("template_card", MULTIPLE.replace("- {q", "- &a {q").replace("submit", "  - *a\nsubmit"), "stands twice"),
        (
            "template_card",
            NEWS.replace("2.25", "2.5"),
            "line 3: `card_image.aspect_ratio` must be a number from 1.3 to",
        ),
        ("template_card", NEWS.replace("card_image", "image"), "`card_image` or `image_text_area` is missing"),
        ("template_card", NEWS.replace("type: 1", "type: 0"), "line 5: `card_action.type` must be 1, 2"),
        ("textcard", CARD.replace("停机", "停" * 129), "line 1: `title` has 129 characters, the vendor takes 128"),
        ("textcard", CARD.replace('"{{ data.code }}"', "x" * 513), "line 2: `description` has 513 characters"),
        ("textcard", CARD.replace("corp/1", "corp/" + "x" * 2_048), "line 3: `url` has 2,065 bytes"),
        ("textcard", CARD + "btntxt: 查看更多详\n", "line 4: `btntxt` has 5 characters, the vendor takes 4"),
        ("textcard", CARD.replace("description", "desc"), "line 1: `description` is missing"),
        ("news", "articles: [{title: x}]", "line 1: `url`, or `appid` and `pagepath`, is missing"),
        ("news", "articles: [{title: x, appid: wx1}]", "line 1: `appid` stands alone"),
        ("news", "articles: [{title: x, appid: wx1, pagepath: p}]", ""),
        ("news", "articles: [" + '{title: x, url: "https://x.cn"}, ' * 9 + "]", "line 1: `articles` takes at most 8"),
        ("news", f'articles: [{{title: "{"汉" * 43}", url: "https://x.cn"}}]', "`articles[0].title` has 129 bytes"),
        ("miniprogram_notice", MINIPROGRAM, ""),
        ("miniprogram_notice", MINIPROGRAM + "url: x\n", "line 5: unknown key `url`"),
        ("miniprogram_notice", MINIPROGRAM.replace("appid", "appId"), "line 1: `appid` is missing"),
        ("miniprogram_notice", "appid: wx1\ntitle: 停机\n", "line 2: `title` has 2 characters, the vendor"),
        ("miniprogram_notice", "appid: wx1\ntitle: " + "停" * 13, "line 2: `title` has 13 characters, the"),
        ("mpnews", "articles: []", "line 1: `wecom_app` has no structured kind `mpnews`; it has `file`, `image`"),
        ("video", "file: a.mp4\ntitel: x", "line 2: unknown key `titel`; did you mean `title`?"),
    ],
)
def test_a_field_is_named_with_its_line(tmp_path: Path, kind: str, text: str, wanted: str) -> None:
    found = said(tmp_path, {f"fault.wecom_app.{kind}.yaml": text})
    if not wanted:
        assert found == []
        return
    assert any(f"fault.wecom_app.{kind}.yaml " in one and wanted in one for one in found), found


def test_the_files_a_card_names_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "good.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (tmp_path / "text.mp4").write_bytes(b"no picture that moves")
    (tmp_path / "small.amr").write_bytes(b"#!AMR")
    assert said(tmp_path, {"fault.wecom_app.video.yaml": "file: good.mp4"}) == []
    for kind, file, wanted in (
        ("video", "text.mp4", "`text.mp4` is no video in MP4"),
        ("voice", "small.amr", "`small.amr` has 5 bytes; the vendor takes 6 to 2,097,152"),
        ("file", "gone.pdf", "`gone.pdf` cannot be read"),
    ):
        (tmp_path / "templates" / "fault.wecom_app.video.yaml").unlink(missing_ok=True)
        name = f"fault.wecom_app.{kind}.yaml"
        assert any(wanted in one for one in said(tmp_path, {name: f"file: {file}"}))
        (tmp_path / "templates" / name).unlink()


@pytest.mark.parametrize("template", ["other", "digest"])
def test_a_card_that_a_chat_does_not_take_is_named_at_its_receiver(tmp_path: Path, template: str) -> None:
    (found,) = said(tmp_path, {f"{template}.wecom_app.template_card.yaml": VOTE})
    assert found.startswith(f"5: {template}.wecom_app.template_card.yaml: a group chat takes no template_card")
    assert said(tmp_path, {"fault.wecom_app.template_card.yaml": VOTE}, PLANT.replace("chat:shift-3", "li")) == []


def test_card_of_the_documentation_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "channels" / "wecom_app.md").read_text(encoding="utf-8")
    block = page.split("```yaml\n")[2].split("```")[0]
    assert said(tmp_path, {block.split("\n")[0].removeprefix("# "): block}) == []


def test_people_and_chats_are_not_mixed(tmp_path: Path) -> None:
    (found,) = said(tmp_path, {}, PLANT.replace('"chat:shift-3"', 'li, "chat:shift-3"'))
    assert found.startswith("5: a chat is reached in another way than people")


def rendered(kind: str, text: str, **data: Any) -> Any:
    name = f"fault.wecom_app.{kind}.yaml"
    renderer = Renderer({name: text}, "【缺】", {"wecom_app": APP})
    return json.loads(renderer.render(delivery(event(data=data)), "wecom_app", Look("fault")).content.text)


def test_no_value_becomes_html_in_a_description() -> None:
    card = rendered("textcard", CARD, code='<a href="http://evil">x</a>')
    assert "<a" not in card["description"]


def test_what_is_too_long_when_rendered_is_parked() -> None:
    assert len(rendered("textcard", CARD, code="汉" * 512)["description"]) == 512
    with pytest.raises(Rejected) as caught:
        rendered("textcard", CARD, code="汉" * 513)
    assert caught.value.reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    ("kind", "value", "way"),
    [
        ("textcard", {"title": "x", "description": "y", "url": "https://x.cn"}, ("title",)),
        ("template_card", {"card_type": "vote_interaction", "main_title": {"title": "x"}}, ("main_title", "title")),
        ("video", {"file": "a.mp4", "title": "x"}, ("title",)),
    ],
)
def test_mark_of_a_repeat_stands_where_people_look(kind: str, value: dict[str, Any], way: tuple[str, ...]) -> None:
    if kind == "template_card":
        options = [{"id": "1", "text": "y", "is_checked": True}]
        value |= {"checkbox": {"question_key": "q", "option_list": options}, "submit_button": {"text": "z", "key": "k"}}
    (content,) = repeated(Content(kind, json.dumps(value)), APP, REPEAT)
    shown: Any = json.loads(content.text)
    for step in way:
        shown = shown[step]
    assert shown == REPEAT + "x"


def test_mark_goes_before_a_video_without_words() -> None:
    whole = Content("video", '{"file":"a.mp4"}')
    assert repeated(whole, APP, REPEAT) == (Content("text", REPEAT), whole)
