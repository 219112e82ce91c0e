"""`andon`: reads the arguments, loads the one command that was named, and turns its end into an exit code.

0 done · 1 failed · 2 wrong usage or configuration · 3 stopped by law L4 · 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from errno import EACCES, EEXIST, ENOTDIR, EPERM, EROFS
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

_GC_OBJECTS = 50_000
DONE, FAILED, USAGE, STOPPED_BY_LAW, INTERRUPTED = 0, 1, 2, 3, 130

# Every command is the file commands/<name>.py, with `add_parser(subparsers)`; only the one that is used is imported. A
# word of Python is no name of a file.
_FILES = {"import": "importing"}
COMMANDS = {
    "up": "start everything on this machine, and keep it running",
    "run": "run one service",
    "broker": "the embedded Kafka",
    "topics": "create, look at and repair the topics",
    "check": "check the configuration",
    "test": "run the tests of the rules",
    "apply": "check and test the configuration, and publish it",
    "config": "the published versions of the configuration",
    "mute": "tell nobody of what matches, for a while",
    "unmute": "end a mute before its time",
    "mutes": "what is muted",
    "token": "make short-lived tokens for clients of the door",
    "import": "make an andon.yaml of another program's configuration",
    "map": "how a body of another system becomes events",
    "render": "how a notice of an event would look",
    "trace": "the whole path of an event",
    "explain": "why an event went where it went",
    "why": "what came to a person, what did not and why",
    "whatif": "what other rules would have done to recorded events",
    "parallel": "what a source beside another path came to",
    "recall": "take back what a delivery has sent",
    "status": "what runs, and where it listens",
    "dlq": "look at and redrive what was parked",
    "store": "move, upgrade or adopt the desks' stores",
}

# Foreseen failures that don't carry an `exit_code` of their own: their text is the sentence to be read.
_FORESEEN = {
    ("andon.broker.errors", "BrokerError"): FAILED,
    ("andon.config.mistakes", "Invalid"): USAGE,
    ("andon.config.plugs", "PlugUnusable"): USAGE,
    ("andon.config.secrets", "SecretMissing"): USAGE,
    ("andon.core.work", "StoreFailure"): STOPPED_BY_LAW,
    ("andon.kafka.errors", "KafkaFailure"): STOPPED_BY_LAW,
    ("andon.runtime.desk.set_back", "ClockSetBack"): STOPPED_BY_LAW,
}

# Commands whose answer is a file: with a sign in it that the encoding lacks it must not look whole.
_FOR_PROGRAMS = frozenset({"import", "config"})

# What a directory that is somebody else's, a file, or on a disk for reading only is refused with, and how that is said.
_UNUSABLE = {number: number for number in (EACCES, EPERM, EROFS, ENOTDIR)} | {EEXIST: ENOTDIR}

_PURPOSE = "Carries signals to the people who must act on them, and proves that it did."
_FORMAT = argparse.RawDescriptionHelpFormatter
_COMMON = """common options, before or after the command:
  --config FILE|DIR  the configuration (default: $ANDON_CONFIG, else ./andon.yaml)
  --data DIR         where data is kept (default: ./.andon)
  --json             answer in JSON"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Never raises, whatever the command does, and the code is the same
    where nobody can be told why: on a full disk, or when the reader has left."""
    _open_all()
    code = _run(argv)
    said = _flushed(sys.stdout, 1)
    _flushed(sys.stderr, 2)
    return code if said else code or FAILED


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    name, absent, data = "andon", "", None
    # To load a command makes a hundred thousand objects and no garbage; to look for some took a sixth of the time.
    gc.set_threshold(_GC_OBJECTS)
    try:
        args = parse(arguments)
        name, absent, data = f"andon {args.command}", _absent(args), args.data
        if not (args.json or args.command in _FOR_PROGRAMS):
            _forgive(sys.stdout)
        code: int = args.func(args)
        sys.stdout.flush()
        if code and absent:
            _say(name, absent)
    except SystemExit as stop:
        return _stopped(name, stop)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED  # the reader has left, as in `andon trace … | head`
    except Exception as error:  # noqa: BLE001 - the border of the program: every failure becomes a sentence and a code
        failed = _failed(name, error, data)
        if absent:
            _say(name, absent)
        return failed
    return code


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line: those of its command, and `config`, `config_given`, `data` and `json`.

    Imports the command. Raises SystemExit as argparse does: 0 after a help text, 2 for wrong usage.
    """
    common, rest = _common().parse_known_args(arguments)
    parser = argparse.ArgumentParser(prog="andon", description=_PURPOSE, epilog=_COMMON, formatter_class=_FORMAT)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_Command)
    wanted = next((word for word in rest if not word.startswith("-")), None)
    for name, purpose in COMMANDS.items():
        if name == wanted:
            importlib.import_module(f"andon.cli.commands.{_FILES.get(name, name)}").add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=purpose, add_help=False)
    args = parser.parse_args(rest)
    if args.version:
        from importlib.metadata import version

        print(f"andon {version('andon')}")
        raise SystemExit(DONE)
    if args.command is None:
        parser.error("a command is needed: " + ", ".join(COMMANDS))
    args.config_given = common.config is not None
    args.config = _file(common.config or Path(os.environ.get("ANDON_CONFIG") or "andon.yaml"))
    args.data, args.json = common.data, common.json
    return args


