"""The desks' stores and the doors' indexes, looked into from outside by whoever asks what became of something."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from andon.config.published import Published
    from andon.store.lookup import Lookup
    from andon.store.requests import RequestIndex


def address(published: Published | None, data: Path) -> str:
    """The store's URL: that of the configuration, else SQLite within the data directory. Raises SecretMissing."""
    return (published.settings.store.address() if published else None) or f"sqlite:///{data.absolute() / 'store'}"


def stores(url: str, folder: Path, stack: ExitStack) -> Iterator[Any]:
    """The doors' indexes that are at hand, and the two desks' stores, each None where it is not."""
    yield list(_indexes(folder, stack))
    for name in ("egress", "ticketing"):
        yield desk(url, name, stack)


def _indexes(folder: Path, stack: ExitStack) -> Iterator[RequestIndex]:
    from andon.core.work import StoreFailure
    from andon.kafka.topics import EVENTS
    from andon.store.requests import RequestIndex

    for file in sorted(folder.glob("requests*.sqlite")):
        try:
            yield stack.enter_context(closing(RequestIndex(file, EVENTS)))
        except StoreFailure as failure:
            print(f"andon: {failure}", file=sys.stderr)


def desk(url: str, name: str, stack: ExitStack) -> Lookup | None:
    """The store of a desk; None where it is not at hand: the topics know the rest."""
    if _absent(url):
        return None
    from andon.core.work import StoreFailure
    from andon.store.lookup import look_into

    try:
        found = look_into(url, name)
    except StoreFailure as failure:
        print(f"andon: {failure}", file=sys.stderr)
        return None
    return stack.enter_context(closing(found)) if found else None


def _absent(url: str) -> bool:
    return url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:///")).is_dir()
