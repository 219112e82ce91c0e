"""How the egress desk's open work is found by the keys of `andon.deliveries`."""

from __future__ import annotations

from collections.abc import Mapping

from andon.egress.kept import domain_of


class DeliveryKeys:
    """A delivery's key is its limit domain (`store.moved.Keys`)."""

    domains = True

    def of_item(self, domain: str, lane: str, body: bytes, memos: Mapping[str, bytes]) -> bytes:
        return domain.encode()

    def of_memo(self, body: bytes) -> bytes:
        return domain_of(body).encode()
