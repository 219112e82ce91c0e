"""Becomes another program, tied to the life of the process that asked for it.

Run as a file, `python -I -S launch.py PARENT_PID ARGV…`: on Linux the kernel is asked to kill this process when the
thread that started it is gone (prctl(2), PR_SET_PDEATHSIG; the setting outlives exec), so that a supervisor which is
itself killed leaves nothing behind. SIGKILL, because every program of ours survives it and none can then stay. Other
systems have no such call: there the program simply runs.

A launcher of 10 ms rather than a `preexec_fn`: that would run Python in a forked copy of a process with threads.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main(argv: list[str]) -> None:
    """Replaces this process by `argv[1:]`, unless the parent `argv[0]` is gone; never returns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != int(argv[0]):
            sys.exit(1)  # the parent died before the kernel was asked to watch it
    try:
        os.execvp(argv[1], argv[1:])  # noqa: S606 - replacing this process is its whole purpose
    except OSError as error:
        print(f"{argv[1]} cannot be run ({error.strerror})", file=sys.stderr)  # noqa: T201 - the only way to say it
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
