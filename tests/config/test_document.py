"""YAML 1.2 as the file speaks it, and what bounds it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.config.document import Unreadable, parse
from andon.config.load import load
from tests.config.plant import said


def value(text: str) -> object:
    return parse(f"key: {text}\n".encode()).data["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00123", "00123"),
        ("-007", "-007"),
        ("20:00", "20:00"),
        ("1:30:00", "1:30:00"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("017", "017"),
        ("2026-11-23", "2026-11-23"),
        ("0b11", "0b11"),
        (".inf", ".inf"),
        ("-.INF", "-.INF"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("=", "="),
        ("'1'", "1"),
        ('"true"', "true"),
        ("'null'", "null"),
        ("!!str 1", "1"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("班长", "班长"),
        ("e5", "e5"),
        ('"\\ud83d\\udd25 E-1"', "🔥 E-1"),
        ("1.", "1."),
    ],
)
def test_text(text: str, expected: object) -> None:
    assert value(text) == expected
    assert isinstance(value(text), str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0.5", 0.5),
        ("-1.25e3", -1250.0),
        ("1e3", 1000.0),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_other_values(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_keys_are_text() -> None:
    assert parse(b"1: a\n00123: b\non: c\nnull: d\n").data == {"1": "a", "00123": "b", "on": "c", "null": "d"}


def test_anchors_and_their_places() -> None:
    document = parse(b"a: &it [1, {b: 2}]\nc: *it\n")
    assert document.data == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert document.where(("c", 1, "b")) == (1, 16)


def test_every_duplicate_key_is_said() -> None:
    document = parse(b"a: 1\nb: {c: 1, c: 2, 'c': 3}\na: 2\n")
    assert document.data == {"a": 1, "b": {"c": 1}}
    assert [(place, text) for place, text in document.mistakes] == [
        ((2, 11), "duplicate key `c`; the first is in line 2"),
        ((2, 17), "duplicate key `c`; the first is in line 2"),
        ((3, 1), "duplicate key `a`; the first is in line 1"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: !secret x\n", (1, 4), "tags"),
        ("a: !!python/object:os.system x\n", (1, 4), "tags"),
        ("a: !!binary aGk=\n", (1, 4), "tags"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", (3, 3), "`<<` (merge)"),
    ],
)
def test_what_other_yaml_versions_have(text: str, place: tuple[int, int], words: str) -> None:
    ((found, said_of_it),) = parse(text.encode()).mistakes
    assert found == place
    assert words in said_of_it


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"", (1, 1), "the file is empty"),
        (b"# nothing but this\n", (1, 1), "the file is empty"),
        (b"a: b: c\n", (1, 5), "not YAML: mapping values are not allowed here"),
        (b"a: 1\n\tb: 2\n", (2, 1), "not YAML"),
        (b"a: 1\nb: [1, 2\nc: 3\n", (3, 2), "not YAML: while parsing a flow sequence"),
        (b"a: 1\nb: 'x\nc: 1\n", (2, 4), "not YAML: while scanning a quoted scalar"),
        (b"a: 1\nb:2\nc: 1\n", (2, 1), "not YAML: while scanning a simple key"),
        (b"a: *x\n", (1, 4), "`*x` names no anchor"),
        (b"a: &x [*x]\n", (1, 8), "`*x` names no anchor"),
        (b"a: 1\n---\nb: 2\n", (2, 1), "a file holds one document"),
        (b"? [a]\n: 1\n", (1, 3), "a key is a plain word"),
        (b"a: 1\nb: \xff\n", (2, 4), "not UTF-8"),
        ("a: 1\nb: 故障\n".encode("gbk"), (2, 4), "not UTF-8"),
        (b"\xef\xbb\xbfa: 1\n\xff: 1\n", (2, 1), "not UTF-8"),
        ("a: 1\n".encode("utf-16"), (1, 1), "not UTF-8"),
        (b"a: 1\nb: x\x01\n", (2, 5), "a control character"),
        (b'a: 1\nb: "x\\0"\n', (2, 4), "a NUL, or half of a character"),
        (b'a: 1\n"\\ud83d": 1\n', (2, 1), "a NUL, or half of a character"),
        (b'a: "\\udd25\\ud83d"\n', (1, 4), "a NUL, or half of a character"),
        (b"[" * 5_000, (1, 62), "nested deeper than 60 levels"),
        (b"a: " + b"{a: " * 5_000, (1, 244), "nested deeper than 60 levels"),
    ],
)
def test_what_cannot_be_read_further(raw: bytes, place: tuple[int, int], words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(raw)
    assert words in refused.value.text
    assert refused.value.place == place


def test_alias_bombs_are_small_and_quick() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    began = time.process_time()
    with pytest.raises(Unreadable, match="more than 100000 values, aliases written out"):
        parse("\n".join(lines).encode())
    assert time.process_time() - began < 2


def test_depth_by_aliases() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)]
    with pytest.raises(Unreadable, match="nested deeper than 60 levels, aliases written out"):
        parse("\n".join(lines).encode())


def test_a_file_of_5_mib_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "andon.yaml"
    file.write_bytes(b"a: [1, 2, 3]\n" * (5 << 20 >> 3))
    began = time.process_time()
    assert said(load(file)) == ["1:1: larger than 1 MiB"]
    assert time.process_time() - began < 0.5


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert said(load(tmp_path)) == ["1:1: there is no such file"]
    assert load(tmp_path).mistakes[0].file == str(tmp_path / "andon.yaml")
    (tmp_path / "andon.yml").write_text("version: 1\n")
    assert said(load(tmp_path)) == ["1:1: there is no such file; rename andon.yml to andon.yaml"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "andon.yaml"
    folder.mkdir()
    assert said(load(tmp_path)) == ["1:1: cannot be read (Is a directory)"]
    if os.geteuid() != 0:  # root reads everything
        file = tmp_path / "other.yaml"
        file.write_text("version: 1\n")
        file.chmod(0)
        assert said(load(file)) == ["1:1: cannot be read (Permission denied)"]


@given(st.text(max_size=60) | st.text(alphabet="ab:-[]{},&*!|>'\"#%@`\n\t <~?0.", max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        document = parse(text.encode("utf-8", "surrogatepass"))
    except Unreadable:
        return
    assert set(document.keys) <= set(document.values)
