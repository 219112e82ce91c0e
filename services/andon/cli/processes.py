"""How many processes of each service `andon up` runs: `--processes routing=2,egress=2`."""

from __future__ import annotations

import argparse

SERVICES = ("ingress", "enrichment", "routing", "egress", "ticketing")
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
        if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MOST):
            raise argparse.ArgumentTypeError(f"{part.strip()!r}: write {name}=N with N from 1 to {MOST}")
        if name in found:
            raise argparse.ArgumentTypeError(f"{name} is named twice")
        found[name] = int(count)
    return found
