"""`andon import`: makes an andon.yaml of another program's configuration."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from andon.cli.main import DONE, FAILED
from andon.config.alertmanager import Translation, translate
from andon.config.document import FILE_NAME, MAX_BYTES
from andon.config.mistakes import Mistake


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("import", help="make an andon.yaml of another program's configuration")
    parser.description = (
        "Translates a configuration so that the same labels reach the same receivers. Prints andon.yaml, and beside\n"
        "it (stderr) what has no equivalent and which variables to set; no secret is copied (docs/importing.md)."
    )
    parser.add_argument("program", choices=["alertmanager"], help="whose configuration it is")
    parser.add_argument("file", type=Path, metavar="FILE", help="its file, alertmanager.yml")
    parser.add_argument("--to", type=Path, metavar="DIR", help=f"write DIR/{FILE_NAME}, which must not exist yet")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit code 1 when the file cannot be read, nothing may be written, or the result has mistakes of its own."""
    try:
        with args.file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        sys.exit(f"{args.file} cannot be read ({error.strerror})")
    made = translate(raw, str(args.file))
    mistakes = _mistakes(made.text)
    target = args.to / FILE_NAME if args.to else None
    if target:
        _write(target, made.text)
    if args.json:
        print(json.dumps(_answer(made, mistakes, args.file, target), ensure_ascii=False))
    else:
        if not target:
            print(made.text, end="")
        print("\n".join(_report(made, mistakes, args.file, target)), file=sys.stdout if target else sys.stderr)
    return FAILED if mistakes else DONE


def _mistakes(text: str) -> tuple[Mistake, ...]:
    """What `andon check` would say of the result."""
    from andon.cli.commands.check import checked

    with TemporaryDirectory() as folder:
        (Path(folder) / FILE_NAME).write_text(text, encoding="utf-8")
        return checked(Path(folder)).mistakes


def _write(target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        if not target.exists():
            sys.exit(f"{target.parent} is not a folder; name one")
        sys.exit(f"{target} already exists; name another folder, or move it away")
    except OSError as error:
        sys.exit(f"{target} cannot be written ({error.strerror})")


def _report(made: Translation, mistakes: tuple[Mistake, ...], file: Path, target: Path | None) -> list[str]:
    lines = [f"{file}:{note.line}:{note.column}: {note.text}" for note in made.notes]
    if made.variables:
        lines += [
            "Set these variables in the environment of Andon:",
            *(f"  {n}: {w}" for n, w in made.variables.items()),
        ]
    lines += [f"To be mended in {FILE_NAME}, line {one.line}: {one.text}" for one in mistakes]
    count = f"{len(made.receivers)} receiver{'s' if len(made.receivers) != 1 else ''}"
    return [*lines, f"{target or FILE_NAME} holds {count} of {file}; {len(made.notes)} places need a look"]


def _answer(made: Translation, mistakes: tuple[Mistake, ...], file: Path, target: Path | None) -> dict[str, Any]:
    return {
        "ok": not mistakes,
        "file": str(file),
        "written": str(target) if target else None,
        "text": made.text,
        "notes": [asdict(note) for note in made.notes],
        "variables": made.variables,
        "receivers": made.receivers,
        "mistakes": [asdict(mistake) for mistake in mistakes],
    }
