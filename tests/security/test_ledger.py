"""The ledger accepts a token once, in every worker, process and machine, and after a restart."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from cds_service.ledger import LedgerDown, open_ledger
from cds_service.ledger.tables import METADATA
from tests.support.callers import BASE, REQUEST, Ehr, bearer, ec_key, listener, site_file
from tests.support.postgres import postgres, postgres_programs
from tests.support.servers import free_port, serving
from tests.support.threads import TOKENS, win

LACKING = [
    name
    for name, there in (
        ("Debian's postgresql", postgres_programs()),
        ("the Python package psycopg", importlib.util.find_spec("psycopg")),
    )
    if not there
]
BODY = json.dumps(REQUEST).encode()
NEEDS_POSTGRES = pytest.mark.skipif(bool(LACKING), reason=f"without {', '.join(LACKING)}; .ci/run installs it")
NOW = 1_795_600_000
FAR = NOW + 1_000
JKU = "https://ehr.north.example/jwks.json"


@pytest.fixture(scope="module")
def postgres_address() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=NEEDS_POSTGRES)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    found: str = request.getfixturevalue("postgres_address")
    yield found
    ledger = open_ledger(found)
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE seen_tokens, key_sets, alembic_version"))
    ledger.engine.dispose()


def test_a_token_counts_once_for_each_issuer(address: str) -> None:
    ledger = open_ledger(address)
    assert ledger.first_time("https://a.example", "t", FAR, NOW)
    assert not ledger.first_time("https://a.example", "t", FAR, NOW)
    assert ledger.first_time("https://b.example", "t", FAR, NOW)
    assert ledger.first_time("https://a.example", "u", FAR, NOW)
    ledger.engine.dispose()


def test_a_token_is_still_known_when_the_database_is_opened_again(address: str) -> None:
    for first in (True, False, False):
        ledger = open_ledger(address)
        assert ledger.first_time("https://a.example", "t", FAR, NOW) is first
        ledger.engine.dispose()


def test_what_has_ended_is_cleared_away_and_nothing_else(address: str) -> None:
    ledger = open_ledger(address)
    assert ledger.first_time("i", "short", NOW + 10, NOW)
    assert ledger.first_time("i", "long", NOW + 500, NOW)
    assert ledger.first_time("i", "later", FAR, NOW + 100)
    with ledger.engine.connect() as connection:
        assert set(connection.execute(text("SELECT token FROM seen_tokens")).scalars()) == {"long", "later"}
    ledger.engine.dispose()


def test_the_migrations_make_the_tables_that_the_program_knows(address: str) -> None:
    ledger = open_ledger(address)
    with ledger.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0002"
    ledger.engine.dispose()


def test_a_database_of_the_version_before_keeps_its_tokens(address: str) -> None:
    ledger = open_ledger(address)
    assert ledger.first_time("https://a.example", "t", FAR, NOW)
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE key_sets"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    ledger.engine.dispose()
    again = open_ledger(address)
    assert not again.first_time("https://a.example", "t", FAR, NOW)
    assert again.key_set("north", JKU) is None
    again.engine.dispose()


def test_the_last_key_set_of_an_address_is_kept_for_its_site_alone(address: str) -> None:
    ledger = open_ledger(address)
    assert ledger.key_set("north", JKU) is None
    for body, fetched in ((b"one", NOW), (b"two", NOW + 60)):
        ledger.keep_key_set("north", JKU, body, fetched)
        assert ledger.key_set("north", JKU) == (body, fetched)
    assert ledger.key_set("south", JKU) is None
    assert ledger.key_set("north", f"{JKU}?other") is None
    ledger.engine.dispose()


def test_of_processes_that_open_and_ask_at_once_one_is_told_that_a_token_is_new(address: str) -> None:
    """Each process finds a database without tables, makes them or waits for them; then all try the same tokens."""
    context = multiprocessing.get_context("spawn")
    at_once, wins = context.Barrier(3), context.SimpleQueue()
    processes = [context.Process(target=win, args=(address, FAR, at_once, wins)) for _ in range(3)]
    for process in processes:
        process.start()
    won = [wins.get() for _ in processes]
    for process in processes:
        process.join()
    assert not [fault for fault in won if isinstance(fault, str)]
    assert sorted(number for numbers in won for number in numbers) == list(TOKENS)


@pytest.fixture
def site(tmp_path: Path) -> str:
    file = tmp_path / "north.toml"
    file.write_text(site_file(keys=[ec_key().jwk]), "utf-8")
    return str(file)


def test_a_token_opens_once_with_two_workers_and_after_a_restart(site: str, tmp_path: Path) -> None:
    ehr = Ehr(now=time.time())
    tokens = [bearer(ehr.token()) for _ in range(8)]
    port = free_port()
    start = {"CDS_DATABASE": f"sqlite:///{tmp_path}/ledger.db", "CDS_PUBLIC_URL": BASE}
    with serving(tmp_path, "--site", site, port=port, **start) as running, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda token: running.post(BODY, **token)[0], tokens * 16))
    assert sorted(answers) == [200] * 8 + [401] * 120
    with serving(tmp_path, "--site", site, port=port, **start) as running:
        assert [running.post(BODY, **token)[0] for token in tokens] == [401] * 8
        assert running.post(BODY, **bearer(ehr.token()))[0] == 200
    said = (tmp_path / "serve.log").read_text("utf-8")
    assert "Callers need a token whose audience begins with https://cds.example/nlm" in said
    assert not any(token["Authorization"].split(".")[2] in said for token in tokens)


@NEEDS_POSTGRES
def test_two_replicas_on_one_postgresql_refuse_each_others_tokens(site: str, tmp_path: Path, postgres_address: str) -> None:
    ehr = Ehr(now=time.time())
    tokens = [bearer(ehr.token()) for _ in range(4)]
    start = {"CDS_DATABASE": postgres_address, "CDS_PUBLIC_URL": BASE}
    with (
        serving(tmp_path, "--site", site, port=free_port(), **start) as one,
        serving(tmp_path, "--site", site, port=free_port(), **start) as other,
    ):
        assert [one.post(BODY, **token)[0] for token in tokens[:2]] == [200, 200]
        assert [other.post(BODY, **token)[0] for token in tokens] == [401, 401, 200, 200]
        assert [one.post(BODY, **token)[0] for token in tokens] == [401] * 4


# ── a database that is not there ─────────────────────────────────────────────────────────────────────────────────


def test_a_ledger_that_does_not_answer_says_so_and_lets_nobody_in(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.engine.begin() as connection:
        connection.execute(text("DROP TABLE seen_tokens"))
    with pytest.raises(LedgerDown):
        ledger.first_time("i", "t", FAR, NOW)
    ledger.engine.dispose()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:m1?mode=memory&cache=shared&uri=true", "without file:"),
        ("sqlite:///file:/m1?vfs=memdb&uri=true", "without file:"),
        ("sqlite:///FILE::memory:?uri=true", "without file:"),
        ("sqlite:///ledger.db?mode=memory", "without anything after a question mark"),
        ("sqlite:////tmp/ledger.db?timeout=hush", "without anything after a question mark"),
        ("sqlite:////nowhere/at/all/ledger.db", "folder"),
        ("sqlite:////dev/null", "could not be opened"),
        ("mysql://user:hush@db.example/x", "must begin with sqlite: or postgresql:"),
        ("ledger.db", "not a database URL"),
        ("postgresql://user:hush@127.0.0.1:1/x", "could not be opened"),
        ("postgresql://user:p@ss:hush@host/x", "not a database URL"),
        ("postgresql://user:hush@[::1/x", "not a database URL"),
        ("sqlite:///a\0hush", "not a database URL"),
    ],
)
def test_a_database_that_cannot_serve_is_refused_at_the_start_without_its_password(address: str, told: str) -> None:
    if address.endswith("127.0.0.1:1/x") and importlib.util.find_spec("psycopg") is None:
        told = "extra `postgres`"  # an invalid address is reported before that
    with pytest.raises(ValueError, match=told) as caught:
        open_ledger(address)
    assert str(caught.value).startswith("CDS_DATABASE ")
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_file_of_a_new_ledger_is_its_owners_alone_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    for mode in (0o600, 0o660):
        ledger = open_ledger(f"sqlite:///{file}")
        assert ledger.first_time("i", str(mode), FAR, NOW)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("ledger.db*")} == {mode}
        ledger.engine.dispose()
        file.chmod(0o660)


def test_where_a_link_leads_to_nowhere_the_file_that_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").symlink_to(tmp_path / "elsewhere.db")
    before = os.umask(0)
    try:
        open_ledger(f"sqlite:///{tmp_path}/ledger.db").engine.dispose()
    finally:
        os.umask(before)
    assert (tmp_path / "elsewhere.db").stat().st_mode & 0o777 == 0o600


def test_a_renewed_worker_lets_in_whom_it_let_in_before_while_the_key_server_is_down(tmp_path: Path) -> None:
    """Anyone can cause workers to be renewed, because refused requests count."""
    file, ehr = tmp_path / "north.toml", Ehr(now=time.time())
    start = {"CDS_DATABASE": f"sqlite:///{tmp_path}/ledger.db", "CDS_PUBLIC_URL": BASE}
    with listener() as server:
        server.serve_keys(ec_key().jwk)
        file.write_text(site_file(fhir=server.fhir, jku=server.jku), "utf-8")
        with serving(tmp_path, "--site", str(file), port=free_port(), **start) as service:
            assert [service.post(BODY, **bearer(ehr.token()))[0] for _ in range(8)] == [200] * 8
            server.status = 503
            before = service.workers()
            for pid in before:
                os.kill(pid, signal.SIGTERM)
            service.wait_for_workers(other_than=before, count=2)
            assert [service.post(BODY, **bearer(ehr.token()))[0] for _ in range(12)] == [200] * 12
    other = {**start, "CDS_DATABASE": f"sqlite:///{tmp_path}/empty.db"}
    with serving(tmp_path, "--site", str(file), port=free_port(), **other) as service:
        assert [service.post(BODY, **bearer(ehr.token()))[0] for _ in range(2)] == [503] * 2
