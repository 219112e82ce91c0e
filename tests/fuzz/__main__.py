"""One target under libFuzzer, which ends the process: 0 when it has done all its runs, else it tells the input."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris


def main() -> None:
    name, folder, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["andon.ingress", "andon.core"]):
        targets = importlib.import_module("tests.fuzz.targets")
    target = targets.TARGETS[name](Path(folder))
    inputs = Path(folder) / "inputs"
    inputs.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (inputs / f"seed-{number}").write_bytes(seed)
    # A new program begins with the peak of memory of the one that started it: what a test run had once, is no finding.
    limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=8192", "-malloc_limit_mb=256", "-verbosity=0"]
    limits.append(f"-artifact_prefix={folder}/")
    atheris.Setup([sys.argv[0], *limits, *options, str(inputs)], target.one)
    atheris.Fuzz()


main()
