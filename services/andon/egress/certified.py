"""The certificates in the configuration of a channel that speaks TLS by rules of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from andon.config.secrets import PemFile
from andon.config.section import Section


class Certified(Section):
    """Whom a channel's connections believe, and who they are."""

    ca: PemFile | None = None
    """The authority of its certificate, `file:/path`; by default the machine's own."""
    cert: PemFile | None = None
    """Our certificate, where it asks for one."""
    key: PemFile | None = None
    """Its key, unless it is in the same file."""

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError("`cert` is missing: a certificate and its key go together")
        return self

    def files(self, directory: Path) -> dict[str, str | None]:
        """The paths of the three by name; relative ones are in the configuration's `directory`."""
        files = {"ca": self.ca, "cert": self.cert, "key": self.key}
        return {name: str(directory / file) if file else None for name, file in files.items()}
