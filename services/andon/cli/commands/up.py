"""`andon up`: everything on this machine, kept running, until Ctrl-C; with --demo a plant that has faults."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from andon.cli.arguments import seconds
from andon.cli.main import DONE, FAILED, INTERRUPTED, USAGE
from andon.cli.running import processes, runfile, summary, upkeep
from andon.cli.running.absent import absent
from andon.cli.running.live import REFRESH, Screen, View, screen
from andon.cli.running.watch import Watch
from andon.runtime import logs
from andon.runtime.clock import SystemClock
from andon.runtime.command import bound
from andon.runtime.daemon import unawaited
from andon.runtime.supervisor import Refused, Status, Supervisor

if TYPE_CHECKING:
    from andon.cli.running.plan import Plan
    from andon.config.load import Loaded
    from andon.core.ports import Clock
    from andon.runtime.tally import Tally

READY_WITHIN = 120.0  # seconds an unattended run waits for its services, once Kafka is up
PLANT_LATE = 60.0  # and for a plant that is late, or was started again
DRAIN = 30.0

_log = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("up", help="start everything on this machine", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="with a demo plant, a vendor's stand-in and a tracker")
    processes.add_option(parser)
    parser.add_argument("--for", dest="run_for", type=seconds, metavar="60s", help="run so long, drain and leave")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="with --for: write what it came to, as JSON")
    parser.add_argument("--yes", action="store_true", help="also over what another configuration left in --data")
    parser.set_defaults(func=_up)


def _up(args: argparse.Namespace) -> int:
    """Exit code 0 after a clean end, and with --for only if nothing was lost."""
    began = summary.process_started()
    if wrong := _wrong_usage(args):
        print(f"andon up: {wrong}", file=sys.stderr)
        return USAGE
    from andon.cli.running import plan

    data: Path = args.data.absolute()
    with runfile.held(data), ExitStack() as stack:
        (data / "logs").mkdir(exist_ok=True)
        logs.configure("up", stream=stack.enter_context(_opened(data / "logs" / "up.log")))
        config = None if args.demo else args.config
        planned = plan.make(
            config, data, run_for=args.run_for, stack=stack, processes=args.processes, over_another=args.yes
        )
        shown = stack.enter_context(screen(as_json=args.json))
        up = Up(planned, shown, SystemClock(), began, args.run_for, args.summary)
        return asyncio.run(up.run())


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """A log that takes the place of no other failure: on a full disk it still holds lines when it is closed."""
    stream = file.open("a", encoding="utf-8")
    try:
        yield stream
    finally:
        with suppress(OSError):
            stream.close()


def _wrong_usage(args: argparse.Namespace) -> str | None:
    if args.demo and args.config_given:
        return "--demo has its own configuration; give either --demo or --config"
    if args.summary and args.run_for is None:
        return "--summary needs --for: only a run with an end has a summary"
    if args.summary and not _writable(args.summary):
        return f"the summary {args.summary} cannot be written; name a file that can, in a folder that is there"
    return None


def _writable(file: Path) -> bool:
    """As far as can be seen without writing it: a run that was interrupted leaves none."""
    return not os.path.isdir(file) and os.access(file if os.path.exists(file) else file.parent, os.W_OK)


class Up:
    """One run of `andon up`. When `run` returns, no process that it started is left."""

    def __init__(
        self, plan: Plan, shown: Screen, clock: Clock, began: float, run_for: float | None, into: Path | None
    ) -> None:
        self._plan = plan
        self._screen = shown
        self._clock = clock
        self._began = began
        self._run_for = run_for
        self._into = into
        self._state = "starting"
        self._tally: Tally | None = None
        self._told = asyncio.Event()
        self._prepared = asyncio.Event()
        self._unshown: set[str] = set()
        self._supervisor = Supervisor(clock, self._changed)
        self._run_file = runfile.RunFile(
            plan.data,
            {
                "started": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
                "data": str(plan.data),
                "config": str(plan.loaded.file.absolute()),
                "kafka_data": str(plan.kafka.data) if plan.kafka else None,
                "addresses": dict(plan.addresses),
                "notes": list(plan.notes),
            },
        )

    async def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                asyncio.get_running_loop().add_signal_handler(number, self._tell)
        try:
            async with self._supervisor:
                try:
                    return await first(
                        self._work(), self._refresh(), self._follow_files(), self._refused(), self._interrupted()
                    )
                finally:
                    self._move("stopping")
                    if self._tally:
                        self._tally.close()
        finally:
            self._move("stopped")
            self._show(lambda: self._screen.say(f"stopped; the data stays in {self._plan.data}"))

    async def _work(self) -> int:
        plan = self._plan
        for note in plan.notes:
            self._note(note, logging.WARNING)
        if plan.kafka:
            await plan.kafka.fetched()  # first: services wait for Kafka to start, not for a download
        for program in plan.programs:
            self._supervisor.start(program)
        if plan.kafka:
            await self._supervisor.ready(["kafka"])
        if differs := await upkeep.prepare(plan):
            self._note(differs)
        self._prepared.set()
        for service, slots in plan.left.items():
            self._note(await unawaited("take-out", partial(upkeep.take_out, plan, service, slots)))
        self._tally = upkeep.tally(plan)
        await self._services_ready()
        self._move("running")
        if self._run_for is None:
            return await self._refused()
        sent_all = await self._sent_all(self._run_for)
        self._move("draining")
        await self._drain(self._tally)
        return self._summarise(self._tally) or (DONE if sent_all else FAILED)

    async def _sent_all(self, run_for: float) -> bool:
        """Waits for the end of the plant, or for as long as was asked; whether the plant came to its own end."""
        if not self._plan.demo:
            await self._clock.sleep(run_for)
            return True
        try:
            await asyncio.wait_for(self._supervisor.done("plant"), run_for + PLANT_LATE)
        except TimeoutError:
            self._note("the plant did not come to its end; its log says why")
            return False
        return True

    async def _services_ready(self) -> None:
        ready = self._supervisor.ready(self._plan.services)
        try:
            await asyncio.wait_for(ready, None if self._run_for is None else READY_WITHIN)
        except TimeoutError:
            slow = [f"{p.name} ({p.state}: {p.note or p.log})" for p in self._supervisor.statuses if p.state != "ready"]
            raise Refused(f"not ready after {READY_WITHIN:g} s: {', '.join(slow)}") from None

    async def _drain(self, tally: Tally) -> None:
        end = self._clock.now() + DRAIN
        while self._clock.now() < end:
            if summary.drained(tally.snapshot(), self._outside(), tally.accepted_ids()):
                return
            await self._clock.sleep(0.2)

    def _summarise(self, tally: Tally) -> int:
        recorded = self._plan.demo is not None
        found = summary.summary(
            tally.snapshot(), self._outside(), tally.accepted_ids(), recorded=recorded, started=self._began
        )
        text = json.dumps(found)
        self._screen.say(text)
        if self._into:
            self._into.write_text(f"{text}\n", encoding="utf-8")
        return FAILED if found["lost"] else DONE

    def _outside(self) -> summary.Outside:
        demo = self._plan.demo
        return summary.outside(demo.sent, demo.record) if demo else summary.Outside()

    async def _refused(self) -> int:
        await self._supervisor.refused()
        return FAILED

    async def _interrupted(self) -> int:
        await self._told.wait()
        return DONE if self._run_for is None else INTERRUPTED

    async def _refresh(self) -> int:
        while True:
            bound(self._plan.data / "logs" / "up.log")
            self._show(lambda: self._screen.show(self._view(), self._clock.now()))
            await self._clock.sleep(REFRESH)

    async def _follow_files(self) -> int:
        """Publishes each valid change of the configuration's files; an invalid one is told and changes nothing."""
        await self._prepared.wait()
        taken = self._plan.loaded
        while True:
            watch = Watch(self._watched(taken))
            # Read once more: what was saved after they were read, and before this watch looked, it does not see.
            other = await self._publish_files(taken, watch, saved=False)
            while other is None:
                await self._clock.sleep(1.0)
                if watch.changed():
                    while watch.changed():
                        await self._clock.sleep(0.2)
                    other = await self._publish_files(taken, watch, saved=True)
            taken = other

    async def _publish_files(self, taken: Loaded, watch: Watch, *, saved: bool) -> Loaded | None:
        """Publishes what the files say; unless somebody `saved` them, only if that is not what was taken of them last.
        None when they are the same, or wrong; and when it fails, for whatever reason: what runs goes on, and only a
        change that people make can mend it. What wrong files name is watched too: it may be missing yet."""
        from andon.config.published import content_digest
        from andon.egress.lints import moved
        from andon.runtime.registry import Registry

        try:
            loaded = await unawaited("reload", self._reload)
            if not loaded.mistakes:
                if not saved and content_digest(loaded) == content_digest(taken):
                    return None
                self._note(await upkeep.publish(self._plan, loaded))
                moving = moved(taken.settings, loaded.settings, Registry())
                for sentence in (*moving, *absent(loaded.settings)):
                    self._note(sentence, logging.WARNING)
                return loaded
        except Exception as error:  # noqa: BLE001 - a file must not stop the plant
            self._note(f"{self._plan.loaded.file} could not be published ({error}); save it again")
            _log.exception("not published")
            return None
        watch.add(self._watched(loaded))
        for mistake in loaded.mistakes:
            self._note(str(mistake), logging.WARNING)
        self._note(f"{loaded.file} was not published: mend it, the old configuration stays", logging.WARNING)
        return None

    def _watched(self, loaded: Loaded) -> Sequence[Path]:
        if self._plan.demo:
            return (self._plan.demo.source,)
        templates = (loaded.directory / loaded.draft.templates.dir,) if loaded.draft else ()
        return (loaded.file, *templates, *loaded.beside)

    def _reload(self) -> Loaded:
        from andon.cli.commands.check import checked

        if self._plan.demo:
            self._plan.demo.derive()
        return checked(self._plan.loaded.file)

    def _tell(self) -> None:
        """Ctrl-C, SIGTERM or a closed terminal: the first time to stop, the second time to leave at once."""
        if not self._told.is_set():
            self._told.set()
            return
        self._supervisor.kill()
        with suppress(OSError):
            self._screen.__exit__(None, None, None)
        os._exit(INTERRUPTED)

    def _move(self, state: str) -> None:
        self._state = state
        self._changed(self._supervisor.statuses)

    def _changed(self, statuses: Sequence[Status]) -> None:
        self._show(lambda: self._run_file.write(self._state, statuses))
        self._show(lambda: self._screen.show(self._view(), self._clock.now()))

    def _show(self, act: Callable[[], None]) -> None:
        """Shows something. What runs goes on, and is stopped in order, where the disk is full or the terminal closed:
        each such error is logged once."""
        try:
            act()
        except OSError as error:
            if str(error) not in self._unshown:
                self._unshown.add(str(error))
                _log.warning("the state can't be shown", extra={"error": str(error)})

    def _note(self, text: str, level: int = logging.INFO) -> None:
        self._show(lambda: self._screen.say(text))
        _log.log(level, text)

    def _view(self) -> View:
        found = self._tally.snapshot() if self._tally else None
        plan = self._plan
        fetched = plan.kafka.downloads.bytes() if plan.kafka else None
        return View(self._state, found, self._supervisor.statuses, plan.addresses, fetched)


async def first(*coroutines: Coroutine[Any, Any, int]) -> int:
    """What the first of them to end returns or raises; the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
