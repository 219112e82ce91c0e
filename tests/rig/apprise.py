"""Apprise, installed once from pinned wheels into a folder of the user's cache, and run by this Python.

It is no dependency of ours and never imported here: `tests/bench/apprise_load.py` runs in a process of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from andon.broker.locks import cache_dir, locked
from tests.rig.alertmanager import Unavailable

PINS = Path(__file__).with_name("apprise.txt")
INSTALL_S = 300.0


def packages() -> Path:
    """The folder to put on `PYTHONPATH`. Raises Unavailable."""
    home = cache_dir() / f"apprise-{sha256(PINS.read_bytes()).hexdigest()[:12]}"
    with locked(cache_dir() / "apprise.lock"):
        if not home.is_dir():
            aside = Path(tempfile.mkdtemp(dir=cache_dir()))
            try:
                _install(aside / "packages")
                (aside / "packages").rename(home)
            finally:
                shutil.rmtree(aside)
    return home


def _install(into: Path) -> None:
    words = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--target", str(into), "-r", str(PINS)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode != 0:
        raise Unavailable(f"Apprise cannot be installed: {done.stderr[-400:]}")
