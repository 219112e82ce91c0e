"""Start-up archives: classes as they lie in memory, with which Java starts Kafka in half the time.

They are made by a training run in the background after the first start. Each belongs to one build of Java, one list of
jars and one place of the cache. They are never needed: whatever goes wrong with them costs a second and nothing else.
"""

import os
import sys
from pathlib import Path

from andon.broker import process
from andon.broker.jvm import Runtime
from andon.broker.locks import cache_dir

AOT_SINCE = 25
SWITCH = "ANDON_BROKER_ARCHIVE"  # "off": neither train nor use any
KEPT = 4


def place() -> Path:
    """Where the archives lie."""
    return cache_dir() / "archives"


def path_for(runtime: Runtime) -> Path:
    """The archive that fits `runtime`, whether it exists or not."""
    return place() / f"{runtime.fingerprint}.{'aot' if _is_aot(runtime) else 'jsa'}"


def options(runtime: Runtime) -> tuple[str, ...]:
    """What makes Java use the archive of `runtime`; nothing if there is none."""
    archive = path_for(runtime)
    if _is_off() or not archive.exists():
        return ()
    return (f"-XX:AOTCache={archive}",) if _is_aot(runtime) else (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto")


def training_options(runtime: Runtime, into: Path) -> tuple[str, ...]:
    """What makes Java write an archive `into` a file when it ends."""
    return (f"-XX:AOTCacheOutput={into}",) if _is_aot(runtime) else (f"-XX:ArchiveClassesAtExit={into}",)


def discard(runtime: Runtime) -> None:
    """Removes the archive of `runtime`, so that the next start trains another."""
    path_for(runtime).unlink(missing_ok=True)


def give_up(runtime: Runtime) -> None:
    """Notes that this Java writes no archive, so that not every start trains in vain."""
    _given_up(runtime).touch()


def prune() -> None:
    """Removes all but the newest archives; those of Java builds that are gone would stay for ever."""
    files = [file for file in place().iterdir() if file.suffix in {".aot", ".jsa"}]
    for file in sorted(files, key=lambda file: -file.stat().st_mtime)[KEPT:]:
        file.unlink(missing_ok=True)


def train_in_background(runtime: Runtime, *, tie_to_parent: bool) -> None:
    """Starts the training of a missing archive at the lowest priority, and does not wait for it."""
    if _is_off() or path_for(runtime).exists() or _given_up(runtime).exists():
        return
    command = [sys.executable, "-m", "andon.broker.training", str(runtime.java.path), str(runtime.heap_mb)]
    try:
        place().mkdir(parents=True, exist_ok=True)
        process.spawn(command, output=place() / "training.log", tie_to_parent=tie_to_parent)
    except OSError:
        return


def _given_up(runtime: Runtime) -> Path:
    return path_for(runtime).with_suffix(".none")


def _is_aot(runtime: Runtime) -> bool:
    return runtime.java.major >= AOT_SINCE


def _is_off() -> bool:
    return os.environ.get(SWITCH, "").lower() == "off"
