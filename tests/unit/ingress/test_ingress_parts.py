"""The filter, the trace, the clients and the index, each alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from andon.config.secrets import SecretRef
from andon.core.event import Position
from andon.core.ports import Context
from andon.core.work import StoreFailure
from andon.ingress.bloom import Bloom
from andon.ingress.bodies import traceparent
from andon.ingress.entry.clients import Clients
from andon.ingress.sources.http import HttpSource
from andon.store import requests as store
from andon.store.requests import Request, RequestIndex, request_key, scope_of
from andon.testing.clock import ManualClock


def test_the_filter_forgets_nothing_and_is_seldom_wrong() -> None:
    kept = Bloom()
    keys = [os.urandom(16) for _ in range(20_000)]
    kept.update(keys)
    assert kept.among(keys) == keys
    assert len(kept.among([os.urandom(16) for _ in range(20_000)])) <= 12  # expected: 1.5
    assert not kept.full
    assert kept.count == 20_000


def test_the_filter_is_right_enough_when_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.ingress.bloom._LEAST", 1 << 12)
    kept = Bloom()
    kept.update([os.urandom(16) for _ in range(1 << 12)])
    assert not kept.full
    assert len(kept.among([os.urandom(16) for _ in range(20_000)])) < 400  # expected: 175
    kept.update([b"one more"])
    assert kept.full


GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (GOOD, GOOD),
        (None, None),
        ("", None),
        (GOOD.upper(), None),
        (GOOD[:-1], None),
        (GOOD + "-more", None),
        ("ff" + GOOD[2:], None),
        ("00-" + "0" * 32 + GOOD[35:], None),
        (GOOD[:36] + "0" * 16 + "-01", None),
        ("01" + GOOD[2:], GOOD),
        ("01" + GOOD[2:] + "-more", GOOD),
        ("01" + GOOD[2:] + "more", None),
        (GOOD + "\n", None),
    ],
)
def test_traceparent(header: str | None, kept: str | None) -> None:
    assert traceparent.accepted(header) == kept


def test_a_minted_trace_is_a_valid_one() -> None:
    minted = traceparent.minted(bytes(range(1, 25)))
    assert minted == "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01"
    assert traceparent.accepted(minted) == minted


def clients(clock: ManualClock, **tokens: Path) -> Clients:
    return Clients(
        {
            name: HttpSource(
                HttpSource.Config(token=SecretRef(f"file:{path}")),
                Context(name, path.parent, clock, None),  # type: ignore[arg-type]  # nothing is called through it
            )
            for name, path in tokens.items()
        },
        clock,
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def name_for(door: Clients, authorization: str | None) -> str | None:
    found = door.find(authorization)
    return found.name if found else None


def test_each_token_opens_for_its_client_alone(tmp_path: Path) -> None:
    door = clients(ManualClock(), mes=written(tmp_path / "a", "alpha"), erp=written(tmp_path / "b", "beta\nold-beta"))
    shown = {
        "Bearer alpha": "mes",
        "bearer  alpha": "mes",
        "Bearer beta": "erp",
        "Bearer old-beta": "erp",
        "Bearer alph": None,
        "Bearer alphaa": None,
        "Bearer ": None,
        "Basic alpha": None,
        "alpha": None,
        "Bearer \udcff": None,
    }
    assert {text: name_for(door, text) for text in shown} == shown
    assert door.find(None) is None


def test_a_rotation_needs_no_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    door = clients(clock, mes=written(tmp_path / "a", "old"))
    written(tmp_path / "a", "new\nold")
    clock.advance(6)
    assert (name_for(door, "Bearer new"), name_for(door, "Bearer old")) == ("mes", "mes")
    written(tmp_path / "a", "new")
    clock.advance(6)
    assert (name_for(door, "Bearer new"), name_for(door, "Bearer old")) == ("mes", None)


def test_a_file_that_is_gone_for_a_moment_locks_nobody_out_and_for_good_it_does(tmp_path: Path) -> None:
    clock = ManualClock()
    door = clients(clock, mes=written(tmp_path / "a", "alpha"))
    (tmp_path / "a").unlink()
    clock.advance(30)
    assert name_for(door, "Bearer alpha") == "mes"
    clock.advance(31)
    assert name_for(door, "Bearer alpha") is None
    written(tmp_path / "a", "alpha")
    clock.advance(6)
    assert name_for(door, "Bearer alpha") == "mes"


def test_a_token_that_is_not_there_costs_its_own_client_alone_until_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    door = clients(clock, mes=tmp_path / "absent", erp=written(tmp_path / "b", "beta"))
    (said,) = caplog.messages
    assert said.startswith("the source mes: nobody comes in by it until its secret is there: the secret file ")
    assert (name_for(door, "Bearer beta"), name_for(door, "Bearer alpha")) == ("erp", None)
    clock.advance(70)
    assert name_for(door, "Bearer ") is None
    written(tmp_path / "absent", "alpha")
    clock.advance(6)
    assert name_for(door, "Bearer alpha") == "mes"
    (tmp_path / "b").unlink()
    clock.advance(70)
    assert (name_for(door, "Bearer alpha"), name_for(door, "Bearer beta")) == ("mes", None)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert caplog.messages[1].startswith("the source erp: nobody comes in")
    assert "alpha" not in caplog.text
    assert "beta" not in caplog.text


def test_a_shared_token_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'mes' and 'erp'|'erp' and 'mes'") as caught:
        clients(ManualClock(), mes=written(tmp_path / "a", "same"), erp=written(tmp_path / "b", "other\nsame"))
    assert "same token" in str(caught.value)


SCOPE = scope_of("mes", "line-3")


def kept(event_id: str, offset: int, scope: bytes = SCOPE, digest: bytes = b"d" * 16) -> Request:
    return Request(request_key(event_id, scope), digest, Position("andon.events", 3, offset, 1_760_000_000_123))


def test_the_index_answers_after_a_restart(tmp_path: Path) -> None:
    index = RequestIndex(tmp_path / "sub" / "requests.sqlite", "andon.events")
    index.write([kept(str(n), n) for n in range(1_000)], 1_000.0)
    index.close()
    index = RequestIndex(tmp_path / "sub" / "requests.sqlite", "andon.events")
    found = index.read([kept("7", 0).key, kept("8", 0).key, kept("nobody", 0).key])
    assert sorted(found, key=lambda r: r.position.offset if r.position else 0) == [kept("7", 7), kept("8", 8)]
    assert index.find("999") == Position("andon.events", 3, 999, 1_760_000_000_123)
    assert index.find("1000") is None
    assert index.count() == 1_000
    assert {key for keys in index.all_keys() for key in keys} == {kept(str(n), n).key for n in range(1_000)}
    index.close()


def test_a_key_keeps_its_first_value_also_across_eras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ERA_ROWS", 2)
    index = RequestIndex(tmp_path / "r", "andon.events")
    index.write([kept("a", 1), kept("a", 2)], 0.0)
    index.write([kept("a", 3), kept("b", 4)], 1.0)
    (found,) = index.read([kept("a", 0).key])
    assert found.position is not None
    assert found.position.offset in (1, 2)
    assert index.find("a") == Position("andon.events", 3, 3, 1_760_000_000_123), "trace shows the latest record"
    index.close()


def test_one_id_in_two_scopes_is_two_requests(tmp_path: Path) -> None:
    index = RequestIndex(tmp_path / "r", "andon.events")
    other = scope_of("erp", "line-3")
    index.write([kept("a", 1), kept("a", 2, other)], 0.0)
    assert index.read([kept("a", 0, other).key]) == [kept("a", 2, other)]
    index.close()


def test_pruning_forgets_only_what_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ERA_SECONDS", 100.0)
    index = RequestIndex(tmp_path / "r", "andon.events")
    for n in range(5):
        index.write([kept(str(n), n)], 100.0 * n)
    index.prune(before=250.0)  # eras are open from 0, 100, 200, 300 and 400 on; two ended before
    assert [index.find(str(n)) is not None for n in range(5)] == [False, False, True, True, True]
    assert index.count() == 3
    index.write([kept("5", 5)], 500.0)
    assert index.find("5") is not None
    index.close()


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    written(tmp_path / "r", "this is no database, not at all, and long enough to be sure of it" * 50)
    with pytest.raises(StoreFailure, match="cannot be used") as caught:
        RequestIndex(tmp_path / "r", "andon.events")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreFailure):
        RequestIndex(tmp_path, "andon.events")
