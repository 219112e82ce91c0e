"""Inhibition rules and alerts: which of them are inhibited, by the real Alertmanager and by what was imported.

`python -m tests.config.inhibitions > tests/config/alertmanager/inhibitions.jsonl` asks it and records its answers.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from andon.config.load import load
from andon.core.matchers import all_hold, compile_matchers
from andon.core.paths import compile_key
from andon.egress.inhibition import Causes, Inhibition
from andon.kafka.codecs import encode
from andon.testing.builders import delivery, event
from andon.ticketing.episode import advance
from andon.ticketing.records import records
from tests.config.test_alertmanager import made
from tests.rig.alertmanager import running
from tests.rig.client import wait_for

RECORD = Path(__file__).parent / "alertmanager" / "inhibitions.jsonl"
SEED, RULE_SETS, ALERTS = 20_261_126, 60, 40

Labels = dict[str, str]
Rule = dict[str, Any]
Answer = tuple[list[Rule], list[str]]


def alerts(random: Random) -> list[Labels]:
    """Each with a name of its own; some lack a label."""
    found = []
    for number in range(ALERTS):
        labels = {"alertname": f"A{number}", "instance": f"i{number % 7}", "severity": random.choice("abc")}
        labels |= {name: random.choice("xy") for name in ("line", "code") if random.random() < 0.8}
        found.append(labels)
    return found


def rules(random: Random) -> list[Rule]:
    """One to three; both sides may be about the same alerts."""
    return [
        {
            "source_matchers": _side(random),
            "target_matchers": _side(random),
            "equal": random.sample(["line", "code", "instance", "nowhere"], random.randrange(3)),
        }
        for _ in range(random.randrange(1, 4))
    ]


def _side(random: Random) -> list[str]:
    every = ('severity="a"', 'severity=~"a|b"', 'severity!="c"', 'line="x"', 'line=""', 'code!~"x|"', 'code="y"')
    return random.sample(every, random.randrange(1, 3))


def configuration(of: list[Rule]) -> dict[str, Any]:
    return {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}], "inhibit_rules": of}


def asked(random: Random, given: list[Labels], count: int) -> Iterator[Answer]:
    """So many sets of rules, and which of these alerts the real one calls inhibited. Raises Unavailable."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), json.dumps(configuration([]))) as one:
        one.raise_([{"labels": labels} for labels in given])
        for _ in range(count):
            these = rules(random)
            one.reload(json.dumps(configuration(these)))
            yield these, sorted(_settled(one))


def _settled(one: Any) -> set[str]:
    """It learns of the alerts beside, a moment after it was given other rules."""
    last: list[set[str]] = []

    def same() -> bool:
        time.sleep(0.2)
        last.append(one.inhibited())
        return len(last) > 3 and last[-1] == last[-2] == last[-3]

    assert wait_for(same, 30)
    return last[-1]


def imported(given: list[Labels], of: list[Rule], folder: Path) -> list[str]:
    """Which of the alerts the imported rules hold back, once all of them are known."""
    translation = made(configuration(of))
    (folder / "andon.yaml").write_text(translation.text, encoding="utf-8")
    settings = load(folder).settings
    faults = [
        ([one.holds for one in compile_matchers(rule.matchers)], compile_key(rule.key))
        for rule in settings.episodes.values()
    ]
    events = [event(id=one["alertname"], subject=one["instance"], labels={**one, "state": "raise"}) for one in given]
    causes, keys = Causes(), {}
    for one in events:
        key = next((key(one) for tests, key in faults if all_hold(tests, one)), None)
        keys[one.id] = key
        if key is not None:
            episode, _ = advance(None, one, key)
            (record,) = records(None, episode, one)
            causes.take(key.encode(), encode(record))
    inhibition = Inhibition(settings.inhibit_rules)
    return sorted(one.id for one in events if inhibition.by(delivery(one, episode=keys[one.id]), causes))


def recorded() -> tuple[list[Labels], list[Answer]]:
    """The alerts and the answers of the record."""
    given, *answers = map(json.loads, RECORD.read_text(encoding="utf-8").splitlines())
    return given, [(these, inhibited) for these, inhibited in answers]


if __name__ == "__main__":
    ours = Random(SEED)
    every = alerts(ours)
    for line in (every, *asked(ours, every, RULE_SETS)):
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
