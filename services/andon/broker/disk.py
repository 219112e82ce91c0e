"""Keeps Kafka from meeting a full disk, which it does not survive without a restart."""

import shutil
from pathlib import Path

from andon.broker.errors import DiskFullError

LIMIT = 0.90


def used_share(path: Path) -> float:
    """How full the disk under `path` is, 0 to 1; a path that does not exist yet counts as its nearest parent.

    What only root may use counts as used, since Kafka need not run as root.
    """
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    usage = shutil.disk_usage(existing)
    return usage.used / (usage.used + usage.free)


def disk_full(path: Path) -> bool:
    """Whether the disk under `path` is at least `LIMIT` full, so that nothing large should be begun on it."""
    return used_share(path) >= LIMIT


def refuse_when_full(path: Path) -> None:
    """Raises DiskFullError when the disk under `path` is at least `LIMIT` full."""
    share = used_share(path)
    if share >= LIMIT:
        raise DiskFullError(
            f"The disk under {path} is {share:.0%} full and Kafka does not start at {LIMIT:.0%} or more: "
            "free some space or choose another --data directory."
        )


def size_of(path: Path) -> int:
    """The bytes that the files below `path` really take up; files that vanish meanwhile are skipped."""
    total = 0
    for file in path.rglob("*"):
        try:
            # Kafka preallocates sparse index files, so their length says nothing.
            total += file.lstat().st_blocks * 512
        except OSError:
            continue
    return total
