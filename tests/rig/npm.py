"""A package of npm that a test reads: fetched once by name and version into the user's cache, pinned by its hash."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest


def package(name: str, version: str, digest: str) -> Path:
    """The folder of the package. Skips the test, and says so, where there is no npm or no registry to be reached."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "andon" / "tests"
    folder = cache / f"{name.replace('/', '-').lstrip('@')}-{version}-{digest[:12]}"
    if folder.exists():
        return folder
    if shutil.which("npm") is None:
        pytest.skip(f"{name} is fetched by npm, which is not installed (Debian: apt install npm)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as place:
        command = ["npm", "pack", "--silent", f"{name}@{version}", "--pack-destination", place]
        fetched = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=place)
        if fetched.returncode != 0:
            pytest.skip(f"{name}@{version} cannot be fetched: {fetched.stderr[-300:]}")
        (archive,) = Path(place).glob("*.tgz")
        assert sha256(archive.read_bytes()).hexdigest() == digest, f"{name}@{version} is not what was pinned"
        with tarfile.open(archive) as tar:
            tar.extractall(place, filter="data")
        try:
            (Path(place) / "package").rename(folder)
        except OSError:
            assert folder.exists()  # another test process was faster
    return folder
