"""The plants of many rounds: the common one from the beginning to the end, others for as long as they are needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.rig.plant import Plant

Need = tuple[type[Plant], Mapping[str, int] | None]
"""Which kind of plant, and its limits."""
COMMON: Need = (Plant, None)


class Plants:
    """Starts a plant when it is first asked for. One that a round has broken is closed, and its files stay in
    `folder`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._open: list[tuple[Need, Plant]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for need, plant in list(self._open):
            self._close(need, plant)

    def of(self, need: Need) -> Plant:
        """Such a plant, in order."""
        for known, plant in self._open:
            if known == need:
                plant.mend()
                return plant
        kind, limits = need
        plant = kind(Path(tempfile.mkdtemp(prefix="soak-", dir=self._folder)), **(limits or {}))
        plant.__enter__()
        self._open.append((need, plant))
        plant.mend()
        return plant

    def keep(self, *needs: Need) -> None:
        """Closes all others."""
        for known, plant in list(self._open):
            if known not in needs:
                self._close(known, plant)

    def drop(self, need: Need) -> None:
        """Closes this one, and tells where its files are."""
        for known, plant in list(self._open):
            if known == need:
                print(f"what is left of it is in {plant.home}")
                self._close(known, plant, files=False)

    def _close(self, need: Need, plant: Plant, *, files: bool = True) -> None:
        self._open.remove((need, plant))
        plant.__exit__()
        if files:
            shutil.rmtree(plant.home, ignore_errors=True)
