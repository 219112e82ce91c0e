"""Andon and the naive implementation against the real Alertmanager, which is asked anew: `make long`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.rig import oracle
from tests.rig.alertmanager import Unavailable, tools
from tests.unit.routing import sides
from tests.unit.routing.alertmanager import config, differences, questions, recorded
from tests.unit.routing.generated import some_labels, some_tree

pytestmark = pytest.mark.long
SEED, TREES, TEXTS, PATTERNS = 20_261_128, 2_500, 10_000, 3_000


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    try:
        tools()
    except Unavailable as reason:
        pytest.skip(str(reason))


def compare(asked: Sequence[dict[str, Any]]) -> tuple[list[str], int]:
    """What is answered otherwise, and how many of the texts Alertmanager refuses."""
    answers = oracle.ask(asked)
    found = [one for question, answer in zip(asked, answers, strict=True) for one in differences(question, answer)]
    return found, sum("error" in answer for answer in answers)


def test_trees_are_walked_like_alertmanagers() -> None:
    assert compare(questions(SEED, texts=0, patterns=0, trees=TREES)) == ([], 0)


def test_texts_are_read_like_alertmanagers() -> None:
    found, refused = compare(questions(SEED, texts=TEXTS, patterns=0, trees=0))
    assert found == []
    assert 0.2 < refused / TEXTS < 0.8


def test_patterns_mean_what_they_mean_to_alertmanager() -> None:
    found, refused = compare(questions(SEED, texts=0, patterns=PATTERNS, trees=0))
    assert found == []
    assert 0.05 < refused / PATTERNS < 0.5


def test_the_record_is_what_it_still_answers() -> None:
    asked, answers = zip(*recorded(), strict=True)
    assert oracle.ask(asked) == list(answers)


def test_amtool_names_the_same_receivers(tmp_path: Path) -> None:
    random = Random(SEED)
    for number in range(10):
        route = some_tree(random, own=False)
        file = tmp_path / f"{number}.yml"
        file.write_text(json.dumps(config(route)), encoding="utf-8")
        router = sides.built(route)
        for _ in range(3):
            labels = some_labels(random)
            ours = [one.receiver for one in sides.taken(router, sides.labelled(labels))]
            assert oracle.amtool_receivers(file, labels) == ours
