"""Mail channels with a seeded mistake each."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Call, Receipt
from andon.core.reason import Reason
from andon.egress.channels.smtp import Smtp
from andon.egress.channels.smtp_account import Account
from andon.testing.clock import ManualClock
from andon.web import smtp
from andon.web.smtp import Session


class RefusedRecipientCounts(Smtp):
    """What smtplib's sendmail does for callers that drop its dictionary."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return [Receipt(one.recipient) for one in await super().send(call)]


class OneRefusalRefusesAll(Smtp):
    async def send(self, call: Call, /) -> Sequence[Receipt]:
        receipts = await super().send(call)
        for one in receipts:
            if one.failed:
                raise Rejected(one.failed.reason, one.failed.detail)
        return receipts


class OneWaitsSoAllWait(Smtp):
    async def send(self, call: Call, /) -> Sequence[Receipt]:
        receipts = await super().send(call)
        if any(one.later for one in receipts):
            raise Retryable(Reason.BUSY)
        return receipts


class WaitingIsForgotten(Smtp):
    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return [replace(one, later=False) for one in await super().send(call)]


class LostIsNeverAmbiguous(Smtp):
    async def send(self, call: Call, /) -> Sequence[Receipt]:
        try:
            return await super().send(call)
        except Retryable as failure:
            raise Retryable(failure.reason, failure.detail) from None


class LostIsAlwaysAmbiguous(Smtp):
    async def send(self, call: Call, /) -> Sequence[Receipt]:
        try:
            return await super().send(call)
        except Retryable as failure:
            raise Retryable(failure.reason, failure.detail, ambiguous=True) from None


class NewMessageIdEachTime(Smtp):
    def _mail(self, call: Call, to: Sequence[str]) -> bytes:
        return super()._mail(replace(call, delivery=uuid4()), to)


class SubjectAsItIs(Smtp):
    """Writes its headers by hand."""

    def _mail(self, call: Call, to: Sequence[str]) -> bytes:
        body = EmailMessage()
        body.set_content(call.content.text, cte="base64")
        return f"Subject: {call.content.text}\r\nTo: {to[0]}\r\n".encode() + body.as_bytes()


class RecipientAsItIs(Smtp):
    @staticmethod
    def _fault(name: str) -> str | None:
        return None if "@" in name[1:-1] else Smtp._fault(name)


class ForgetsTheDots(Smtp):
    """Sends 8-bit text, and does not double a dot that begins a line."""

    def _mail(self, call: Call, to: Sequence[str]) -> bytes:
        mail = super()._mail(call, to)
        head = mail.partition(b"\r\n\r\n")[0].replace(b"base64", b"8bit")
        return head + b"\r\n\r\n" + call.content.text.encode()

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        before, smtp.stuffed = smtp.stuffed, lambda mail: mail + b"\r\n"
        try:
            return await super().send(call)
        finally:
            smtp.stuffed = before


class SaysNothingOfMachines(Smtp):
    def _mail(self, call: Call, to: Sequence[str]) -> bytes:
        return super()._mail(call, to).replace(b"Auto-Submitted: auto-generated\r\n", b"")


class EveryRefusalLasts(Smtp):
    """As if a 451 were a 550."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        try:
            return await super().send(call)
        except Retryable as failure:
            if failure.reason is Reason.BUSY:
                raise Rejected(Reason.REJECTED) from None
            raise


class ShowsWhatTheServerSaid(Smtp):
    def _account(self) -> Account:
        account = super()._account()
        account.forms = ()
        return account


class TriesThePasswordAgain(Smtp):
    def _account(self) -> Account:
        self._clock = ManualClock()  # another one, which remembers nothing
        return super()._account()


class StarttlsIfOffered(Smtp):
    """Goes on in clear where the server offers no STARTTLS, as many clients do by default."""

    async def _exchange(self, session: Session, *arguments: Any) -> None:
        async def secure(*of: Any) -> None:
            if "STARTTLS" in session.offers:
                await Session.secure(session, *of)

        session.secure = secure  # type: ignore[method-assign, assignment]
        await super()._exchange(session, *arguments)
