"""How the notices of one receiver look, and how their texts end."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from andon.config.receivers import Receiver
from andon.config.settings import Settings, Site
from andon.egress.words import Words, words_of

_SITE = Site()


class Look(msgspec.Struct, frozen=True):
    """The template, the reader's language and clock, whether each part bears a watermark, and whether what is too long
    for one part is cut, with a link to the whole (`cut`), or told in several."""

    template: str = "plain"
    language: str = _SITE.language
    zone: ZoneInfo = ZoneInfo(_SITE.zone)
    watermark: bool = False
    cut: bool = False

    @property
    def words(self) -> Words:
        return words_of(self.language)


class Ends(msgspec.Struct, frozen=True):
    """How the texts of a notice end: `tail` is the last line of each, `rest` stands where one was cut and says where
    the whole is; without it nothing is cut."""

    tail: str = ""
    rest: str = ""


NO_ENDS = Ends()


def look_of(receiver: Receiver, settings: Settings) -> Look:
    """A receiver's own look, and the site's where it has none."""
    site, shared = settings.site, settings.templates
    return Look(
        receiver.template,
        receiver.language or site.language,
        ZoneInfo(receiver.zone or site.zone),
        shared.watermark if receiver.watermark is None else receiver.watermark,
        receiver.long == "link",
    )
