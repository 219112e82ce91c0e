"""The cache never holds a wrong file, and is not asked for twice."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from andon.broker import BrokerError, ChecksumError, FetchError, download, fetch
from andon.broker.jars import Jar
from tests.unit.broker.conftest import DEAD, Repository

CONTENT = bytes(range(256)) * 2_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 0.01)


def left_over(cache: Path) -> list[str]:
    return sorted(file.name for file in (cache / "jars").iterdir() if file.name != ".lock")


def test_fetches_all_and_is_then_offline(repository: Repository, cache: Path) -> None:
    jars = [repository.jar(f"part-{n}", CONTENT[n:]) for n in range(12)]
    paths = fetch(jars, repository=repository.address + "/")
    assert [path.read_bytes() for path in paths] == [CONTENT[n:] for n in range(12)]
    assert left_over(cache) == sorted(jar.name for jar in jars)
    assert fetch(jars, repository=DEAD) == paths
    assert len(repository.asked) == 12


def test_address_from_the_environment(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_MAVEN_URL", repository.address)
    (path,) = fetch([repository.jar("one", CONTENT)])
    assert path.read_bytes() == CONTENT


def test_a_wrong_checksum_is_one_sentence_and_nothing_is_kept(repository: Repository, cache: Path) -> None:
    jar = repository.jar("one", CONTENT)
    repository.files[f"/{jar.path}"] = CONTENT[:-1] + b"!"
    with pytest.raises(ChecksumError, match=r"one-1\.0\.jar from http.* pinned SHA-256 .* try again") as caught:
        fetch([jar], repository=repository.address)
    assert "\n" not in str(caught.value)
    assert left_over(cache) == []


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT + CONTENT])
def test_a_longer_file_is_a_wrong_one(repository: Repository, cache: Path, content: bytes) -> None:
    jar = repository.jar("one", CONTENT)
    repository.files[f"/{jar.path}"] = content
    with pytest.raises(ChecksumError):
        fetch([jar], repository=repository.address)
    assert left_over(cache) == []


def test_a_wrong_file_keeps_the_right_ones_that_came_before(repository: Repository, cache: Path) -> None:
    good, bad = repository.jar("good", CONTENT), repository.jar("bad", CONTENT[1:])
    fetch([good], repository=repository.address)
    repository.files[f"/{bad.path}"] = CONTENT
    with pytest.raises(ChecksumError):
        fetch([good, bad], repository=repository.address)
    assert left_over(cache) == [good.name]


def test_goes_on_where_an_earlier_run_ended(repository: Repository, cache: Path) -> None:
    jar = repository.jar("one", CONTENT)
    (cache / "jars").mkdir(parents=True)
    (cache / "jars" / f"{jar.name}.part").write_bytes(CONTENT[:1_000])
    (path,) = fetch([jar], repository=repository.address)
    assert path.read_bytes() == CONTENT
    assert repository.asked_for(jar) == ["bytes=1000-"]
    assert left_over(cache) == [jar.name]


def test_a_connection_that_breaks_is_resumed(repository: Repository) -> None:
    jar = repository.jar("one", CONTENT)
    repository.break_after = 100_000
    (path,) = fetch([jar], repository=repository.address)
    assert path.read_bytes() == CONTENT
    assert repository.asked_for(jar) == [None, "bytes=100000-"]


def test_a_repository_without_ranges(repository: Repository, cache: Path) -> None:
    jar = repository.jar("one", CONTENT)
    repository.ranges = False
    (cache / "jars").mkdir(parents=True)
    (cache / "jars" / f"{jar.name}.part").write_bytes(CONTENT[:1_000])
    (path,) = fetch([jar], repository=repository.address)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"of another file", b"x" * len(CONTENT), b"x" * (len(CONTENT) + 9)])
def test_a_part_of_something_else_is_replaced(repository: Repository, cache: Path, part: bytes) -> None:
    jar = repository.jar("one", CONTENT)
    (cache / "jars").mkdir(parents=True)
    (cache / "jars" / f"{jar.name}.part").write_bytes(part)
    (path,) = fetch([jar], repository=repository.address)
    assert path.read_bytes() == CONTENT


def test_a_file_that_rotted_in_the_cache_is_fetched_again(repository: Repository) -> None:
    jar = repository.jar("one", CONTENT)
    (path,) = fetch([jar], repository=repository.address)
    path.write_bytes(CONTENT[::-1])
    assert fetch([jar], repository=repository.address)[0].read_bytes() == CONTENT


def test_a_passing_failure_is_tried_again(repository: Repository) -> None:
    jar = repository.jar("one", CONTENT)
    repository.failures = [503, 502]
    (path,) = fetch([jar], repository=repository.address)
    assert path.read_bytes() == CONTENT


def test_whoever_fetches_can_give_up_while_nothing_comes(repository: Repository) -> None:
    """As where a firewall drops what is sent: two minutes would pass before the last try is given up."""

    def enough() -> None:
        raise KeyError("enough")

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(KeyError, match="enough"):
            fetch([repository.jar("one", CONTENT)], repository=address, go_on=enough)


def test_an_answer_after_the_end_of_its_round_does_not_write_over_the_next_one(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for threads that ask when another file has failed."""
    jar, part = repository.jar("one", CONTENT), tmp_path / "part"
    late = download._Download(tmp_path, repository.address, None, lambda *_: None)
    asked = late.opener.open

    def answered(*args: Any, **more: Any) -> Any:
        late.stopped.set()
        part.write_bytes(CONTENT[:9])  # by the next round
        return asked(*args, **more)

    monkeypatch.setattr(late.opener, "open", answered)
    with pytest.raises(BrokerError, match="stopped"):
        late.append(jar, part)
    assert part.read_bytes() == CONTENT[:9]


