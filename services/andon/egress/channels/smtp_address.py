"""Which text is a mail address that SMTP without extensions takes (RFC 5321, section 4.1.2)."""

from __future__ import annotations

import re

from andon.egress.channels.smtp_header import WORD
from andon.web.address import in_ascii
from andon.web.guard import is_name

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def recipient_fault(name: str) -> str | None:
    """What is wrong with a recipient; None when it is an address."""
    try:
        ascii_form(name)
    except ValueError as error:
        return str(error)
    return None


def ascii_form(address: str) -> str:
    """The address as SMTP without extensions takes it: its domain in ASCII. Raises ValueError."""
    local, at, domain = address.rpartition("@")
    if not at or not domain or len(local) > 64 or not _LOCAL.fullmatch(local):
        raise ValueError(f"{address!r} is no mail address; write for example it@corp.cn")
    if WORD in local:
        raise ValueError(f"{address!r} cannot be written to: readers of mail would decode what begins with {WORD}")
    try:
        host = in_ascii(domain)
    except UnicodeError:
        host = ""
    if not is_name(host) or "_" in host or host.endswith("."):
        raise ValueError(f"{address!r} is no mail address: its domain is none")
    return f"{local}@{host}"
