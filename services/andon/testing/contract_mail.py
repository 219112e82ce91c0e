"""The contract of every channel that speaks SMTP, as laws that it keeps or breaks.

    for law in LAWS: run(law, MyChannel)

needs only the channel's class with its nested `Config` and its `specimen` (core.specimen.MailSpecimen). Each law drives
the channel against a mail server on loopback and raises ContractBroken.
"""

from __future__ import annotations

import asyncio
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Call, Channel, Content, Context, Receipt
from andon.core.reason import Reason
from andon.core.specimen import HOST, PORT, SECRET, MailSpecimen
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from andon.testing.mail import CLOSE, END, GREETING, HANG, RESET, FakeMail
from andon.testing.rig import ContractBroken, expect, expect_limits, expect_refused, wired
from andon.web.wire import HttpWire

Law = Callable[["MailRig"], Awaitable[None]]
LAWS: dict[str, Law] = {}

_SECONDS = 30.0
# A channel may leave an account alone that was refused, as `refused_account_is_left_alone` asks; not for longer.
_FORGOTTEN_S = 3600.0
_BEFORE_THE_END = (GREETING, "EHLO", "AUTH", "MAIL", "RCPT", "DATA")
THREE = ("a@corp.cn", "b@corp.cn", "c@corp.cn")
TEXT = "冲压机 7 停机\n请检查"


class MailRig:
    """A channel built from its own `specimen`, and the server it talks to."""

    def __init__(self, channel_type: type[Any], server: FakeMail, wire: HttpWire) -> None:
        specimen: MailSpecimen = channel_type.specimen
        place = {HOST: "127.0.0.1", PORT: server.port}
        self.kinds = specimen.kinds
        self.server = server
        self.config_type = channel_type.Config
        self.options = {key: place.get(value, value) for key, value in specimen.options.items()}
        self.config: Any = self.config_type.model_validate(self.options)
        self.clock = ManualClock()
        self.channel: Channel = channel_type(self.config, Context("contract", Path(), self.clock, wire))

    async def send(self, one: Call | None = None, **changes: Any) -> Sequence[Receipt] | Retryable | Rejected:
        """What `send` returns or raises; anything else, and taking a second longer than the deadline, breaks the
        contract."""
        one = one or call(changes.pop("text", TEXT), **{"recipients": THREE[:1], **changes})
        try:
            async with asyncio.timeout(one.deadline + 1):
                return await self.channel.send(one)
        except Retryable as failure:
            return failure
        except Rejected as failure:
            return failure
        except Exception as error:
            raise ContractBroken(f"send raises only Retryable and Rejected, not {type(error).__name__}") from error

    def last(self) -> EmailMessage:
        """The mail that was taken last."""
        return message_from_bytes(self.server.mails[-1].data, policy=default)


def law(function: Law) -> Law:
    """Adds a law under its own name."""
    LAWS[function.__name__] = function
    return function


def run(name: str, channel_type: type[Any]) -> None:
    """Holds `channel_type` to one law. Raises ContractBroken."""

    async def scene() -> None:
        async with asyncio.timeout(_SECONDS), _rig(channel_type) as rig:
            await LAWS[name](rig)

    asyncio.run(scene())


@asynccontextmanager
async def _rig(channel_type: type[Any]) -> AsyncIterator[MailRig]:
    async with FakeMail() as server, wired(SECRET) as wire:
        rig = MailRig(channel_type, server, wire)
        try:
            yield rig
        finally:
            await rig.channel.close()


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(cast("EmailMessage", body).get_content()).replace("\r\n", "\n") if body else ""


@law
async def configuration_tells_the_desk_its_limits(rig: MailRig) -> None:
    expect_limits(rig.config, rig.config_type.model_validate(rig.options), SECRET)


@law
async def configuration_refuses_unknown_keys(rig: MailRig) -> None:
    expect_refused(rig.config_type, {**rig.options, "nonsense": 1}, "an unknown key is refused")


