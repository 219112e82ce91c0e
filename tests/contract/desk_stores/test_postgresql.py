"""What PostgreSQL alone can get wrong."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from andon.core.work import StoreFailure, Write
from andon.store import postgresql
from andon.store.database import Database
from andon.store.desk import SqlDeskStore
from tests.rig.client import wait_for
from tests.rig.postgres import PASSWORD, ROLE, Postgres
from tests.unit.desk.items import HOME, OTHER, item


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as name:
        yield name


@pytest.fixture
def store(postgres: Postgres, database: str) -> Iterator[SqlDeskStore]:
    opened = SqlDeskStore(postgres.url(database), "desk")
    opened.acquire(HOME, "egress-0", 0.0)
    yield opened
    opened.close()


def ask(store: SqlDeskStore, question: str) -> object:
    with store._database._engine.connect() as connection:
        return connection.exec_driver_sql(question).scalar()


def cut(postgres: Postgres, database: str) -> None:
    """Ends every connection to a database, as a restart of the server does."""
    postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", values=(database,))


def test_a_commit_is_on_disk_whatever_the_database_says(postgres: Postgres, database: str) -> None:
    postgres.do(f"ALTER DATABASE {database} SET synchronous_commit = off")
    store = SqlDeskStore(postgres.url(database), "desk")
    assert ask(store, "SHOW synchronous_commit") == "on"
    store.close()


def test_a_database_of_another_isolation_level_does_not_matter(postgres: Postgres, database: str) -> None:
    postgres.do(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    store = SqlDeskStore(postgres.url(database), "desk")
    assert ask(store, "SHOW transaction_isolation") == "read committed"
    store.close()


def test_least_privilege_is_enough(postgres: Postgres, database: str) -> None:
    """A schema made by the owner of the database; the role may make none."""
    postgres.do(f"REVOKE CREATE ON DATABASE {database} FROM {ROLE}")
    with pytest.raises(StoreFailure, match="permission denied for database"):
        SqlDeskStore(postgres.url(database), "desk")
    postgres.do(f"CREATE SCHEMA andon_desk AUTHORIZATION {ROLE}", database=database)
    store = SqlDeskStore(postgres.url(database), "desk")
    assert store.acquire(HOME, "x", 0.0).epoch == 1
    store.close()


def test_other_peoples_tables_are_not_touched(postgres: Postgres, database: str) -> None:
    postgres.do("CREATE TABLE public.item (mine int)", "CREATE TABLE public.schema_version (v int)", database=database)
    store = SqlDeskStore(postgres.url(database), "desk")
    store.acquire(HOME, "x", 0.0)
    store.commit([Write(HOME, 1, taken=[item(1)])])
    assert postgres.ask("SELECT count(*) FROM public.item", database) == [(0,)]
    store.close()


def test_a_connection_lost_between_commits_is_made_anew(postgres: Postgres, database: str, store: SqlDeskStore) -> None:
    cut(postgres, database)
    store.commit([Write(HOME, 1, offset=7)])
    cut(postgres, database)
    store.check()
    assert store.acquire(HOME, "x", 0.0).offset == 7


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    postgres: Postgres, database: str, store: SqlDeskStore
) -> None:
    """The server is cut off while it commits: whether it did is not known, so the store fails (law L4)."""
    postgres.do(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(60); RETURN NULL; END$$",
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON andon_desk.item DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION slow()",
        database=database,
    )
    failures: list[str] = []

    def write() -> None:
        try:
            store.commit([Write(HOME, 1, taken=[item(1)])])
        except StoreFailure as failure:
            failures.append(str(failure))

    thread = threading.Thread(target=write)
    thread.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    assert wait_for(lambda: postgres.ask(asleep, values=(database,)) == [(1,)], 30)
    cut(postgres, database)
    thread.join()
    assert len(failures) == 1
    assert failures[0].startswith("the store desk failed: ")


def test_a_deadlock_is_undone_and_done_again(postgres: Postgres, database: str, store: SqlDeskStore) -> None:
    store.acquire(OTHER, "egress-0", 0.0)
    lock = "SELECT 1 FROM andon_desk.lease WHERE partition = %s FOR UPDATE"
    with postgres.connect(database) as other, other.transaction():
        other.execute("SET LOCAL deadlock_timeout = '60s'")
        other.execute(lock, (OTHER.partition,))
        done = threading.Thread(target=lambda: store.commit([Write(HOME, 1, offset=3), Write(OTHER, 1, offset=4)]))
        done.start()
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        assert wait_for(lambda: postgres.ask(blocked, values=(database,)) == [(1,)], 30)
        other.execute(lock, (HOME.partition,))  # now each waits for the other; the store's transaction is undone
    done.join()
    assert store.acquire(HOME, "x", 0.0).offset == 3
    assert store.acquire(OTHER, "x", 0.0).offset == 4


def test_processes_that_own_different_leases_do_not_wait_for_each_other(
    postgres: Postgres, database: str, store: SqlDeskStore
) -> None:
    store.acquire(OTHER, "egress-0", 0.0)
    with postgres.connect(database) as other, other.transaction():
        other.execute("SELECT 1 FROM andon_desk.lease WHERE partition = %s FOR UPDATE", (OTHER.partition,))
        assert store.commit([Write(HOME, 1, offset=3)]) == set()


def test_a_process_frozen_in_a_transaction_does_not_hold_its_lease_for_ever(store: SqlDeskStore) -> None:
    assert ask(store, "SHOW idle_in_transaction_session_timeout") == "20s"
    assert ask(store, "SHOW lock_timeout") == "40s"


def test_who_has_a_store_alone_may_take_its_time(postgres: Postgres, database: str) -> None:
    with closing(Database(postgres.url(database), "desk", alone=True)) as alone:
        found = alone.run(
            lambda on: [
                on.exec_driver_sql(f"SHOW {name}").scalar()
                for name in ("idle_in_transaction_session_timeout", "statement_timeout")
            ]
        )
        assert found == ["0", "0"]
        idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'idle in transaction'"
        assert postgres.ask(idle, values=(database,)) == [(0,)]
        with pytest.raises(StoreFailure, match="is being migrated or upgraded just now"):
            SqlDeskStore(postgres.url(database), "desk")


def test_a_database_that_ends_idle_sessions_does_not_give_away_what_is_had_alone(
    postgres: Postgres, database: str
) -> None:
    """One desk's store is held while another's is copied, which may take hours."""
    postgres.do(f"ALTER DATABASE {database} SET idle_session_timeout = '200ms'")
    with closing(Database(postgres.url(database), "desk", alone=True)):
        time.sleep(1.0)
        with pytest.raises(StoreFailure, match="is being migrated or upgraded just now"):
            SqlDeskStore(postgres.url(database), "desk")


def test_nor_does_it_give_away_what_is_in_use(postgres: Postgres, database: str) -> None:
    """A desk at rest has nothing to say to its store for hours."""
    postgres.do(f"ALTER DATABASE {database} SET idle_session_timeout = '200ms'")
    with closing(SqlDeskStore(postgres.url(database), "desk")), pytest.raises(StoreFailure, match="is in use"):
        Database(postgres.url(database), "desk", alone=True)  # which asks for a second


def test_a_store_is_used_as_soon_as_the_server_has_ended_the_session_that_had_it_alone(
    postgres: Postgres, database: str
) -> None:
    alone = Database(postgres.url(database), "desk", alone=True)
    ending = threading.Timer(0.3, alone.close)  # as a server does that is slow to notice
    ending.start()
    with closing(SqlDeskStore(postgres.url(database), "desk")) as store:
        assert store.acquire(HOME, "x", 0.0).epoch == 1
    ending.join()


def test_a_database_that_became_read_only_is_a_store_failure(postgres: Postgres, database: str) -> None:
    url = postgres.url(database)
    store = SqlDeskStore(url, "desk")
    store.acquire(HOME, "x", 0.0)
    postgres.do(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    cut(postgres, database)
    with pytest.raises(StoreFailure, match=r"cannot execute .* in a read-only transaction"):
        store.commit([Write(HOME, 1, offset=9)])
    store.close()
    postgres.do(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    after = SqlDeskStore(url, "desk")
    assert after.acquire(HOME, "x", 0.0).offset is None
    after.close()


def test_a_database_that_has_not_every_character_is_refused_before_it_is_used(
    postgres: Postgres, database: str
) -> None:
    other = f"{database}_cn"
    postgres.do(
        f"CREATE DATABASE {other} ENCODING 'EUC_CN' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
        f"GRANT CREATE ON DATABASE {other} TO {ROLE}",
    )
    try:
        with pytest.raises(StoreFailure, match="needs a database in UTF8, this one is in EUC_CN"):
            SqlDeskStore(postgres.url(other), "desk")
    finally:
        postgres.do(f"DROP DATABASE {other} WITH (FORCE)")


def test_a_wrong_password_is_one_sentence_without_it(postgres: Postgres, database: str) -> None:
    with pytest.raises(StoreFailure) as failure:
        SqlDeskStore(postgres.url(database, password="wrong-but-hidden"), "desk")
    assert 'password authentication failed for user "andon"' in str(failure.value)
    assert "hidden" not in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://u:hid/den@host:x/db",
        "postgresql+psycopg://u:hidden@[::1/db",
        "postgresql+psycopg://:hidden",
    ],
)
def test_an_address_that_cannot_be_read_shows_no_password(address: str) -> None:
    with pytest.raises(StoreFailure) as failure:
        SqlDeskStore(address, "desk")
    assert "hid" not in str(failure.value)


def test_a_server_that_is_away_is_one_sentence(postgres: Postgres) -> None:
    address = postgres.url("nowhere").replace(f":{postgres.port}/", ":1/")
    with pytest.raises(StoreFailure, match="Connection refused") as failure:
        SqlDeskStore(address, "desk")
    assert PASSWORD not in str(failure.value)
    with pytest.raises(StoreFailure, match='database "nowhere" does not exist'):
        SqlDeskStore(postgres.url("nowhere"), "desk")


def test_a_server_too_old_is_refused_by_number(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "OLDEST", 99)
    with pytest.raises(StoreFailure, match=r"needs PostgreSQL 99 or later, this server is 1\d"):
        SqlDeskStore(postgres.url(database), "desk")


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk needs a file system of its own, which only root can mount")
def test_a_full_disk_is_a_store_failure_and_applies_nothing(postgres: Postgres, database: str) -> None:
    disk = postgres.folder("small-disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=1m,uid={disk.stat().st_uid},mode=700", "t", disk], check=True)
    try:
        postgres.do(f"CREATE TABLESPACE small LOCATION '{disk}'", f"GRANT CREATE ON TABLESPACE small TO {ROLE}")
        postgres.do(f"ALTER DATABASE {database} SET default_tablespace = small")
        url = postgres.url(database)
        store = SqlDeskStore(url, "desk")
        store.acquire(HOME, "x", 0.0)
        big = [item(n, body=os.urandom(4_000)) for n in range(1, 400)]
        with pytest.raises(StoreFailure, match="No space left on device"):
            store.commit([Write(HOME, 1, offset=400, taken=big)])
        assert store.commit([Write(HOME, 1, offset=1)]) == set()
        found = store.acquire(HOME, "x", 0.0)
        assert (found.offset, found.items) == (1, [])
        store.close()
    finally:
        postgres.do(f"DROP DATABASE {database} WITH (FORCE)", "DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", disk], check=True)
