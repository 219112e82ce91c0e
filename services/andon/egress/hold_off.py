"""How long an account that was refused is left alone: who goes on trying it is shut out, or has it locked."""

from __future__ import annotations

from datetime import UTC, datetime

from andon.core.failure import Rejected

HOLD_OFF_S = 600.0
"""After a refusal nobody tries the same account with the same secret for so long."""


def held_off(refused: Rejected, now: float) -> Rejected:
    """The refusal, with the time before which nobody tries again."""
    until = datetime.fromtimestamp(now + HOLD_OFF_S, UTC)
    return Rejected(refused.reason, f"{refused.detail}; not asked again before {until:%H:%M} UTC")