def _common() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="andon", add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE|DIR")
    parser.add_argument("--data", type=Path, metavar="DIR", default=Path(".andon"))
    parser.add_argument("--json", action="store_true")
    return parser


def _file(config: Path) -> Path:
    return config / "andon.yaml" if os.path.isdir(config) else config


def _absent(args: argparse.Namespace) -> str:
    """That the environment names a configuration which is not there: who set it long ago does not think of it."""
    named = None if args.config_given else os.environ.get("ANDON_CONFIG")
    return "" if not named or _is_there(args.config) else f"$ANDON_CONFIG names {named}, which is not there"


def _is_there(file: Path) -> bool:
    """Also of one that nobody lets us look at: whoever reads it says why it cannot."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


class _Command(argparse.ArgumentParser):
    """The parser of a command; its help names the common options too."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{"epilog": _COMMON, "formatter_class": _FORMAT, **options})  # type: ignore[arg-type]


def _stopped(name: str, stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or DONE
    _say(name, str(stop.code))
    return FAILED


def _failed(name: str, error: Exception, data: Path | None) -> int:
    if os.environ.get("ANDON_DEBUG") == "1":
        traceback.print_exception(error)
    if data and (why := _unusable(data, error)):
        _say(name, f"the data directory {data} cannot be used ({why}); give --data another one, or ask its owner")
        return USAGE
    for kind in type(error).__mro__:
        code = getattr(error, "exit_code", _FORESEEN.get((kind.__module__, kind.__name__)))
        if isinstance(code, int):
            _say(name, str(error))
            return code
    if isinstance(error, UnicodeEncodeError) and error.encoding.lower() not in ("utf-8", "utf8"):
        _say(
            name,
            f"the answer has signs that this terminal's encoding ({error.encoding}) lacks; set PYTHONIOENCODING=utf-8",
        )
        return FAILED
    text = " ".join(str(error).split())
    _say(name, f"unexpected {type(error).__name__}: {text} (ANDON_DEBUG=1 shows where)")
    return FAILED


def _unusable(data: Path, error: Exception) -> str | None:
    """Why the system lets nobody work on the data directory, if that is what the error says."""
    if not isinstance(error, OSError) or error.errno not in _UNUSABLE or not isinstance(error.filename, str):
        return None
    place, whole = Path(error.filename).absolute(), data.absolute()
    concerned = place.is_relative_to(whole) or whole.is_relative_to(place)
    return os.strerror(_UNUSABLE[error.errno]) if concerned else None


def _say(name: str, sentence: str) -> None:
    with suppress(OSError):
        print(f"{name}: {sentence}", file=sys.stderr)


def _forgive(stream: TextIO) -> None:
    """Lets what people read show a sign that the stream's encoding lacks as its number."""
    if isinstance(stream, TextIOWrapper) and stream.errors in {"strict", "surrogateescape"}:  # that is LC_ALL=C's
        stream.reconfigure(errors="backslashreplace")


def _open_all() -> None:
    """Gives Python the streams that its parent closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _flushed(stream: TextIO, number: int) -> bool:
    """Whether all was written. What was not is given up: Python would try again at its end, and exit with 120."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
