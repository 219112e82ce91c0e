"""Reading the ledger: the attempts of items, as both the desk and those who look into its store want them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, select

from andon.core.event import Home
from andon.core.reason import Reason
from andon.core.work import Entry, Reach
from andon.store.tables import attempt, item

_reach = msgspec.json.Decoder(Reach).decode


def read(connection: Connection, wanted: ColumnElement[bool], order: Sequence[Column[Any]] = ()) -> Iterator[Entry]:
    """The entries that fulfil `wanted`, each with the queue of its item; of an earlier hop nobody knows the queue."""
    with_queue = select(attempt, item.c.queue, item.c.hop.label("last_hop")).join(item, item.c.id == attempt.c.item)
    for row in connection.execute(with_queue.where(wanted).order_by(*order)):
        yield Entry(
            item=UUID(bytes=row.item),
            redrive=row.redrive,
            hop=row.hop,
            number=row.number,
            home=Home(row.topic, row.partition),
            domain=row.domain,
            line=row.line,
            part=row.part,
            epoch=row.epoch,
            started=row.started,
            queue=row.queue if row.hop == row.last_hop else "",
            marked=bool(row.marked),
            ended=row.ended,
            reason=Reason(row.reason),
            ambiguous=bool(row.ambiguous),
            until=row.until,
            reach=None if row.reach is None else _reach(row.reach),
            reference=row.reference or "",
        )
