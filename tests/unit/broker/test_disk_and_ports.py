"""What is looked at before Kafka is started: the disk and the ports."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from andon.broker import DiskFullError, PortError, disk_full, start, used_share
from andon.broker.disk import size_of
from andon.broker.locks import cache_dir
from andon.broker.ports import is_free, reserved


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def full(monkeypatch: pytest.MonkeyPatch, used: int, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(used + free + 5, used, free))


@pytest.mark.parametrize(("used", "free", "is_full"), [(89, 11, False), (90, 10, True), (100, 0, True)])
def test_disk_full_from_ninety_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, free: int, is_full: bool
) -> None:
    full(monkeypatch, used, free)
    assert disk_full(tmp_path / "not" / "there" / "yet") is is_full
    assert used_share(tmp_path) == used / 100


def test_start_refuses_a_full_disk_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    full(monkeypatch, 93, 7)
    with pytest.raises(DiskFullError, match=r"is 93% full and Kafka does not start at 90% or more: free some space"):
        start(tmp_path / "data")
    assert not cache.exists()


def test_start_refuses_a_directory_kafka_cannot_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="has a comma: choose another directory"):
        start(tmp_path / "a,b")


def test_sizes_are_what_the_disk_holds(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= size_of(tmp_path) < 1_000_000


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_moves_up(taken: int) -> None:
    assert not is_free(taken)
    with reserved(taken) as port:
        assert taken < port <= taken + 200


def test_a_taken_port_is_an_error_when_strict(taken: int) -> None:
    with pytest.raises(PortError, match=f"Port {taken} is in use by another program"), reserved(taken, strict=True):
        pass


def test_two_starts_at_once_get_two_ports(taken: int) -> None:
    with reserved(taken) as one, reserved(taken) as other:
        assert one != other


def test_a_kept_port_is_for_who_keeps_it_and_wants_exactly_it(taken: int) -> None:
    with reserved(taken) as kept:
        with reserved(kept, strict=True) as again:
            assert again == kept
        with reserved(kept) as other:
            assert other != kept, "the search of another start found a port that is kept"
        refused = f"from andon.broker.ports import reserved\nwith reserved({kept}, strict=True): pass"
        asked = subprocess.run([sys.executable, "-c", refused], capture_output=True, text=True, check=False)
        assert f"Port {kept} is in use by another program" in asked.stderr


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_no_port(port: int) -> None:
    with pytest.raises(PortError, match=f"{port} is no port"), reserved(port):
        pass


def test_an_account_without_a_name_and_a_home_is_told_where_the_cache_would_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As any number of an account is in a container."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ANDON_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert cache_dir() == Path("/.cache/andon")


def test_where_the_cache_may_not_be_written_a_port_is_found_all_the_same(taken: int, cache: Path) -> None:
    """`andon up` looks for ports also where Kafka is another's, and nothing is ever fetched."""
    cache.symlink_to(cache)
    with reserved(taken) as port:
        assert port > taken
    with pytest.raises(PortError, match=f"Port {taken} is in use"), reserved(taken, strict=True):
        pass
