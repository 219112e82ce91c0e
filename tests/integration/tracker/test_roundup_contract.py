"""The contract of ticket systems on a real Roundup."""

from __future__ import annotations

import asyncio

import pytest

from andon.testing import contract_tickets as contract
from tests.integration.tracker.rig import rig


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_roundup_keeps_the_contract(check: contract.Check, tracker: str) -> None:
    async def run() -> None:
        async with rig(tracker) as real:
            await check(real)

    asyncio.run(run())
