"""The frame of the command line: what it loads, what it says, which code it leaves with."""

import errno
import os
import subprocess
import sys
from argparse import Namespace, _SubParsersAction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from andon.cli import main as frame
from andon.config.secrets import SecretMissing


class LawError(Exception):
    exit_code = 3


def command(monkeypatch: pytest.MonkeyPatch, does: Any) -> None:
    """Puts a command `topics` in place that runs `does(args)`."""

    def add_parser(subparsers: "_SubParsersAction[Any]") -> None:
        parser = subparsers.add_parser("topics")
        parser.add_argument("--partition", type=int)
        parser.set_defaults(func=does)

    module = ModuleType("andon.cli.commands.topics")
    module.add_parser = add_parser  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "andon.cli.commands.topics", module)


def raising(error: BaseException) -> Any:
    def does(_args: Namespace) -> int:
        raise error

    return does


def test_help_names_every_command_without_importing_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n    {name} " in out for name in frame.COMMANDS)
    assert "--config" in out


def test_help_is_fast() -> None:
    """0.04 s: what would make it slow is loading what it does not need."""
    script = "import sys; from andon.cli.main import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"asyncio", "pydantic", "confluent_kafka", "aiohttp", "rich", "sqlalchemy", "andon.cli.commands.up"}
    assert not loaded & heavy


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize(
    ("argv", "full", "code"),
    [(["run", "egress", "--config", "/nowhere"], "stderr", 2), (["--version"], "stdout", 1)],
    ids=["a sentence", "an answer"],
)
def test_where_nothing_can_be_written_the_exit_code_still_tells(argv: list[str], full: str, code: int) -> None:
    command = [sys.executable, "-m", "andon.cli.main", *argv]
    with Path("/dev/full").open("w") as nowhere:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, full: nowhere}
        done = subprocess.run(command, **streams, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    ("closed", "argv", "code"),
    [(">&-", "--version", 0), ("2>&-", "--version", 0), ("2>&-", "fly", 2), ("<&-", "render -", 1)],
)
def test_a_stream_that_is_closed_changes_no_exit_code_but_what_it_had_to_say(closed: str, argv: str, code: int) -> None:
    script = f'"{sys.executable}" -m andon.cli.main {argv} {closed}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in f"{done.stdout}{done.stderr}"
    assert "NoneType" not in f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("errors", ["", ":surrogateescape"])
def test_a_sign_that_the_encoding_lacks_stops_no_answer(errors: str) -> None:
    script = "import sys; from andon.cli import main as frame; frame._forgive(sys.stdout); print('一 \u2713')"
    environment = {**os.environ, "PYTHONIOENCODING": f"gbk{errors}"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert done.stdout.decode("gbk") == "一 \\u2713\n"


def test_an_answer_for_programs_does_not_look_whole_without_its_signs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, lambda _: len("name: 一 \u2705".encode("gbk")))
    assert frame.main(["topics"]) == 1
    told = "the answer has signs that this terminal's encoding (gbk) lacks; set PYTHONIOENCODING=utf-8"
    assert capsys.readouterr().err == f"andon topics: {told}\n"


@pytest.mark.parametrize("argv", [[], ["fly"], ["--fly"], ["topics", "--partition", "x"], ["topics", "--data"]])
def test_wrong_usage_is_exit_two(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, raising(AssertionError("ran")))
    assert frame.main(argv) == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("before", [True, False])
def test_common_options_stand_before_or_after_the_command(
    *, before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Namespace] = []

    def does(args: Namespace) -> int:
        seen.append(args)
        return 7

    command(monkeypatch, does)
    common = ["--config", str(tmp_path), "--data=d", "--json"]
    own = ["topics", "--partition", "4"]
    assert frame.main([*common, *own] if before else [*own, *common]) == 7
    args = seen[0]
    assert (args.config, args.data, args.json, args.partition) == (tmp_path / "andon.yaml", Path("d"), True, 4)
    assert args.config_given


