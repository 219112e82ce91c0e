"""What follows from matchers, and what contradicts itself, against every text in a small world of labels."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.core.matchers import compile_matchers
from andon.routing.lints.conditions import Conditions
from andon.routing.words import words_of

WORDS = ("", "a", "b", "ab", "a.b")
PATTERNS = ("a|b", "(a|ab)", "(?:b)", "a.*", ".*", "a?", "a\\\\.b", "b+", "")
TEXTS = ("", "a", "b", "ab", "a.b", "axb", "bb", "c")
signs = st.sampled_from(["=", "!="]), st.sampled_from(["=~", "!~"])
written = st.one_of(
    st.builds('{}{}"{}"'.format, st.sampled_from("xy"), signs[0], st.sampled_from(WORDS)),
    st.builds('{}{}"{}"'.format, st.sampled_from("xy"), signs[1], st.sampled_from(PATTERNS)),
    st.builds("{} in [{}]".format, st.sampled_from("xy"), st.sampled_from(["a", "a, b", '"", "a.b"'])),
)


def hold(conditions: Conditions, labels: dict[str, str]) -> bool:
    return all(one.label is not None and one.label.fits(labels[one.label.name]) for one in conditions.matchers)


@settings(max_examples=60, deadline=None)
@given(st.lists(written, max_size=4), written)
def test_what_is_said_is_so(texts: list[str], other: str) -> None:
    conditions = Conditions(compile_matchers(texts))
    (matcher,) = compile_matchers([other])
    world = [dict(zip("xy", pair, strict=True)) for pair in product(TEXTS, TEXTS)]
    meeting = [labels for labels in world if hold(conditions, labels)]
    if clash := conditions.contradiction():
        assert not meeting
        assert not any(hold(Conditions(clash), labels) for labels in world)
    if conditions.implies(matcher):
        assert all(hold(Conditions([matcher]), labels) for labels in meeting)
    for labels in conditions.examples({"x": frozenset(TEXTS), "y": frozenset(TEXTS)}, 20):
        assert labels in meeting
    for name, values in conditions.values.items():
        assert values is None or {labels[name] for labels in meeting} <= values


@pytest.mark.parametrize(
    ("texts", "other"),
    [
        (['x="a"'], 'x="a"'),
        (['x="a"'], 'x=~"a.*"'),
        (['x="a"'], 'x!="b"'),
        (['x="a"'], 'x!~"b+"'),
        (['x="a"', 'y="b"'], 'y=~"b|c"'),
        (['x=~"a|b"'], 'x=~"a|b|c"'),
        (['x=~"a|b"'], 'x!="c"'),
        (["x in [a, b]"], "x in [b, c, a]"),
        (['x=~"b.+"'], 'x!="a"'),
        (['x!~"a.*"'], 'x!~"a|ab"'),
        (['x=~"a.*"'], 'x=~"a.*"'),
        (['x=~"a|b"', 'x!="a"'], 'x="b"'),
        (["data.t > 9"], "data.t>9"),
    ],
)
def test_what_follows(texts: list[str], other: str) -> None:
    assert Conditions(compile_matchers(texts)).imply(compile_matchers([other]))


@pytest.mark.parametrize(
    ("texts", "clash"),
    [
        (['x="a"', 'y="a"', 'x="b"'], ['x="a"', 'x="b"']),
        (['x="a"', 'x!="a"'], ['x="a"', 'x!="a"']),
        (['x="a"', 'x=~"b.*"'], ['x="a"', 'x=~"b.*"']),
        (['x=~"a|b"', 'x!~"a|b|c"'], ['x=~"a|b"', 'x!~"a|b|c"']),
        (['x=~"a.*"', 'x!~"a.*"'], ['x=~"a.*"', 'x!~"a.*"']),
        (["x in [a, b]", 'x!="a"', 'x!="b"'], ["x in [a, b]", 'x!="a"', 'x!="b"']),
    ],
)
def test_what_cannot_hold_together(texts: list[str], clash: list[str]) -> None:
    assert [one.text for one in Conditions(compile_matchers(texts)).contradiction()] == clash


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a|b", {"a", "b"}),
        ("(a|b|)", {"a", "b", ""}),
        ("(?:主轴)", {"主轴"}),
        ("mes\\\\.fault", {"mes.fault"}),
        ("", {""}),
        ("a.b", None),
        ("(a)|b", None),
        ("\\\\d", None),
        ("(?i)a", None),
    ],
)
def test_patterns_that_are_lists_of_words(pattern: str, words: set[str] | None) -> None:
    (matcher,) = compile_matchers([f'x=~"{pattern}"'])
    assert matcher.label
    assert words_of(matcher.label) == words
