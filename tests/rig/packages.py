"""Programs of the system that some tests need: installed by name from the distribution, where we are root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

INSTALL_S = 300


def missing(program: str, package: str) -> str | None:
    """Why there is no `program`, after an attempt to install its Debian `package`; None when it is there."""
    return _installed(lambda: shutil.which(program) is not None, f"the program {program}", package)


def missing_file(pattern: str, package: str) -> str | None:
    """The same for a file below /usr/lib."""
    return _installed(lambda: any(Path("/usr/lib").glob(pattern)), f"the library {Path(pattern).name}", package)


def _installed(there: Callable[[], bool], what: str, package: str) -> str | None:
    if there():
        return None
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return f"needs {what} (Debian: apt-get install {package})"
    with (Path(tempfile.gettempdir()) / "andon-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not there():
            for words in (("update",), ("install", "-y", "--no-install-recommends", package)):
                subprocess.run(
                    ["apt-get", "-qq", *words],
                    check=False,
                    capture_output=True,
                    timeout=INSTALL_S,
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                )
    return None if there() else f"needs {what}, and the package {package} cannot be installed"
