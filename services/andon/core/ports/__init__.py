"""What plug-ins and engines promise each other.

Sources, connectors, channels and ticket systems are classes with a nested pydantic `Config`, registered by one
entry-point line. They raise `Retryable` or `Rejected` (core.failure) and nothing else on purpose.
"""

from andon.core.ports.channel import (
    Call,
    Channel,
    ChannelConfig,
    Coalesces,
    Content,
    CountsPeople,
    CountsRecipients,
    EventChannel,
    ForPrograms,
    HasWays,
    KeyedChannel,
    NamesLines,
    NamesPeople,
    Recalls,
    Receipt,
)
from andon.core.ports.connector import Connector, Facts, ReadsWhole
from andon.core.ports.given import Clock, Context, EventMap, Link, Mapped, Proxy, Reply, Vault, Way, Wire
from andon.core.ports.source import Answer, CallbackSource, Called, Inbound, KeepsConnection, Source, TakesMap
from andon.core.ports.stage import Result, Stage
from andon.core.ports.tickets import Ticket, TicketSystem

__all__ = [
    "Answer",
    "Call",
    "CallbackSource",
    "Called",
    "Channel",
    "ChannelConfig",
    "Clock",
    "Coalesces",
    "Connector",
    "Content",
    "Context",
    "CountsPeople",
    "CountsRecipients",
    "EventChannel",
    "EventMap",
    "Facts",
    "ForPrograms",
    "HasWays",
    "Inbound",
    "KeepsConnection",
    "KeyedChannel",
    "Link",
    "Mapped",
    "NamesLines",
    "NamesPeople",
    "Proxy",
    "ReadsWhole",
    "Recalls",
    "Receipt",
    "Reply",
    "Result",
    "Source",
    "Stage",
    "TakesMap",
    "Ticket",
    "TicketSystem",
    "Vault",
    "Way",
    "Wire",
]
