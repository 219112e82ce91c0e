"""The plants of a soak: the common one from its beginning to its end, others for as long as they are needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.rig.plant import Plant

Limits = Mapping[str, int] | None


class Plants:
    """Starts a plant when it is first asked for. One that a round has broken is closed, and its files stay."""

    def __init__(self) -> None:
        self._open: list[tuple[Limits, Plant]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for limits, plant in list(self._open):
            self._close(limits, plant)

    def of(self, limits: Limits) -> Plant:
        """The plant with these limits, in order."""
        for known, plant in self._open:
            if known == limits:
                plant.mend()
                return plant
        plant = Plant(Path(tempfile.mkdtemp(prefix="soak-")), **(limits or {}))
        plant.__enter__()
        self._open.append((limits, plant))
        plant.mend()
        return plant

    def keep(self, limits: Limits) -> None:
        """Closes all others."""
        for known, plant in list(self._open):
            if known != limits:
                self._close(known, plant)

    def drop(self, limits: Limits) -> None:
        """Closes this one, and tells where its files are."""
        for known, plant in list(self._open):
            if known == limits:
                print(f"what is left of it is in {plant.home}")
                self._close(known, plant, files=False)

    def _close(self, limits: Limits, plant: Plant, *, files: bool = True) -> None:
        self._open.remove((limits, plant))
        plant.__exit__()
        if files:
            shutil.rmtree(plant.home, ignore_errors=True)