def test_the_configuration_comes_from_the_environment_or_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, raising(AssertionError()))
    monkeypatch.delenv("ANDON_CONFIG", raising=False)
    args = frame.parse(["topics"])
    assert (args.config, args.data, args.config_given) == (Path("andon.yaml"), Path(".andon"), False)
    monkeypatch.setenv("ANDON_CONFIG", "elsewhere.yaml")
    assert frame.parse(["topics"]).config == Path("elsewhere.yaml")


@pytest.mark.parametrize(("code", "named"), [(1, True), (2, True), (0, False)])
def test_a_failure_without_the_file_that_the_environment_names_says_which_variable_did(
    code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, named: bool
) -> None:
    command(monkeypatch, lambda _args: code)
    monkeypatch.setenv("ANDON_CONFIG", "/nope")
    assert frame.main(["topics"]) == code
    assert ("andon topics: $ANDON_CONFIG names /nope, which is not there\n" in capsys.readouterr().err) is named


def test_a_file_that_is_named_on_the_command_line_is_not_the_variables_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command(monkeypatch, raising(LawError("the store does not answer")))
    monkeypatch.setenv("ANDON_CONFIG", "/nope")
    frame.main(["topics", "--config", str(tmp_path / "no.yaml")])
    assert "ANDON_CONFIG" not in capsys.readouterr().err
    monkeypatch.setenv("ANDON_CONFIG", str(tmp_path))
    (tmp_path / "andon.yaml").touch()
    frame.main(["topics"])
    assert "ANDON_CONFIG" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SecretMissing("the environment variable X is not set"), 2, "andon topics: the environment variable X is not"),
        (LawError("the store does not answer"), 3, "andon topics: the store does not answer"),
        (SystemExit("no such event"), 1, "andon topics: no such event"),
        (SystemExit(2), 2, ""),
        (KeyboardInterrupt(), 130, ""),
        (KeyError("x\ny"), 1, "andon topics: unexpected KeyError: 'x\\ny' (ANDON_DEBUG=1 shows where)"),
    ],
)
def test_every_failure_is_one_sentence_and_a_code(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(monkeypatch, raising(error))
    monkeypatch.delenv("ANDON_DEBUG", raising=False)
    assert frame.main(["topics"]) == code
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == (1 if said else 0)


def test_debugging_shows_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command(monkeypatch, raising(RuntimeError("odd")))
    monkeypatch.setenv("ANDON_DEBUG", "1")
    assert frame.main(["topics"]) == 1
    assert "Traceback" in capsys.readouterr().err


TALKS = """
import sys, types
from andon.cli import main
def add_parser(subparsers):
    subparsers.add_parser("topics").set_defaults(func=lambda args: print("line\\n" * 100_000) or 0)
sys.modules["andon.cli.commands.topics"] = types.SimpleNamespace(add_parser=add_parser)
sys.exit(main.main(["topics"]))
"""


def test_a_reader_that_leaves_is_no_traceback() -> None:
    argv = [sys.executable, "-c", TALKS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("argv", [["up"], ["up", "--demo"], ["status"]])
@pytest.mark.parametrize("below", ["", "further"])
def test_a_data_directory_that_is_none_is_said_by_every_command(
    argv: list[str], below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / "file" / below
    assert frame.main([*argv, "--data", str(data)]) == 2
    assert capsys.readouterr().err == (
        f"andon {argv[0]}: the data directory {data} cannot be used (Not a directory); give --data another one, or ask "
        "its owner\n"
    )


@pytest.mark.parametrize(("name", "code"), [("d", 2), ("d/up.lock", 2), (".", 2), ("e", 1), (None, 1)])
def test_only_what_is_refused_about_the_data_directory_is_its_fault(
    name: str | None, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PermissionError(errno.EACCES, "refused", *([str(tmp_path / name)] if name else []))
    command(monkeypatch, raising(error))
    assert frame.main(["topics", "--data", str(tmp_path / "d")]) == code
    said = f"the data directory {tmp_path / 'd'} cannot be used (Permission denied); give --data another"
    assert (said in capsys.readouterr().err) == (code == 2)
