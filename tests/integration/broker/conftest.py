"""Real nodes; the jars come from the user's cache, or are fetched into it by the first test that needs them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from andon import broker
from andon.broker import download

Starter = Callable[..., broker.Running]


@pytest.fixture
def start() -> Iterator[Starter]:
    """`broker.start`, with every node ended and cleared away after the test."""
    used: set[Path] = set()

    def begin(data: Path, **options: int | bool) -> broker.Running:
        used.add(data)
        return broker.start(data, **{"port": 28_792, "tie_to_parent": True, **options})  # type: ignore[arg-type]

    yield begin
    for data in used:
        broker.stop(data)
        shutil.rmtree(data)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache that has the jars and nothing else, but for the locks of ports: tests beside it have the user's."""
    jars = download.fetch()[0].parent
    ports = jars.parent / "ports"
    ports.mkdir(exist_ok=True)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "jars").symlink_to(jars)
    (cache / "ports").symlink_to(ports)
    monkeypatch.setenv("ANDON_CACHE", str(cache))
    yield cache
    shutil.rmtree(cache)
