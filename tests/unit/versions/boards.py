"""Boards without Kafka: what `andon.config` says, version after version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from andon.config.load import Loaded, load
from andon.config.published import Published, bundle
from andon.core.mute import Mute
from andon.runtime.changes import Change
from andon.runtime.follower import CURRENT_KEY, Board, Current, version_key

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
FILE = """\
version: 1
site: {{name: {name}}}
channels: {{robot: {{kind: wecom_robot, keys: [env:ROBOT]}}}}
receivers: {{it: {{channel: robot, template: fault}}}}
route: {{receiver: it}}
"""


def files(folder: Path, name: str) -> Loaded:
    """A configuration on disk."""
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "fault.j2").write_text(f"{name}\n", encoding="utf-8")
    (folder / "andon.yaml").write_text(FILE.format(name=name), encoding="utf-8")
    loaded = load(folder)
    assert not loaded.mistakes
    return loaded


def mute(**other: Any) -> Mute:
    """One from now on, for two hours."""
    whole = Mute("", ('line="L3"',), NOW, NOW + timedelta(hours=2), "wang", "换模")
    return msgspec.structs.replace(whole, **other)


def put(board: Board, change: Change, now: datetime = NOW) -> Published | None:
    """Publishes what a change makes of a board; None when nothing had to change."""
    wanted = change.make(board, max(board.versions, default=0) + 1, now)
    if wanted is not None:
        stand(board, wanted)
        assert board.newest == wanted
    return wanted


def stand(board: Board, version: Published) -> None:
    """Writes a version on a board, and that it is in force."""
    board.take(version_key(version.version), bundle(version))
    board.take(CURRENT_KEY, msgspec.json.encode(Current(version.version)))
