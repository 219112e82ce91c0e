"""The secrets of the application, as its configuration names them."""

from __future__ import annotations

import pytest

from tests.component.wecom.app_laws import CORP, SECRET


@pytest.fixture(autouse=True)
def _secrets_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_CORP", CORP)
    monkeypatch.setenv("APP_SECRET", SECRET)
