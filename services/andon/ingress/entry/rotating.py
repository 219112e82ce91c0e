"""A secret whose file may be changed while the door runs."""

from __future__ import annotations

from andon.config.secrets import SecretMissing, SecretRef

FRESH = 5.0
GRACE = 60.0


class Rotating:
    """The values of a secret as they were at the last look. Raises SecretMissing when it is missing at the first."""

    def __init__(self, reference: SecretRef, now: float) -> None:
        self._reference = reference
        self._seen = now
        self.values = self._read()

    def refresh(self, now: float) -> bool:
        """Reads it again; whether it has changed. A file that is missing for a moment, while it is replaced, locks
        nobody out; after 60 s there is no value left."""
        before = self.values
        try:
            self.values = self._read()
            self._seen = now
        except SecretMissing:
            if now - self._seen > GRACE:
                self.values = ()
        return self.values != before

    def _read(self) -> tuple[str, ...]:
        return tuple(value.get_secret_value() for value in self._reference.values())

    def __repr__(self) -> str:
        return f"Rotating({self._reference!r})"
