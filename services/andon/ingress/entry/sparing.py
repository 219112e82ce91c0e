"""Sentences for the operator, of which strangers decide how many there are."""

from __future__ import annotations

import logging

from andon.core.ports import Clock

_EVERY_S = 60.0
_MOST = 20


class Sparing:
    """Logs each sentence once a minute, and no more than 20 different ones; then it says how many it left out."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._since = clock.now()
        self._said: set[str] = set()
        self._left_out = 0

    def warning(self, text: str) -> None:
        """Logs the sentence, unless it was said just now."""
        now = self._clock.now()
        if not 0 <= now - self._since < _EVERY_S:
            if self._left_out:
                self._log.warning("%d more like the last ones were not written down", self._left_out)
            self._since, self._left_out = now, 0
            self._said.clear()
        if text in self._said or len(self._said) >= _MOST:
            self._left_out += 1
        else:
            self._said.add(text)
            self._log.warning(text)
