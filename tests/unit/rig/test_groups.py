"""Tests of one group run in one process, one after the other: the plants of two would be too much for two cores."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("kept")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="groups are kept by pytest-xdist (`make test`)")
def test_groups_are_kept(request: pytest.FixtureRequest) -> None:
    # By this name the scheduler knows the group. A version of pytest that went without it let every group fall apart.
    assert request.node.nodeid.endswith("@kept")
