"""Files on a server that hangs, before anything of a notice has left."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from andon.core.failure import Retryable
from andon.core.ports import Channel, Reply
from andon.core.reason import Reason
from andon.egress import media
from andon.egress.channels import wecom_robot
from andon.egress.channels.wecom_robot import WecomRobot
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from tests.unit.egress.app_vendor import Vendor, app
from tests.unit.egress.robots import Recorder


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APP_CORP", "APP_SECRET", "ROBOT"):
        monkeypatch.setenv(name, "x")


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """A file whose opening hangs until the test is over."""
    path = tmp_path / "plan.png"
    os.mkfifo(path)
    yield path
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def attempt(channel: Channel, kind: str, name: str) -> Retryable:
    """How a call ends that the desk would cut off at its deadline."""

    async def scene() -> Retryable:
        async with asyncio.timeout(0.6):
            with pytest.raises(Retryable) as caught:
                await channel.send(call(json.dumps({"file": name}), kind, recipients=("wang",), deadline=0.6))
            return caught.value

    return asyncio.run(scene())


@pytest.mark.parametrize(("kind", "of"), [("image", "robot"), ("file", "robot"), ("file", "app")])
def test_a_file_whose_disk_hangs_is_not_sent(kind: str, of: str, hanging: Path) -> None:
    told, posted = Vendor(), Recorder()
    config = WecomRobot.Config.model_validate({"keys": ["env:ROBOT"]})
    robot = WecomRobot(config, context(posted, directory=hanging.parent))
    failure = attempt(robot if of == "robot" else app(told, hanging.parent), kind, hanging.name)
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
    assert "plan.png" in failure.detail
    assert [*told.asked, *posted.asked] == []


def test_a_disk_that_hangs_at_the_first_look_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(Path, "stat", lambda *_arguments, **_options: released.wait(20))
    try:
        failure = attempt(app(Vendor(), tmp_path), "file", "plan.pdf")
    finally:
        released.set()
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)


def test_an_upload_that_takes_all_the_time_of_its_call_is_not_sent(tmp_path: Path) -> None:
    file = tmp_path / "plan.png"
    file.write_bytes(b"x" * 10)

    async def post(_body: bytes, _headers: Mapping[str, str], deadline: float) -> object:
        await asyncio.sleep(deadline)
        raise Retryable(Reason.TIMEOUT, "no answer", ambiguous=True)

    async def send(_media_id: str, _deadline: float) -> Reply:
        raise AssertionError("nothing is sent")

    async def scene() -> Any:
        upload = media.upload_of(tmp_path, file.name, 0, "image")
        async with asyncio.timeout(0.4):
            with pytest.raises(Retryable) as caught:
                await media.Media(ManualClock()).sent(upload, 100, post, send, 0.4)
            return caught.value.ambiguous

    assert asyncio.run(scene()) is False


def test_what_a_disk_took_is_no_time_of_the_call_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path, _most: int) -> bytes:
        time.sleep(0.1)
        return path.read_bytes()

    monkeypatch.setattr(wecom_robot, "bytes_of", slow)
    (tmp_path / "plan.png").write_bytes(b"x")
    posted = Recorder(body={"errcode": 0})
    config = WecomRobot.Config.model_validate({"keys": ["env:ROBOT"]})
    robot = WecomRobot(config, context(posted, directory=tmp_path))
    asyncio.run(robot.send(call(json.dumps({"file": "plan.png"}), "image", deadline=1.0)))
    assert posted.asked[0].deadline <= 0.9
