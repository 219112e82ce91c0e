"""The arithmetic of a run's summary."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from andon.cli.running.summary import Outside, drained, lost, outside, process_started, summary


@dataclass(frozen=True)
class Counted:
    accepted: int = 10
    deliveries: int = 9
    delivered: int = 6
    merged: int = 3
    skipped: int = 1
    parked: int = 0
    waiting: int = 0
    tickets_opened: int = 4
    tickets_closed: int = 4
    latency_ms_p50: float | None = 30.5
    latency_ms_p99: float | None = 99.0
    lost: int = 0


IDS = frozenset(f"e{n}" for n in range(10))
CALLS = (1_000.5, 1_002.0, 1_003.0, 1_004.0, 1_005.0, 1_006.0)


def test_the_summary_has_exactly_its_keys() -> None:
    found = summary(Counted(), Outside(sorted(IDS), CALLS), IDS, recorded=True, started=999.0)
    assert found == {
        "accepted": 10,
        "deliveries": 9,
        "delivered": 6,
        "merged": 3,
        "skipped": 1,
        "parked": 0,
        "waiting": 0,
        "lost": 0,
        "tickets_opened": 4,
        "tickets_closed": 4,
        "latency_ms_p50": 30.5,
        "latency_ms_p99": 99.0,
        "first_delivery_s": 1.5,
    }
    assert json.loads(json.dumps(found)) == found


def test_the_first_delivery_is_one_of_this_run() -> None:
    assert summary(Counted(), Outside((), CALLS), IDS, recorded=True, started=1_002.5)["first_delivery_s"] == 0.5
    assert summary(Counted(), Outside((), CALLS), IDS, recorded=True, started=2_000)["first_delivery_s"] is None


def test_what_is_nowhere_is_lost_whoever_says_so() -> None:
    whole = Outside(tuple(IDS), CALLS)
    assert lost(Counted(), whole, IDS, recorded=True) == 0
    assert lost(Counted(lost=2), whole, IDS, recorded=True) == 2
    assert lost(Counted(), Outside((*IDS, "e99", "e99"), CALLS), IDS, recorded=True) == 1
    assert lost(Counted(), Outside(tuple(IDS), CALLS[:4]), IDS, recorded=True) == 2
    assert lost(Counted(), Outside(tuple(IDS), (*CALLS, 1_007.0)), IDS, recorded=True) == 0
    assert lost(Counted(), Outside(tuple(IDS)), IDS, recorded=False) == 0


def test_waiting_is_not_lost_and_not_drained() -> None:
    whole, waiting = Outside(tuple(IDS), CALLS), Counted(delivered=5, waiting=1)
    assert lost(waiting, whole, IDS, recorded=True) == 0
    assert not drained(waiting, whole, IDS)
    assert drained(Counted(), whole, IDS)
    assert not drained(replace(Counted(), tickets_closed=3), whole, IDS)
    assert not drained(Counted(lost=1), whole, IDS)
    assert not drained(Counted(), Outside((*IDS, "still on its way")), IDS)


def test_records_are_read_as_far_as_they_are_whole(tmp_path: Path) -> None:
    sent, record = tmp_path / "sent.jsonl", tmp_path / "record.jsonl"
    sent.write_text('{"id": "a", "at": 1.0}\n{"id": "b", "at": 2.0}\n{"id": "c')
    record.write_text('{"at": 3.5, "key": "k", "msgtype": "text", "content": "机器"}\n')
    assert outside(sent, record) == Outside(("a", "b"), (3.5,))
    assert outside(tmp_path / "none", tmp_path / "none") == Outside()


def test_the_process_began_before_now() -> None:
    began = process_started()
    assert 0 <= time.time() - began < 3_600
    assert abs(process_started() - began) < 0.05