@law
async def each_kind_is_one_whole_mail(rig: MailRig) -> None:
    for kind, limit in rig.kinds.items():
        for text in (TEXT, ".\n..\n.x\n\nfrom\n", "汉" * (limit // 3), "x" * limit, "a\r\nb\rc\n"):
            (part,) = rig.channel.split(Content(kind, text))
            expect(part == Content(kind, text), "a mail is one part")
            if len(text.encode()) < limit - 4:
                expect(rig.channel.split(part, "\n·") == (Content(kind, f"{text}\n·"),), "it ends with its tail")
            result = await rig.send(call(text, kind, recipients=THREE[:1]))
            expect(not isinstance(result, Failure), f"it is sent: {result}")
            lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
            expect(_text(rig.last()).rstrip("\n") == lines, f"a {kind} is sent whole, dots at the begin of lines too")
        try:
            rig.channel.split(Content(kind, "x" * (limit + 1)))
        except Rejected as refusal:
            expect(refusal.reason is Reason.TOO_LONG, "a longer one is TOO_LONG")
        else:
            raise ContractBroken("a text longer than the limit is rejected")


@law
async def unknown_kind_is_rejected_before_any_call(rig: MailRig) -> None:
    expect(isinstance(await rig.send(call(kind="nonsense", recipients=THREE)), Rejected), "an unknown kind is Rejected")
    expect(not rig.server.called.is_set(), "an unknown kind makes no call")


@law
async def good_answer_gives_a_receipt_per_recipient(rig: MailRig) -> None:
    result = await rig.send(recipients=THREE)
    if isinstance(result, Failure):
        raise ContractBroken(f"a good answer is no failure: {result}")
    expect([(one.recipient, one.failed, one.later) for one in result] == [(one, None, False) for one in THREE], "all")
    expect(rig.server.mails[0].recipients == THREE, "each is named to the server")


@law
async def refused_recipient_is_parked_and_the_others_have_it(rig: MailRig) -> None:
    rig.server.says = {"RCPT TO:<b@corp.cn>": "550 5.1.1 no such user"}
    result = await rig.send(recipients=THREE)
    if isinstance(result, Failure):
        raise ContractBroken("one refused recipient does not keep it from the others")
    failed = {one.recipient: one.failed for one in result}
    expect(failed["a@corp.cn"] is None and failed["c@corp.cn"] is None, "the others have it")
    expect(failed["b@corp.cn"] and "no such user" in failed["b@corp.cn"].detail, "the refused one is parked with why")
    expect(rig.server.mails[0].recipients == ("a@corp.cn", "c@corp.cn"), "and it goes to the others only")


@law
async def recipient_that_is_to_wait_waits_alone(rig: MailRig) -> None:
    rig.server.says = {"RCPT TO:<b@corp.cn>": "451 4.7.1 greylisted"}
    result = await rig.send(recipients=THREE)
    if isinstance(result, Failure):
        raise ContractBroken("one who is to wait does not keep it from the others")
    expect([one.later for one in result] == [False, True, False], "the one who is to wait is tried later, alone")
    expect(rig.server.mails[0].recipients == ("a@corp.cn", "c@corp.cn"), "the others have it")


@law
async def nobody_reached_is_no_mail(rig: MailRig) -> None:
    rig.server.says = {"RCPT": "550 no"}
    result = await rig.send(recipients=THREE)
    reached = isinstance(result, Failure) or [one for one in result if one.failed is None or one.later]
    expect(isinstance(result, Rejected) or not reached, "refused recipients are parked")
    rig.server.says = {"RCPT": "451 later"}
    result = await rig.send(recipients=THREE)
    expect(isinstance(result, Retryable) and not result.ambiguous, "recipients that are all to wait are retried")
    expect(not rig.server.mails and "DATA" not in rig.server.heard, "and nothing was sent")


@law
async def recipient_that_is_no_address_is_parked(rig: MailRig) -> None:
    odd = ("it", "a@corp.cn\r\nRCPT TO:<evil@corp.cn>", "a b@corp.cn", "<a@corp.cn>", "@corp.cn", "a@", "")
    result = await rig.send(recipients=(*odd, "a@corp.cn"))
    if isinstance(result, Failure):
        raise ContractBroken("an odd recipient does not keep it from the others")
    expect(all(one.failed for one in result[:-1]) and result[-1].failed is None, "each odd one is parked")
    expect(rig.server.mails[0].recipients == ("a@corp.cn",), "and none of them reaches the server")


@law
async def lines_of_the_text_become_no_headers(rig: MailRig) -> None:
    for text in (
        "Halt\r\nBcc: evil@corp.cn\r\n\r\nx",
        "Halt\rBcc: evil@corp.cn",
        "Halt\x0bBcc: evil@corp.cn\u2028X-A: b",
    ):
        await rig.send(call(text, recipients=THREE[:1]))
        mail = rig.last()
        expect(mail["Bcc"] is None and mail["X-A"] is None, "a text adds no header")
        expect("\n" not in str(mail["Subject"]), "a subject is one line")


@law
async def repeat_has_the_same_message_id(rig: MailRig) -> None:
    for _ in range(2):
        await rig.send()
    one, two = (message_from_bytes(mail.data)["Message-ID"] for mail in rig.server.mails)
    expect(one and one == two, "a repeat can be known by its Message-ID")
    other = call(TEXT, recipients=THREE[:1], delivery=type(call().delivery)(int=7))
    await rig.send(other)
    expect(rig.last()["Message-ID"] != one, "and another delivery has another one")


@law
async def machines_are_told_that_a_machine_sends(rig: MailRig) -> None:
    await rig.send()
    expect(rig.last()["Auto-Submitted"] == "auto-generated", "a holiday notice must not come back")


@law
async def passing_refusal_is_retryable(rig: MailRig) -> None:
    for step in (*_BEFORE_THE_END, END):
        rig.server.says = {step: "451 4.3.0 not now"}
        result = await rig.send()
        expect(isinstance(result, Retryable) and not result.ambiguous, f"451 to {step} is retried: {result}")
    expect(not rig.server.mails, "and nothing was taken")


@law
async def lasting_refusal_is_rejected(rig: MailRig) -> None:
    for step in ("AUTH", "MAIL", "DATA", END):
        rig.server.says = {step: "554 5.7.1 no"}
        result = await rig.send()
        rig.clock.advance(_FORGOTTEN_S)
        expect(isinstance(result, Rejected), f"554 to {step} is Rejected: {result}")
        reason = Reason.CREDENTIALS if step == "AUTH" else Reason.REJECTED
        expect(isinstance(result, Failure) and result.reason is reason, "by its reason")


@law
async def refused_account_is_left_alone(rig: MailRig) -> None:
    rig.server.says = {"AUTH": "535 5.7.8 wrong password"}
    for _ in range(3):
        result = await rig.send()
        expect(isinstance(result, Failure) and result.reason is Reason.CREDENTIALS, f"535 to AUTH: {result}")
    tried = sum(line.startswith("AUTH") for line in rig.server.heard)
    expect(tried == 1, f"a refused password is not tried again by the next mail, for servers lock accounts: {tried}")


@law
async def lost_before_the_end_is_not_sent(rig: MailRig) -> None:
    for step in _BEFORE_THE_END:
        for end in (RESET, CLOSE, "nonsense", "2xx", "250-a\r\n550 b"):
            rig.server.says = {step: end}
            result = await rig.send()
            expect(isinstance(result, Retryable) and not result.ambiguous, f"{end} after {step}: nothing was sent")
    rig.server.says = {}
    rig.server.cuts = 20_000
    result = await rig.send(call("x" * rig.kinds["text"], recipients=THREE[:1]))
    expect(isinstance(result, Retryable) and not result.ambiguous, f"a mail cut off within was not sent: {result}")
    expect(not rig.server.mails, "and nothing was taken")


@law
async def lost_after_the_end_is_ambiguous(rig: MailRig) -> None:
    for end in (RESET, CLOSE, "nonsense"):
        rig.server.says = {END: end}
        result = await rig.send()
        expect(isinstance(result, Retryable) and result.ambiguous, f"after the end of the mail anything may be: {end}")


@law
async def deadline_is_kept_and_tells_the_two_apart(rig: MailRig) -> None:
    for step in (*_BEFORE_THE_END, END):
        rig.server.says = {step: HANG}
        result = await rig.send(deadline=0.4)
        expect(isinstance(result, Retryable), f"a call past its deadline is tried again: {step}")
        expect(getattr(result, "ambiguous", None) is (step == END), f"ambiguous only after the end: {step}")


@law
async def call_that_never_left_is_not_ambiguous(rig: MailRig) -> None:
    await rig.server.stop()
    result = await rig.send()
    expect(isinstance(result, Retryable) and not result.ambiguous, f"nothing was sent: {result}")


@law
async def cancellation_ends_the_call(rig: MailRig) -> None:
    rig.server.says = {END: HANG}
    task = asyncio.ensure_future(rig.channel.send(call(TEXT, recipients=THREE)))
    await rig.server.called.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    expect(task.cancelled(), "a cancelled call ends at once, as cancelled")
    async with asyncio.timeout(1):
        await rig.server.gone.wait()


@law
async def calls_at_the_same_time_do_not_mix(rig: MailRig) -> None:
    names = [f"name-{number}@corp.cn" for number in range(16)]
    await asyncio.gather(*(rig.send(call(f"text of {name}", recipients=(name,))) for name in names))
    said = {mail.recipients: message_from_bytes(mail.data, policy=default) for mail in rig.server.mails}
    for name in names:
        expect(_text(said[(name,)]).strip() == f"text of {name}", "each gets its own")


@law
async def endless_answer_is_not_read_to_its_end(rig: MailRig) -> None:
    for answer in ("250 " + "x" * 100_000, "\r\n".join(["250-x"] * 20_000)):
        rig.server.says = {"MAIL": answer}
        result = await rig.send()
        expect(isinstance(result, Retryable) and not result.ambiguous, "an answer without end is none")


@law
async def secret_is_never_shown(rig: MailRig) -> None:
    shown = [repr(rig.channel), repr(rig.config), rig.config.model_dump_json()]
    forms = [SECRET, b64encode(SECRET.encode()).decode(), b64encode(f"\0{SECRET}\0{SECRET}".encode()).decode()]
    for step in ("AUTH", "MAIL", END):
        rig.server.says = {step: "535 no: " + " ".join(forms)}
        result = await rig.send()
        rig.clock.advance(_FORGOTTEN_S)
        if isinstance(result, Failure):
            shown += [repr(result), result.detail, *traceback.format_exception(result)]
    for form in forms:
        expect(not any(form in text for text in shown), "a secret is in no repr and no exception")


@law
async def close_may_be_called_twice(rig: MailRig) -> None:
    await rig.send()
    await rig.channel.close()
    await rig.channel.close()
