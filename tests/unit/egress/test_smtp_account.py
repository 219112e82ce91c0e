"""A password that a mail server refuses is not tried again and again: many servers lock the account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Receipt
from andon.core.reason import Reason
from andon.egress.channels.smtp import Smtp
from andon.egress.channels.smtp_account import Account
from andon.egress.hold_off import HOLD_OFF_S
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.testing.mail import CLOSE, FakeMail
from andon.web.smtp import Answer, Refused, Session
from andon.web.wire import HttpWire

NO = "535 5.7.8 Error: authentication failed"
Send = Callable[..., Awaitable[Sequence[Receipt] | Failure]]
Scene = Callable[[FakeMail, Send, ManualClock], Awaitable[None]]


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_USER", "andon")
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")


def played(scene: Scene) -> FakeMail:
    """Each mail goes by a channel of its own, as after a change of the configuration, unless one is given."""

    async def play() -> FakeMail:
        wire, clock = HttpWire(), ManualClock()
        async with FakeMail({"AUTH": NO}) as server:
            config = Smtp.Config.model_validate(
                {
                    "host": "127.0.0.1",
                    "port": server.port,
                    "tls": "none",
                    "from": "andon@corp.cn",
                    "user": "env:MAIL_USER",
                    "password": "env:MAIL_PASSWORD",
                }
            )

            async def send() -> Sequence[Receipt] | Failure:
                channel = Smtp(config, context(wire, name="mail", clock=clock))
                try:
                    return await channel.send(call("x", recipients=("it@corp.cn",)))
                except Failure as failure:
                    return failure

            await scene(server, send, clock)
            await wire.close()
            return server

    return asyncio.run(play())


def signed_in(server: FakeMail) -> int:
    return sum(line.startswith("AUTH") for line in server.heard)


def test_a_refused_password_is_tried_once_in_ten_minutes() -> None:
    async def scene(server: FakeMail, send: Send, clock: ManualClock) -> None:
        for _ in range(3):
            failure = await send()
            assert isinstance(failure, Rejected)
            assert failure.reason is Reason.CREDENTIALS
            assert failure.detail == f"AUTH: {NO}; not asked again before 22:23 UTC"
        assert len(server.heard) == 2, "nor is the server called at all"
        clock.advance(HOLD_OFF_S)
        assert isinstance(await send(), Rejected)
        assert signed_in(server) == 2

    played(scene)


def test_of_many_mails_at_one_time_one_tries_it() -> None:
    async def scene(server: FakeMail, send: Send, _clock: ManualClock) -> None:
        failures = await asyncio.gather(*(send() for _ in range(4)))
        assert [type(one) for one in failures] == [Rejected] * 4
        assert signed_in(server) == 1

    played(scene)


@pytest.mark.parametrize("changed", ["MAIL_USER", "MAIL_PASSWORD"])
def test_a_changed_account_counts_at_once(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(server: FakeMail, send: Send, _clock: ManualClock) -> None:
        await send()
        monkeypatch.setenv(changed, "right")
        server.says = {}
        assert not isinstance(await send(), Failure)

    played(scene)


def test_an_account_that_was_taken_once_is_held_off_when_it_is_refused() -> None:
    async def scene(server: FakeMail, send: Send, clock: ManualClock) -> None:
        server.says = {}
        assert not isinstance(await send(), Failure)
        server.says = {"AUTH": NO}
        await asyncio.gather(*(send() for _ in range(2)))
        tried = signed_in(server)
        assert isinstance(await send(), Rejected)
        assert signed_in(server) == tried
        clock.advance(HOLD_OFF_S)
        server.says = {}
        assert not isinstance(await send(), Failure)

    played(scene)


def test_an_account_that_another_session_is_let_in_by_meanwhile_is_not_held_off() -> None:
    class Server(Session):
        def __init__(self, answer: Refused | None = None) -> None:
            super().__init__()
            self.refused = answer
            self.answers = asyncio.Event()

        async def sign_in(self, user: str, password: str) -> None:
            await self.answers.wait()
            if self.refused:
                raise self.refused

    async def scene() -> None:
        clock = ManualClock()
        good, slow, bad = Server(), Server(), Server(Refused("AUTH", Answer(535, "no")))
        good.answers.set()
        bad.answers.set()
        await Account(clock, "mail", ("andon", "right")).sign_in(good)
        other = asyncio.create_task(Account(clock, "mail", ("andon", "right")).sign_in(slow))
        await asyncio.sleep(0)
        account = Account(clock, "mail", ("andon", "right"))
        with pytest.raises(Rejected):
            await account.sign_in(bad)
        with pytest.raises(Rejected):
            account.look()
        slow.answers.set()
        await other
        account.look()

    asyncio.run(scene())


@pytest.mark.parametrize("said", ["454 4.7.0 Temporary authentication failure", CLOSE])
def test_what_does_not_speak_of_the_password_holds_nobody_off(said: str) -> None:
    async def scene(server: FakeMail, send: Send, _clock: ManualClock) -> None:
        server.says = {"AUTH": said}
        assert isinstance(await send(), Retryable)
        server.says = {}
        assert not isinstance(await send(), Failure)

    played(scene)


def test_a_refusal_from_before_the_clock_was_set_back_holds_nobody_off() -> None:
    async def scene(server: FakeMail, send: Send, clock: ManualClock) -> None:
        await send()
        clock.advance(-3600)
        await send()
        assert signed_in(server) == 2

    played(scene)