def test_a_missing_file_is_asked_for_once(repository: Repository) -> None:
    jar = Jar("org.example", "gone", "1.0", "0" * 64, 10)
    with pytest.raises(FetchError, match=r"gone-1\.0\.jar could not be fetched .*HTTP 404.*ANDON_MAVEN_URL"):
        fetch([jar], repository=repository.address)
    assert len(repository.asked) == 1


def test_no_network(repository: Repository) -> None:
    with pytest.raises(FetchError, match="connect to the network once, set HTTPS_PROXY, or set ANDON_MAVEN_URL"):
        fetch([repository.jar("one", CONTENT), repository.jar("two", CONTENT)], repository=DEAD)


def test_an_address_that_is_none(repository: Repository) -> None:
    with pytest.raises(FetchError, match="'file:///etc' is no address of a Maven repository"):
        fetch([repository.jar("one", CONTENT)], repository="file:///etc")


def test_a_cache_that_cannot_be_written(repository: Repository, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(FetchError, match="set ANDON_CACHE to a writable one"):
        fetch([repository.jar("one", CONTENT)], repository=repository.address)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_through_a_proxy(repository: Repository, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    jar = repository.jar("one", CONTENT)
    if how == "environment":
        monkeypatch.setenv("http_proxy", repository.address)
    (path,) = fetch(
        [jar], repository="http://repository.invalid", proxy=repository.address if how == "argument" else None
    )
    assert path.read_bytes() == CONTENT
    assert repository.asked == [(f"http://repository.invalid/{jar.path}", None)]


@pytest.mark.parametrize("proxy", ["http:/me:secret@127.0.0.1:80", "http://me:secret@a..b:80"])
def test_a_proxy_that_cannot_be_read_is_told_without_its_password(repository: Repository, proxy: str) -> None:
    with pytest.raises(FetchError, match=r"the proxy's cannot be read; .* http://user:password@host:port") as caught:
        fetch([repository.jar("one", CONTENT)], repository=repository.address, proxy=proxy)
    assert "secret" not in str(caught.value)


def test_a_mirror_with_a_password(repository: Repository) -> None:
    address = repository.address.replace("://", "://user:s%40cret@")
    fetch([repository.jar("one", CONTENT)], repository=address)
    assert repository.authorizations == ["Basic dXNlcjpzQGNyZXQ="]
    with pytest.raises(FetchError) as caught:
        fetch([Jar("org.example", "gone", "1.0", "0" * 64, 10)], repository=address)
    assert "cret" not in str(caught.value)


def test_a_mirror_whose_scheme_is_in_capitals_is_one(repository: Repository) -> None:
    fetch([repository.jar("one", CONTENT)], repository=repository.address.replace("http://", "HTTP://user:s%40cret@"))
    assert repository.authorizations == ["Basic dXNlcjpzQGNyZXQ="]


@pytest.mark.parametrize(
    "address", ["ftp://user:cret@mirror/maven", "user:cret@mirror/maven", "https:/user:cret@mirror"]
)
def test_what_is_no_address_is_told_without_its_password(address: str) -> None:
    with pytest.raises(FetchError, match=r"'mirror.*' is no address of a Maven repository") as caught:
        fetch([Jar("org.example", "gone", "1.0", "0" * 64, 10)], repository=address)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("password", ["12#cret", "12/cret", "12?cret", "12[cret", "12@cret/cret", "cret#12"])
def test_a_password_that_must_be_written_otherwise_is_told_and_not_shown(repository: Repository, password: str) -> None:
    address = f"https://user:{password}@mirror.invalid/maven"
    with pytest.raises(FetchError, match=r"'mirror.invalid/maven' .*%23, %2F, %3F, %5B") as caught:
        fetch([repository.jar("one", CONTENT)], repository=address)
    assert "cret" not in str(caught.value)
    assert "12" not in str(caught.value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_as_one_and_not_asked_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, cache: Path, number: int
) -> None:
    jar = repository.jar("one", CONTENT)
    tried = []

    def append(_self: object, _jar: Jar, part: Path) -> None:
        tried.append(part)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(download._Download, "append", append)
    with pytest.raises(FetchError, match=f"^The cache {cache / 'jars'} is full .*: free space, or set ANDON_CACHE"):
        fetch([jar], repository=repository.address)
    assert len(tried) == 1


def test_progress_says_first_what_is_missing(repository: Repository) -> None:
    here, jar, other = (repository.jar(name, CONTENT) for name in ("here", "one", "two"))
    fetch([here], repository=repository.address)
    told: list[tuple[str, int, int]] = []
    fetch([here, jar, other], repository=repository.address, progress=lambda *seen: told.append(seen))
    assert told[:2] == [(jar.name, 0, len(CONTENT)), (other.name, 0, len(CONTENT))]
    assert (jar.name, len(CONTENT), len(CONTENT)) in told
    assert here.name not in {name for name, _, _ in told}


def test_two_processes_at_once_fetch_each_file_once(repository: Repository, cache: Path) -> None:
    jars = [repository.jar(f"part-{n}", CONTENT[n:]) for n in range(6)]
    code = f"from andon.broker import fetch; from andon.broker.jars import Jar; fetch({jars!r})"
    environment = {**os.environ, "ANDON_MAVEN_URL": repository.address}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert sorted(path for path, _ in repository.asked) == sorted(f"/{jar.path}" for jar in jars)
    assert left_over(cache) == sorted(jar.name for jar in jars)
