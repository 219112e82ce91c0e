"""Andon and the naive implementation against the recorded answers of the real Alertmanager."""

from __future__ import annotations

import pytest

from tests.unit.routing.alertmanager import TEXTS, differences, recorded

RECORDED = recorded()


@pytest.mark.parametrize("kind", ["matchers", "config"])
def test_answers_like_alertmanager(kind: str) -> None:
    asked = [(question, answer) for question, answer in RECORDED if kind in question]
    assert [one for question, answer in asked for one in differences(question, answer)] == []
    refused = sum("error" in answer for _, answer in asked)
    assert refused > 100 if kind == "matchers" else refused == 0 and len(asked) == 30


def test_every_chosen_text_is_in_the_record() -> None:
    assert set(TEXTS) <= {question.get("matchers") for question, _ in RECORDED}
