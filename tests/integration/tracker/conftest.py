from __future__ import annotations

from collections.abc import Iterator

import pytest

from andon.dev.tracker import start_tracker
from tests.integration.tracker.rig import PASSWORD
from tests.rig.ports import free_port


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Roundup, shared by the tests of one file; each uses keys of its own."""
    running = start_tracker(tmp_path_factory.mktemp("tracker"), free_port(), PASSWORD)
    yield running.url
    running.stop()
