"""What is known of causes, and how rules find those that matter: an index that never differs from a look at all."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from time import perf_counter
from uuid import uuid4

import pytest

from andon.config.routing import InhibitRule
from andon.core.ticket import EpisodeRecord
from andon.egress import inhibition
from andon.egress.inhibition import Causes, Inhibition
from andon.kafka.codecs import encode
from andon.testing.builders import delivery, event

AT = datetime(2026, 11, 26, tzinfo=UTC)
RULE = InhibitRule(source_matchers=('code="STOP"',), target_matchers=('severity="minor"',), equal=("line",))


def opened(causes: Causes, key: str, line: str, code: str = "STOP") -> None:
    labels = {"code": code, "line": line}
    one = EpisodeRecord(uuid4(), key, 1, "raised", AT, "e-1", key, source="mes", type="fault", labels=labels)
    causes.take(key.encode(), encode(one))


def held(rules: Inhibition, causes: Causes, line: str, episode: str | None = None) -> str | None:
    return rules.by(delivery(event(labels={"severity": "minor", "line": line}), episode=episode), causes)


def test_the_index_follows_what_opens_changes_and_ends() -> None:
    rules, causes = Inhibition([RULE]), Causes()
    assert held(rules, causes, "L1") is None
    opened(causes, "a", "L1")
    assert held(rules, causes, "L1") == "inhibit_rules[0] a"
    assert held(rules, causes, "L2") is None
    assert held(rules, causes, "L1", episode="a") is None, "no cause holds itself back"
    opened(causes, "a", "L2")
    assert (held(rules, causes, "L1"), held(rules, causes, "L2")) == (None, "inhibit_rules[0] a")
    opened(causes, "a", "L2", code="OTHER")
    assert held(rules, causes, "L2") is None
    opened(causes, "a", "L2")
    causes.take(b"a", b"")
    assert held(rules, causes, "L2") is None
    opened(causes, "b", "L3")
    causes.take(b"b", b"not a record")
    assert held(rules, causes, "L3") is None


@pytest.mark.parametrize("remembered", [1, 5, 1_000])
def test_whoever_looks_seldom_sees_the_same(monkeypatch: pytest.MonkeyPatch, remembered: int) -> None:
    monkeypatch.setattr(inhibition, "_REMEMBERED", remembered)
    rng, causes, often = random.Random(remembered), Causes(), Inhibition([RULE])
    for _ in range(2_000):
        key, line = f"e{rng.randrange(12)}", f"L{rng.randrange(4)}"
        if rng.random() < 0.5:
            opened(causes, key, line, rng.choice(("STOP", "OTHER")))
        else:
            causes.take(key.encode(), b"")
        if rng.random() < 0.3:
            asked = f"L{rng.randrange(4)}"
            found, fresh = (held(rules, causes, asked) for rules in (often, Inhibition([RULE])))
            assert (found is None) == (fresh is None)
            if found is not None:
                assert found.rpartition(" ")[2] in causes.open


def test_a_storm_of_causes_makes_no_delivery_slow() -> None:
    """A look at all of 10,000 causes for each takes minutes."""
    rules, causes = Inhibition([RULE]), Causes()
    began = perf_counter()
    for number in range(10_000):
        opened(causes, f"e{number}", f"L{number}")
        assert held(rules, causes, f"L{number}") == f"inhibit_rules[0] e{number}"
    assert perf_counter() - began < 20
