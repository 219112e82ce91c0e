"""What `andon import alertmanager` makes of a configuration, against what the real Alertmanager does with it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from andon.core.policy import Pace
from tests.config import inhibitions
from tests.config import test_alertmanager as imported
from tests.rig import oracle
from tests.rig.alertmanager import Unavailable, tools
from tests.unit.routing.events import event

pytestmark = pytest.mark.long
SEED, CONFIGURATIONS, RULE_SETS = 20_261_126, 300, 60


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    try:
        tools()
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_the_same_labels_reach_the_same_receivers(tmp_path: Path) -> None:
    """And the groups of each have the same times."""
    random = Random(SEED)
    given = [imported.random_configuration(random) for _ in range(CONFIGURATIONS)]
    answers = oracle.ask([oracle.tree(one, *map(present, imported.LABELS)) for one in given])
    for configuration, answer in zip(given, answers, strict=True):
        assert "error" not in answer, answer
        translation = imported.made(configuration)
        ours = imported.router(imported.loaded(translation, tmp_path))
        for labels, taken in zip(imported.LABELS, answer["taken"], strict=True):
            wanted: dict[str, Pace] = {}
            for route in taken:
                for name in translation.receivers[route["receiver"]]:
                    wanted.setdefault(name, Pace(*map(float, route["pace"])))
            heard = {each.receiver: each.pace for each in ours.route(event(labels=labels)).outputs}
            heard = {name: pace or wanted[name] for name, pace in heard.items()}
            assert heard == wanted, (labels, configuration)


def test_the_example_is_one_that_alertmanager_takes(tmp_path: Path) -> None:
    (answer,) = oracle.ask([{"config": imported.EXAMPLE.read_text(encoding="utf-8"), "labels": [{"severity": "info"}]}])
    assert [route["receiver"] for route in answer["taken"][0]] == ["blackhole"], json.dumps(answer)


def present(labels: dict[str, str]) -> dict[str, str]:
    """An alert has no label without a value."""
    return {name: value for name, value in labels.items() if value}


def test_the_same_alerts_are_held_back(tmp_path: Path) -> None:
    random = Random(SEED + 1)
    given = inhibitions.alerts(random)
    for rules, inhibited in inhibitions.asked(random, given, RULE_SETS):
        assert inhibitions.imported(given, rules, tmp_path) == inhibited, rules
