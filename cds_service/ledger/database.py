"""Open the database and bring its tables up to date, record tokens that were seen, and keep key sets."""

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

logging.getLogger("alembic").setLevel(logging.WARNING)  # or it logs every start

DATABASE_TIMEOUT_S = 3
"""Longest time that a request waits for the database."""
SWEEP_INTERVAL_S = 60
"""Seconds between two deletions of expired tokens, in each worker."""
MIGRATION_LOCK_ID = 4711_2010
"""The PostgreSQL advisory lock for changing tables: two replicas that start at once take turns."""
NO_URL = "CDS_DATABASE is not a database URL such as sqlite:///ledger.db or postgresql://host/name"
NO_DRIVER = "CDS_DATABASE is PostgreSQL, which needs the extra `postgres`: pip install 'cds-service[postgres]'"


class LedgerDown(Exception):
    """The database did not answer, so it is unknown whether the token was seen before."""


class KeptKeySet(NamedTuple):
    """A key set as it was fetched, with the time."""

    body: bytes
    fetched: int
    """Seconds since 1970."""


@contextmanager
def database_faults_as_ledger_down() -> Iterator[None]:
    """Turn every error of SQLAlchemy into LedgerDown, with the name of its class and no address."""
    try:
        yield
    except SQLAlchemyError as error:
        raise LedgerDown(type(error).__name__) from None


class Ledger:
    """The database of seen tokens and key sets. Its methods may be called from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sweeping = threading.Lock()
        self._swept = 0.0

    @database_faults_as_ledger_down()
    def first_time(self, issuer: str, token: str, forget_after: int, now: float) -> bool:
        """Record a token and return True; return False if it is already recorded, by any worker or before a restart.

        `token`: a digest. It is kept until `forget_after` (seconds since 1970). The primary key decides: of two workers that
        ask at once, one gets True. Raises LedgerDown.
        """
        try:
            self._sweep(now)
            with self.engine.begin() as connection:
                connection.execute(insert(SEEN_TOKENS).values(issuer=issuer, token=token, forget_after=forget_after))
        except IntegrityError:
            return False
        return True

    @database_faults_as_ledger_down()
    def has_seen(self, issuer: str, token: str, now: float) -> bool:
        """Return whether the token is recorded as seen. `token`: a digest. Raises LedgerDown."""
        same = (SEEN_TOKENS.c.issuer == issuer) & (SEEN_TOKENS.c.token == token)
        recorded = select(SEEN_TOKENS.c.token).where(same, SEEN_TOKENS.c.forget_after >= int(now))
        with self.engine.connect() as connection:
            return connection.execute(recorded).first() is not None

    @database_faults_as_ledger_down()
    def key_set(self, site: str, jku: str) -> KeptKeySet | None:
        """Return the key set last kept; None if none ever was. Raises LedgerDown."""
        kept = select(KEY_SETS.c.body, KEY_SETS.c.fetched).where(_is_key_set(site, jku))
        with self.engine.connect() as connection:
            found = connection.execute(kept).first()
        return KeptKeySet(bytes(found.body), int(found.fetched)) if found else None

    @database_faults_as_ledger_down()
    def keep_key_set(self, site: str, jku: str, body: bytes, fetched: int) -> None:
        """Replace the key set that is kept. Raises LedgerDown."""
        newer = update(KEY_SETS).where(_is_key_set(site, jku)).values(body=body, fetched=fetched)
        try:
            with self.engine.begin() as connection:
                if not connection.execute(newer).rowcount:
                    connection.execute(insert(KEY_SETS).values(site=site, jku=jku, body=body, fetched=fetched))
        except IntegrityError:
            return  # another worker was first, with the same key set

    def _sweep(self, now: float) -> None:
        """Delete expired tokens every SWEEP_INTERVAL_S, in a separate transaction and one thread at a time."""
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
    """Open the database, create it where it is missing, and bring its tables up to date.

    Raises ValueError, which names CDS_DATABASE and does not repeat the address: it may hold a password.
    """
    url = parse_address(address)
    try:
        _create_for_its_owner(url)
        engine = create_database_engine(url)
        with engine.connect() as connection, _alone(connection):
            _upgrade(connection)
        engine.dispose()  # no connection is open when gunicorn forks its workers
    except ModuleNotFoundError:
        raise ValueError(NO_DRIVER) from None
    except SQLAlchemyError as error:
        raise ValueError(f"CDS_DATABASE could not be opened or brought up to date ({_kind(error)})") from None
    except (ValueError, TypeError):  # about a part of the address, which the message repeats
        raise ValueError(NO_URL) from None
    return Ledger(engine)


def parse_address(address: str) -> URL:
    """Return the URL of a database that workers can share. Raises ValueError, which does not repeat the address."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError(NO_URL) from None
    match url.get_backend_name():
        case "sqlite":
            if url.database in {None, "", ":memory:"}:
                raise ValueError("CDS_DATABASE must name a file: two workers cannot share a database in memory")
            if url.query or (url.database or "").lower().startswith("file:"):  # a file: address can mean memory in several ways
                raise ValueError(
                    "CDS_DATABASE must be sqlite:///FILE, without file: and without anything after a question mark"
                )
            if not Path(url.database or "").absolute().parent.is_dir():
                raise ValueError("CDS_DATABASE is in a folder that does not exist")
            return url.set(drivername="sqlite")
        case "postgresql":
            return url.set(drivername="postgresql+psycopg")
    raise ValueError("CDS_DATABASE must begin with sqlite: or postgresql:")


def _create_for_its_owner(url: URL) -> None:
    """Create an SQLite file that only its owner can read; SQLite itself would let every user of the machine read it.

    Errors are ignored here: opening the database reports them.
    """
    if url.get_backend_name() == "sqlite":
        with suppress(OSError):  # of a dangling link SQLite would create the target
            Path(url.database or "").resolve().touch(mode=0o600, exist_ok=False)


def create_database_engine(url: URL) -> Engine:
    """Return an engine whose waits end after DATABASE_TIMEOUT_S. `url`: as `parse_address` returns it."""
    if url.get_backend_name() == "sqlite":
        return create_engine(url, connect_args={"timeout": DATABASE_TIMEOUT_S}, pool_timeout=DATABASE_TIMEOUT_S)
    waits = {"connect_timeout": DATABASE_TIMEOUT_S, "options": f"-c statement_timeout={DATABASE_TIMEOUT_S * 1000}"}
    return create_engine(url, connect_args=waits, pool_pre_ping=True, pool_timeout=DATABASE_TIMEOUT_S)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Run one transaction while no other process changes tables; it is rolled back if anything fails."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # a commit waits for the disk once instead of four times
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
    """Return the class of the driver's error; its message may repeat an address or a user."""
    return type(getattr(error, "orig", None) or error).__name__
