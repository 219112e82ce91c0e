"""Starts, recognises and ends the processes of the embedded broker."""

import locale
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Asks Linux to send SIGTERM when the thread that started us ends, looks whether it has, and becomes the command.
# Other systems have no such call; there the command simply runs.
_TIED = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(143)
os.execv(sys.argv[2], sys.argv[2:])
"""


def environment() -> Mapping[str, str]:
    """This process's, as Java needs it: where Python reads names as UTF-8 although the locale has no such signs, as
    under LC_ALL=C, Java is to read them so too. It finds no folder with a Chinese name otherwise."""
    if sys.getfilesystemencoding() == "utf-8" != locale.getencoding().lower():
        return {**os.environ, "LC_ALL": "C.UTF-8"}
    return os.environ


def spawn(command: Sequence[str], *, output: Path, tie_to_parent: bool = False) -> int:
    """Starts `command` in a session of its own, with its output appended to the file `output`, and returns its pid.

    The process goes on when this one ends, unless `tie_to_parent`: then it gets SIGTERM as soon as the *thread* that
    called this has ended (Linux only), so a supervisor calls this from its main thread.
    """
    if tie_to_parent:
        command = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        list(command),
        environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def started(pid: int) -> str | None:
    """A text that names the start of the process `pid`, or None if there is none or it has ended.

    A later process with the same pid has another text.
    """
    _reap(pid)
    if sys.platform != "linux":
        return _ps(pid, "lstart=")
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{fields[19]}@{boot}"


def command_line(pid: int) -> str:
    """The command line of the process `pid`, its arguments separated by spaces; empty if there is no such process."""
    if sys.platform != "linux":
        return _ps(pid, "command=") or ""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def tell(pid: int, start: str) -> None:
    """SIGTERM to the process `pid` that began at `start`, without waiting for its end; no other is touched."""
    if started(pid) == start:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def end(pid: int, start: str, *, timeout_s: float) -> None:
    """Ends the process `pid` that began at `start`: SIGTERM, after `timeout_s` SIGKILL; no other is touched."""
    for sign, patience in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
        if started(pid) != start:
            return
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if started(pid) != start:
                return
            time.sleep(0.02)


def _reap(pid: int) -> None:
    """Takes leave of `pid` if it is an ended child of ours; an unreaped child would look alive for ever."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        return


def _ps(pid: int, column: str) -> str | None:
    answer = subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
