"""Splitting: every byte stays, every limit is kept, and readers get whole lines where there are some."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.core.text import split_bytes

ENCODABLE = st.characters(exclude_categories=["Cs"])
CHAT = st.sampled_from(
    ["汉", "。", "a", " ", "\n", "\n\n", "\r\n", "é", "e\u0301", "👩\u200d🔧", "🇨🇳", "👍🏽", ".", "！", "x" * 40]
)
TEXTS = st.one_of(st.text(ENCODABLE, max_size=300), st.lists(CHAT, max_size=200).map("".join))


@given(TEXTS, st.integers(4, 200))
def test_joined_parts_equal_the_text_and_keep_the_limit(text: str, limit: int) -> None:
    parts = split_bytes(text, limit)
    assert "".join(parts) == text
    assert all(len(part.encode()) <= limit for part in parts)
    assert len(parts) == 1 or all(parts)


@given(TEXTS, st.integers(64, 200))
def test_no_part_begins_inside_a_visible_character(text: str, limit: int) -> None:
    plain = text.replace("\u0301\u0301", "")
    for before, after in zip(split_bytes(plain, limit), split_bytes(plain, limit)[1:], strict=False):
        longest = max(len(cluster.encode()) for cluster in clusters(plain))
        if longest <= limit:
            assert not unicodedata.category(after[0]).startswith("M")
            assert after[0] not in "\u200d\ufe0f"
            assert before[-1] != "\u200d"
            assert (before[-1], after[0]) != ("\r", "\n")


def clusters(text: str) -> list[str]:
    """Runs that a break may not cut, seen coarsely: a base and all that extends or joins it."""
    found: list[str] = []
    for character in text:
        extends = unicodedata.category(character).startswith("M") or character in "\u200d\ufe0f\n"
        if found and (extends or found[-1][-1] == "\u200d" or 0x1F1E6 <= ord(character) <= 0x1F3FF):
            found[-1] += character
        else:
            found.append(character)
    return found or [""]


@given(st.text("ab .\n", max_size=300), st.integers(4, 100))
def test_every_part_but_the_last_is_half_full(text: str, limit: int) -> None:
    """The vendor's rate is not spent on crumbs."""
    assert all(len(part) >= limit // 2 for part in split_bytes(text, limit)[:-1])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("exactly ten"[:10], ["exactly te"]),
        ("aaaa bb\n\ncc dd", ["aaaa bb\n\n", "cc dd"]),
        ("aaaa\nbbb ccc", ["aaaa\n", "bbb ccc"]),
        ("a. bbbb. cccc", ["a. bbbb.", " cccc"]),
        ("停机。检查", ["停机。", "检查"]),
        ("版本 3.14159", ["版本 ", "3.14159"]),
        ("abcdefghijklm", ["abcdefghij", "klm"]),
        ("汉字汉字", ["汉字汉", "字"]),
        ("abcdefgh👍🏽", ["abcdefgh", "👍🏽"]),
        ("abcde🇨🇳🇨🇳", ["abcde", "🇨🇳", "🇨🇳"]),
        ("abcdefghie\u0301", ["abcdefghi", "e\u0301"]),
        ("abcdefghi\r\nx", ["abcdefghi", "\r\nx"]),
    ],
)
def test_where_it_breaks_at_ten_bytes(text: str, parts: list[str]) -> None:
    assert split_bytes(text, 10) == parts


def test_visible_character_longer_than_the_limit_is_cut_between_code_points() -> None:
    family = "👩\u200d👩\u200d👧\u200d👦"
    assert "".join(split_bytes(family, 8)) == family


def test_endless_combining_marks_end() -> None:
    text = "e" + "\u0301" * 100_000
    assert "".join(split_bytes(text, 2048)) == text


def test_limit_below_a_code_point_is_refused() -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        split_bytes("x", 3)


def test_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        split_bytes("a\ud800", 10)
