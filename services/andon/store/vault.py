"""What the processes of a desk share in its database (core.ports.Vault)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, text

from andon.store.database import Database
from andon.store.tables import vault

_KEEP = text(
    'INSERT INTO "vault" ("name", "sealed", "holder", "held_until") VALUES (:name, :sealed, \'\', 0) '
    'ON CONFLICT ("name") DO UPDATE SET "sealed" = excluded."sealed", "holder" = \'\', "held_until" = 0'
)
# One statement: of two who want the name at one time the second finds it held.
_CLAIM = text(
    'INSERT INTO "vault" ("name", "holder", "held_until") VALUES (:name, :holder, :until) '
    'ON CONFLICT ("name") DO UPDATE SET "holder" = excluded."holder", "held_until" = excluded."held_until" '
    'WHERE "vault"."held_until" <= :now RETURNING "name"'
)
_RELEASE = text('UPDATE "vault" SET "holder" = \'\', "held_until" = 0 WHERE "name" = :name AND "holder" = :holder')


class SqlVault:
    """Beside the desk's own tables. Every method does its work in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, name: str, secret: str, /) -> bytes | None:
        def read(connection: Connection) -> bytes | None:
            found: bytes | None = connection.execute(select(vault.c.sealed).where(vault.c.name == name)).scalar()
            return found

        def look() -> bytes | None:
            from andon.store.sealing import opened  # most desks never need it, and it takes 5 MB

            data = self._database.look(read)
            return None if data is None else opened(data, name, secret)

        return await asyncio.to_thread(look)

    async def keep(self, name: str, secret: str, value: bytes, /) -> None:
        def write() -> None:
            from andon.store.sealing import sealed

            self._run(_KEEP, {"name": name, "sealed": sealed(value, name, secret)})

        await asyncio.to_thread(write)

    async def claim(self, name: str, holder: str, now: float, until: float, /) -> bool:
        values = {"name": name, "holder": holder, "now": now, "until": until}
        return await asyncio.to_thread(self._run, _CLAIM, values, told=True)

    async def release(self, name: str, holder: str, /) -> None:
        await asyncio.to_thread(self._run, _RELEASE, {"name": name, "holder": holder})

    def _run(self, statement: Any, values: Mapping[str, Any], *, told: bool = False) -> bool:
        def work(connection: Connection) -> bool:
            answer = connection.execute(statement, values)
            return told and answer.first() is not None

        return self._database.run(work)
