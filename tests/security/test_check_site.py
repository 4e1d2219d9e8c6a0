"""`check-site` finds every fault of a site in one run, against real servers of this machine."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from cds_service.__main__ import main
from tests.support import fhir_server
from tests.support.callers import BASE, Listener, ec_key, listener, rsa_key, site_file
from tests.support.fhir_server import FhirServer, Handler

TOKEN = "an-access-token"
R4 = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}


@pytest.fixture
def keys() -> Iterator[Listener]:
    with listener() as server:
        server.serve_keys(ec_key().jwk)
        yield server


@pytest.fixture
def ehr() -> Iterator[FhirServer]:
    with FhirServer(token=TOKEN, faults={"^metadata$": fhir_server.body(R4)}) as server:
        yield server


def tls_server(authority: trustme.CA, **certificate: Any) -> FhirServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", **certificate).configure_cert(context)
    return FhirServer(token=TOKEN, tls=context, faults={"^metadata$": fhir_server.body(R4)})


def clock_off(seconds: float) -> fhir_server.Fault:
    def fault(handler: Handler) -> None:
        text = handler.date_time_string(time.time() + seconds)
        handler.date_time_string = lambda *_: text  # type: ignore[method-assign]  # the Date header of this answer alone
        handler.answer(200, R4)

    return fault


def too_many_at_once() -> fhir_server.Fault:
    """The true answer to the first request, then 429."""
    left = [1]

    def fault(handler: Handler) -> None:
        left[0] -= 1
        if left[0] < 0:
            handler.outcome(429, "throttled", Retry_After="60")
        else:
            handler.true_answer()

    return fault


def fhir(*origins: str, **more: Any) -> str:
    """Return [fhir] with time enough (6 s) for servers beside other tests."""
    more.setdefault("seconds", 10)
    lines = ["[fhir]", f"origins = {json.dumps(origins)}", "loopback = true"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in more.items())])


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `check-site` and return its exit status and lines."""

    def run(site: str, *more: str, **environment: str) -> tuple[int, list[str]]:
        (tmp_path / "north.toml").write_text(site, "utf-8")
        sound = {"CDS_PUBLIC_URL": BASE, "CDS_DATABASE": f"sqlite:///{tmp_path}/ledger.db", "CDS_FHIR_TOKEN": TOKEN}
        for name, value in {**sound, **environment}.items():
            monkeypatch.setenv(name, value)
        status = main(["check-site", "--site", str(tmp_path / "north.toml"), *more])
        printed = capsys.readouterr()
        assert TOKEN not in printed.out + printed.err
        return status, (printed.err + printed.out).splitlines()  # a test server may write to stderr

    return run


def faults(lines: list[str]) -> list[str]:
    return [line.removeprefix("fault").strip() for line in lines if line.startswith("fault")]


def test_a_sound_site_has_no_fault(check: Any, ehr: FhirServer, keys: Listener, tmp_path: Path) -> None:
    status, lines = check(site_file(fhir=fhir(ehr.origin), jku=keys.jku), "--fhir-base", ehr.base)
    assert (status, faults(lines)) == (0, [])
    assert lines[-1] == "0 faults, 16 checks passed, 0 skipped"
    assert not (tmp_path / "ledger.db").exists()
    asked = ehr.queries()
    assert {query.split("?")[0].split("/")[0] for query in asked} >= {"metadata", "Patient", "Condition", "Observation"}
    assert ehr.asked[0].headers.get("authorization") is None, "the CapabilityStatement needs no token"
    assert all("check-site-no-such-patient" in query for query in asked[1:])


