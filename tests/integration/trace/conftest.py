"""One running system for all tests of this folder that look into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from andon.cli import main as frame
from andon.cli.commands.check import checked
from andon.runtime.bootstrap import prepare
from tests.integration.trace.world import World

Told = tuple[int, str, str]
Command = Callable[..., Told]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(tmp_path_factory.mktemp("trace"))
    try:
        asyncio.run(prepare(checked(found.config), found.bootstrap))
        found.start()
        yield found
    finally:
        found.close()


@pytest.fixture
def andon(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command as a terminal would: its exit code, and what it said on both ways out."""

    def run(*argv: str) -> Told:
        capsys.readouterr()
        code = frame.main(list(argv))
        out, err = capsys.readouterr()
        return code, out, err

    return run
