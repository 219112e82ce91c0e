"""A topic of others, as a configuration names it: in Andon's own cluster, or in another one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from andon.config.addresses import EMBEDDED, Bootstrap
from andon.config.kafka import Sasl, Tls
from andon.config.section import Section
from andon.kafka.connection import Connection, connected


def _foreign(topic: str) -> str:
    if not topic or topic.startswith("andon."):
        raise ValueError("it is a topic of others; those that begin with andon. are Andon's own")
    return topic


class ForeignTopic(Section):
    """`bootstrap`, with `sasl` and `tls`, names another cluster than Andon's own."""

    topic: Annotated[str, AfterValidator(_foreign)]
    bootstrap: Bootstrap | None = None
    sasl: Sasl | None = None
    tls: Tls | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.bootstrap == EMBEDDED:
            raise ValueError("leave bootstrap out for Andon's own cluster")
        if self.bootstrap is None and (self.sasl or self.tls):
            raise ValueError("sasl and tls are for another cluster, which bootstrap names")
        return self

    def elsewhere(self) -> Connection | None:
        """The other cluster, None for Andon's own. Raises SecretMissing when a password is not there."""
        return connected(self.bootstrap, self.sasl, self.tls, foreign=True) if self.bootstrap else None


class ReadTopic(ForeignTopic):
    """A topic that a source reads. `begin` is where a new source begins: at what comes next (`latest`), or at the first
    record that the topic still has (`earliest`)."""

    begin: Literal["earliest", "latest"] = "latest"

    def connection(self) -> str:
        """The topic, and the cluster where it is not Andon's own."""
        return f"{self.topic} at {self.bootstrap}" if self.bootstrap else self.topic
