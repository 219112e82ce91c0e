"""`andon store` from the command line: what it is given, what it says, and its exit codes."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from andon.cli import main as frame
from andon.cli.running.runfile import RunFile
from andon.core.work import Write
from andon.store import upkeep
from andon.store.desk import SqlDeskStore
from tests.unit.cli.conftest import Configure
from tests.unit.desk.items import HOME, item


@pytest.fixture
def source(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'old'}"
    with closing(SqlDeskStore(url, "egress")) as store:
        store.acquire(HOME, "egress-0", 0.0)
        store.commit([Write(HOME, 1, offset=3, taken=[item(1), item(2)])])
    return url


def test_a_migration_says_what_went_and_what_to_do_next(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"sqlite:///{tmp_path / 'new'}"
    assert frame.main(["store", "migrate", source, target]) == 0
    told = capsys.readouterr()
    assert "egress: 1 lease, 2 item, 0 attempt, 0 memo, 0 outbox; counts and digests agree" in told.out
    assert "set store.url" in told.out
    assert "egress: item 2 of 2" in told.err
    assert frame.main(["store", "migrate", source, target]) == 1
    assert "was migrated to SQLite" in capsys.readouterr().err
    with closing(SqlDeskStore(target, "egress")) as store:
        assert len(store.acquire(HOME, "x", 0.0).items) == 2


@pytest.fixture
def both(source: str) -> str:
    """A store of both desks, with work in each."""
    with closing(SqlDeskStore(source, "ticketing")) as store:
        store.acquire(HOME, "ticketing-0", 0.0)
        store.commit([Write(HOME, 1, offset=2, taken=[item(7)])])
    return source


def test_no_desk_is_moved_while_another_one_is_in_use(
    both: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(SqlDeskStore(both, "ticketing")):
        assert frame.main(["store", "migrate", both, f"sqlite:///{tmp_path / 'new'}"]) == 1
    assert "the store ticketing is in use" in capsys.readouterr().err
    with closing(SqlDeskStore(both, "egress")) as store:
        assert len(store.acquire(HOME, "x", 0.0).items) == 2


def test_a_migration_that_ended_after_the_first_desk_is_finished_when_it_is_said_again(
    both: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"sqlite:///{tmp_path / 'new'}"
    upkeep.migrate(both, target, "egress", lambda _table, _done, _whole: None)
    assert frame.main(["store", "migrate", both, target]) == 0
    told = capsys.readouterr()
    assert "egress: moved there before" in told.err
    assert "ticketing: 1 lease, 1 item" in told.out
    for desk, items in (("egress", 2), ("ticketing", 1)):
        with closing(SqlDeskStore(target, desk)) as store:
            assert len(store.acquire(HOME, "x", 0.0).items) == items


def test_a_desk_that_was_moved_to_another_place_keeps_the_others_back(
    both: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would end in two stores, and store.url names one."""
    upkeep.migrate(both, f"sqlite:///{tmp_path / 'first'}", "egress", lambda _table, _done, _whole: None)
    assert frame.main(["store", "migrate", both, f"sqlite:///{tmp_path / 'second'}"]) == 1
    assert "the store egress was migrated to SQLite" in capsys.readouterr().err
    with closing(SqlDeskStore(both, "ticketing")) as store:
        assert len(store.acquire(HOME, "x", 0.0).items) == 1


def test_a_migration_in_json(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["store", "migrate", source, f"sqlite:///{tmp_path / 'new'}", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["egress"]["item"]["rows"] == 2
    assert told.err == ""


def test_a_running_desk_is_named_and_nothing_is_moved(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(SqlDeskStore(source, "egress")):
        assert frame.main(["store", "migrate", source, f"sqlite:///{tmp_path / 'new'}"]) == 1
    assert "the store egress is in use: stop every process of the desk first" in capsys.readouterr().err
    SqlDeskStore(source, "egress").close()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("postgresql+psycopg://andon:hidden@db/andon", "a password stands in this address"),
        ("env:NO_SUCH_STORE", "the environment variable NO_SUCH_STORE is not set"),
        ("mysql://db/andon", "a store is sqlite:////folder"),
        ("/data/store", "a store is sqlite:////folder"),
    ],
)
def test_a_place_that_is_none(place: str, said: str, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["store", "migrate", source, place]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "hidden" not in told


def test_upgrade_and_adopt_take_the_store_of_the_data_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    common = ["--data", str(tmp_path)]
    assert frame.main(["store", "upgrade", *common]) == 1
    assert capsys.readouterr().err.startswith(f"andon store: no desk has a store in {tmp_path / 'store'}; name the")
    SqlDeskStore(f"sqlite:///{tmp_path / 'store'}", "ticketing").close()
    assert frame.main(["store", "upgrade", *common]) == 0
    assert capsys.readouterr().out.startswith("ticketing: schema ")
    assert frame.main(["store", "adopt", "postgresql+psycopg://db/andon"]) == 2


def test_the_store_of_another_configuration_is_never_taken(
    source: str,
    configure: Configure,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither for one that was named and is not there, nor in a folder that has none: the last `andon up` had one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    SqlDeskStore(f"sqlite:///{tmp_path / 'store'}", "ticketing").close()
    assert frame.main(["store", "adopt", "--config", "none.yaml", "--data", str(tmp_path)]) == 2
    assert "none.yaml:1:1: there is no such file" in capsys.readouterr().err
    config = configure()
    config.write_text(f'{config.read_text()}store: {{url: "{source}"}}\n', encoding="utf-8")
    RunFile(tmp_path, {"config": str(config)}).write("stopped", ())
    assert frame.main(["store", "upgrade", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("egress: schema ")
