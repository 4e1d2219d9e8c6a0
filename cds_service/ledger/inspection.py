"""Read the database of a service that may be running, and try whether it can be written. Nothing in it is changed."""

from __future__ import annotations

import sqlite3
import tempfile
from enum import Enum
from importlib import resources
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from cds_service.ledger.database import (
    DATABASE_TIMEOUT_S,
    NO_DRIVER,
    KeptKeySet,
    Ledger,
    create_database_engine,
    database_faults_as_ledger_down,
    parse_address,
)
from cds_service.ledger.tables import KEY_SETS, SEEN_TOKENS


class ReadOnlyLedger(Ledger):
    """The ledger of a service that may be running. It answers as that ledger would, and records nothing."""

    def __init__(self, engine: Engine | None) -> None:
        """`engine`: None where the service has not made its database yet, which is an empty ledger."""
        super().__init__(engine or create_engine("sqlite://"))
        self.exists = engine is not None

    def first_time(self, issuer: str, token: str, forget_after: int, now: float) -> bool:
        """Return whether the service would accept the token as new. Raises LedgerDown."""
        return not self.has_seen(issuer, token, now)

    @database_faults_as_ledger_down()
    def has_seen(self, issuer: str, token: str, now: float) -> bool:
        """Return whether the token is recorded as seen; False in a database without tables. Raises LedgerDown."""
        return self._has_table(SEEN_TOKENS) and super().has_seen(issuer, token, now)

    @database_faults_as_ledger_down()
    def key_set(self, site: str, jku: str) -> KeptKeySet | None:
        """Return the key set last kept; None if there is none, or no table. Raises LedgerDown."""
        return super().key_set(site, jku) if self._has_table(KEY_SETS) else None

    def keep_key_set(self, site: str, jku: str, body: bytes, fetched: int) -> None:
        """Keep nothing."""

    def _has_table(self, table: Table) -> bool:
        if not self.exists:
            return False
        with self.engine.connect() as connection:
            return inspect(connection).has_table(table.name)


def open_read_only(address: str) -> ReadOnlyLedger:
    """Open a ledger without creating or changing it. Raises ValueError, which does not repeat the address."""
    url = parse_address(address)
    if url.get_backend_name() != "sqlite":
        return ReadOnlyLedger(create_database_engine(url))
    file = Path(url.database or "").absolute()
    if not file.exists():
        return ReadOnlyLedger(None)
    name = f"{file.as_uri()}?mode=ro"
    return ReadOnlyLedger(
        create_engine("sqlite://", creator=lambda: sqlite3.connect(name, uri=True, timeout=DATABASE_TIMEOUT_S))
    )


class DatabaseState(Enum):
    """The state of a database that can be written."""

    NOT_MADE_YET = "not made yet"
    OLDER = "older tables"
    CURRENT = "current tables"


def try_writing(address: str) -> DatabaseState:
    """Write into the database of a service and undo it. Raises ValueError, which names CDS_DATABASE and no password."""
    url = parse_address(address)
    try:
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            with tempfile.TemporaryFile(dir=Path(url.database or "").absolute().parent):
                return DatabaseState.NOT_MADE_YET
        with create_database_engine(url).connect() as connection:
            return _write_and_undo(connection, url)
    except OSError as error:
        raise ValueError(f"CDS_DATABASE is in a folder that cannot be written ({error.strerror})") from None
    except ModuleNotFoundError:
        raise ValueError(NO_DRIVER) from None
    except SQLAlchemyError as error:
        kind = getattr(error, "orig", None) or error
        because = str(kind) if isinstance(kind, sqlite3.Error) else type(kind).__name__  # others may repeat an address
        raise ValueError(f"CDS_DATABASE cannot be written ({because})") from None


def _write_and_undo(connection: Connection, url: URL) -> DatabaseState:
    if url.get_backend_name() == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        if not inspect(connection).has_table(SEEN_TOKENS.name):
            SEEN_TOKENS.create(connection)
            return DatabaseState.OLDER
        connection.execute(SEEN_TOKENS.insert().values(issuer="check-site", token="never kept", forget_after=0))
        config = Config()
        config.set_main_option("script_location", str(resources.files("cds_service.ledger") / "migrations"))
        newest = ScriptDirectory.from_config(config).get_current_head()
        current = MigrationContext.configure(connection).get_current_revision() == newest
        return DatabaseState.CURRENT if current else DatabaseState.OLDER
    finally:
        connection.rollback()
