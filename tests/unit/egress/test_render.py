"""What people read: missing fields, kinds, digests, repeats, hostile values and hostile templates."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from andon.config.settings import Settings
from andon.config.templates import candidates
from andon.core.digest import Digest, merged
from andon.core.failure import Rejected
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.amount import MAX_CHARACTERS
from andon.egress.look import Look
from andon.egress.parts import repeated
from andon.egress.render import Rendered, Renderer, check
from andon.testing.builders import delivery, event

MARK = "【缺】"
REPEAT = "【可能重复】"


def rendered(
    source: str, *, md: bool = False, digest: Digest | None = None, repeat: bool = False, **of: Any
) -> Rendered:
    name = "fault.md.j2" if md else "fault.j2"
    renderer = Renderer({name: source}, MARK)
    found = renderer.render(delivery(event(**of)), "wecom_robot", Look("fault"), digest, repeat)
    return Rendered(repeated(found.content, {}, REPEAT)[0], found.file, found.missing) if repeat else found


def text(source: str, **options: Any) -> str:
    return rendered(source, **options).content.text


def refusal(source: str, **options: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        rendered(source, **options)
    return caught.value


def test_every_variable_of_the_context() -> None:
    source = "{{ event.id }} {{ labels.line }} {{ facts.machine.name }} {{ data.code }}"
    assert text(source) == "e-1 L3 冲压机 7 E-104"
    assert text("{{ receiver }} {{ delivery }} {{ repeat }} {{ digest }}") == f"l3-group {delivery().id} false {MARK}"


@pytest.mark.parametrize("never", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+08:00"])
def test_a_time_that_stands_for_never_is_shown_as_it_is(never: str) -> None:
    """ERP systems say `valid to` so, and .NET its first moment; on clocks east of Greenwich they are in no year."""
    renderer = Renderer({"fault.j2": "{{ data.till | at }} {{ data.till | date }}"}, MARK)
    found = renderer.render(delivery(event(data={"till": never})), "wecom_robot", Look("fault"))
    assert found.content.text == f"{never} {never}"


def test_a_filter_that_asserts_is_told_as_a_template_that_failed() -> None:
    refused = refusal("甲\n{{ data.code | truncate(2) }}")
    assert refused.reason is Reason.TEMPLATE_BROKEN
    assert refused.detail == "fault.j2 line 2: expected length >= 3, got 2"


# Which file is used, and as what


@pytest.mark.parametrize(
    ("files", "content"),
    [
        ({"fault.j2": "a", "fault.wecom_robot.j2": "b"}, Content("text", "b")),
        ({"fault.j2": "a", "fault.feishu.j2": "b"}, Content("text", "a")),
        ({"fault.j2": "a", "fault.md.j2": "b"}, Content("markdown", "b")),
        ({"fault.md.j2": "a", "fault.wecom_robot.j2": "b"}, Content("text", "b")),
        ({"fault.wecom_robot.j2": "a", "fault.wecom_robot.md.j2": "b"}, Content("markdown", "b")),
        ({"fault.txt.j2": "a"}, Content("text", "a")),
        ({"plain.j2": "mine"}, Content("text", "mine")),
    ],
)
def test_the_best_name_decides_file_and_kind(files: dict[str, str], content: Content) -> None:
    renderer = Renderer(files, MARK)
    assert renderer.render(delivery(), "wecom_robot", Look("fault")).content == content


def test_candidates_are_the_names_a_check_may_accept() -> None:
    assert candidates("fault", "smtp")[3:5] == ("fault.smtp.j2", "fault.md.j2")


def test_built_in_plain_shows_everything_a_reader_needs() -> None:
    found = Renderer({}, MARK).render(delivery(), "wecom_robot", Look("plain"))
    assert found.content.text.splitlines() == [
        "【critical】mes.fault.raised line-3/M-07",
        "时间：2026-11-22 14:03:05",
        "code：E-104",
        "temperature：91.5",
    ]
    assert found.missing == 0


def test_built_in_plain_says_that_a_fault_is_over() -> None:
    clear = delivery(event(labels={"state": "clear", "severity": "critical"}))
    assert Renderer({}, MARK).render(clear, "x", Look("plain")).content.text.startswith("【恢复】mes.fault")


# Missing fields


@pytest.mark.parametrize(
    "expression",
    [
        "data.nothing",
        "data.a.b.c",
        "facts.people.leader",
        "data['x'][0]",
        "data.nothing | upper",
        "data.nothing | at",
        "data.nothing * 2 + 1",
        "data.nothing | round(1)",
        "data.null",
        "data.keys",
        "nonsense",
        "data.null.b",
        "data['null']",
        "data.get('null')",
        "data.get('nothing')",
        "data.list[0]",
        "data.list | first",
        "data.map.x",
        "event.data.map.x + 1",
        "event.traceparent",
        "facts.m.x",
        "[data.map] | map(attribute='x') | first",
    ],
)
def test_missing_field_shows_the_mark_and_is_counted(expression: str) -> None:
    data = {"null": None, "list": [None, 1], "map": {"x": None}}
    found = rendered(f"x {{{{ {expression} }}}}", data=data, facts={"m": {"x": None}})
    assert found == Rendered(Content("text", f"x {MARK}"), "fault.j2", 1)


MISSING = pytest.mark.parametrize("name", ["data.null", "data.nothing"])
CALCULATIONS = (
    *(
        "x + 1",
        "1 - x",
        "'a' + x",
        "'a' * x",
        "x % 2",
        "2 // x",
        "-x",
        "+x",
        "[1] + x",
        "'%.1f' % x",
        "'%d-%d' % (1, x)",
    ),
    *(
        "'%s' % x",
        "'%.1f' | format(x)",
        "'{:.1f}'.format(x)",
        "x | int",
        "x | float",
        "x | abs",
        "x | round(1, 'floor')",
    ),
    *("x | round", "x | filesizeformat", "x | upper", "x | md", "x | mask", "x | raw", "x | join(', ')", "x | title"),
    *("x | truncate(3)", "x | wordwrap(3)", "x | urlencode", "x | indent", "x | replace('a', 'b')", "x | center(3)"),
    *("x | string", "x | trim", "x | at", "x | date", "x[0]", "x[:7]", "x.y.z()", "x | first", "x | max", "x | pprint"),
)


@MISSING
@pytest.mark.parametrize("calculation", CALCULATIONS)
def test_calculating_with_a_missing_field_gives_one_again(name: str, calculation: str) -> None:
    found = rendered(f"{{% set x = {name} %}}{{{{ {calculation} }}}}", data={"null": None})
    assert found.content.text.strip() == MARK
    assert found.missing == 1


@MISSING
def test_a_missing_field_in_conditions_and_loops(name: str) -> None:
    false = ("x", "x > 1", "x >= 1", "1 < x", "x == 'ok'", "x in ['ok']", "'a' in x", "x is defined", "x is number")
    true = ("x != 'ok'", "x not in ['ok']", "not x", "x is none", "x == none", "x is undefined")
    empty = (
        "{% for one in x %}a{% endfor %}{% for k, v in x | items %}a{% endfor %}{% for i in range(x) %}a{% endfor %}"
    )
    rest = (
        "{{ x | length }}{{ x | int(5) }}{{ x | float(default=1.5) }}{{ x | default('-') }}{{ (x + 1) | default('-') }}"
    )
    source = "".join(f"{{{{ 1 if {one} else 0 }}}}" for one in (*false, *true))
    found = rendered(f"{{% set x = {name} %}}{source}{empty}{rest}", data={"null": None})
    assert found == Rendered(Content("text", "000000000111111051.5--"), "fault.j2", 0)


def test_nulls_in_lists_and_maps_are_missing_and_json_keeps_them() -> None:
    data = {"list": [1, None, {"x": None}], "map": {"a": None, "b": 2}}
    source = "{% for one in data.list %}{{ one }},{% endfor %}"
    source += "{% for k, v in data.map.items() %}{{ k }}={{ v + 1 }},{% endfor %}"
    assert rendered(source, data=data) == Rendered(
        Content("text", f'1,{MARK},{{"x": null}},a={MARK},b=3,'), "fault.j2", 2
    )
    assert rendered("{{ data.list }}{{ data | tojson }}", data=data).content.text == (
        '[1, null, {"x": null}]{"list": [1, null, {"x": null}], "map": {"a": null, "b": 2}}'
    )
    assert text("{{ data.list | sum }} {{ '%(n)s' % data }}", data={"list": [1, None], "n": None}) == f"{MARK} {MARK}"


def test_what_is_no_json_shows_in_a_list_and_is_refused_by_tojson() -> None:
    assert text("{{ [event.time, digest] }}{% if digest %}{% endif %}") == '["2026-11-22 06:03:05+00:00", null]'
    assert json.loads(text("{{ digest.lines | tojson }}", digest=many(1, 1)))[0]["subject"] == "M-00"
    assert "not JSON serializable" in refusal("{{ range | tojson }}").detail


def test_a_null_deep_in_what_an_event_says_is_found() -> None:
    data: dict[str, Any] = {"v": None}
    for _ in range(5_000):
        data = {"x": data}
    assert text("fine {{ data.y }}", data=data) == f"fine {MARK}"


def test_a_missing_field_in_json_is_null_and_a_time_is_text() -> None:
    source = '{"a": {{ data.no | tojson }}, "b": {{ data.null | tojson }}, "c": {{ event.time | tojson }}}'
    found = rendered(source, data={"null": None})
    assert json.loads(found.content.text) == {"a": None, "b": None, "c": event().time.isoformat()}
    assert found.missing == 2


def test_missing_is_counted_anew_for_each_render() -> None:
    renderer = Renderer({"a.j2": "{{ data.x }}{{ data.y }}", "b.j2": "fine"}, MARK)
    assert [renderer.render(delivery(), "k", Look(name)).missing for name in ("a", "b", "a")] == [2, 0, 2]


def test_missing_field_in_a_condition_is_false_and_not_counted() -> None:
    source = "{% if data.no > 3 %}a{% elif data.no %}b{% elif 3 < data.no %}c{% else %}d{% endif %}{{ data.no or 'e' }}"
    assert rendered(source) == Rendered(Content("text", "de"), "fault.j2", 0)


def test_default_replaces_a_missing_field() -> None:
    assert rendered("{{ data.no | default('-') }}") == Rendered(Content("text", "-"), "fault.j2", 0)


def test_fields_named_like_methods_are_fields() -> None:
    data = {"items": [1, 2], "values": "v", "get": 0}
    assert text("{{ data.items[1] }} {{ data.values }} {{ data.get }}", data=data) == "2 v 0"
    assert text("{% for k, v in data.items() %}{{ k }}={{ v }};{% endfor %}", data={"a": 1}) == "a=1;"


# Values


def test_values_read_as_people_write_them() -> None:
    data = {"yes": True, "n": 3, "f": 0.5, "list": ["甲", 1], "map": {"k": "值"}}
    source = "{{ data.yes }} {{ data.n }} {{ data.f }} {{ data.list }} {{ data.map }} {{ event.time }}"
    assert text(source, data=data) == 'true 3 0.5 ["甲", 1] {"k": "值"} 2026-11-22 14:03:05'


def test_local_time() -> None:
    source = "{{ event.time | at('UTC') }} {{ data.t | at(format='%H:%M') }} {{ data.word | at }} {{ data.naive | at }}"
    data = {"t": "2026-11-22T23:30:00Z", "word": "soon", "naive": "2026-11-22T23:30:00"}
    assert text(source, data=data) == "2026-11-22 06:03:05 07:30 soon 2026-11-22T23:30:00"


FORGED = '**x** [a](http://b) `c` <@all> <font color="info">d</font> @all @所有人\n# head\n> quote'


def test_markdown_shows_values_without_their_markup() -> None:
    shown = text("**{{ data.v }}**", md=True, data={"v": FORGED})
    assert shown.startswith("**＊＊x＊＊ [a］(http://b) ｀c｀ ＜＠all>")
    body = shown[2:-2]
    assert not any(bad in body for bad in ("*", "`", "](", "<@", "<font", "</font", "@all", "@所有人", "\n#", "\n>"))


def test_text_shows_values_without_forged_mentions() -> None:
    shown = text("<@lead> {{ data.v }}", data={"v": FORGED})
    assert shown.startswith("<@lead> **x** [a](http://b)")
    assert shown.count("<@") == 1
    assert "@all" not in shown
    assert "@所有人" not in shown


def test_ordinary_values_are_left_as_they_are() -> None:
    value = "M8*20_A-1 #7 > 90 °C, a@b.cn, 3<4, [x] 100% ~5"
    assert text("{{ data.v }}", data={"v": value}) == value
    assert text("{{ data.v }}", md=True, data={"v": value}) == value.replace("*", "＊")


def test_what_a_macro_or_a_block_made_is_shown_raw_and_its_values_stay_harmless() -> None:
    macro = "{% macro m() %}<@zhang> **{{ data.v }}**{% endmacro %}{{ m() | raw }}"
    block = "{% set b %}<@zhang> **{{ data.v }}**{% endset %}{{ b | raw }}"
    for source in (macro, block):
        assert text(source, md=True, data={"v": "<@all> *x*"}) == "<@zhang> **＜@all> ＊x＊**".replace("@a", "＠a")


def test_filters_md_and_raw() -> None:
    assert text("{{ data.v | md }}", data={"v": "*a* @all"}) == "＊a＊ ＠all"
    assert text("{{ data.v | md }}", md=True, data={"v": "*a*"}) == "＊a＊"
    assert text("{{ data.v | raw }}", md=True, data={"v": "*a* <@x>"}) == "*a* <@x>"


def test_unsendable_characters_are_shown_and_never_dropped() -> None:
    assert text("{{ data.v }}", data={"v": "a\x00b\x1bc\x7fd\ud800e\tf"}) == "a␀b␛c␡d�e\tf"


# Digests and repeats


def many(count: int, subjects: int) -> Digest:
    digest = None
    for number in range(count):
        at = datetime(2026, 11, 22, 6, tzinfo=UTC) + timedelta(seconds=number)
        digest = merged(digest, event(subject=f"M-{number % subjects:02}", time=at, labels={"code": f"E{number}"}))
    assert digest is not None
    return digest


def test_digest_keeps_the_latest_line_of_each_subject() -> None:
    digest = many(50, 3)
    assert (digest.count, digest.left_out) == (50, 0)
    assert [(line.subject, line.text) for line in digest.lines] == [
        ("M-02", "mes.fault.raised E47"),
        ("M-00", "mes.fault.raised E48"),
        ("M-01", "mes.fault.raised E49"),
    ]
    assert digest.last - digest.first == timedelta(seconds=49)


def test_digest_is_bounded_and_says_what_it_leaves_out() -> None:
    digest = many(35, 35)
    assert (digest.count, len(digest.lines), digest.left_out) == (35, 20, 15)
    assert digest.lines[0].subject == "M-15"
    shown = text("one event", digest=digest)
    assert shown.startswith("【合并 35 条】2026-11-22 14:00:00 至 2026-11-22 14:00:34\n14:00:15 M-15")
    assert shown.endswith("另有 15 项较早的未列出")


def test_digest_orders_times_whatever_the_arrival() -> None:
    early = event(time=datetime(2026, 1, 1, tzinfo=UTC))
    digest = merged(merged(None, event()), early)
    assert (digest.first, digest.last) == (early.time, event().time)


def test_template_that_never_mentions_the_digest_does_not_hide_it() -> None:
    assert text("only {{ data.code }}", digest=many(2, 2)).startswith("【合并 2 条】")
    assert text("{% if digest %}{{ digest.count }} together{% endif %}", digest=many(2, 2)) == "2 together"
    own = Renderer({"a.j2": "x", "digest.k.j2": "mine {{ digest.count }}"}, MARK)
    assert own.render(delivery(), "k", Look("a"), many(2, 1)).content.text == "mine 2"


def test_repeat_is_marked_first() -> None:
    assert text("x", repeat=True) == REPEAT + "x"
    assert text("# x", md=True, repeat=True) == f"{REPEAT}\n# x"


# Broken and hostile templates


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("a\nb\n{% if %}", "fault.j2 line 3: "),
        ("a\n{{ data.x | nosuch }}", "fault.j2 line 2: No filter named 'nosuch'"),
        ("a\n\n{{ data.code + 1 }}", "fault.j2 line 3: can only concatenate str"),
        ("{{ 1 / 0 }}", "fault.j2 line 1: division by zero"),
        ("a\n{{ data.code.index('zz') }}", "fault.j2 line 2: ValueError"),
        ("\n{% include 'gone.j2' %}", "fault.j2 line 2: "),
        ("{{ event.time | at('Mars/Base') }}", "fault.j2 line 1: ZoneInfoNotFoundError"),
        ("\n{{ event.time | at('Asia') }}", "fault.j2 line 2: ZoneInfoNotFoundError"),
        ("{{ event.time | at('x' * 300) }}", "fault.j2 line 1: ZoneInfoNotFoundError"),
    ],
)
def test_broken_template_names_file_and_line(source: str, detail: str) -> None:
    error = refusal(source)
    assert error.reason is Reason.TEMPLATE_BROKEN
    assert error.detail.startswith(detail)


def test_error_inside_an_included_file_names_that_file() -> None:
    renderer = Renderer({"fault.j2": "{% include 'part.j2' %}", "part.j2": "\n\n{{ 1 // 0 }}"}, MARK)
    with pytest.raises(Rejected, match=r"part\.j2 line 3"):
        renderer.render(delivery(), "k", Look("fault"))


def test_refusal_never_quotes_the_event() -> None:
    error = refusal("{{ data.code.index('zz') }}{{ data.code }}", data={"code": "secret-value"})
    assert "secret-value" not in str(error)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}x",
        "{{ event.__struct_fields__ }}x",
        "{{ data.update({'a': 1}) }}x",
        "{{ data.__init__.__globals__ }}x",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{{ range(10 ** 9) }}",
        "{{ 'x' * 100000000 }}",
        "{{ [1] * 100000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{% for a in range(9000) %}{{ 'x' * 999 }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ lipsum() + 1 }}{{ 1 + 'a' }}",
    ],
)
def test_hostile_template_reaches_nothing_and_ends(source: str) -> None:
    before = event().data.copy()
    try:
        found = rendered(source)
    except Rejected as refused:
        assert refused.reason is Reason.TEMPLATE_BROKEN  # noqa: PT017 - either of two ends is right
    else:
        assert found.content.text in (f"{MARK}x", MARK)
    assert event().data == before


# Each took gigabytes, or minutes, by what an event says; the machine may be slow, but not so slow.
AMPLIFIED = [
    "{% if data.wide % 2 %}a{% endif %}",
    "{{ data.wide % 60 }}",
    "{{ data.wide.encode() % 60 }}",
    "{{ data.many % data }}",
    "{{ data.wide | format(60) }}",
    "{{ '%*d' % (data.n, 1) }}",
    "{{ '%((a))900000000d' % {'(a)': 1} }}",
    "{{ '{:>{w}}'.format(1, w=data.n) }}",
    "{{ data.fields.format(data.bars) }}",
    "{{ data.fields.format_map(data) }}",
    "{{ data.bars * 60 }}",
    "{{ data.list * data.n }}",
    "{{ 1 | center(data.n) }}",
    "{{ data.bars.ljust(data.n) }}",
    "{{ 'x'.zfill(width=data.n) }}",
    "{{ data.tabs.expandtabs(9000) }}",
    "{{ data.bars.replace('|', data.bars) }}",
    "{{ data.bars | replace('|', data.bars) }}",
    "{{ data.bars.translate({124: data.bars}) }}",
    "{{ data.bars.join(data.bars) }}",
    "{{ data.bars | join(data.bars) }}",
    "{{ data.lines | indent(data.bars) }}",
    "{{ data.lines | indent(data.n) }}",
    "{{ data.bars | wordwrap(1, wrapstring=data.bars) }}",
    "{{ data.list | batch(data.n, 'x') | list }}",
    "{% for one in data.list | slice(data.n) %}{% endfor %}",
    "{{ 1 | round(data.n) }}{{ 1 | round(-data.n) }}",
    "{{ data | tojson(data.n) }}",
]


@pytest.mark.parametrize("source", AMPLIFIED)
def test_no_value_makes_more_text_than_a_notice_has(source: str) -> None:
    data = {
        "wide": "%900000000d",
        "many": "%(bars)s" * 9_000,
        "fields": "{0}" * 9_000,
        "bars": "|" * 60_000,
        "tabs": "\t" * 60_000,
        "lines": "a\n" * 30_000,
        "list": [1],
        "n": 900_000_000,
    }
    began = time.process_time()
    assert refusal(source, md=True, data=data).reason is Reason.TEMPLATE_BROKEN
    assert time.process_time() - began < 3


@pytest.mark.parametrize("source", ["{{ data.v }}", "{{ data.v | md }}", "{{ data.list }}", "{{ data.list | tojson }}"])
def test_a_value_longer_than_any_notice_is_refused_before_it_is_looked_through(source: str) -> None:
    value = "1 " * 4_000_000
    renderer = Renderer({"fault.md.j2": source}, MARK, mask=("phone", "bank_card"))
    began = time.process_time()
    with pytest.raises(Rejected, match=str(MAX_CHARACTERS)):
        renderer.render(delivery(event(data={"v": value, "list": [value]})), "k", Look("fault"))
    assert time.process_time() - began < 3


@pytest.mark.parametrize("width", ["data.nothing", "data.null", "data.nan | float"])
def test_a_width_that_is_no_number_ends_the_notice_and_not_the_desk(width: str) -> None:
    found = refusal(f"a\n{{{{ data.v | wordwrap({width}) }}}}", data={"v": "a b", "null": None, "nan": "nan"})
    assert found.detail.startswith("fault.j2 line 2")


def test_what_templates_make_of_values_is_made() -> None:
    data = {"x": 3.14159, "n": 7, "s": "a\nb", "list": [1, 2], "log": "x\n" * 100_000}
    made = {
        "{{ '%.1f' % data.x }} {{ '%5d|%-4s|' % (data.n, 'x') }}": "3.1     7|x   |",
        "{{ '%(n)d of %(x).2f %%' % data }} {{ '%05.1f' | format(data.x) }}": "7 of 3.14 % 003.1",
        "|{{ '{:>4}|{n!s}'.format(data.n, n=data.x) }} {{ '{n}'.format_map(data) }}": "|   7|3.14159 7",
        "{{ '{:%H:%M}'.format(event.time) }} {{ 10 % data.n }} {{ '-' * 5 }}": "06:03 3 -----",
        "{{ data.s | indent(2) }} {{ data.list | join(', ') }}": "a\n  b 1, 2",
        "{{ ','.join(data.list | map('string')) }} {{ '%s' % data.log | truncate(4) }}": "1,2 x...",
        "{{ data.list | sum(start=1) }} {{ [data] | join('-', 'n') }} {{ data.x | round(2) }}": "4 7 3.14",
        "{{ data.s | replace('a', 'c') }} {{ data.s.replace('b', '') }} {{ data.n | center(3) }}|": "c\nb a\n  7 |",
        "{{ data.log | replace('x', '') | truncate(9) | replace('\n', '') }} {{ 'a b' | wordwrap(1) }}": "... a\nb",
        "{{ data.list | batch(2) | list }} {{ data.list | slice(2) | list }}": "[[1, 2]] [[1], [2]]",
    }
    for source, expected in made.items():
        assert text(source, data=data) == expected


def test_text_without_end_is_refused() -> None:
    assert str(MAX_CHARACTERS) in refusal("{{ data.v }}", data={"v": "x" * (MAX_CHARACTERS + 1)}).detail


def test_blank_text_is_refused() -> None:
    assert refusal("{% if false %}x{% endif %} \n").reason is Reason.EMPTY


def test_check_points_at_the_receiver_that_uses_the_broken_file() -> None:
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"robot": {"kind": "wecom_robot", "keys": ["env:A"]}},
            "receivers": {"group": {"channel": "robot", "template": "fault"}, "it": {"channel": "robot"}},
            "route": {"receiver": "group"},
        }
    )
    of_a_type = {"fault.wecom_robot.md2.j2": "fine", "mes.fault/fault.j2": "{{ oops"}
    assert dict(check(settings, of_a_type))["receivers", "group", "template"].startswith(
        "template mes.fault/fault.j2 line 1"
    )
    files = {"fault.wecom_robot.md.j2": "ok\n{% for %}", "fault.j2": "fine", "old.j2": "{{"}
    places = dict(check(settings, files))
    assert set(places) == {("receivers", "group", "template"), ("templates",)}
    assert places["receivers", "group", "template"].startswith("template fault.wecom_robot.md.j2 line 2: ")
    assert places["templates",].startswith("template old.j2 line 1: ")
    assert check(settings, {"fault.j2": "fine"}) == []
