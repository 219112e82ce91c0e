"""A secret whose file may be changed while the door runs."""

from __future__ import annotations

import logging

from andon.config.secrets import SecretMissing, SecretRef

log = logging.getLogger(__name__)

FRESH = 5.0
GRACE = 60.0


class Rotating:
    """The values of a secret as they were at the last look: none while it is missing, which the log says of `whose`."""

    def __init__(self, reference: SecretRef, now: float, whose: str) -> None:
        self._reference = reference
        self._whose = whose
        self._seen = now
        self.values: tuple[str, ...] = ()
        try:
            self.values = self._read()
        except SecretMissing as missing:
            self._say(missing)

    def refresh(self, now: float) -> bool:
        """Reads it again; whether it has changed. A file that is missing for a moment, while it is replaced, locks
        nobody out; after 60 s there is no value left."""
        before = self.values
        try:
            self.values = self._read()
            self._seen = now
        except SecretMissing as missing:
            if self.values and now - self._seen > GRACE:
                self.values = ()
                self._say(missing)
        return self.values != before

    def _say(self, missing: SecretMissing) -> None:
        log.error("%s: nobody comes in by it until its secret is there: %s", self._whose, missing)

    def _read(self) -> tuple[str, ...]:
        return tuple(value.get_secret_value() for value in self._reference.values())

    def __repr__(self) -> str:
        return f"Rotating({self._reference!r})"
