"""Matchers: Alertmanager's syntax on labels, comparisons on data and facts."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from andon.core.event import Event
from andon.core.matchers import MatcherError, compile_matchers
from tests.unit.routing.events import event


def holds(text: str, given: Event) -> bool:
    return all(matcher.holds(given) for matcher in compile_matchers((text,)))


LABELLED = event(labels={"line": "L3", "severity": "minor", "班组": "甲", "note": 'a "b" \\ c', "two\nlines": "x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('line="L3"', True),
        ("line=L3", True),
        (' line = "L3" ', True),
        ('"line"="L3"', True),
        ('{line="L3"}', True),
        ('{line="L3",severity="minor",}', True),
        ('line="L3",severity="major"', False),
        ('line!="L3"', False),
        ('line!="L4"', True),
        ('severity=~"minor|major"', True),
        ('severity=~"min"', False),  # anchored at both ends
        ('severity=~"or"', False),
        ('severity=~".*or"', True),
        ('severity!~"minor|major"', False),
        ('severity!~"min"', True),
        ('nowhere=""', True),  # a missing label equals the empty text
        ('nowhere!=""', False),
        ('nowhere=~".*"', True),
        ('nowhere=~".+"', False),
        ('nowhere!~".+"', True),
        ("班组=甲", True),
        ('"班组"="乙"', False),
        (r'note="a \"b\" \\ c"', True),
        (r'"two\nlines"="x"', True),
        (r'line="\x4c\063"', True),
        (r'"\xe7\x8f\xad\u7ec4"="\U00007532"', True),  # a character by its bytes, or by its number
        ("line=<none>", False),
        ("line!=<none>", True),
        ("\u3000line\xa0=\x85L3\u2028", True),
        ("\x1fline=L3", False),  # a space to Python, part of the name to Alertmanager
        ('type="machine.fault"', True),
        ('subject=~"line-3/.*"', True),
        ('source!="mes"', False),
        ('severity=~"(?i)MINOR"', True),
        ("line in [L2, L3]", True),
        ('{severity="minor", line in ["L2","L3",],}', True),
        ('"班组" in [ 甲 ]', True),
        ("line in [L2], severity=minor", False),
        ('nowhere in ["", x]', True),
        ("type in [machine.fault, machine.stop]", True),
        ("line=[L3]", False),  # a bracket elsewhere is part of a word
        ("line!=in", True),
    ],
)
def test_labels(text: str, expected: bool) -> None:
    assert holds(text, LABELLED) is expected


MEASURED = event(
    labels={"limit": "100", "name": "E1"},
    data={
        "temperature": 93.5,
        "text": "93.5",
        "quantity": 4,
        "safety_stock": 5,
        "ok": True,
        "code": "012",
        "nothing": None,
        "list": [1],
        "huge": 10**30,
        "nested": {"a": {"b": "x"}},
    },
    facts={"machine": {"age_days": "3650", "leader": "00123"}, "spare": {"missing": "timeout"}},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.temperature > 90", True),
        ("data.temperature>93.5", False),
        ("data.temperature >= 93.5", True),
        ("data.temperature < 1e3", True),
        ("data.text > 90", True),  # a table saved by Excel holds only text
        ("data.huge > 90", True),
        ("data.quantity < data.safety_stock", True),
        ("data.safety_stock < data.quantity", False),
        ("data.quantity == 4.0", True),
        ("data.quantity != 4", False),
        ("data.quantity < labels.limit", True),
        ("facts.machine.age_days >= 3650", True),
        ('facts.machine.leader == "00123"', True),
        ('facts.machine.leader == "123"', False),
        ("facts.machine.leader == 123", True),
        ("data.code == data.code", True),
        ("data.nested.a.b == labels.name", False),
        ("data.nested.a.b != labels.name", True),
        ("data.ok == true", True),
        ("data.ok != true", False),
        ("data.ok > 0", False),  # true is no number
        ("data.nested.a.b == x", True),
        ("data.nested.a.b =~ [xyz]", True),
        ("data.nested.a.b !~ [xyz]", False),
        ("data.temperature exists", True),
        ("data.nested.a exists", True),
        ("facts.spare.missing exists", True),
        ("data.nested.a.b in [w, x]", True),
        ("data.nested.a.b in [w, y]", False),
        ("data.quantity in [3, 4.0]", True),
        ("data.code in [12]", True),
        ('data.code in ["12"]', False),
        ("data.ok in [true]", True),
        ("data.list in [7, 1]", True),  # of a list, one value
        ("data.list in [7]", False),
        ("data.nested in [a]", False),
        ("data.absent in [null, 0]", False),
        # what is not there, or is not what is asked for, matches nothing
        ("data.absent exists", False),
        ("data.nothing exists", False),
        ("data.absent > 90", False),
        ("data.absent <= 90", False),
        ("data.absent != 90", False),
        ("data.absent == 0", False),
        ("data.absent !~ x", False),
        ("data.nothing != x", False),
        ("data.list > 0", False),
        ("data.list != 1", False),
        ("data.code.deeper == 1", False),
        ("data.nested.a.b < 5", False),
        ("data.nested.a.b < data.quantity", False),
        ("data.absent == data.absent", False),
        ("data.absent != data.quantity", False),
    ],
)
def test_comparisons(text: str, expected: bool) -> None:
    assert holds(text, MEASURED) is expected


LONG = 1_234_567_890_123_456_789


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        (f"data.n == {LONG}", {"n": LONG}, True),
        (f"data.n == {LONG}", {"n": str(LONG)}, True),
        (f"data.n == {LONG}", {"n": str(LONG - 1)}, False),
        (f"data.n != {LONG}", {"n": LONG + 1}, True),
        (f"data.n > {LONG}", {"n": str(LONG + 1)}, True),
        (f"data.n in [{LONG}]", {"n": LONG}, True),
        (f"data.n in [{LONG}]", {"n": LONG + 1}, False),
        (f"data.n in [{LONG}]", {"n": [1, str(LONG)]}, True),
        ("data.a == data.b", {"a": "340123450000000018", "b": "340123450000000025"}, False),
        ("data.a < data.b", {"a": "340123450000000018", "b": 340123450000000025}, True),
        ("data.a == data.b", {"a": "340123450000000018.00", "b": 340123450000000018}, True),
        ("data.a == data.b", {"a": "-0", "b": "0.0"}, True),
        ("data.a == data.b", {"a": "12.10", "b": 12.1}, True),
        ("data.a == data.b", {"a": 12, "b": 12.0}, True),
        # what only looks like a power of ten is a code
        ("data.code == 0E1", {"code": "0E1"}, True),
        ("data.code == 0E1", {"code": "0E2"}, False),
        ("data.code == 1e6", {"code": 1_000_000}, True),
        ("data.code != 1e6", {"code": 1_000_000}, False),
        ("data.code != 1e6", {"code": "1000000"}, True),
        ("data.code in [1e6]", {"code": [7, 1e6]}, True),
        ("data.code in [1e6]", {"code": True}, False),
        ("data.code > 100", {"code": "1.2E+03"}, True),
        ("data.code > data.least", {"code": "1.2E+03", "least": "9e2"}, True),
        ("data.code == data.least", {"code": "1E3", "least": "1000"}, False),
        ("data.code in [0E1]", {"code": "0E2"}, False),
        ("data.code != data.expected", {"code": "1E3", "expected": "1000"}, True),
        # but in an order nothing but a number can be meant
        ("data.code < data.expected", {"code": "1E3", "expected": "2000"}, True),
        ("data.code > 5", {"code": "1E3"}, True),
        ("data.code > 5", {"code": "E3"}, False),
        ("data.n > 1e3", {"n": 1_001}, True),
        ("data.n > 1.5E+3", {"n": "1500"}, False),
        # no number is as long as that
        ("data.a > 5", {"a": "1" * 5_000}, False),
        ("data.a == data.b", {"a": "1" * 5_000, "b": "1" * 5_000}, True),
        (f"data.a == {'1' * 5_000}", {"a": "1" * 5_000}, True),
    ],
)
def test_numbers_are_compared_as_they_are_written(text: str, data: dict[str, object], expected: bool) -> None:
    assert holds(text, event(data=data)) is expected


@given(st.integers() | st.integers().map(str), st.integers() | st.integers().map(str) | st.floats(allow_nan=False))
@example(LONG, float(LONG))
def test_whole_numbers_are_compared_exactly(one: int | str, other: str | float) -> None:
    given_ = event(data={"a": one, "b": other})
    exact = int(one), int(other) if isinstance(other, str) else other
    assert holds("data.a == data.b", given_) is (exact[0] == exact[1])
    assert holds("data.a < data.b", given_) is (exact[0] < exact[1])


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "empty"),
        ("{}", 1, "empty"),
        ("line", 5, "after the name"),
        ("line=", 6, "the value is missing"),
        ('="L3"', 1, "begins with the name"),
        ('line="L3', 6, "closing double quote"),
        ("line='L3'", 6, "inside double quotes"),
        ('{line="L3"', 11, "comma or its end"),
        ('line="L3"}', 10, "comma or its end"),
        ('{line="L3"} x', 13, "nothing may follow"),
        ('line="L3" severity="minor"', 11, "comma or its end"),
        ('line=~"(L"', 7, "pattern cannot be read: missing )"),
        ('line=~"(?=x)"', 7, "pattern cannot be read"),
        (r'line="a\d"', 8, "no escape"),
        (r'line="\'"', 7, "no escape"),
        (r'line="\xe7"', 6, "no UTF-8"),
        (r'line="\ud800"', 7, "no character"),
        (r'line="\U00110000"', 7, "no character"),
        (r'line="\UFFFFFFFF"', 7, "no character"),
        ('line="a\nb"', 8, "written"),
        ("line=\udcff", 6, "no text"),
        ("line<=5", 5, "labels are text"),
        ('""=x', 1, "begins with the name"),
        ("line={}", 6, "the value is missing"),
        ("line=!~x", 6, "inside double quotes"),
        ("line > 5", 6, "labels are text"),
        ("line == L3", 6, "labels are text"),
        ("data.x = 5", 8, "compared with =="),
        ("data.x > hot", 10, "needs a number"),
        ('data.x > "5"', 10, "needs a number"),
        ("data.x > " + "5" * 5_000, 10, "needs a number"),
        ("data. > 5", 1, "names no value"),
        ("data..x > 5", 1, "names no value"),
        ("data.x > data..y", 10, "names no value"),
        ("line exists", 1, "names no value"),
        (",", 1, "begins with the name"),
        ("data.x in", 10, "comes a list"),
        ("data.x in E12", 11, "comes a list"),
        ("data.x in []", 11, "empty list"),
        ("data.x in [E12, E13", 11, "closing bracket"),
        ("data.x in [E12 E13]", 16, "stands a comma"),
        ("data.x in [E12,, E13]", 16, "inside double quotes"),
        ("data.x in [[E12]]", 12, "inside double quotes"),
        ("data.x in [data.y]", 12, 'is written "data.y"'),
        ("data..x in [1]", 1, "names no value"),
        ("data.x in [1] 2", 15, "comma or its end"),
        ("data.x == [1,2]", 16, "after the name"),
    ],
)
def test_mistakes(text: str, column: int, problem: str) -> None:
    with pytest.raises(MatcherError, match=re.escape(problem)) as caught:
        compile_matchers((text,))
    assert (caught.value.text, caught.value.column) == (text, column)


@given(st.text(max_size=30))
def test_any_text_compiles_or_is_a_mistake(text: str) -> None:
    try:
        matchers = compile_matchers((text,))
    except MatcherError as caught:
        mistake, matchers = caught, ()
        assert 1 <= mistake.column <= len(text) + 1
    for matcher in matchers:
        assert matcher.holds(MEASURED) in (True, False)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=5,
)
TEXTS = (
    "data.a > 1",
    "data.a == data.b",
    "data.a.b < data.b",
    'data.a != "x"',
    "data.a =~ x*",
    "data.a exists",
    "data.a in [1, x]",
)


@given(VALUES, VALUES, st.sampled_from(TEXTS))
def test_no_value_raises(one: object, other: object, text: str) -> None:
    (matcher,) = compile_matchers((text,))
    given = event(data={"a": one, "b": other})
    assert matcher.holds(given) in (True, False)
    assert isinstance(matcher.seen(given), str | None)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_label_can_be_written(value: str, name: str) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    given = event(labels={name: value})
    wanted = {"type": given.type, "subject": given.subject, "source": given.source}.get(name, value)
    assert holds(f"{quoted(name)}={quoted(wanted)}", given)
    assert not holds(f"{quoted(name)}!={quoted(wanted)}", given)


def test_what_explains_a_matcher() -> None:
    equal, pattern, missing, there = compile_matchers(
        ('line="L3"', "severity=~mi.*", "data.absent > 1", "data.nested exists")
    )
    given = event(labels={"line": "L3"}, data={"nested": {}})
    assert (equal.text, equal.seen(given)) == ('line="L3"', "L3")
    assert (pattern.text, pattern.seen(given)) == ("severity=~mi.*", "")
    assert (missing.seen(given), there.seen(given)) == (None, "<dict>")
