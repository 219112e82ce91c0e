"""Imported inhibition rules against the recorded answers of the real Alertmanager."""

from __future__ import annotations

from pathlib import Path

from tests.config.inhibitions import ALERTS, RULE_SETS, imported, recorded


def test_the_same_alerts_are_held_back(tmp_path: Path) -> None:
    given, answers = recorded()
    assert (len(given), len(answers)) == (ALERTS, RULE_SETS)
    assert 100 < sum(len(inhibited) for _, inhibited in answers) < ALERTS * RULE_SETS / 2
    assert [one for one in answers if imported(given, one[0], tmp_path) != one[1]] == []
