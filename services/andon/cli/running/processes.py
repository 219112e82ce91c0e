"""How many processes of each service `andon up` runs: `--processes routing=2,egress=2`; and those it ran before."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence

from andon.cli.arguments import whole

SERVICES = ("ingress", "enrichment", "routing", "egress", "ticketing")
MEMBERS = SERVICES[1:]
"""Those that are members of a consumer group; the door reads no topic for its work."""
MOST = 64


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option `--processes`: services with their counts, nothing when it is not given."""
    parser.add_argument(
        "--processes",
        type=counts,
        default={},
        metavar="SERVICE=N,…",
        help="several processes of a service, as in routing=2,egress=2 (default: one of each)",
    )


def counts(text: str) -> dict[str, int]:
    """How many processes each named service is to have. Raises ArgumentTypeError."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = part.strip().partition("=")
        if name not in SERVICES:
            raise argparse.ArgumentTypeError(f"there is no service {name!r}; there are {', '.join(SERVICES)}")
        if (number := whole(count, 1, MOST)) is None:
            raise argparse.ArgumentTypeError(f"{part.strip()!r}: write {name}=N with N from 1 to {MOST}")
        if name in found:
            raise argparse.ArgumentTypeError(f"{name} is named twice")
        found[name] = number
    return found


def program_name(service: str, slot: int) -> str:
    """What a process of a service is called: `egress`, `egress-1`, …"""
    return f"{service}-{slot}" if slot else service


def left(before: Iterable[str], now: Collection[str]) -> Mapping[str, Sequence[int]]:
    """Service → its slots that ran as programs of these names before, and are not to run now."""
    found: dict[str, list[int]] = {}
    for name in before:
        service, _, slot = name.partition("-")
        if service in MEMBERS and name not in now:
            found.setdefault(service, []).append(int(slot or 0))
    return found
