"""Opens the database, brings its tables up to date, says whether a token comes for the first time, and keeps key sets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnElement, Connection, Engine, create_engine, delete, insert, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from cds_service.ledger.tables import KEY_SETS, SEEN_TOKENS

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells every start otherwise

DATABASE_TIMEOUT_S = 3
"""Seconds that a request waits for the database at most."""
SWEEP_INTERVAL_S = 60
"""Seconds between two clearings of what may be forgotten, in each worker."""
MIGRATION_LOCK_ID = 4711_2010
"""The advisory lock of PostgreSQL under which tables are changed: two replicas that start at once take turns."""
NO_URL = "CDS_DATABASE: not a database URL such as sqlite:///ledger.db or postgresql://host/name"


class LedgerDown(Exception):
    """The database did not answer; nobody knows whether the token was seen before."""


class KeptKeySet(NamedTuple):
    """A key set as it was fetched, and when."""

    body: bytes
    fetched: int
    """Seconds since 1970."""


@contextmanager
def _database_faults_as_ledger_down() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerDown(type(error).__name__) from None


class Ledger:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sweeping = threading.Lock()
        self._swept = 0.0

    @_database_faults_as_ledger_down()
    def first_time(self, issuer: str, token: str, forget_after: int, now: float) -> bool:
        """True once for each token of an issuer, in all workers and after a restart, until `forget_after`.

        `token`: a digest. The primary key decides: of two workers that ask at once, one is told True.
        Raises LedgerDown.
        """
        try:
            self._sweep(now)
            with self.engine.begin() as connection:
                connection.execute(insert(SEEN_TOKENS).values(issuer=issuer, token=token, forget_after=forget_after))
        except IntegrityError:
            return False
        return True

    @_database_faults_as_ledger_down()
    def key_set(self, site: str, jku: str) -> KeptKeySet | None:
        """The key set last kept; None where none ever was. Raises LedgerDown."""
        kept = select(KEY_SETS.c.body, KEY_SETS.c.fetched).where(_is_key_set(site, jku))
        with self.engine.connect() as connection:
            found = connection.execute(kept).first()
        return KeptKeySet(bytes(found.body), int(found.fetched)) if found else None

    @_database_faults_as_ledger_down()
    def keep_key_set(self, site: str, jku: str, body: bytes, fetched: int) -> None:
        """In place of the one before. Raises LedgerDown."""
        newer = update(KEY_SETS).where(_is_key_set(site, jku)).values(body=body, fetched=fetched)
        try:
            with self.engine.begin() as connection:
                if not connection.execute(newer).rowcount:
                    connection.execute(insert(KEY_SETS).values(site=site, jku=jku, body=body, fetched=fetched))
        except IntegrityError:
            return  # another worker was first, with the same

    def _sweep(self, now: float) -> None:
        """In a transaction of its own, now and then, by one thread at a time."""
        if now - self._swept < SWEEP_INTERVAL_S or not self._sweeping.acquire(blocking=False):
            return
        try:
            self._swept = now
            with self.engine.begin() as connection:
                connection.execute(delete(SEEN_TOKENS).where(SEEN_TOKENS.c.forget_after < int(now)))
        finally:
            self._sweeping.release()


def _is_key_set(site: str, jku: str) -> ColumnElement[bool]:
    return (KEY_SETS.c.site == site) & (KEY_SETS.c.jku == jku)


def open_ledger(address: str) -> Ledger:
    """Raises ValueError, which names CDS_DATABASE and nothing of the address: it may hold a password."""
    url = _url(address)
    try:
        _create_for_its_owner(url)
        engine = _engine(url)
        with engine.connect() as connection, _alone(connection):
            _upgrade(connection)
        engine.dispose()  # no connection is open when gunicorn forks its workers
    except ModuleNotFoundError:
        raise ValueError("CDS_DATABASE: PostgreSQL needs the extra `postgres`: pip install 'cds-service[postgres]'") from None
    except SQLAlchemyError as error:
        raise ValueError(f"CDS_DATABASE: the database could not be opened or brought up to date ({_kind(error)})") from None
    except (ValueError, TypeError):  # of a part of the address, which they repeat
        raise ValueError(NO_URL) from None
    return Ledger(engine)


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError(NO_URL) from None
    match url.get_backend_name():
        case "sqlite":
            if url.database in {None, "", ":memory:"}:
                raise ValueError("CDS_DATABASE: a database in memory is shared by no two workers; give it a file")
            if url.query or (url.database or "").lower().startswith("file:"):  # a file: address can mean memory in many ways
                raise ValueError("CDS_DATABASE: an SQLite database is sqlite:///FILE, without file: or anything after ?")
            if not Path(url.database or "").absolute().parent.is_dir():
                raise ValueError("CDS_DATABASE: the folder of the database file does not exist")
            return url.set(drivername="sqlite")
        case "postgresql":
            return url.set(drivername="postgresql+psycopg")
    raise ValueError("CDS_DATABASE: neither sqlite nor postgresql")


def _create_for_its_owner(url: URL) -> None:
    """SQLite would let everybody of the machine read it. What cannot be created is told when it is opened."""
    if url.get_backend_name() == "sqlite":
        with suppress(OSError):  # where a link leads to nowhere, SQLite would make the file that it names
            Path(url.database or "").resolve().touch(mode=0o600, exist_ok=False)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return create_engine(url, connect_args={"timeout": DATABASE_TIMEOUT_S}, pool_timeout=DATABASE_TIMEOUT_S)
    waits = {"connect_timeout": DATABASE_TIMEOUT_S, "options": f"-c statement_timeout={DATABASE_TIMEOUT_S * 1000}"}
    return create_engine(url, connect_args=waits, pool_pre_ping=True, pool_timeout=DATABASE_TIMEOUT_S)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """One transaction that no other process changes tables beside; undone whole if anything fails."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # a commit is one wait for the disk instead of four
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK_ID})
    yield
    connection.commit()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("cds_service.ledger") / "migrations"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    if MigrationContext.configure(connection).get_current_revision() == newest:
        return
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _kind(error: SQLAlchemyError) -> str:
    """The kind of fault: the driver's own words may repeat an address or a user."""
    return type(getattr(error, "orig", None) or error).__name__
