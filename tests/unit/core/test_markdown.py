"""Markdown in parts: nothing is lost, nothing is left open, no part is too long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.core.markdown import split_markdown
from andon.core.text import size_of, split_numbered

NUMBER = re.compile(r"\((\d+)/(\d+)\)\n")
WORD = re.compile(r"\bw\d{4}\b")
LINK = "https://mes.corp/1"
SHAPES = [
    "{}",
    "**{}**",
    "*{}*",
    "~~{}~~",
    "`{}`",
    '<font color="warning">{}</font>',
    f"[{{}}]({LINK})",
    "**a *{}* b**",
]
BLOCKS = ["{}\n\n", "# {}\n", "> {}\n", "- {}\n", "```python\n{}\n```\n", "TABLE", "{}\n{}\n\n", "汉字，{}。汉字！\n"]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A notice of every construct, in which each word stands once."""
    words = iter(f"w{number:04}" for number in range(10_000))

    def run(plain: bool = False) -> str:
        count = draw(st.integers(1, 12))
        text = " ".join(next(words) for _ in range(count))
        return text if plain else draw(st.sampled_from(SHAPES)).format(text)

    made = []
    for block in draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=10)):
        if block == "TABLE":
            rows = "".join(f"| {run()} | {run()} |\n" for _ in range(draw(st.integers(1, 5))))
            made.append(f"| 甲 | 乙 |\n|---|---|\n{rows}\n")
        elif block.startswith("```"):
            made.append(block.format("\n".join(run(plain=True) for _ in range(draw(st.integers(1, 4))))))
        else:
            made.append(block.format(*(" ".join(run() for _ in range(3)) for _ in range(block.count("{}")))))
    return "".join(made)


def bodies(parts: list[str]) -> list[str]:
    """The parts without their numbers, which are right."""
    if len(parts) == 1:
        return parts
    for number, part in enumerate(parts, 1):
        found = NUMBER.match(part)
        assert found is not None
        assert (int(found[1]), int(found[2])) == (number, len(parts))
    return [NUMBER.sub("", part, count=1) for part in parts]


def left_open(part: str) -> list[str]:
    """What a part opens and does not close, or closes and never opened."""
    wrong = []
    fences = re.findall(r"^```", part, re.MULTILINE)
    outside = re.sub(r"^```.*?^```$", "", part, flags=re.MULTILINE | re.DOTALL)
    if len(fences) % 2:
        wrong.append("```")
    wrong += [sign for sign in ("**", "~~", "`") if outside.count(sign) % 2]
    if outside.replace("**", "").count("*") % 2:
        wrong.append("*")
    if outside.count("<font") != outside.count("</font>"):
        wrong.append("<font>")
    if outside.count("[") != outside.count(f"]({LINK})") or outside.count("[") != outside.count("]"):
        wrong.append("link")
    rows = [line for line in outside.splitlines() if line.startswith(("| w", "| **", "| <", "| ["))]
    if rows and "| 甲 | 乙 |\n|---|---|\n" not in part:
        wrong.append("table")
    return wrong


@settings(max_examples=60)
@given(documents(), st.integers(200, 700), st.booleans())
def test_nothing_is_lost_left_open_or_too_long(text: str, limit: int, in_json: bool) -> None:
    parts = split_markdown(text, limit, in_json=in_json)
    assert all(size_of(part, in_json) <= limit for part in parts)
    assert WORD.findall(" ".join(bodies(parts))) == WORD.findall(text)
    for part in bodies(parts):
        assert left_open(part) == [], part
    if len(parts) == 1:
        assert parts == [text]


@settings(max_examples=50)
@given(st.text("ab 汉。\n", max_size=1_500), st.integers(64, 300))
def test_without_markup_parts_equal_the_text(text: str, limit: int) -> None:
    assert "".join(bodies(split_markdown(text, limit))) == text
    assert "".join(bodies(split_numbered(text, limit))) == text


@settings(max_examples=60)
@given(st.text("a*`~[]()<>/fontx|-#>\n 汉", max_size=900), st.integers(64, 200), st.booleans())
def test_no_text_is_too_hard(text: str, limit: int, in_json: bool) -> None:
    parts = split_markdown(text, limit, in_json=in_json)
    assert all(size_of(part, in_json) <= limit for part in parts)
    whole = "".join(bodies(parts))
    assert whole.count("汉") >= text.count("汉")
    assert all(whole.count(sign) >= text.count(sign) for sign in "*`~a")


@pytest.mark.parametrize(
    ("text", "limit", "first", "second"),
    [
        ("**" + "x " * 40 + "y**", 64, "**x x x", "**x x"),
        ("```sql\n" + "select 1\n" * 12 + "```", 90, "```sql\nselect 1\n", "```sql\nselect 1\n"),
        ('<font color="info">' + "汉。" * 30 + "</font>", 120, '<font color="info">汉。', '<font color="info">汉。'),
        (
            "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 12,
            90,
            "| a | b |\n|---|---|\n| 1 | 2 |\n",
            "| a | b |\n|---|---|\n",
        ),
        ("> " + "词 " * 40, 64, "> 词 词", "> 词 词"),
        ("[" + "字" * 40 + "](https://x.cn)", 90, "[字字", "[字字"),
    ],
)
def test_construct_is_closed_and_opened_again(text: str, limit: int, first: str, second: str) -> None:
    parts = bodies(split_markdown(text, limit))
    assert parts[0].startswith(first)
    assert parts[1].startswith(second)


def test_table_is_cut_between_rows() -> None:
    table = "| a | b |\n|---|---|\n" + "".join(f"| {number} | x |\n" for number in range(40))
    for part in bodies(split_markdown(table, 120)):
        assert all(re.fullmatch(r"\| (a|\d+) \| (b|x) \||\|---\|---\|", line) for line in part.splitlines())


@pytest.mark.parametrize("whole", ["https://mes.corp/faults/1234?line=L3", "<@zhang-wei>", "![图](https://x.cn/p.png)"])
def test_what_is_nothing_by_halves_is_never_cut(whole: str) -> None:
    text = f"汉字{whole}汉" * 60
    parts = bodies(split_markdown(text, 128))
    assert "".join(parts) == text
    assert sum(part.count(whole) for part in parts) == 60


def test_address_longer_than_a_part_is_not_repeated() -> None:
    text = "看 [这里](https://mes.corp/" + "x" * 300 + ") 和后面的字"
    parts = split_markdown(text, 128)
    assert "".join(bodies(parts)) == text


def test_long_text_is_split_in_no_time() -> None:
    text = "".join(f"**{number}** `码` [单](https://x.cn/{number}) 停机。\n" for number in range(1_500))
    began = time.perf_counter()
    assert len(split_markdown(text, 2_048)) > 20
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("split", [split_markdown, split_numbered])
def test_limit_without_room_for_numbers_is_refused(split: object) -> None:
    assert callable(split)
    with pytest.raises(ValueError, match="64 bytes"):
        split("x" * 100, 63)


def test_hundred_parts_have_longer_numbers() -> None:
    parts = split_numbered("x " * 4_000, 64)
    assert len(parts) > 100
    assert parts[0].startswith(f"(1/{len(parts)})\n")
    assert max(map(len, parts)) <= 64
