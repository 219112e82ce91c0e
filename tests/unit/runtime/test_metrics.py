"""The metrics are what the README says they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from andon.runtime.breaker import State
from andon.runtime.metrics import Metrics

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (`andon_[a-z_]+`(?:, `andon_[a-z_]+`)*) \| ([a-z_, ]*) \|", re.MULTILINE)


def served() -> dict[str, tuple[str, ...]]:
    """Name → labels, as Prometheus has them."""
    found = {}
    metrics: Any = Metrics().registry._collector_to_names
    for metric in metrics:
        name = metric._name + ("_total" if metric._type == "counter" else "")
        found[name] = tuple(metric._labelnames)
    return found


def test_the_readme_names_each_metric_with_its_labels_and_no_other() -> None:
    told = {
        name.strip("` "): tuple(labels.split(", "))
        for names, labels in ROW.findall(README)
        for name in names.split(",")
    }
    assert told == served()


def test_no_label_is_a_person_a_receiver_or_an_id() -> None:
    labels = {label for each in served().values() for label in each}
    assert labels.isdisjoint({"id", "event", "receiver", "recipient", "subject", "person", "user"})


def test_the_states_of_a_breaker_are_told_as_they_are() -> None:
    text = Metrics().text().decode()
    assert "0 closed, 1 trying, 2 open" in text
    assert (State.CLOSED, State.HALF_OPEN, State.OPEN) == (0, 1, 2)
    assert "0 closed, 1 trying, 2 open" in README
