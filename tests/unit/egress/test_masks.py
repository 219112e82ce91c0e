"""Numbers of persons, hidden; everything else, left as it is."""

from __future__ import annotations

import json
from time import process_time
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.config.receivers import MaskKind
from andon.egress.look import Look
from andon.egress.masks import masker, named
from andon.egress.render import Renderer
from andon.testing.builders import delivery, event
from tests.unit.egress.test_render import MARK

ALL = get_args(MaskKind)
mask = masker(ALL)

# 11010519491231002X is the example of GB 11643-1999; the cards are the test numbers that card networks publish.
HIDDEN = {
    "13812345678": "138****5678",
    "电话13812345678。": "电话138****5678。",
    "+86 138 1234 5678": "+86 138 **** 5678",
    "138-1234-5678": "138-****-5678",
    "008613812345678": "0086138****5678",
    "11010519491231002X": "110***********002X",
    "身份证：11010519491231002x": "身份证：110***********002x",
    "6222021234567890128": "***************0128",
    "4111 1111 1111 1111": "**** **** **** 1111",
    "8613812345678": "86138****5678",
    "86 138 1234 5678": "86 138 **** 5678",
    "138.1234.5678": "138.****.5678",
    "138\u00a01234\u00a05678": "138\u00a0****\u00a05678",
    "138\u30001234\u30005678": "138\u3000****\u30005678",
    "１３８１２３４５６７８": "１３８****５６７８",
    "１１０１０５１９４９１２３１００２Ｘ": "１１０***********００２Ｘ",
    "110105 19491231 002X": "110*** ******** 002X",
    "110105-19491231-002X": "110***-********-002X",
}
BESIDE = {
    "张三 13812345678 2026-11-27 14:03": "张三 138****5678 2026-11-27 14:03",
    "2026-11-27 13812345678": "2026-11-27 138****5678",
    "工号 12345 13812345678": "工号 12345 138****5678",
    "13812345678 10086": "138****5678 10086",
    "13812345678-80011": "138****5678-80011",
    "13812345678 13912345678": "138****5678 139****5678",
    "138-1234-5678 139-1234-5678": "138-****-5678 139-****-5678",
    "13812345678 4111 1111 1111 1111": "138****5678 **** **** **** 1111",
    "7 4111111111111111": "7 ************1111",
    "2026 110105 19491231 002X 7": "2026 110*** ******** 002X 7",
    "11010519491231002X 13812345678": "110***********002X 138****5678",
}
LEFT = [
    "12812345678",  # no mobile number begins so
    "138123456789",
    "A13812345678",
    "11010519491231002",
    "110105194912310021",  # the last digit is wrong, and it is no card either
    "4111111111111112",
    "1764115200000",  # milliseconds since 1970
    "2026-11-26 08:00:00",
    "line-3/M-07 E-217",
    "20 21 22 23 24 25 26 27 28 29 30 31 32 33",
    "15000000.125",
    "138.12.34.5678",
    "",
]


@pytest.mark.parametrize(("text", "shown"), HIDDEN.items())
def test_a_number_of_a_person_keeps_its_ends(text: str, shown: str) -> None:
    assert mask(text) == shown
    assert mask(f"甲 {text} 乙") == f"甲 {shown} 乙"


@pytest.mark.parametrize(("text", "shown"), BESIDE.items())
def test_a_number_of_a_person_is_hidden_whatever_number_stands_beside_it(text: str, shown: str) -> None:
    assert mask(text) == shown


def test_what_is_a_phone_is_hidden_though_only_part_of_it_could_be_a_card() -> None:
    """123456789 138-1232 is right by Luhn's rule."""
    shown = mask("123456789 138-1232-5678")
    assert "1232" not in shown


def test_a_long_row_of_digits_takes_no_longer_than_its_length_asks() -> None:
    short, long = "1 3812345678-9.0 " * 500, "1 3812345678-9.0 " * 5_000

    def took(text: str) -> float:
        began = process_time()
        mask(text)
        return process_time() - began

    assert min(took(long) for _ in range(3)) < 30 * min(took(short) for _ in range(3))


