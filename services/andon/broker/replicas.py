"""Makes copies of partitions whole again that lost their end in a power cut, before a node leads with one of them.

Kafka lets the node lead that led last, with what its disk has left, and cuts the other copies to that. What was
acknowledged is on two disks at least; so as long as no node runs, each copy gets what it misses from the one that has
most. Nothing sound is ever taken away, and each batch that is added has passed its checksum.
"""

import os
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from andon.broker.layout import Layout

# Base offset, bytes that follow, epoch of the leader, magic, checksum of what follows, attributes, last offset delta.
_HEADER = struct.Struct(">qiibIhi")
_BEFORE_LENGTH, _BEFORE_ATTRIBUTES, _MAGIC = 12, 21, 2
_LOST_PAGE = bytes(4096)
_NOTHING = -1  # the epoch of a copy without a batch
_METADATA = "__cluster_metadata-0"  # Kafka writes it through to the disk, and votes on it


@dataclass(frozen=True)
class Batch:
    """Where a batch lies, which offsets it has, and who led when it was written."""

    file: Path
    start: int
    end: int
    first: int
    next: int
    epoch: int


@dataclass(frozen=True)
class Copy:
    """The sound end of one copy of a partition: epoch and next offset, and where that is in its last segment."""

    file: Path
    epoch: int
    next: int
    position: int

    @property
    def end(self) -> tuple[int, int]:
        """What tells how much of the log a copy has: of two, the greater has all of the smaller."""
        return self.epoch, self.next


def complete(nodes: Sequence[Layout], crashed: Sequence[Layout]) -> dict[str, int]:
    """Completes the copies that crashed nodes have from those of all nodes; how many were, by partition. No node may
    run. Raises OSError when a copy cannot be read or written."""
    names = {folder.name for layout in crashed for folder in _inside(layout.topics) if _is_partition(folder)}
    mended: dict[str, int] = {}
    for name in sorted(names):
        copies = {layout: found for layout in nodes if (found := _copy(layout.topics / name))}
        if not copies:
            continue  # whoever makes or removes a partition may die between its directory and its first segment
        best = max(copies.values(), key=lambda copy: copy.end)
        # Kafka does not look at the files of a node that was stopped in order: they are complete as far as they go.
        short = [copies[layout] for layout in crashed if layout in copies and copies[layout].end < best.end]
        if count := sum(_extended(copy, best) for copy in short):
            mended[name] = count
    return mended


def _is_partition(folder: Path) -> bool:
    return folder.name.rpartition("-")[2].isdigit() and folder.name != _METADATA and folder.is_dir()


def _segments(folder: Path) -> list[Path]:
    return sorted(file for file in _inside(folder) if file.suffix == ".log")


def _inside(folder: Path) -> list[Path]:
    """Raises OSError for a folder that cannot be read: what it has is not known, which is not nothing."""
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _copy(folder: Path) -> Copy | None:
    segments = _segments(folder)
    if not segments:
        return None
    found = (deque(_batches(segment), maxlen=1) for segment in reversed(segments))
    last = next((batches[0] for batches in found if batches), None)
    inside = last is not None and last.file == segments[-1]
    position = last.end if last and inside else 0
    offset = last.next if last and inside else int(segments[-1].stem)
    return Copy(segments[-1], last.epoch if last else _NOTHING, offset, position)


def _batches(segment: Path) -> Iterator[Batch]:
    """The batches of a segment up to the first that is not whole: it is cut off, or has a page that was not written.

    Pages that were never written read as zeros. What such a page has of a batch may be less than a page: its end,
    before others of which nothing is left. So the last batch before a stop is the one whose checksum is looked at.
    """
    size = segment.stat().st_size
    held: tuple[Batch, bytes] | None = None
    start = 0
    with segment.open("rb") as file:
        while start + _HEADER.size <= size:
            file.seek(start)
            first, length, epoch, magic, _, _, delta = _HEADER.unpack(file.read(_HEADER.size))
            end = start + _BEFORE_LENGTH + length
            if magic != _MAGIC or length < _HEADER.size or end > size or delta < 0:
                break
            file.seek(start)
            content = file.read(end - start)
            if _LOST_PAGE in content:
                break
            if held is not None:
                yield held[0]
            held = Batch(segment, start, end, first, first + delta + 1, epoch), content
            start = end
    if held is not None and _is_sound(held[1]):
        yield held[0]


def _extended(short: Copy, best: Copy) -> bool:
    """Writes behind the sound end of a copy what another has from there on; False when the two do not fit together."""
    wanted, pieces = short.next, list[bytes]()
    fits = short.epoch == _NOTHING
    for segment in _segments(best.file.parent):
        for batch in _batches(segment):
            if batch.next <= short.next:
                # Otherwise it went on alone, and Kafka has to take that from it first.
                fits = fits or (batch.next, batch.epoch) == (short.next, short.epoch)
                continue
            content = _content(batch)
            if not fits or batch.first < wanted or not _is_sound(content):
                return False
            pieces.append(content)
            wanted = batch.next
    if not pieces:
        return False
    with short.file.open("r+b") as file:
        file.truncate(short.position)
        file.seek(short.position)
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    return True


def _content(batch: Batch) -> bytes:
    with batch.file.open("rb") as file:
        file.seek(batch.start)
        return file.read(batch.end - batch.start)


def _is_sound(content: bytes) -> bool:
    return int(_HEADER.unpack_from(content)[4]) == crc32c(content[_BEFORE_ATTRIBUTES:])


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _table()


def crc32c(content: bytes) -> int:
    """The checksum of a batch, CRC-32C (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
