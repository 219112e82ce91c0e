"""The supervisor with real processes: none stays behind, whatever ends it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from andon.runtime.clock import SystemClock
from andon.runtime.command import Command, bound, last_words
from andon.runtime.supervisor import Program, State, Supervisor

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
POLITE = """
import pathlib, signal, sys, time
def leave(*_):
    with open(sys.argv[1], 'a') as diary: diary.write(sys.argv[2] + '\\n')
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1] + '.' + sys.argv[2]).touch()
time.sleep(60)
"""
STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(60)'])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""
SUPERVISED = """
import asyncio, pathlib, sys
from andon.runtime.clock import SystemClock
from andon.runtime.command import Command
from andon.runtime.supervisor import Program, Supervisor
async def main():
    home = pathlib.Path(sys.argv[1])
    async with Supervisor(SystemClock()) as supervisor:
        for name in ('a', 'b'):
            log = home / f'{name}.log'
            supervisor.start(Program(name, Command([sys.executable, '-I', '-S', '-c', %r], log), log))
        await supervisor.ready(['a', 'b'])
        print(*(status.pid for status in supervisor.statuses), flush=True)
        await supervisor.refused()
asyncio.run(main())
"""


def program(home: Path, name: str, script: str, *arguments: object, stop_timeout: float = 5.0) -> Program:
    log = home / f"{name}.log"
    argv = [sys.executable, "-I", "-S", "-c", script, *map(str, arguments)]
    return Program(name, Command(argv, log), log, stop_timeout=stop_timeout)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(holds: object, seconds: float = 10.0) -> None:
    assert callable(holds)
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


def test_a_killed_program_comes_back_and_the_others_keep_their_pids(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Supervisor(SystemClock()) as supervisor:
            for name in "abc":
                supervisor.start(program(tmp_path, name, SLEEPER))
            await supervisor.ready("abc")
            before = [status.pid for status in supervisor.statuses]
            assert all(pid and os.getsid(pid) == pid for pid in before)
            assert before[1]
            os.kill(before[1], signal.SIGKILL)
            await until(lambda: supervisor.statuses[1].restarts == 1 and supervisor.statuses[1].pid)
            after = [status.pid for status in supervisor.statuses]
            assert (after[0], after[2]) == (before[0], before[2])
            assert after[1] != before[1]
        assert not any(lives(pid) for pid in (*before, *after) if pid)
        assert [status.state for status in supervisor.statuses] == [State.STOPPED] * 3

    asyncio.run(scenario())


def test_programs_are_asked_to_end_last_started_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        diary = tmp_path / "diary"
        async with Supervisor(SystemClock()) as supervisor:
            for name in "abc":
                supervisor.start(program(tmp_path, name, POLITE, diary, name))
            await until(lambda: all((tmp_path / f"diary.{name}").exists() for name in "abc"))
        assert diary.read_text().split() == ["c", "b", "a"]

    asyncio.run(scenario())


def test_what_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    async def scenario() -> None:
        note = tmp_path / "grandchild"
        async with Supervisor(SystemClock()) as supervisor:
            supervisor.start(program(tmp_path, "stubborn", STUBBORN, note, stop_timeout=0.1))
            await until(lambda: note.exists() and note.read_text())
            pid = supervisor.statuses[0].pid
        assert pid
        assert not lives(pid)
        await until(lambda: not lives(int(note.read_text())))

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    script = SUPERVISED % SLEEPER
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        assert all(lives(pid) for pid in pids)
        supervisor.kill()
        supervisor.wait()
    asyncio.run(until(lambda: not any(lives(pid) for pid in pids)))


def test_a_program_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = tmp_path / "none.log"
        child = await Command(["/nowhere/none"], log)()
        assert await child.wait() == 2
        assert last_words(log) == "/nowhere/none cannot be run (No such file or directory)"

    asyncio.run(scenario())


def test_a_full_log_is_copied_aside_and_emptied(tmp_path: Path) -> None:
    log = tmp_path / "p.log"
    with log.open("ab") as writer:
        writer.write(b"x" * 100)
        writer.flush()
        bound(log, 100)
        assert log.stat().st_size == 100
        bound(log, 99)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    assert (tmp_path / "p.log.1").read_bytes() == b"x" * 100