@pytest.mark.parametrize("text", LEFT)
def test_any_other_text_is_left_alone(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("kind", ALL)
def test_only_what_is_asked_for_is_hidden(kind: Any) -> None:
    samples = {"phone": "13812345678", "id_card": "11010519491231002X", "bank_card": "4111111111111111"}
    only = masker((kind,))
    assert {name for name, text in samples.items() if only(text) != text} == {kind}
    assert masker(())(samples[kind]) == samples[kind]


@given(st.text(max_size=60) | st.text("0123456789 -+Xx", max_size=60))
def test_nothing_but_digits_is_ever_hidden(text: str) -> None:
    shown = mask(text)
    assert len(shown) == len(text)
    assert all(a == b or (b == "*" and (a.isdigit() or a in "Xx")) for a, b in zip(text, shown, strict=True))


def shown_by(source: str, name: str = "fault.j2", **of: Any) -> str:
    renderer = Renderer({name: source}, MARK, mask=ALL)
    return renderer.render(delivery(event(**of)), "wecom_robot", Look("fault")).content.text


def test_a_template_shows_them_hidden_wherever_they_stand() -> None:
    data = {"text": "请拨 13812345678", "number": 13812345678, "list": ["13812345678"], "name": "欧阳娜娜"}
    assert shown_by("{{ data.text }}|{{ data.number }}", data=data) == "请拨 138****5678|138****5678"
    assert shown_by("{{ data.list }}", data=data) == '["138****5678"]'
    assert shown_by("{{ data.text }}", "fault.md.j2", data=data) == "请拨 138＊＊＊＊5678"
    assert shown_by("{{ data.text | md }}", data=data) == "请拨 138＊＊＊＊5678"
    assert shown_by("{{ data.name | mask }} {{ data.no | mask }}", data=data) == f"欧*** {MARK}"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ data.lines }}", r'["张三\n138****5678"]'),
        ("{{ data.map }}", r'{"a": {"k\t138****5678": "138****5678"}}'),
        ("{{ data.map | md }}", r'{"a": {"k\t138＊＊＊＊5678": "138＊＊＊＊5678"}}'),
        ("{{ data.lines | md }}", r'["张三\n138＊＊＊＊5678"］'),
        ("{{ data.number | md }}", "138＊＊＊＊5678"),
        (
            "{{ data.text | truncate(10, leeway=0) }}|{{ data.text | truncate(9, true, '', 0) }}",
            "张三138**...|张三138****",
        ),
        ("{{ data.number | truncate(9, true, '') }}", "138****5678"),
        ("{{ data.text | wordwrap(5) }}", "张三138\n****5\n678"),
        ("{{ data.abroad | urlencode }}", "%2B86138%2A%2A%2A%2A5678"),
        ("{{ {'p': data.abroad} | urlencode }}", "p=%2B86138%2A%2A%2A%2A5678"),
        ("{{ {'p': data.abroad} | items | urlencode }}", "p=%2B86138%2A%2A%2A%2A5678"),
        ("{{ data.lines | pprint }}", r"['张三\n138****5678']"),
        ("{{ data.html | striptags }}", "138****5678a"),
        ("{{ data.url | urlize(15) }}", "http://x/138****5678"),
        ("{{ event.data.map }}", r'{"a": {"k\t138****5678": "138****5678"}}'),
        ("{{ data.lines | map('truncate', 9, true, '', 0) | join }}", "张三\n138***"),
        ("{{ data.long | truncate(10, true, '') }}", "138****567"),
    ],
)
def test_what_cuts_or_rewrites_a_text_sees_them_hidden(source: str, shown: str) -> None:
    data = {
        "lines": ["张三\n13812345678"],
        "map": {"a": {"k\t13812345678": 13812345678}},
        "text": "张三13812345678",
        "number": 13812345678,
        "abroad": "+8613812345678",
        "html": "13812345678<b>a</b>",
        "url": "http://x/13812345678",
        "long": "13812345678 " * 50_000,
    }
    assert shown_by(source, data=data) == shown


def test_what_is_shown_of_a_long_text_is_hidden_as_in_the_whole() -> None:
    renderer = Renderer({"x.j2": "{{ data.v | truncate(data.n, true, '', 0) }}"}, MARK, mask=ALL)
    for number in (*HIDDEN, *BESIDE):
        text = f"甲 {number} 乙 {number} 1 2"
        for length in range(1, 40):
            of = delivery(event(data={"v": text, "n": length}))
            assert renderer.render(of, "k", Look("x")).content.text == mask(text)[:length].strip()


def test_an_event_shown_whole_hides_them_and_keeps_its_fields() -> None:
    for source in ("{{ event }}", "{{ event | tojson }}", "{{ event | md }}"):
        assert "13812345678" not in shown_by(source, data={"a": "\n13812345678"})
    assert json.loads(shown_by("{{ [event] }}", data={"a": "\n13812345678"}))[0]["data"] == {"a": "\n138****5678"}


def test_thousands_of_keys_that_show_alike_take_no_time() -> None:
    data = {f"138{number:04}5678": 1 for number in range(3_000)}
    began = process_time()
    assert "138****5678" in shown_by("{{ data | truncate(40) }}", data=data)
    assert process_time() - began < 1


def test_raw_first_is_for_what_a_filter_shall_see_whole() -> None:
    data = {"n": "13912345678"}
    source = "{{ data.n | raw | urlencode | raw }} {{ data.n | raw | truncate(20) }}"
    assert shown_by(source, data=data) == "13912345678 13912345678"


def test_what_the_template_says_itself_and_what_is_raw_is_shown() -> None:
    assert shown_by("值班 13812345678 {{ data.n | raw }}", data={"n": "13912345678"}) == "值班 13812345678 13912345678"


def test_json_stays_json_and_shows_them_hidden_as_well() -> None:
    data = {
        "order": 13812345678,
        "text": '电话13812345678 "x"',
        "list": [{"13812345678": "13812345678", "13899995678": 2}, 1.5, None, True, 7],
        "at": "@all <b> 'x'",
    }
    assert json.loads(shown_by("{{ data.order | tojson }}", data=data)) == "138****5678"
    assert json.loads(shown_by("{{ data | tojson }}", data=data)) == {
        "order": "138****5678",
        "text": '电话138****5678 "x"',
        "list": [{"138****5678": "138****5678", "138****5678*": 2}, 1.5, None, True, 7],
        "at": "＠all <b> 'x'",
    }
    assert shown_by("{{ data.list | tojson(2) }}", data={"list": [1]}) == "[\n  1\n]"


def test_json_without_masks_is_what_it_was() -> None:
    data = {"order": 13812345678, "text": "<b> & @all", "list": [1]}
    found = Renderer({"fault.j2": "{{ data | tojson }}"}, MARK).render(
        delivery(event(data=data)), "webhook", Look("fault")
    )
    assert found.content.text == '{"list": [1], "order": 13812345678, "text": "\\u003cb\\u003e \\u0026 ＠all"}'


def test_a_name() -> None:
    assert [named(name) for name in ("张三", "张", "", "Muhammad Ali Khan")] == ["张*", "张", "", "M********"]
