"""Every reason an outcome, an attempt or a refusal can have. Closed: it is also a metric label."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something ended, failed or was refused. Members are added here and nowhere else.

    A word that a newer Andon wrote reads as `unknown`.
    """

    @classmethod
    def _missing_(cls, value: object) -> Reason:
        return cls.UNKNOWN

    # delivered
    DELIVERED = "delivered"
    # merged
    OVER_RATE = "over_rate"
    QUEUE_FULL = "queue_full"
    GROUPED = "grouped"
    ALARM_LOAD = "alarm_load"
    HELD = "held"
    STORM = "storm"
    COALESCED = "coalesced"
    # skipped
    MUTED = "muted"
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    INACTIVE = "inactive"
    NO_ROUTE = "no_route"
    NO_RECIPIENTS = "no_recipients"
    NO_EPISODE = "no_episode"
    REPEATED = "repeated"
    INHIBITED = "inhibited"
    RESOLVED = "resolved"
    # told nevertheless, with a remark
    UNKNOWN_DAY = "unknown_day"
    NO_ADDRESS = "no_address"
    TOO_MANY = "too_many"
    # parked before any call
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    CONFLICT = "conflict"
    NO_RESULT = "no_result"
    STAGE_FAILED = "stage_failed"
    UNKNOWN_RECEIVER = "unknown_receiver"
    UNKNOWN_CHANNEL = "unknown_channel"
    TEMPLATE_BROKEN = "template_broken"
    EMPTY = "empty"
    # parked after a call
    REJECTED = "rejected"
    CREDENTIALS = "credentials"
    GONE = "gone"
    TOO_LONG = "too_long"
    RETRIES_EXHAUSTED = "retries_exhausted"
    OVERDUE = "overdue"
    HANDED_ON = "handed_on"
    UNKNOWN = "unknown"
    UNEXPECTED = "unexpected"
    # an attempt that may be tried again
    NOT_SENT = "not_sent"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    THROTTLED = "throttled"
    BUSY = "busy"
    SERVER_ERROR = "server_error"
    BAD_REPLY = "bad_reply"
    CHANGED = "changed"
    INTERRUPTED = "interrupted"
    # refused at the door
    MALFORMED = "malformed"
    INVALID = "invalid"
    UNAUTHORISED = "unauthorised"
    FORBIDDEN = "forbidden"
    MEDIA_TYPE = "media_type"
    OVER_CAPACITY = "over_capacity"
    UNAVAILABLE = "unavailable"
