"""The mail channel against a real SMTP server (aiosmtpd), over TLS with an authority of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator, Sequence
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Receipt, Way
from andon.core.reason import Reason
from andon.egress.channels.smtp import Smtp
from andon.testing.builders import call, context
from andon.testing.mail import FakeMail
from andon.web import smtp
from andon.web.wire import HttpWire
from tests.contract.mail_mistakes import StarttlsIfOffered
from tests.rig.httpproxy import HttpProxy
from tests.rig.tls import Authority
from tests.unit.web.rig import Names, through

USER, PASSWORD = "andon", "geheim-字-3"
TO = ("it@corp.cn", "qa@corp.cn")


class Postbox:
    """What the server took; it has no recipient `nobody`."""

    def __init__(self) -> None:
        self.mails: list[tuple[bytes, Sequence[str], bool]] = []

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        assert server.transport is not None
        secured = server.transport.get_extra_info("ssl_object") is not None
        self.mails.append((envelope.content, tuple(envelope.rcpt_tos), secured))
        return "250 OK"


def _knows(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextlib.asynccontextmanager
async def served(box: Postbox, tls: ssl.SSLContext, *, from_the_first: bool = False) -> AsyncIterator[int]:
    """A mail server that wants TLS and an account."""
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"auth_required": True, "authenticator": _knows, "hostname": "mail.test"}
    options |= {"auth_require_tls": False} if from_the_first else {"tls_context": tls, "require_starttls": True}

    def session() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it does not know of TLS that is there from the first byte on
            return SMTP(box, enable_SMTPUTF8=True, loop=loop, **options)

    server = await loop.create_server(
        session,
        "127.0.0.1",
        0,
        ssl=tls if from_the_first else None,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)  # what was closed here is closed there a moment later


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SMTP_USER", USER)
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    Names(monkeypatch, {"mail.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]})
    return Authority(tmp_path)


def options(authority: Authority, port: int, **changes: Any) -> dict[str, Any]:
    whole = {"host": "mail.test", "port": port, "from": "andon@corp.cn", "ca": f"file:{authority.ca}"}
    return {**whole, "user": "env:SMTP_USER", "password": "env:SMTP_PASSWORD", **changes}


async def sent(of: dict[str, Any], way: Way | None = None, **changes: Any) -> Sequence[Receipt] | Failure:
    wire = HttpWire(way or Way())
    channel = Smtp(Smtp.Config.model_validate(of), context(wire))
    try:
        return await channel.send(call("冲压机 7 停机\n.\n请检查", **{"recipients": TO, **changes}))
    except Failure as failure:
        return failure
    finally:
        await channel.close()
        await wire.close()


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_mail_arrives_over_tls_with_the_account(way: str, authority: Authority) -> None:
    box = Postbox()

    async def scene() -> Sequence[Receipt] | Failure:
        async with served(box, authority.server("mail.test"), from_the_first=way == "tls") as port:
            return await sent(options(authority, port, tls=way))

    assert asyncio.run(scene()) == [Receipt(one) for one in TO]
    ((data, recipients, secured),) = box.mails
    assert recipients == TO
    assert secured
    mail = message_from_bytes(data, policy=default)
    assert mail["Subject"] == "冲压机 7 停机"
    assert mail.get_content().splitlines() == ["冲压机 7 停机", ".", "请检查"]


def test_one_of_three_is_refused_and_the_others_have_it(authority: Authority) -> None:
    box = Postbox()

    async def scene() -> Sequence[Receipt] | Failure:
        async with served(box, authority.server("mail.test")) as port:
            return await sent(options(authority, port), recipients=("it@corp.cn", "nobody@corp.cn", "qa@corp.cn"))

    receipts = asyncio.run(scene())
    assert not isinstance(receipts, Failure)
    one, two, three = receipts
    assert (one.failed, three.failed) == (None, None)
    assert two.failed
    assert (two.failed.reason, two.failed.detail) == (Reason.REJECTED, "550 5.1.1 no such user")
    assert box.mails[0][1] == ("it@corp.cn", "qa@corp.cn")


def test_wrong_password_is_parked_without_it(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "falsch")

    async def scene() -> Sequence[Receipt] | Failure:
        async with served(Postbox(), authority.server("mail.test")) as port:
            return await sent(options(authority, port))

    failure = asyncio.run(scene())
    assert isinstance(failure, Rejected)
    assert failure.reason is Reason.CREDENTIALS
    assert "535" in failure.detail
    assert "falsch" not in str(failure)


@pytest.mark.parametrize("way", ["starttls", "tls"])
def test_certificate_of_another_is_refused_before_the_password(way: str, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another authority")

    async def scene() -> list[Sequence[Receipt] | Failure]:
        found = []
        for ca, names in ((other.ca, "mail.test"), (authority.ca, "other.test")):
            async with served(Postbox(), authority.server(names), from_the_first=way == "tls") as port:
                found.append(await sent(options(authority, port, tls=way, ca=str(ca))))
        return found

    for failure in asyncio.run(scene()):
        assert isinstance(failure, Retryable)
        assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
        assert "certificate is not trusted" in failure.detail


def test_mail_goes_through_the_proxys_tunnel(authority: Authority) -> None:
    box = Postbox()

    async def scene() -> tuple[Sequence[Receipt] | Failure, list[bytes]]:
        async with (
            served(box, authority.server("mail.test")) as port,
            HttpProxy({"mail.test:587": port}) as proxy,
        ):
            return await sent(options(authority, 587), through(proxy.port)), proxy.asked

    receipts, asked = asyncio.run(scene())
    assert not isinstance(receipts, Failure)
    assert [one.split(b"\r\n")[0] for one in asked] == [b"CONNECT mail.test:587 HTTP/1.1"]
    assert len(box.mails) == 1


# ---- STARTTLS is never left out, and nothing said before it is believed


def against(server: FakeMail, authority: Authority, channel_type: type[Smtp] = Smtp) -> Sequence[Receipt] | Failure:
    async def scene() -> Sequence[Receipt] | Failure:
        async with server:
            wire = HttpWire()
            config = channel_type.Config.model_validate(options(authority, server.port))
            try:
                return await channel_type(config, context(wire)).send(call("x", recipients=TO))
            except Failure as failure:
                return failure
            finally:
                await wire.close()

    return asyncio.run(scene())


def test_server_that_offers_no_tls_gets_neither_password_nor_mail(authority: Authority) -> None:
    server = FakeMail()
    failure = against(server, authority)
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
    assert "STARTTLS" in failure.detail
    assert [line.split(" ")[0] for line in server.heard if line != "QUIT"] == ["EHLO"]


def test_seeded_mistake_of_going_on_in_clear_is_caught(authority: Authority) -> None:
    server = FakeMail()
    assert not isinstance(against(server, authority, StarttlsIfOffered), Failure)
    assert [line for line in server.heard if line.startswith("AUTH")], "the test above would see the password"


@pytest.mark.parametrize(
    ("answer", "said"),
    [("454 not now", "454"), ("501 what?", "501"), ("220 ok\r\n250 injected", "more before TLS than was asked for")],
)
def test_tls_that_is_refused_or_smuggled_into_ends_the_session(answer: str, said: str, authority: Authority) -> None:
    server = FakeMail({"STARTTLS": answer}, tls=authority.server("mail.test"))
    failure = against(server, authority)
    assert isinstance(failure, Retryable)
    assert not failure.ambiguous
    assert said in failure.detail
    assert not [line for line in server.heard if line.startswith(("AUTH", "MAIL"))]


def test_offers_are_asked_for_again_within_tls(authority: Authority) -> None:
    server = FakeMail(tls=authority.server("mail.test"), offers=("AUTH LOGIN",))
    server.says = {"AUTH": "334 VXNlcm5hbWU6"}
    receipts = against(server, authority)
    assert not isinstance(receipts, Failure)
    assert server.mails[0].tls
    assert [line.split(" ")[0] for line in server.heard[:4]] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_a_command_of_two_lines_is_never_written() -> None:
    async def scene() -> list[str]:
        async with FakeMail() as server:
            wire = HttpWire()
            session = smtp.Session()
            await session.begin(await wire.connect("127.0.0.1", server.port), "andon.test")
            for address in ("a@b.cn>\r\nRCPT TO:<c@d.cn", "a\x00@b.cn"):
                with pytest.raises(ValueError, match="one line"):
                    await session.recipient(address)
            session.close()
            await wire.close()
            await asyncio.wait_for(server.gone.wait(), 5)
            return server.heard

    assert asyncio.run(scene()) == ["EHLO andon.test", "QUIT"]


def test_server_without_an_account_gets_no_mail(authority: Authority) -> None:
    server = FakeMail(tls=authority.server("mail.test"), offers=())
    failure = against(server, authority)
    assert isinstance(failure, Retryable)
    assert "does not offer AUTH" in failure.detail
    assert not [line for line in server.heard if line.startswith("MAIL")]
