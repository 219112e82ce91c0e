"""What the answers of a mail server mean for each recipient, and for the mail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.outcome import Parked
from andon.core.ports import Receipt
from andon.core.reason import Reason
from andon.web.shown import beginning
from andon.web.smtp import Answer, Refused, Session

_NOT_THEIR_NUMBER = re.compile(r"5\.(?!5\.3\b)[0-9]+\.[0-9]+\b")  # RFC 3463: 5.5.3 is too many recipients


def waits(answer: Answer) -> bool:
    """Whether a recipient is to be tried again: a 552 to RCPT says, as 452 does, that there are too many of them
    (RFC 5321, section 4.5.3.1.10), unless its enhanced code speaks of something else, such as a full mailbox."""
    return answer.passing or (answer.code == 552 and not _NOT_THEIR_NUMBER.match(answer.text))


def enough(answer: Answer) -> bool:
    """Whether the server may mean that it takes no more recipients of this mail."""
    return answer.code in (452, 552) and waits(answer)


def closing(answer: Answer) -> bool:
    """Whether the server hangs up (RFC 5321, section 3.8)."""
    return answer.code == 421


def refusals(said: Mapping[str, Answer]) -> bool:
    """Whether somebody was refused for good."""
    return any(not (answer.good or waits(answer)) for answer in said.values())


def receipts(
    to: Iterable[str], said: Mapping[str, Answer], secrets: Sequence[str], lost: Failure | None = None
) -> dict[str, Receipt]:
    """What becomes of each recipient. Who was refused for good is parked; who was taken has the mail, unless it was
    `lost`; everyone else is tried again."""
    return {one: _receipt(one, said.get(one), secrets, lost) for one in to}


def _receipt(one: str, answer: Answer | None, secrets: Sequence[str], lost: Failure | None) -> Receipt:
    if answer is None or (answer.good and lost is not None):
        why = lost.detail if lost is not None else "not asked for yet: another session does"
        return Receipt(one, failed=Parked(Reason.BUSY, why), later=True)
    if answer.good:
        return Receipt(one)
    text = beginning(str(answer), secrets)
    if waits(answer):
        return Receipt(one, failed=Parked(Reason.BUSY, text), later=True)
    return Receipt(one, failed=Parked(Reason.REJECTED, text))


def refusal(refused: Refused, secrets: Sequence[str]) -> Failure:
    """What a refused step means. Nobody has the mail."""
    answer, step = refused.answer, refused.step
    if answer is None:
        return Retryable(Reason.NOT_SENT, f"the server does not offer {step}, so nothing was sent")
    said = beginning(f"{step}: {answer}", secrets)
    if step in ("greeting", "EHLO", "STARTTLS"):
        return Retryable(Reason.BUSY, said)  # the server speaks of itself, not of this mail
    if answer.passing or step == "RCPT":  # who is refused for good is no failure of the mail
        return Retryable(Reason.BUSY, said)
    if step == "AUTH":
        return Rejected(Reason.CREDENTIALS, said)
    return Rejected(Reason.TOO_LARGE if answer.code == 552 else Reason.REJECTED, said)


def broken(session: Session, reason: Reason, text: str) -> Retryable:
    """Before the end of the mail nothing can have happened; after it anything."""
    if session.ended:
        return Retryable(reason, f"{text}, after the end of the mail", ambiguous=True)
    return Retryable(Reason.NOT_SENT, text)