def test_five_faults_are_told_in_one_run(check: Any, ehr: FhirServer, keys: Listener, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("", "utf-8")
    ehr.faults = {"^metadata$": clock_off(600), "^Condition": fhir_server.status(403)}
    keys.serve_keys({**rsa_key("small", 1024).jwk})
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    past = datetime.now(UTC) - timedelta(days=2)
    with tls_server(authority, not_before=past, not_after=past + timedelta(days=1)) as expired:
        site = site_file(fhir=fhir(ehr.origin, expired.origin, ca_file="ca.pem"), jku=keys.jku)
        database = f"sqlite:///{tmp_path}/a-file/ledger.db"
        bases = ("--fhir-base", ehr.base, "--fhir-base", expired.base)
        status, lines = check(site, *bases, CDS_DATABASE=database)
    assert status == 1
    told = [re.sub(r"\b(599|601) s ahead", "600 s ahead", fault) for fault in faults(lines)]  # the second may change meanwhile
    assert told == [
        "CDS_DATABASE is in a folder that does not exist",
        f"client.1 (https://ehr.north.example) has no key at {keys.address} that it may sign with (ES384, RS384); "
        'not usable: "small" (shorter than 2048 bits)',
        f"{ehr.base} has a clock 600 s ahead of the one here; more than 30 s make tokens fail",
        f"{ehr.base} conditions (Condition) answered 403: the token has no scope for this query, or the client is not "
        "registered for it",
        f"{expired.base} sent a certificate that has expired",
    ]
    assert lines[-1].startswith("5 faults, ")


def test_tls_faults_are_told_apart(check: Any, tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with tls_server(other) as unknown, tls_server(ours) as sound:
        wrong = sound.origin.replace("localhost", "127.0.0.1")
        site = site_file(keys=[ec_key().jwk], fhir=fhir(unknown.origin, sound.origin, wrong, ca_file="ca.pem"))
        status, lines = check(site, "--fhir-base", sound.base, HTTPS_PROXY="http://127.0.0.1:1")
    assert status == 1
    one, two = faults(lines)
    assert one.startswith(f"{unknown.origin} sent a certificate that is signed by an authority that this site does not trust")
    assert "HTTPS_PROXY is set, but the service never uses a proxy" in one
    assert two.startswith(f"{wrong} sent a certificate that is for another address") or "another host name" in two
    assert any(line.startswith(f"ok      {sound.base} is reached") for line in lines)


def test_a_private_address_and_an_unknown_name_are_told(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host == "nowhere.example":
            raise socket.gaierror("no name")
        return [(2, 1, 6, "", ("10.9.8.7", port))]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    site = site_file(keys=[ec_key().jwk], fhir=fhir("https://inside.example", "https://nowhere.example"))
    status, lines = check(site)
    assert status == 1
    assert faults(lines) == [
        "https://inside.example resolves to 10.9.8.7, which the service never calls unless its private network is listed in "
        "fhir.networks (loopback: fhir.loopback)",
        "https://nowhere.example has a name that is not known to the resolver of this machine",
    ]


ANSWERS: dict[str, tuple[str, fhir_server.Fault, str]] = {
    "metadata missing": ("^metadata$", fhir_server.status(404), "answered 404: if the base of the server has a path"),
    "metadata in HTML": ("^metadata$", fhir_server.body(b"<html>"), "is no CapabilityStatement in JSON"),
    "R5": ("^metadata$", fhir_server.body({**R4, "fhirVersion": "5.0.0"}), 'has fhirVersion "5.0.0"; the service reads R4'),
    "a clock behind": ("^metadata$", clock_off(-600), " s behind the one here"),
    "a query answered in HTML": ("^Procedure", fhir_server.body(b"<html>"), "without a FHIR resource in JSON"),
    "a token not accepted": ("^Procedure", fhir_server.status(401), "answered 401: the token is not accepted"),
    "a search of another base": ("^Procedure", fhir_server.status(404), "answered 404: if the base of the server has a path"),
    "too many at once": ("^Procedure", too_many_at_once(), "are too many for the server"),
    "a server error": ("^Procedure", fhir_server.status(500), "answered 500"),
    "a slow query": ("^Procedure", fhir_server.late(2.7), "and the service waits 2.4 s (60 % of fhir.seconds = 4)"),
    "data of others": (
        "^Procedure",
        fhir_server.body({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Procedure", "id": "1"}}]}),
        "the server ignores the patient of the query",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_the_service_cannot_use_is_told(check: Any, ehr: FhirServer, case: str) -> None:
    query, fault, text = ANSWERS[case]
    ehr.faults[query] = fault
    site = site_file(keys=[ec_key().jwk], fhir=fhir(ehr.origin, seconds=4 if case == "a slow query" else 10))
    status, lines = check(site, "--fhir-base", ehr.base)
    assert status == 1
    (told,) = faults(lines)
    assert text in told


def test_with_a_test_patient_404_is_a_fault(check: Any, ehr: FhirServer) -> None:
    site = site_file(keys=[ec_key().jwk], fhir=fhir(ehr.origin))
    status, lines = check(site, "--fhir-base", ehr.base, "--patient", "p1")
    assert status == 1
    assert [told.split(" answered ")[1][:3] for told in faults(lines)] == ["404"]
    assert "Patient/p1" in ehr.queries()


def test_without_a_token_the_queries_are_skipped_and_said_to_be(check: Any, ehr: FhirServer) -> None:
    site = site_file(keys=[ec_key().jwk], fhir=fhir(ehr.origin))
    status, lines = check(site, "--fhir-base", ehr.base, CDS_FHIR_TOKEN="")
    assert status == 0
    assert ehr.queries() == ["metadata"]
    assert lines[-1].endswith("1 skipped")


def test_a_token_goes_to_no_server_that_was_not_named(check: Any, ehr: FhirServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n", "utf-8")
    with FhirServer(faults={"metadata$": fhir_server.body(R4)}) as other:
        site = site_file(keys=[ec_key().jwk], fhir=fhir(ehr.origin, other.origin))
        status, lines = check(site, "--fhir-base", ehr.base, "--fhir-token-file", str(tmp_path / "token"), CDS_FHIR_TOKEN="")
        assert status == 0, lines
        assert all("authorization" not in asked.headers for asked in other.asked)
    assert any("authorization" in asked.headers for asked in ehr.asked)


def test_a_base_elsewhere_is_a_fault_and_is_not_called(check: Any, ehr: FhirServer) -> None:
    with FhirServer() as other:
        status, lines = check(site_file(keys=[ec_key().jwk], fhir=fhir(ehr.origin)), "--fhir-base", other.base)
        assert other.asked == []
    assert status == 1
    assert f"{other.base} is not on one of the servers in fhir.origins ({ehr.origin})" in faults(lines)


def test_a_base_with_a_password_is_not_repeated(check: Any, ehr: FhirServer) -> None:
    site = site_file(keys=[ec_key().jwk], fhir=fhir(ehr.origin))
    _, lines = check(site, "--fhir-base", ehr.base.replace("://", "://user:hush@"))
    assert any(told.startswith("--fhir-base number 1 is not on one of") for told in faults(lines))
    assert "hush" not in "".join(lines)


def test_an_unusable_site_file_is_exit_status_2_and_the_rest_is_tried(check: Any) -> None:
    status, lines = check(site_file(), CDS_PUBLIC_URL="")
    assert status == 2
    assert any("at least one of jku, keys" in told for told in faults(lines))
    assert any(told.startswith("CDS_PUBLIC_URL is not set") for told in faults(lines))
    assert any("CDS_DATABASE" in line for line in lines)


def test_an_unusable_setting_is_exit_status_2(check: Any) -> None:
    for environment in ({"CDS_PUBLIC_URL": "ftp://x"}, {"CDS_FHIR_TOKEN": "two words"}):
        assert check(site_file(keys=[ec_key().jwk]), **environment)[0] == 2


def test_a_key_set_that_is_none_and_one_for_other_algorithms_are_told(check: Any, keys: Listener) -> None:
    site = site_file(fhir=keys.fhir, jku=keys.jku)
    keys.body = b"<html>"
    assert any("serves no JWK Set" in told for told in faults(check(site)[1]))
    keys.serve_keys(ec_key("north-256", "P-256").jwk)
    assert any('for other algorithms: "north-256" for ES256' in told for told in faults(check(site)[1]))
    keys.status = 404
    assert any("answered 404, and 200 is expected" in told for told in faults(check(site)[1]))
