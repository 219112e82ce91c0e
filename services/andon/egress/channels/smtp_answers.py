"""What the answers of a mail server mean for each recipient, and for the mail."""

from __future__ import annotations

from collections.abc import Sequence

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.outcome import Parked
from andon.core.ports import Receipt
from andon.core.reason import Reason
from andon.web.shown import beginning
from andon.web.smtp import Answer, Refused, Session


def receipt(one: str, answer: Answer, secrets: Sequence[str]) -> Receipt:
    """What the answer to its RCPT means for one recipient of a mail that was taken."""
    if answer.good:
        return Receipt(one)
    said = beginning(str(answer), secrets)
    if answer.passing:
        return Receipt(one, failed=Parked(Reason.BUSY, said), later=True)
    return Receipt(one, failed=Parked(Reason.REJECTED, said))


def nobody(answers: dict[str, Answer], secrets: Sequence[str]) -> dict[str, Receipt]:
    """No recipient was taken: tried again where one may be later, else each is parked with what was said of it."""
    later = next((answer for answer in answers.values() if answer.passing), None)
    if later is not None:
        raise Refused("RCPT", later)
    return {one: receipt(one, answer, secrets) for one, answer in answers.items()}


def refusal(refused: Refused, secrets: Sequence[str]) -> Failure:
    """What a refused step means. Nobody has the mail."""
    answer, step = refused.answer, refused.step
    if answer is None:
        return Retryable(Reason.NOT_SENT, f"the server does not offer {step}, so nothing was sent")
    said = beginning(f"{step}: {answer}", secrets)
    if step in ("greeting", "EHLO", "STARTTLS"):
        return Retryable(Reason.BUSY, said)  # the server speaks of itself, not of this mail
    if answer.passing:
        return Retryable(Reason.BUSY, said)
    if step == "AUTH":
        return Rejected(Reason.CREDENTIALS, said)
    return Rejected(Reason.TOO_LARGE if answer.code == 552 and step != "RCPT" else Reason.REJECTED, said)


def broken(session: Session, reason: Reason, text: str) -> Retryable:
    """Before the end of the mail nothing can have happened; after it anything."""
    if session.ended:
        return Retryable(reason, f"{text}, after the end of the mail", ambiguous=True)
    return Retryable(Reason.NOT_SENT, text)
