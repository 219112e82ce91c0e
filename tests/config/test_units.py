"""Durations, rates and sizes."""

from __future__ import annotations

import math

import pytest

from andon.config.units import duration_text, rate, rate_text, seconds, size, size_text
from andon.core.policy import Limit


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10), ("5m", 300), ("2h", 7_200), ("190d", 16_416_000), ("800ms", 0.8), ("1.5h", 5_400), (3, 3), (0, 0)],
)
def test_durations(text: object, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "s", "10", "10 s", "10S", "-1s", "1w", "1h30m", True, None, -1, math.inf, math.nan, [1]]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10/m", Limit(10, 60)), ("5/10m", Limit(5, 600)), ("50/s", Limit(50, 1)), ("3/500ms", Limit(3, 0.5))],
)
def test_rates(text: str, expected: Limit) -> None:
    assert rate(text) == expected
    assert rate(rate_text(expected)) == expected


@pytest.mark.parametrize("text", ["", "10", "0/m", "10/0m", "/m", "10/", "10/1.5m", "-1/m", 10, None])
def test_no_rates(text: object) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        rate(text)


@pytest.mark.parametrize(("text", "expected"), [("1MiB", 1 << 20), ("512KiB", 512 << 10), ("0B", 0), (7, 7)])
def test_sizes(text: object, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "1MB", "1 MiB", "1.5MiB", "-1B", -1, True, None, 1.0])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        size(text)


@pytest.mark.parametrize(
    ("value", "text"), [(16_416_000.0, "190d"), (1.0, "1s"), (90.0, "90s"), (0.5, "500ms"), (3_600.0, "1h")]
)
def test_durations_are_written_back(value: float, text: str) -> None:
    assert duration_text(value) == text
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(("value", "text"), [(1 << 20, "1MiB"), (1_000, "1000B"), (3 << 9, "1536B")])
def test_sizes_are_written_back(value: int, text: str) -> None:
    assert size_text(value) == text
    assert size(text) == value
