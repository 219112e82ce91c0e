"""What a version of the configuration carries of the files beside it, so that routing asks nothing else."""

from __future__ import annotations

import msgspec

from andon.core.people import Person
from andon.core.workdays import Workdays


class Tables(msgspec.Struct, frozen=True, omit_defaults=True):
    """The working calendar, and the people that computed receivers are looked up among."""

    workdays: Workdays = Workdays()
    people: tuple[Person, ...] = ()


NO_TABLES = Tables()
