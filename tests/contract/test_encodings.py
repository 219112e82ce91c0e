"""The connector `sql` on PostgreSQL databases that are not in UTF-8."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

from andon.store.query import ViewReader
from tests.rig.postgres import ROLE, Postgres


# By EUC_JP the database has more characters than Python.
@pytest.mark.parametrize(("encoding", "line"), [("EUC_CN", "冲压"), ("EUC_JP", "①号機－2"), ("SQL_ASCII", "冲压")])
def test_a_key_the_database_has_no_characters_for_keeps_no_other_from_being_found(
    postgres: Postgres, encoding: str, line: str
) -> None:
    name = f"d{uuid.uuid4().hex[:12]}"
    postgres.do(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with postgres.connect(name) as connection:
            connection.execute("SET client_encoding TO utf8")
            connection.execute(f"CREATE VIEW lines AS SELECT '{line}'::text AS line, 1 AS number".encode())
            connection.execute(f"GRANT SELECT ON lines TO {ROLE}".encode())
        with closing(ViewReader(postgres.url(name), "lines", "line", deadline=5, connections=1)) as reader:
            assert reader.rows(["😀", line, "🔥"]) == [{"line": line, "number": 1}]
            assert reader.rows(["😀"]) == []
    finally:
        postgres.do(f"DROP DATABASE {name} WITH (FORCE)")
