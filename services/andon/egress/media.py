"""Files for WeCom: uploaded once per robot or app, sent by the id the vendor gave them (pages 91770 and 90253)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.runtime.daemon import unawaited

# The vendor keeps a file for three days; an hour less, because an upload and its use lie apart.
KEPT_SECONDS = 3 * 86_400.0 - 3_600.0
_LEAST_S = 0.1
_DISK_S = 5.0
T = TypeVar("T")

Post = Callable[[bytes, Mapping[str, str], float], Awaitable[object]]
"""Posts body and headers of an upload within so many seconds: the id the vendor gave, as it stood in its answer."""


class FileGone(Rejected):
    """The vendor does not have the file of this id, or no longer."""


class Upload(NamedTuple):
    """A file to upload to the robot `line`, or to an app; equal only while the file is."""

    line: int
    kind: str
    path: Path
    size: int
    changed: int


class Media:
    """The vendor's ids of files. An id is of one robot, or of one app."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ids: dict[Upload, tuple[str, float]] = {}

    def known(self, upload: Upload) -> str | None:
        """The id of a file, while the vendor keeps it."""
        media_id, at = self._ids.get(upload, ("", 0.0))
        return media_id if media_id and self._clock.now() - at < KEPT_SECONDS else None

    def keep(self, upload: Upload, media_id: str) -> None:
        # What a changed file was before is of no use any more.
        stale = [one for one in self._ids if one[:3] == upload[:3]]
        for one in stale:
            del self._ids[one]
        self._ids[upload] = (media_id, self._clock.now())

    def forget(self, upload: Upload) -> None:
        """The vendor no longer has it."""
        self._ids.pop(upload, None)

    async def sent(
        self, upload: Upload, most: int, post: Post, send: Callable[[str, float], Awaitable[T]], deadline: float
    ) -> T:
        """What `send` makes of the file's id, within so many seconds. Unless the vendor still has the file it is
        uploaded before, of at most so many bytes: the one case of two requests within a call.

        Raises what both raise, and Retryable(CHANGED) for a file sent before that the vendor has no longer: the next
        attempt uploads it again.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline
        known = self.known(upload)
        # The upload ends before the desk cuts the call off, which would call it ambiguous.
        media_id = known or await self._uploaded(upload, most, post, ends - _LEAST_S)
        if ends - loop.time() < _LEAST_S:
            raise Retryable(Reason.NOT_SENT, "the upload took all the time of the call; the next one needs none")
        try:
            return await send(media_id, ends - loop.time())
        except FileGone as gone:
            self.forget(upload)
            if known is None:
                raise
            raise Retryable(Reason.CHANGED, f"{gone.detail}; it is uploaded again") from None

    async def _uploaded(self, upload: Upload, most: int, post: Post, ends: float) -> str:
        """The vendor's id of the file. Nobody sees an upload, so none is ambiguous."""
        loop = asyncio.get_running_loop()
        raw = await read(upload.path, lambda: bytes_of(upload.path, most), ends - loop.time())
        try:
            media_id = await post(*multipart(upload.path.name, raw), ends - loop.time())
        except Retryable as lost:
            raise Retryable(lost.reason, f"upload: {lost.detail}", after=lost.after) from None
        if not isinstance(media_id, str) or not media_id:
            raise Retryable(Reason.BAD_REPLY, "upload: the vendor gave no media_id")
        self.keep(upload, media_id)
        return media_id


async def read(path: Path, work: Callable[[], T], deadline: float) -> T:
    """What `work` finds out about a file, in a thread that nobody waits for where its server hangs.

    Raises what `work` raises, and Retryable(NOT_SENT) after five seconds, or half of the `deadline` if that is less.
    """
    try:
        async with asyncio.timeout(min(_DISK_S, deadline / 2)):
            return await unawaited("file", work)
    except TimeoutError:
        raise Retryable(Reason.NOT_SENT, f"the file {path.name} could not be read: its disk does not answer") from None


def upload_of(folder: Path, name: str, line: int, kind: str) -> Upload:
    """A file beside andon.yaml as it is now. Raises Rejected when it is not there."""
    path = folder / name
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(name, error) from None
    return Upload(line, kind, path, stat.st_size, stat.st_mtime_ns)


def bytes_of(path: Path, most: int) -> bytes:
    """A file's bytes. Raises Rejected when it cannot be read or has more than `most`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(most + 1)
    except OSError as error:
        raise _unreadable(path.name, error) from None
    if len(raw) > most:
        raise Rejected(Reason.TOO_LARGE, f"{path.name} has more than {most:,} bytes, which is what the vendor takes")
    return raw


def multipart(name: str, raw: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an upload in the field `media` (RFC 7578)."""
    boundary = f"andon-{hashlib.sha256(raw).hexdigest()[:32]}"
    safe = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="media"; filename="{safe}"; filelength={len(raw)}\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + raw + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def _unreadable(name: str, error: OSError) -> Rejected:
    return Rejected(
        Reason.REJECTED, f"the file {name} cannot be read ({error.strerror}); put it beside andon.yaml and redrive"
    )
