"""A soak tells what its rounds came to, goes on where it was, and sees memory that grows."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from tests.chaos import soak
from tests.chaos.soak import Soak, read
from tests.chaos.table import PARTS, Line, growing, markdown, sound


def line(fault: str = "F02", part: int = 1, **more: Any) -> Line:
    usual = Line(fault, 1, 0, part, 4, [], [], 2.5, {"egress": 90.0}, {}, 10.0)
    return usual._replace(**more)


def test_the_table_counts_injections_and_shows_the_worst() -> None:
    text = markdown([line(), line(recovery_s=7.25), line("F03", violations=["I1: lost"], injections=2)])
    assert "| `F02` | 1 | 2 | 8 | 0 | 7.2 s | 37.5% |" in text
    assert "| `F03` | 1 | 1 | 2 | 1 | 2.5 s |  |" in text


def test_a_round_that_hit_nothing_shows_nothing() -> None:
    void = line(void=["void: no call was cut"], injections=0, recovery_s=99.0)
    assert "| `F02` | 1 | 2 (1 void) | 4 | 0 | 2.5 s |" in markdown([void, line()])
    assert sound([void, line()])
    assert not sound([void]), "the fault was never hit"


def test_memory_of_the_last_quarter_is_held_against_the_second() -> None:
    flat = [line(part=part, peak_mb={"egress": size}) for part, size in ((1, 120.0), (2, 90.0), (3, 80.0), (4, 94.4))]
    assert not growing(flat)
    rising = [*flat, line("F12", 4, peak_mb={"egress": 94.6})]
    assert growing(rising) == ["egress"]
    assert "Peak memory of egress in each quarter: 120 · 90 · 80 · 95 MB, **not flat**." in markdown(rising)
    assert not sound(rising)


class FakePlants:
    """No plant is started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def of(self, _limits: object) -> SimpleNamespace:
        return SimpleNamespace(peak_mb=lambda: {"egress": 90.0})

    def keep(self, *_needs: object) -> None:
        return

    def drop(self, _limits: object) -> None:
        return


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The rounds that were run: three injections each; the third ends by an exception."""
    done: list[tuple[str, int]] = []

    def inject(name: str, _plant: object, number: int, _seed: int, *, wanted: int) -> SimpleNamespace:
        assert wanted > 0
        done.append((name, number))
        if len(done) == 3:
            raise TimeoutError("the sink is silent")
        verdict = SimpleNamespace(figures={})
        return SimpleNamespace(injections=3, violations=[], late=[], void=[], recovery_s=1.0, verdict=verdict)

    monkeypatch.setattr(soak, "Plants", FakePlants)
    monkeypatch.setattr(soak, "inject", inject)
    return done


def test_each_part_has_rounds_of_every_fault_until_it_has_its_injections(
    rounds: list[tuple[str, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "soak.jsonl"
    Soak(["F02", "F12"], 12, 1, out).run()
    counts = {name: sum(one.injections for one in read(out) if one.fault == name) for name in ("F02", "F12")}
    assert counts == {"F02": 12, "F12": 12}
    assert [(one.fault, one.part) for one in read(out)][:5] == [
        ("F02", 1), ("F12", 1), ("F02", 2), ("F02", 2), ("F12", 2),
    ]  # fmt: skip
    broken = [one for one in read(out) if one.violations]
    assert [one.violations for one in broken] == [["the round broke: TimeoutError: the sink is silent"]]
    assert "F12            12/12 injections" in capsys.readouterr().out


def test_a_stopped_soak_goes_on_where_it_was(rounds: list[tuple[str, int]], tmp_path: Path) -> None:
    out = tmp_path / "soak.jsonl"
    before = [line(round=n, part=p, injections=5) for n, p in ((0, 1), (1, 2))]
    other = line(seed=2, injections=100)
    out.write_text("".join(json.dumps(one._asdict()) + "\n" for one in [*before, other]) + '{"fault": "F0')
    Soak(["F02"], 20, 1, out).run()
    assert rounds[0] == ("F02", 2), "another round, with other timing"
    assert sum(one.injections for one in Soak(["F02"], 20, 1, out).lines) >= 20


def test_plants_that_some_faults_need_come_when_the_common_one_has_lived(
    rounds: list[tuple[str, int]], tmp_path: Path
) -> None:
    out = tmp_path / "soak.jsonl"
    Soak(["F02", "F06", "F07", "F11"], 8, 1, out).run()
    injected = [one.fault for one in read(out)]
    assert list(dict.fromkeys(injected)) == ["F02", "F06", "F07", "F11"]
    assert injected == sorted(injected), "each other plant is started once"
    assert {one.part for one in read(out) if one.fault != "F02"} == {PARTS}


def test_a_fault_whose_rounds_break_is_given_up_after_three_in_a_part(
    rounds: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        rounds.append(("F02", len(rounds)))
        raise RuntimeError("no plant starts any more")

    monkeypatch.setattr(soak, "inject", breaks)
    run = Soak(["F02"], 20, 1, tmp_path / "soak.jsonl")
    run.run()
    assert len(rounds) == 3 * 4
    assert not sound(run.lines)
