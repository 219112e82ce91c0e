"""What one event can say: whatever it repeats, its notice takes no time to make; and it leads nobody astray."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest

from andon.core.markdown import split_markdown
from andon.core.text import split_bytes, split_numbered
from andon.egress import escape, mentions
from andon.egress.amount import MAX_CHARACTERS
from andon.egress.channels import dingtalk_robot
from andon.egress.channels.smtp import Smtp
from andon.egress.look import Look
from andon.egress.masks import masker
from andon.egress.render import Renderer
from andon.testing.builders import call, context, delivery, event

# Seconds of this thread. Each of these takes less than one; a step that was quadratic took from six to forty.
BOUND = 3.0
BLANKS = (" ", "\t", "\n", "\n ", "\r", "\u3000")
LEFT_IN_MARKDOWN = ("[", "![", "_a", "- ", "-\n", "\\", "&amp;", "=\n", "http://", "[a]\n", "x\n")
UNDERLINES = ("_", "a_", "_ ", "_ _", "=", "= ", "-", "- - x", "-\t", "+ ", "1. ", "1", "+ -", "\n- ", "\\ ")
MARKUP = ("[](", "[a](", "--|", "|", "-|", "a|\n", "|-:", "\n>", "#", "<at ", "<font ", "* ", "**a ", "~~", "`", "``a`")
SIGNS = (".", "!", '."', "?)", "。”", ":", "@al", "1 ", "138-", "e\u0301", "🇨", "👩\u200d", "汉")
REPEATED = (*BLANKS, *LEFT_IN_MARKDOWN, *MARKUP, *SIGNS)
ALONE = (("", "x"),)
IN_LINES = (*ALONE, ("a|\n", "|\n"), ("|a|\n|-", "-"))


def seconds(run: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    run(text)
    return time.thread_time() - began


def longest(one: str, around: tuple[str, str]) -> str:
    """The longest text a template renders, of one thing again and again."""
    before, after = around
    return before + (one * MAX_CHARACTERS)[: MAX_CHARACTERS - len(before) - len(after)] + after


def mail(text: str) -> EmailMessage:
    """The mail of a notice in markdown."""
    config = Smtp.Config.model_validate({"host": "mail.corp.cn", "from": "andon@corp.cn"})
    made = Smtp(config, context(cast("Any", None)))._mail(call(text, "markdown"), ["it@corp.cn"])
    return message_from_bytes(made, policy=default)


def html(text: str) -> str:
    return str(cast("EmailMessage", mail(text).get_body(("html",))).get_content())


def shown(template: str, **data: str) -> str:
    """What a template in markdown says of an event."""
    made = Renderer({"x.smtp.md.j2": template}).render(delivery(event(data=dict(data))), "smtp", Look("x"))
    return made.content.text


def in_parts(text: str) -> None:
    split_numbered(text, 2_048)
    split_bytes(text, 17_000, in_json=True)


def made_harmless(text: str) -> None:
    escape.sendable(escape.plain(text))
    escape.markdown(text)
    masker(("phone", "id_card", "bank_card"))(text)
    mentions.never_everybody(text)


@pytest.mark.parametrize(
    ("step", "repeated", "around"),
    [
        (made_harmless, (*REPEATED, *UNDERLINES), ALONE),
        (in_parts, REPEATED, ALONE),
        (lambda text: split_markdown(text, 4_096), REPEATED, IN_LINES),
        (dingtalk_robot._title, REPEATED, ALONE),
        (lambda text: mail(escape.markdown(text)), LEFT_IN_MARKDOWN[:4], ALONE),
    ],
    ids=["harmless", "parts", "markdown", "title", "mail"],
)
def test_no_text_of_one_thing_again_and_again_takes_long(
    step: Callable[[str], object], repeated: tuple[str, ...], around: tuple[tuple[str, str], ...]
) -> None:
    texts = [longest(one, each) for one in repeated for each in around]
    slow = {text[:20]: taken for text in texts if (taken := seconds(step, text)) > BOUND}
    assert slow == {}


def test_values_build_no_table_in_a_mail() -> None:
    rows = "|".join("a" * 60) + "\n" + "|".join("-" * 60) + "\n" + "x\n" * 3_000
    made = html(shown("{{ data.v }}", v=rows))
    assert "<table" not in made
    assert len(made) < 10 * len(rows)


def test_a_template_builds_a_table_in_a_mail_and_a_value_keeps_to_its_cell() -> None:
    made = html(shown("|甲|乙|\n|-|-|\n|{{ data.v }}|{{ data.w }}|\n", v="1|2", w="3"))
    assert re.findall("<td>(.*?)</td>", made) == ["1｜2", "3"]


def test_a_title_for_dingtalk_is_that_of_the_first_line_however_long_the_line_is() -> None:
    assert dingtalk_robot._title("## **停机** [单](http://x) " + "冲压机" * 30_000) == ("停机 单 " + "冲压机" * 30)[:60]


# ---- links that say one thing and lead to another


@pytest.mark.parametrize(
    "value",
    [
        "<a href='http://evil.example'>log in</a>",
        '<A\nHREF="http://evil.example">x</A>',
        "<a/href=//evil.example>x</a >",
    ],
)
def test_a_text_shows_no_link_of_a_value(value: str) -> None:
    made = escape.plain(value)
    assert made == value.replace("<", "＜")
    assert re.search("<", made) is None


def test_what_is_no_link_is_left_as_it_is_in_a_text() -> None:
    value = "t<3 a<b <b>5</b> x <- y <https://mes.corp> <abc> A > B"
    assert escape.plain(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "[Click]\n\n[Click]: http://evil.example",
        "[Click][]\n\n  [Click]: <http://evil.example>",
        "[Click]\n\n   [click]:\nhttp://evil.example 'now'",
        "[Click]\n\n- [Click]: http://evil.example",
        "[Click]\r\r[Click]: http://evil.example",
        "[Click](http://evil.example)",
        "[a\\]: [Click](http://evil.example)",
        "<http://evil.example>",
        "![Click](http://evil.example)",
    ],
)
def test_a_mail_shows_no_link_of_a_value(value: str) -> None:
    assert "<a " in html("[here](http://mes.corp)")
    for template in ("{{ data.v }}", "> {{ data.v }}", "- {{ data.v }}\n", "x\n\n{{ data.v }}\n\ny"):
        assert "<a " not in html(shown(template, v=value))


def test_values_and_what_a_template_puts_between_them_are_no_link() -> None:
    for template in (
        "{{ data.a }}: {{ data.b }}\n\n{{ data.a }}",
        "{{ data.a }}({{ data.b }})",
        "{{ data.a }}[{{ data.a }}]",
    ):
        assert "<a " not in html(shown(template, a="[Click]", b="http://evil.example"))


def test_a_definition_of_the_template_leads_where_it_says() -> None:
    made = html(shown("[MES] {{ data.v }}\n\n[MES]: http://mes.corp", v="[MES]: http://evil.example"))
    assert re.findall('href="(.*?)"', made) == ["http://mes.corp"]


def test_a_line_that_ends_with_a_carriage_return_begins_no_markup() -> None:
    made = html(shown("{{ data.v }}", v="a\r# head\r> quote\r---"))
    assert not re.search("<h1|<h2|<blockquote|<hr", made)


PLACES = ("{{ data.v }}", "> {{ data.v }}", "- {{ data.v }}\n", "x\n\n{{ data.v }}\n\ny", "x\n{{ data.v }}\n")
EMPHASIS = (
    "order __OK__ _x_\n\nRELEASED BY QA\n===\n\n___",
    "RELEASED\n=",
    "RELEASED\n  = \t\nx",
    "RELEASED\n-",
    "RELEASED\n-- \nx",
    "x\r_ _ _\r- - -\r=\r",
    "a\n\n- - -\n\n_\t_ _\n",
    "- # RELEASED\n- > x\n\n+ 1. # x\n\n1) - - -\n\n- ___",
    "a_b__ _c_d",
    "汉_b_。_b_",
    "x/_b_ ?_b_ =__b__ a&_b/_ #_b_, x/_b=_\ny/_b_",
    "(_b_) !_b_! ,__b__, :_b:_ ._b_. ;_b;_ ~_b_~ +_b+_ $_b_ %_b_ @_b_ '_b_' -_b-_ (_b)_ -_b_-",
)


@pytest.mark.parametrize("value", EMPHASIS)
def test_a_mail_shows_no_emphasis_heading_or_rule_of_a_value(value: str) -> None:
    for template in PLACES:
        assert not re.search("<(?:em|strong|h[1-6]|hr)", html(shown(template, v=value)))
        assert html(shown(template, v=value)).count("<blockquote") == template.startswith(">")


def test_what_is_no_emphasis_is_left_as_it_is_in_markdown() -> None:
    value = "M8_A-1 a__b snake_case_名字_1 x=1 == 2\n= 3 -1 - 2\n- one\n-2 °C\n--host a-b C:\\x"
    assert escape.markdown(value) == value
    assert [escape.markdown(one) for one in "-="] == ["-", "="]


@pytest.mark.parametrize(
    "link",
    [
        "https://kibana.corp/app/discover#/?_g=(time:(from:now-1h))&_a=(columns:!(_source),x:_y,_z)",
        "https://es.corp/_cat/x?q=_id#_top",
        "https://mes.corp/~_it/.-_x;_y+_z$_a@_b!_c'_d%20_e?token=eyJ._x-_y",
    ],
)
def test_an_address_leads_where_it_says(link: str) -> None:
    assert escape.markdown(link) == link


def test_a_value_that_ends_with_a_backslash_leaves_the_templates_next_sign_alone() -> None:
    for value in ("C:\\", "C:\\\\", "\\"):
        made = html(shown("**{{ data.v }}** `x` {{ data.v }}[MES](http://mes.corp)", v=value))
        assert re.findall("<(strong|code|a) ?", made) == ["strong", "code", "a"]


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_a_value_between_signs_of_the_template_calls_nobody(kind: str) -> None:
    harmless = {"text": escape.plain, "markdown": escape.markdown}[kind]
    assert "<@" not in f"<{harmless('@zhangsan')}>"
    assert "<@" not in f"{harmless('a<')}{harmless('@lisi>')}"
    assert harmless("a@b.cn and 5 < 6") == "a@b.cn and 5 < 6"


@pytest.mark.parametrize("who", ["all", "ALL", " all", 'all" x="', "all/", "all x"])
@pytest.mark.parametrize(
    "template",
    [
        "<@{{ data.v }}>",
        "{% if data.v %}<@{% endif %}{{ data.v | default('x') }}>",
        "<at id={{ data.v | md }}></at>",
        '<at user_id="{{ data.v if data.v else data.w }}"></at>',
        "<at id={{ data.v | tojson }}></at>",
        "<at id={{ data.w }}{{ data.v }}></at>",
        "<@{{ data.v if data.v else 'wang' | raw }}>",
        '<at id={% if data.v %}"{{ data.v }}"{% endif %}></at>',
        "<at ids=wang,{{ data.w }},{{ data.v }}></at>",
        "<at ids={{ ['wang', data.v] | join(',') }}></at>",
        "<at email={{ data.v }}></at>",
    ],
)
def test_who_is_named_by_a_value_is_never_everybody(template: str, who: str) -> None:
    assert not re.search(r"(?i)\ball\b", shown(template, v=who, w=""))


def test_who_is_named_by_a_value_is_called_and_so_is_everybody_where_the_template_says_it() -> None:
    assert shown("<@{{ data.v }}> @{{ data.v }}", v="wang") == "<@wang> @wang"
    assert shown("it@{{ data.v }} all: {{ data.w }}", v="all.corp", w="all") == "it@all.corp all: all"
    assert shown("<@{{ 'all' | raw }}> <@{% if data.v %}all{% endif %}>", v="x") == "<@all> <@all>"
    assert shown("<@{{ data.v if data.v else 'all' | raw }}>", v="") == "<@all>"


def test_what_is_no_mention_may_say_all() -> None:
    link = "[MES](https://mes.corp/orders?id={{ data.v }}) id = {{ data.v }} <at id=wang></at> id={{ data.v }}"
    assert shown(link, v="all") == link.replace("{{ data.v }}", "all")
