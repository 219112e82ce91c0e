"""The supervisor with programs of this file: what it starts, restarts, refuses and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from andon.runtime.command import CannotStart
from andon.runtime.supervisor import Backoff, Program, Refused, State, Supervisor
from andon.testing.clock import ManualClock

LOG = Path("nowhere.log")


class Life:
    """A child that ends when the test says so, and writes down what was done to it."""

    def __init__(self, pid: int, name: str, diary: list[str]) -> None:
        self.pid = pid
        self.name = name
        self.diary = diary
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self.code)

    async def end(self, timeout: float) -> None:
        self.diary.append(f"end {self.name} {timeout:g}")
        self.dies(-15)

    def kill(self) -> None:
        self.dies(-9)

    def dies(self, code: int) -> None:
        if not self.code.done():
            self.diary.append(f"{self.name} died {code}")
            self.code.set_result(code)


class Stable:
    """Spawns lives and remembers them."""

    def __init__(self) -> None:
        self.lives: dict[str, list[Life]] = {}
        self.diary: list[str] = []
        self.pids = iter(range(100, 200))

    def program(
        self,
        name: str,
        *,
        ready: Callable[[], Awaitable[bool]] | None = None,
        after: tuple[str, ...] = (),
        once: bool = False,
        log: Path = LOG,
    ) -> Program:
        async def spawn() -> Life:
            life = Life(next(self.pids), name, self.diary)
            self.lives.setdefault(name, []).append(life)
            return life

        return Program(name, spawn, log, ready=ready, after=after, once=once)

    def of(self, name: str) -> Life:
        return self.lives[name][-1]


async def always() -> bool:
    return True


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_program_starts_only_when_those_it_needs_are_ready() -> None:
    async def scenario() -> None:
        stable, clock, answers = Stable(), ManualClock(), [False, False, True]

        async def ready() -> bool:
            return answers.pop(0) if answers else True

        async with Supervisor(clock) as supervisor:
            supervisor.start(stable.program("first", ready=ready))
            supervisor.start(stable.program("second", after=("first",)))
            await settle()
            assert "second" not in stable.lives
            assert [status.state for status in supervisor.statuses] == [State.STARTING, State.WAITING]
            clock.advance(0.1)
            await settle()
            assert "second" not in stable.lives
            clock.advance(0.1)
            await settle()
            assert [status.state for status in supervisor.statuses] == [State.READY, State.READY]

    asyncio.run(scenario())


def test_a_death_restarts_that_program_alone() -> None:
    async def scenario() -> None:
        stable, clock = Stable(), ManualClock()
        async with Supervisor(clock) as supervisor:
            supervisor.start(stable.program("one"))
            supervisor.start(stable.program("two"))
            await settle()
            kept = stable.of("two").pid
            stable.of("one").dies(-9)
            await settle()
            clock.advance(0)
            await settle()
            one, two = supervisor.statuses
            assert (one.restarts, one.exit, one.state) == (1, -9, State.READY)
            assert one.pid == stable.lives["one"][1].pid
            assert (two.restarts, two.pid) == (0, kept)

    asyncio.run(scenario())


def test_a_crash_loop_is_slowed_down_and_forgiven_after_thirty_seconds_alive() -> None:
    async def scenario() -> None:
        stable, clock = Stable(), ManualClock()
        async with Supervisor(clock) as supervisor:
            supervisor.start(stable.program("p"))
            await settle()
            for pause in (0, 0.5, 1, 2, 4, 8, 10, 10):
                before = len(stable.lives["p"])
                stable.of("p").dies(1)
                await settle()
                if pause:
                    clock.advance(pause - 0.01)
                    await settle()
                    assert len(stable.lives["p"]) == before, pause
                clock.advance(0.01)
                await settle()
                assert len(stable.lives["p"]) == before + 1, pause
            clock.advance(30)
            stable.of("p").dies(1)
            await settle()
            clock.advance(0)
            await settle()
            assert len(stable.lives["p"]) == 10

    asyncio.run(scenario())


def test_law_four_waits_longer_than_a_crash() -> None:
    backoff = Backoff()
    assert [backoff.after(1, 3) for _ in range(6)] == [5, 10, 20, 40, 60, 60]
    assert backoff.after(31, 3) == 5


def test_a_life_in_which_the_clock_was_set_back_is_no_crash_loop() -> None:
    backoff = Backoff()
    backoff.after(1, 3)
    assert backoff.after(-8 * 3_600, 3) == 5


def test_exit_two_stops_everything_with_the_last_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        stable = Stable()
        log = tmp_path / "bad.log"
        log.write_text('started\n{"event": "andon.yaml:3: unknown key", "level": "error"}\n')
        async with Supervisor(ManualClock()) as supervisor:
            supervisor.start(stable.program("good"))
            supervisor.start(stable.program("bad", log=log))
            supervisor.start(stable.program("later", after=("bad",)))
            await settle()
            stable.of("bad").dies(2)
            with pytest.raises(Refused, match=r"^bad: andon.yaml:3: unknown key$") as refused:
                await supervisor.refused()
            assert refused.value.exit_code == 2
        assert stable.diary == ["bad died 2", "end later 10", "later died -15", "end good 10", "good died -15"]
        assert [status.state for status in supervisor.statuses] == [State.STOPPED, State.FAILED, State.STOPPED]

    asyncio.run(scenario())


def test_exit_two_of_a_program_that_was_ready_stops_nobody_and_it_is_tried_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        stable, clock = Stable(), ManualClock()
        log = tmp_path / "door.log"
        async with Supervisor(clock) as supervisor:
            supervisor.start(stable.program("good"))
            supervisor.start(stable.program("door", ready=always, log=log))
            await settle()
            log.write_text("the environment variable X is not set\n")
            for pause in (0, 0.5, 1, 2):
                stable.of("door").dies(2)
                await settle()
                clock.advance(pause)
                await settle()
            good, door = supervisor.statuses
            assert (good.state, good.restarts) == (State.READY, 0)
            assert (door.state, door.restarts, door.exit) == (State.READY, 4, 2)
            assert door.note == "the environment variable X is not set"

    asyncio.run(scenario())


def test_a_program_that_runs_once_is_started_again_only_if_it_failed(tmp_path: Path) -> None:
    async def scenario() -> None:
        stable, clock = Stable(), ManualClock()
        async with Supervisor(clock) as supervisor:
            supervisor.start(stable.program("once", once=True, log=tmp_path / "none.log"))
            await settle()
            stable.of("once").dies(1)
            await settle()
            assert "said nothing" in supervisor.statuses[0].note
            clock.advance(0)
            await settle()
            stable.of("once").dies(0)
            await supervisor.done("once")
            clock.advance(100)
            await settle()
            assert supervisor.statuses[0].state is State.DONE
            assert len(stable.lives["once"]) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "note"), [(1, "no disk"), (-9, "ended by signal 9")])
def test_a_program_whose_log_is_no_answer_has_words_of_its_own(code: int, note: str) -> None:
    async def scenario() -> None:
        stable = Stable()
        async with Supervisor(ManualClock()) as supervisor:
            supervisor.start(replace(stable.program("kafka"), words=lambda: "no disk"))
            await settle()
            stable.of("kafka").dies(code)
            await settle()
            assert supervisor.statuses[0].note == note

    asyncio.run(scenario())


@pytest.mark.parametrize("ready_once", [False, True])
def test_a_failed_start_is_final_only_before_the_program_was_ever_ready(*, ready_once: bool) -> None:
    async def scenario() -> int:
        stable, clock, starts = Stable(), ManualClock(), 0
        good = stable.program("p").spawn

        async def spawn() -> Life:
            nonlocal starts
            starts += 1
            if starts == 1 and ready_once:
                life = await good()
                assert isinstance(life, Life)
                return life
            raise CannotStart("the disk is full")

        async with Supervisor(clock) as supervisor:
            supervisor.start(Program("p", spawn, LOG))
            await settle()
            if ready_once:
                stable.of("p").dies(1)
                for _ in range(4):
                    await settle()
                    clock.advance(1)
                assert supervisor.statuses[0].note == "the disk is full"
            else:
                with pytest.raises(Refused, match=r"^p: the disk is full$"):
                    await supervisor.ready(["p"])
        return starts

    assert asyncio.run(scenario()) >= (3 if ready_once else 1)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_still_runs_of_a_program_that_cannot_be_started_again_is_ended_too(how: str) -> None:
    async def scenario() -> list[str]:
        stable = Stable()
        first, rest = Life(1, "first", stable.diary), Life(2, "rest", stable.diary)
        lives = [first]

        async def spawn() -> Life:
            if not lives:
                raise CannotStart("the disk is full")
            return lives.pop()

        async with Supervisor(ManualClock()) as supervisor:
            supervisor.start(Program("p", spawn, LOG, rest=lambda: rest))
            await settle()
            first.dies(1)
            await settle()
            assert supervisor.statuses[0].state is State.RESTARTING
            if how == "kill":
                supervisor.kill()
        return stable.diary

    ended = ["rest died -9"] if how == "kill" else []
    assert asyncio.run(scenario()) == ["first died 1", *ended, "end rest 10", *([] if ended else ["rest died -15"])]


def test_a_broken_report_is_not_swallowed() -> None:
    async def scenario() -> None:
        stable = Stable()

        def changed(statuses: object) -> None:
            if stable.lives:
                raise RuntimeError("no report")

        supervisor = Supervisor(ManualClock(), changed)
        supervisor.start(stable.program("p"))
        with pytest.raises(RuntimeError, match="no report"):
            await supervisor.refused()
        supervisor.kill()
        assert stable.diary == ["p died -9"]

    asyncio.run(scenario())
