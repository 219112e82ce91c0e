"""The mail channel's configuration, and the mail it makes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
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
from andon.core.ports import Receipt
from andon.core.reason import Reason
from andon.egress.channels.smtp import Smtp
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.testing.mail import CLOSE, GREETING, HANG, FakeMail
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


def test_html_links_to_the_web_and_to_mail_only() -> None:
    good = ["http://a.cn/x", "HTTPS://a.cn", "mailto:it@corp.cn"]
    odd = [
        "ms-msdt:/id",
        "search-ms:query=x",
        "ftp://a.cn/x",
        "//a.cn/x",
        "/x",
        "x",
        "data:image/png;x",
        "httpx://a.cn",
    ]
    text = "\n\n".join(
        [f"[to]({one})" for one in good + odd] + [f"<{one}>" for one in (*good, "ms-msdt:/id", "ftp://a.cn")]
    )
    links = re.findall(r'href="([^"]*)"', part(mailed(text, "markdown"), "html"))
    assert [link.lower() for link in links] == [one.lower() for one in good] * 2


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


# ---- many recipients


class Slow(FakeMail):
    """Takes a moment for each recipient."""

    def answer(self, line: str) -> str:
        if line.startswith("RCPT"):
            time.sleep(0.03)
        return super().answer(line)


def people(count: int) -> tuple[str, ...]:
    return tuple(f"p{number}@corp.cn" for number in range(count))


def rcpt(number: int) -> str:
    return f"RCPT TO:<p{number}@corp.cn>"


def told(server: FakeMail, to: tuple[str, ...], deadline: float = 5.0) -> list[Sequence[Receipt] | Failure]:
    """Each call for those whom the one before left for later, as the desk makes them, until one fails or none are."""

    async def scene() -> list[Sequence[Receipt] | Failure]:
        wire, left, results = HttpWire(), to, list[Sequence[Receipt] | Failure]()
        async with server:
            channel = Smtp(config(host="127.0.0.1", port=server.port, tls="none"), context(wire))
            while left:
                try:
                    results.append(receipts := await channel.send(call("x", recipients=left, deadline=deadline)))
                except Failure as failure:
                    results.append(failure)
                    break
                assert [one.recipient for one in receipts] == list(left)
                left = tuple(one.recipient for one in receipts if one.later)
                assert len(left) < len(receipts), "each call that does not fail brings somebody's end nearer"
            await wire.close()
            return results

    return asyncio.run(scene())


def ends(results: list[Sequence[Receipt] | Failure]) -> dict[str, str]:
    """What was said of each recipient in the end; nothing of who has it."""
    return {
        one.recipient: one.failed.detail if one.failed else ""
        for receipts in results
        if not isinstance(receipts, Failure)
        for one in receipts
        if not one.later
    }


def test_a_long_list_is_told_in_several_sessions() -> None:
    server = FakeMail()
    assert set(ends(told(server, people(250))).values()) == {""}
    assert [len(mail.recipients) for mail in server.mails] == [100, 100, 50]
    assert [one for mail in server.mails for one in mail.recipients] == list(people(250))


def test_a_slow_server_gets_the_mail_for_those_it_has_taken_in_time() -> None:
    server = Slow()
    assert set(ends(told(server, people(60), deadline=1.0)).values()) == {""}
    assert len(server.mails) > 1
    assert sorted(one for mail in server.mails for one in mail.recipients) == sorted(people(60))


@pytest.mark.parametrize("bye", ["421 4.7.0 Error: too many errors", CLOSE, HANG])
def test_a_server_that_hangs_up_after_refusals_is_not_asked_for_these_again(bye: str) -> None:
    class Strict(FakeMail):
        """As Postfix, which ends a session of 20 refusals."""

        refusals = 0

        def answer(self, line: str) -> str:
            answer = bye if line.startswith("RCPT") and self.refusals == 20 else super().answer(line)
            self.refusals = self.refusals + answer.startswith("550") if line.startswith("RCPT") else 0
            return answer

    gone = people(55)[5:50]
    server = Strict({f"RCPT TO:<{one}>": "550 5.1.1 no such user" for one in gone})
    results = told(server, people(55), deadline=1.0)
    assert ends(results) == dict.fromkeys(people(55), "") | dict.fromkeys(gone, "550 5.1.1 no such user")
    assert [mail.recipients for mail in server.mails] == [(*people(5), *people(55)[50:])]
    assert len(results) == 3


def test_a_session_that_is_lost_without_a_refusal_is_not_sent() -> None:
    (failure,) = told(FakeMail({rcpt(2): CLOSE}), people(4))
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
    (failure,) = told(FakeMail({rcpt(2): "421 4.3.2 shutting down"}), people(4))
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.detail) == (Reason.BUSY, "RCPT: 421 4.3.2 shutting down")


@pytest.mark.parametrize(
    "says", [{"DATA": "354 go ahead\r\n250 queued"}, {rcpt(0): "250 ok\r\n250 ok"}, {GREETING: "220 a\r\n220 b"}]
)
def test_a_good_answer_that_came_before_its_question_is_none(says: dict[str, str]) -> None:
    """A mail was delivered before its end had left, or rejected by the second answer to somebody else."""
    server = FakeMail(says)
    (failure,) = told(server, people(2))
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
    assert failure.detail == "its answer cannot be used: it came before it was asked for"
    assert server.mails == []


def test_who_is_refused_beside_one_who_is_to_wait_is_parked() -> None:
    server = FakeMail({rcpt(0): "550 no such user", rcpt(1): "451 greylisted"})
    first, second = told(server, people(2))
    assert not isinstance(first, Failure)
    assert [one.later for one in first] == [False, True]
    assert isinstance(second, Retryable)
    assert server.heard.count(rcpt(0)) == 1


@pytest.mark.parametrize("said", ["552 Too many recipients", "552 5.5.3 Too many", "452 4.5.3 Too many recipients"])
def test_too_many_recipients_are_for_later(said: str) -> None:
    class Narrow(FakeMail):
        """Takes three recipients of each mail."""

        def answer(self, line: str) -> str:
            rank = len(self.heard) - max(at for at, one in enumerate(["", *self.heard]) if not one.startswith("RCPT"))
            return said if line.startswith("RCPT") and rank > 3 else super().answer(line)

    server = Narrow()
    assert ends(told(server, people(7))) == dict.fromkeys(people(7), "")
    assert [len(mail.recipients) for mail in server.mails] == [3, 3, 1]
    assert sum(line.startswith("RCPT") for line in server.heard) == 9, "who has had enough is not asked on"


def test_a_full_mailbox_is_no_matter_of_the_number_of_recipients() -> None:
    server = FakeMail({rcpt(1): "552 5.2.2 mailbox full"})
    assert ends(told(server, people(3))) == {people(3)[0]: "", people(3)[1]: "552 5.2.2 mailbox full", people(3)[2]: ""}


def test_those_who_are_always_to_wait_do_not_keep_it_from_the_others() -> None:
    server = FakeMail({rcpt(number): "451 not now" for number in range(100)})

    async def scene() -> list[bool]:
        wire = HttpWire()
        async with server:
            channel = Smtp(config(host="127.0.0.1", port=server.port, tls="none"), context(wire))
            with pytest.raises(Retryable):
                await channel.send(call("x", recipients=people(110)))
            receipts = await channel.send(call("x", recipients=people(110), refused=1))
            await wire.close()
            return [one.later for one in receipts]

    assert asyncio.run(scene()) == [True] * 100 + [False] * 10


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
        ({"from": "a@weiß.de"}, "another host to some: write it in ASCII, as xn--"),
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
