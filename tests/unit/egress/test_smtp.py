"""The mail channel's configuration, and the mail it makes."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from andon.cli.commands.check import checked
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.fence import fence
from andon.core.policy import Limit
from andon.core.reason import Reason
from andon.egress.channels.smtp import Smtp
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.testing.mail import FakeMail
from andon.web.smtp import stuffed
from andon.web.wire import HttpWire

TO = ("it@corp.cn",)


def config(**options: Any) -> Smtp.Config:
    whole = {"host": "mail.corp.cn", "from": "andon@corp.cn", **options}
    return Smtp.Config.model_validate({key: value for key, value in whole.items() if value is not None})


def mailed(text: str, kind: str = "text", to: tuple[str, ...] = TO, **options: Any) -> EmailMessage:
    """The mail a server on loopback gets."""

    async def scene() -> EmailMessage:
        wire = HttpWire()
        async with FakeMail() as server:
            plain = config(host="127.0.0.1", port=server.port, tls="none", **options)
            channel = Smtp(plain, context(wire, name="mail", clock=ManualClock(1_763_791_400.0)))
            await channel.send(call(text, kind, recipients=to))
            await wire.close()
            return message_from_bytes(server.mails[0].data, policy=default)

    return asyncio.run(scene())


def part(mail: EmailMessage, kind: str) -> str:
    return str(cast("EmailMessage", mail.get_body((kind,))).get_content()).replace("\r\n", "\n")


# ---- the mail


def test_text() -> None:
    mail = mailed("【critical】冲压机 7 停机\n时间：14:03\n")
    assert mail["Subject"] == "【critical】冲压机 7 停机"
    assert (mail["From"], mail["To"]) == ("andon@corp.cn", "it@corp.cn")
    assert mail["Date"] == "Sat, 22 Nov 2025 06:03:20 +0000"
    assert mail["Message-ID"] == "<0189d2c4-7f3e-7a52-8b16-3f1f2f3a4b5c@corp.cn>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert part(mail, "plain") == "【critical】冲压机 7 停机\n时间：14:03\n"


def test_markdown_is_html_with_its_own_text_beside() -> None:
    text = "# **L3** stop\n\n- a\n- <script>alert(1)</script>\n\n[x](javascript:alert(1)) ![](http://a.cn/x.png)\n\n|a|b|\n|-|-|\n|1|2|\n"
    mail = mailed(text, "markdown")
    assert mail["Subject"] == "L3 stop"
    assert part(mail, "plain") == text
    html = part(mail, "html")
    assert "<strong>L3</strong>" in html
    assert "<td>1</td>" in html
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "<img" not in html


def test_subject_of_ones_own() -> None:
    assert mailed("Halt\nx", subject="[Andon {receiver}] {line}")["Subject"] == "[Andon l3-group] Halt"
    assert mailed("Halt\nx", subject="Andon")["Subject"] == "Andon"


def test_long_first_line_is_short_as_a_subject_and_whole_in_the_mail() -> None:
    mail = mailed("汉" * 500)
    assert mail["Subject"] == "汉" * 199 + "…"
    assert part(mail, "plain") == "汉" * 500 + "\n"


@given(st.text(min_size=1).filter(lambda text: text.isascii() or text.isprintable()))
def test_no_subject_breaks_its_line(text: str) -> None:
    channel = Smtp(config(), context(cast("Any", None)))
    raw = channel._mail(call(text + "x", recipients=TO), ["it@corp.cn"])
    headers = raw.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in headers.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    wanted = [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"X-Auto-Response-Suppress"]
    assert names[:7] == wanted
    assert {name.lower() for name in names[7:]} <= {b"content-type", b"content-transfer-encoding", b"mime-version"}


def test_long_list_hides_its_addresses() -> None:
    many = tuple(f"p{number}@corp.cn" for number in range(21))
    assert mailed("x", to=many)["To"] == "undisclosed-recipients:;"
    assert mailed("x", to=many[:20])["To"].count("@") == 20


def test_sender_with_a_name_and_a_domain_of_chinese_letters() -> None:
    mail = mailed("x", to=("it@公司.cn",), **{"from": "安灯 <andon@公司.cn>"})
    assert mail["From"] == "安灯 <andon@xn--55qx5d.cn>"
    assert mail["To"] == "it@xn--55qx5d.cn"


@given(st.binary())
def test_a_stuffed_mail_has_no_end_within_and_is_the_same_unstuffed(mail: bytes) -> None:
    sent = stuffed(mail)
    assert sent.endswith(b"\r\n")
    assert not sent.startswith(b".\r\n")
    assert b"\r\n.\r\n" not in sent
    assert b"\n" not in sent.replace(b"\r\n", b"")
    assert b"\r" not in sent.replace(b"\r\n", b"")
    lines = [line[1:] if line.startswith(b".") else line for line in sent.split(b"\r\n")]
    whole = mail.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert b"\n".join(lines) == (whole if whole.endswith(b"\n") else whole + b"\n")


def test_password_that_is_not_there_leaves_nothing() -> None:
    with pytest.raises(Retryable) as refused:
        mailed("x", user="env:NO_SUCH_NAME", password="env:NO_SUCH_PASSWORD")
    assert (refused.value.reason, refused.value.ambiguous) == (Reason.NOT_SENT, False)
    assert "NO_SUCH_NAME" in refused.value.detail


def test_size_is_told_and_a_mail_that_is_too_large_is_parked_as_such() -> None:
    async def scene() -> tuple[Failure, list[str]]:
        wire = HttpWire()
        async with FakeMail({"MAIL": "552 5.3.4 too large"}) as server:
            plain = config(host="127.0.0.1", port=server.port, tls="none")
            with pytest.raises(Failure) as caught:
                await Smtp(plain, context(wire)).send(call("x", recipients=TO))
            await wire.close()
            return caught.value, server.heard

    failure, heard = asyncio.run(scene())
    assert isinstance(failure, Rejected)
    assert failure.reason is Reason.TOO_LARGE
    assert any(line.startswith("MAIL FROM:<andon@corp.cn> SIZE=") for line in heard)


def test_the_end_of_a_mail_does_not_leave_behind_the_fence_of_the_call() -> None:
    async def scene() -> tuple[Failure, int]:
        wire = HttpWire()
        async with FakeMail() as server:
            plain = config(host="127.0.0.1", port=server.port, tls="none")
            fence(asyncio.get_running_loop().time())
            with pytest.raises(Failure) as caught:
                await Smtp(plain, context(wire)).send(call("x", recipients=TO))
            await wire.close()
            return caught.value, len(server.mails)

    failure, mails = asyncio.run(scene())
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous, mails) == (Reason.NOT_SENT, False, 0)


# ---- configuration


def test_what_the_desk_is_told() -> None:
    told = config(user="env:U", password="env:P", limit="60/m")
    assert told.limit_domain() == "smtp:env:U@mail.corp.cn:587"
    assert told.limits() == (Limit(60, 60.0),)
    assert config().limits() == ()
    assert (config().way(), config().at()) == ("starttls", 587)
    assert (config(port=465).way(), config(port=465).at()) == ("tls", 465)
    assert (config(tls="tls").way(), config(tls="tls").at()) == ("tls", 465)
    assert (config(port=465, tls="starttls").way(), config(host="::1", tls="none").at()) == ("starttls", 25)
    assert Smtp.Config.model_validate(told.model_dump(mode="json", by_alias=True)) == told


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tls": "none"}, "without TLS every mail to mail.corp.cn could be read on its way"),
        ({"host": "mail.corp.cn:587"}, "write a name or an address, the port as `port`"),
        ({"host": "0x7f.1"}, "four decimal numbers"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"user": "env:U"}, "`password` is missing"),
        ({"password": "env:P"}, "`user` is missing"),
        ({"user": "wang", "password": "env:P"}, "a secret is written as env:NAME or file:/path"),
        ({"from": "andon"}, "is no mail address; write for example it@corp.cn"),
        ({"from": "a@b.cn\r\nBcc: x@y.cn"}, "write andon@corp.cn"),
        ({"from": "a@b"}, None),
        ({"from": "a@-b.cn"}, "its domain is none"),
        ({"from": ""}, "write andon@corp.cn"),
        ({"subject": "{event.type}"}, "one line of text, in which {line} and {receiver} may stand"),
        ({"subject": "a\nb"}, "one line of text"),
        ({"key": "file:/k"}, "`cert` is missing"),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_mistakes_are_said(options: dict[str, Any], sentence: str | None) -> None:
    if sentence is None:
        config(**options)
        return
    with pytest.raises(ValidationError) as refused:
        config(**options)
    assert sentence in str(refused.value)


PLANT = """\
version: 1
channels:
  mail: {kind: smtp, host: mail.corp.cn, user: env:SMTP_USER, password: env:SMTP_PASSWORD, from: andon@corp.cn}
receivers:
  it: {channel: mail, to: [%s]}
route: {receiver: it}
"""


@pytest.mark.parametrize(
    ("to", "mistakes"),
    [
        ("it@corp.cn", []),
        ("it@corp.cn, fact:machine.mail", []),
        ("", ["5:3: `to` is missing: a channel of kind `smtp` must know whom to write to"]),
        ("it", ["5:28: 'it' is no mail address; write for example it@corp.cn"]),
        ('"rota:maintenance"', ["5:28: `rota:` is not in this version"]),
        ('"role:it"', ["5:28: who is who, the connector `people` must say"]),
    ],
)
def test_check_looks_at_the_recipients(to: str, mistakes: list[str], tmp_path: Path) -> None:
    (tmp_path / "andon.yaml").write_text(PLANT % to)
    found = [f"{one.line}:{one.column}: {one.text}" for one in checked(tmp_path).mistakes]
    assert len(found) == len(mistakes)
    for sentence in mistakes:
        assert any(text.startswith(sentence) for text in found), found
