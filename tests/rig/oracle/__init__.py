"""Asks the real Alertmanager what it makes of matchers and route trees: `main.go` around its packages, in one process.

A configuration is given as Alertmanager's own file would say it, and read by its own loader, with the UTF-8 parser.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.rig.alertmanager import tools

ASK_S, AMTOOL_S = 300.0, 60.0
Labels = dict[str, str]


def matchers(text: str, *labels: Labels) -> dict[str, Any]:
    """The question how this text is read, and whether it holds for each label set."""
    return {"matchers": text, "labels": labels}


def tree(config: dict[str, Any], *labels: Labels) -> dict[str, Any]:
    """The question which routes of this configuration each label set takes."""
    return {"config": json.dumps(config), "labels": labels}


def ask(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """An answer to each; see `main.go` for their parts. Raises Unavailable."""
    done = subprocess.run(
        [tools() / "oracle"],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        timeout=ASK_S,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(answers) == len(questions)
    return answers


def amtool_receivers(file: Path, labels: Labels) -> list[str]:
    """The receivers `amtool config routes test` names. Raises Unavailable."""
    words = [f"--config.file={file}", *(f"{_quoted(name)}={_quoted(value)}" for name, value in labels.items())]
    done = subprocess.run(
        [tools() / "amtool", "--enable-feature=utf8-strict-mode", "config", "routes", "test", *words],
        capture_output=True,
        text=True,
        timeout=AMTOOL_S,
        check=True,
    )
    return done.stdout.split("\n")[-2].split(",")  # before it, a warning that the mode is strict


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
