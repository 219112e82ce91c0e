"""Paths, keys and templates."""

from __future__ import annotations

import pytest

from andon.core.paths import PathError, compile_key, compile_path, compile_template, number_of, text_of
from tests.unit.routing.events import event

GIVEN = event(
    labels={"line": "L3", "a.b": "dotted", "empty": ""},
    data={"code": "E/1%", "n": 3.0, "deep": {"er": [1]}, "flag": False},
    facts={"machine": {"line": "L9"}},
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subject", "line-3/M-07"),
        ("type", "machine.fault"),
        ("id", "e-1"),
        ("labels.line", "L3"),
        ("labels.a.b", "dotted"),
        ("labels.none", None),
        ("data.deep.er", [1]),
        ("data.deep.er.x", None),
        ("facts.machine.line", "L9"),
        ("facts.none.line", None),
    ],
)
def test_paths(path: str, value: object) -> None:
    assert compile_path(path)(GIVEN) == value


@pytest.mark.parametrize("path", ["", "data", "data.", "facts..x", "labels.", "line", "Data.x", "time"])
def test_no_paths(path: str) -> None:
    with pytest.raises(PathError, match="names no value"):
        compile_path(path)


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        ("x", "x", None),
        (" 12 ", " 12 ", 12),
        ("-1.5", "-1.5", -1.5),
        ("+.5", "+.5", 0.5),
        ("007", "007", 7),
        ("1234567890123456789", "1234567890123456789", 1_234_567_890_123_456_789),
        ("1234567890123456789.0", "1234567890123456789.0", 1_234_567_890_123_456_789),
        ("-1.5e3", "-1.5e3", None),  # a code, as 12E3 is
        ("0E1", "0E1", None),
        (".", ".", None),
        ("1_000", "1_000", None),
        ("nan", "nan", None),
        ("0x10", "0x10", None),
        (True, "true", None),
        (7, "7", 7),
        (7.0, "7", 7),
        (7.25, "7.25", 7.25),
        (float("inf"), "inf", float("inf")),
        (None, None, None),
        ([], None, None),
        ({}, None, None),
    ],
)
def test_values(value: object, text: str | None, number: float | None) -> None:
    assert (text_of(value), number_of(value)) == (text, number)


def test_keys() -> None:
    assert compile_key(())(GIVEN) == ""
    assert compile_key(("subject", "line"))(GIVEN) == "line-3/M-07/L3"
    assert compile_key(("subject", "code"))(GIVEN) == "line-3/M-07/E%2F1%25"
    assert compile_key(("code",))(GIVEN) == "E/1%"
    assert compile_key(("line", "facts.machine.line", "flag", "n"))(GIVEN) == "L3/L9/false/3"
    assert compile_key(("line", "empty"))(GIVEN) == "L3/"
    assert compile_key(("line", "absent"))(GIVEN) is None
    assert compile_key(("absent", "line"))(GIVEN) is None
    assert compile_key(("absent", "line", "absent"), missing="")(GIVEN) == "/L3/"


def test_a_label_is_found_before_data() -> None:
    assert compile_key(("code",))(event(labels={"code": "label"}, data={"code": "data"})) == "label"


def test_different_values_have_different_keys() -> None:
    key = compile_key(("subject", "code"))
    assert key(event(subject="a", data={"code": "b/c"})) != key(event(subject="a/b", data={"code": "c"}))
    assert key(event(subject="a", data={"code": "b%2Fc"})) != key(event(subject="a", data={"code": "b/c"}))


def test_templates() -> None:
    assert compile_template("{facts.machine.line}")(GIVEN) == "L9"
    assert compile_template("{{{ labels.line }}} {data.n}件")(GIVEN) == "{L3} 3件"
    assert compile_template("fixed")(GIVEN) == "fixed"
    assert compile_template("")(GIVEN) == ""
    assert compile_template("line {facts.none.line}")(GIVEN) is None
    assert compile_template("{data.deep}")(GIVEN) is None
    for text, problem in (
        ("{line}", "names no value"),
        ("a } b", "single '}'"),
        ("{data.x", "single '{'"),
        ("{}", "no v"),
    ):
        with pytest.raises(PathError, match=problem):
            compile_template(text)
