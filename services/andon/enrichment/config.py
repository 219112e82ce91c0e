"""The keys every connector has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from andon.config.section import Section
from andon.config.units import Seconds
from andon.enrichment.cache import CachePolicy


class ConnectorConfig(Section):
    """The base of every connector's `Config`.

    An answer serves for `cache`; a call that has not ended after `deadline` is given up.
    """

    cache: Annotated[Seconds, Field(ge=0)] = 60.0
    deadline: Annotated[Seconds, Field(gt=0)] = 5.0

    def policy(self) -> CachePolicy:
        """How the answers of this connector are kept."""
        return CachePolicy(fresh=self.cache, deadline=self.deadline)
