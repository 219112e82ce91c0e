"""What is expected of sources and of Andon itself, and who hears when it fails: `expect` of a source, and `watch`."""

from __future__ import annotations

from typing import Literal

from andon.config.addresses import ProxyUrl
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Seconds, Share


class Expect(Section):
    """What is expected of a source; when it fails, that is an event, and so is its end: see docs/silence.md."""

    event_within: Seconds | None = None
    """After so long without an event the source is silent: at least 1m."""
    during: str | None = None
    """The time interval of `calendar` whose time counts; by default all time does."""
    connected: bool = False
    """Whether its connection is expected to stand, for a kind that keeps one."""
    receiver: str
    """Who hears of it, whatever the routes say."""


class Heartbeat(Section):
    """A sign of life to somebody else's monitor, which raises the alarm when it does not come: see docs/silence.md."""

    url: SecretRef
    """The address that is called with GET. Who knows it can say that all is well, so it is a secret."""
    every: Seconds = 60.0
    """How often."""
    proxy: Literal["none"] | ProxyUrl | None = None
    """The HTTP proxy in place of `site.proxy`; `none`: it goes out directly."""


class Watch(Section):
    """What Andon tells of itself."""

    quota_left: Share | None = None
    """Below this share of a channel's quota, or when it will not last, an event of type `andon.quota` is told."""
    mute_ends: Seconds | Literal["none"] = 900.0
    """So long before a mute ends an event of type `andon.mute` is told. `none`: it ends without a word."""
    heartbeat: Heartbeat | None = None
    """Where our own sign of life goes, while everything works."""
