"""The cheap checks of JSON agree with the precise ones."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from andon.core.failure import Invalid
from andon.ingress.bodies.sent import Sent
from andon.ingress.bodies.strict import DEPTH, object_of, repeated_key, surely_unique, too_deep, value_of

KEYS = st.sampled_from(["a", "b", ":", "a:", '"', "\\", "\\u003a", "键", "{", "]", ""])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), KEYS)


class Written(list[tuple[str, Any]]):
    """An object as pairs, so that a key may stand in it twice."""


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(KEYS, inner), max_size=4).map(Written)


DOCUMENTS = objects(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=12))


def text_of(value: Any, escape: bool, space: str) -> str:
    if isinstance(value, Written):
        pairs = (f"{quoted(key, escape)}{space}:{space}{text_of(inner, escape, space)}" for key, inner in value)
        return "{" + f"{space},".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text_of(inner, escape, space) for inner in value) + "]"
    return quoted(value, escape) if isinstance(value, str) else json.dumps(value)


def quoted(text: str, escape: bool) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"' if escape else json.dumps(text, ensure_ascii=False)


def has_repeat(value: Any) -> bool:
    if isinstance(value, Written):
        return len({key for key, _ in value}) < len(value) or any(has_repeat(inner) for _, inner in value)
    return isinstance(value, list) and any(map(has_repeat, value))


@settings(max_examples=400)
@given(document=DOCUMENTS, escape=st.booleans(), space=st.sampled_from(["", " ", "\n\t"]))
@example(document=Written([("a", 1), ("a", 2), ("b", ":")]), escape=True, space="")
@example(document=Written([("a:", 1), ("b", Written([("c", 1), ("c", 1)]))]), escape=False, space="")
def test_the_fast_path_never_says_unique_of_a_document_with_a_repeated_key(
    document: Written, escape: bool, space: str
) -> None:
    raw = text_of(document, escape, space).encode()
    canonical = msgspec.json.Encoder(order="deterministic").encode(msgspec.json.decode(raw))
    repeats = has_repeat(document)
    assert (repeated_key(raw) is not None) == repeats
    if surely_unique(raw, raw.count(b":"), canonical):
        assert not repeats
    elif b"\\u003" not in raw:
        assert repeats  # without such escapes it is exact: only a wrong document is looked at closely


@settings(max_examples=200)
@given(
    levels=st.integers(1, 3 * DEPTH), padding=st.sampled_from(["", "[{", '"]', '\\"[', "}}"]), width=st.integers(0, 80)
)
def test_depth_is_counted_in_brackets_outside_of_texts(levels: int, padding: str, width: int) -> None:
    inner: Any = [padding] if width == 0 else [padding, *([[]] * width)]
    deepest = 1 if width == 0 else 2
    for _ in range(levels - deepest):
        inner = {"k": inner, padding: padding}
    raw = json.dumps(inner).encode()
    assert too_deep(raw, raw.count(b":")) == (max(levels, deepest) > DEPTH)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"a":{"b":[0,{"c":1,"c":2}]}}', "a.b[1].c"),
        (b'[{"x":1},{"x":1}]', None),
        (b'{"a":1,"A":1}', None),
        (b'{"":1,"":2}', ""),
    ],
)
def test_the_place_of_a_repeated_key(raw: bytes, place: str | None) -> None:
    assert repeated_key(raw) == place


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":"' + b'\\"' * 500_000,
        b'{"a":"' + b"\\" * 1_000_001,
        b'{"a":' + b'"\\"' * 300_000,
        b'{"a":"' + b"NaN-" * 250_000,
    ],
)
def test_what_is_wrong_with_a_large_text_is_found_in_one_pass(raw: bytes) -> None:
    """Tried again from every quote in it, a text of this size would take the better part of an hour."""
    began = time.process_time()
    with pytest.raises(Invalid):
        object_of(raw)
    assert time.process_time() - began < 5


def test_a_name_of_any_length_that_is_not_known_is_told_at_once() -> None:
    raw = ('{"type":"t","' + "unknown field `" * 60_000 + '\\n":1}').encode()
    began = time.process_time()
    with pytest.raises(Invalid, match="unknown field") as caught:
        value_of(raw, Sent)
    assert time.process_time() - began < 5
    assert len(caught.value.detail) < 2_000
