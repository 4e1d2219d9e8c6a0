"""Which servers the service calls and which it never calls: by name, by address and by redirection."""

from __future__ import annotations

import email.utils
import socket
import time
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest
import requests
import responses

from cds_service.fhir.client import EhrServer, FetchResult, fetch_queries
from cds_service.outbound.policy import (
    CallFailed,
    CallNotAllowed,
    OutboundPolicy,
    is_address_allowed,
    is_origin_allowed,
    origin_of,
)
from cds_service.outbound.session import OutboundSession
from cds_service.reasons import Explanation, Reason, reason_of
from tests.support.fhir_server import FhirServer
from tests.support.pictures import outline

PUBLIC = OutboundPolicy(origins=("https://fhir.hospital.example",))
ON_PREMISE = OutboundPolicy(
    origins=("https://fhir.hospital.example",), networks=(ip_network("10.20.0.0/16"), ip_network("fd12::/16"))
)
HERE = OutboundPolicy(loopback=True, open=True, seconds=5)

ADDRESSES: dict[str, tuple[bool, bool, bool]] = {  # reached by: a public site, an on-premise site, development
    "93.184.216.34": (True, True, True),
    "2606:2800:220:1:248:1893:25c8:1946": (True, True, True),
    "10.20.3.4": (False, True, False),
    "10.21.3.4": (False, False, False),
    "192.168.1.1": (False, False, False),
    "172.16.0.1": (False, False, False),
    "fd12::7": (False, True, False),
    "fd13::7": (False, False, False),
    "127.0.0.1": (False, False, True),
    "127.255.255.254": (False, False, True),
    "::1": (False, False, True),
    "::ffff:127.0.0.1": (False, False, True),
    "::ffff:10.20.3.4": (False, True, False),
    "::ffff:169.254.169.254": (False, False, False),
    "64:ff9b::7f00:1": (False, False, True),
    "64:ff9b::a9fe:a9fe": (False, False, False),
    "2002:7f00:1::": (False, False, True),
    "2002:a9fe:a9fe::": (False, False, False),
    "169.254.169.254": (False, False, False),
    "169.254.1.1": (False, False, False),
    "fe80::1": (False, False, False),
    "fe80::1%eth0": (False, False, False),
    "fd00:ec2::254": (False, False, False),
    "100.100.100.200": (False, False, False),
    "168.63.129.16": (False, False, False),
    "192.0.0.192": (False, False, False),
    "0.0.0.0": (False, False, False),
    "::": (False, False, False),
    "224.0.0.1": (False, False, False),
    "ff02::1": (False, False, False),
    "255.255.255.255": (False, False, False),
    "240.0.0.1": (False, False, False),
    "100.64.0.1": (False, False, False),
    "198.18.0.1": (False, False, False),
    "192.0.2.1": (False, False, False),
    "2001:db8::1": (False, False, False),
    "::127.0.0.1": (False, False, False),
    "::a9fe:a9fe": (False, False, False),
    "::ffff:0:127.0.0.1": (False, False, False),
    "64:ff9b:1::7f00:1": (False, False, False),
    "fec0::1": (False, False, False),
    "4000::1": (False, False, False),
    "192.88.99.1": (False, False, False),
}


@pytest.mark.parametrize(("address", "reached"), ADDRESSES.items(), ids=ADDRESSES)
def test_an_address_is_reached_only_where_it_is_meant_to_be(address: str, reached: tuple[bool, bool, bool]) -> None:
    assert tuple(is_address_allowed(address, policy) for policy in (PUBLIC, ON_PREMISE, HERE)) == reached


def test_metadata_services_are_never_reached_even_inside_an_allowed_network() -> None:
    wide = OutboundPolicy(
        networks=(ip_network("169.254.0.0/16"), ip_network("fd00::/8"), ip_network("192.0.0.0/24")), loopback=True
    )
    for address in ("169.254.169.254", "fd00:ec2::254", "192.0.0.192"):
        assert not is_address_allowed(address, wide)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://fhir.hospital.example/r4", "https://fhir.hospital.example"),
        ("https://FHIR.Hospital.example:443/r4", "https://fhir.hospital.example"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://fhir.hospital.example:8443/", "https://fhir.hospital.example:8443"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "", "fhir.hospital.example", "//fhir.hospital.example", "ftp://fhir.hospital.example", "file:///etc/passwd",
        "https://", "https://user@fhir.hospital.example", "https://user:secret@fhir.hospital.example/", "javascript:alert(1)",
        "https://fhir.hospital.example\\@evil.example", "https://fhir.hospital.example\n.evil.example",
        "https://fhir.hospital.example /", "https://[::1", "https://fhir.hospital.example:99999999/", "https://a<b>.example/",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(CallNotAllowed):
        origin_of(url)


@pytest.mark.parametrize(
    "origin",
    [
        "https://fhir.hospital.example.evil.example", "https://evil.example", "http://fhir.hospital.example",
        "https://fhir.hospital.example:444", "https://hospital.example",
    ],
)  # fmt: skip
def test_only_the_very_origin_is_allowed(origin: str) -> None:
    assert not is_origin_allowed(origin, PUBLIC)
    assert is_origin_allowed("https://fhir.hospital.example", PUBLIC)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost:9", "[::1]:9", "127.0.0.1", "localhost"])
def test_development_means_servers_of_this_machine_by_their_plain_names(host: str) -> None:
    assert is_origin_allowed(f"http://{host}", HERE)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "example.org", "localhost.evil.example"])
def test_development_takes_no_other_spelling_and_no_other_host(host: str) -> None:
    assert not is_origin_allowed(f"http://{host}", HERE)


# ── names and their addresses ────────────────────────────────────────────────────────────────────────────────────


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the resolver answer each look-up with the next list, and return the names that are looked up."""
    asked: list[str] = []
    left = list(answers)

    def found(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host.replace(".", "").isdigit():  # the connection to a checked address
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254"], ["10.20.0.1"], ["0.0.0.0"], []]
)
def test_a_name_with_one_address_that_may_not_be_called_is_not_called(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolving(monkeypatch, addresses)
    connected: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: connected.append(a))
    with OutboundSession(PUBLIC) as session, pytest.raises(CallNotAllowed, match=Reason.ADDRESS_NOT_PERMITTED.value):
        session.get("https://fhir.hospital.example/r4/Patient/1", {})
    assert connected == []


def test_a_name_is_looked_up_once_and_the_checked_address_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a second look-up would lead to another machine, and is never made."""
    with FhirServer([{"resourceType": "Patient", "id": "1"}]) as server:
        origin = f"http://fhir.test:{server.port}"
        asked = resolving(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        with OutboundSession(OutboundPolicy(origins=(origin,), loopback=True)) as session:
            assert session.get(f"{origin}/fhir/Patient/1", {}).status == 200
        assert asked == ["fhir.test"]
        assert server.asked[0].headers["host"] == f"fhir.test:{server.port}"


def test_a_proxy_a_netrc_file_and_a_cookie_of_the_machine_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n", "utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with FhirServer() as server, OutboundSession(HERE) as session:
        server.faults["."] = lambda handler: handler.answer(200, {}, Set_Cookie="session=1; Path=/")
        for _ in range(2):
            session.get(f"{server.base}/Patient/1", {"Authorization": "Bearer t"})
        assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer t", "Bearer t"]
        assert not any("cookie" in asked.headers for asked in server.asked)


def test_nothing_is_called_after_the_deadline() -> None:
    with FhirServer() as server, OutboundSession(OutboundPolicy(loopback=True, seconds=0)) as session:
        with pytest.raises(CallFailed, match=Reason.OVERDUE.value):
            session.get(f"{server.base}/Patient/1", {})
        assert server.asked == []


NEVER_WHOLE = {
    "a header that drips": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", 0.05),
    "100 Continue that drips": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "100 Continue without a pause": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0),
}


@pytest.mark.parametrize("case", NEVER_WHOLE)
def test_no_call_outlasts_its_deadline_however_its_server_drips(case: str) -> None:
    start, again, pause = NEVER_WHOLE[case]
    told: SimpleQueue[object] = SimpleQueue()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(start)
            while True:
                connection.sendall(again)
                time.sleep(pause)

    def call(port: int) -> None:
        with OutboundSession(OutboundPolicy(loopback=True, seconds=0.5)) as session:
            try:
                session.get(f"http://127.0.0.1:{port}/", {})
                told.put("an answer")
            except CallFailed as error:
                told.put(error.why.reason)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=drip, args=(listening,), daemon=True).start()
        Thread(target=call, args=(listening.getsockname()[1],), daemon=True).start()
        assert told.get(timeout=5) is Reason.OVERDUE


# ── what is hard to provoke with a server ────────────────────────────────────────────────────────────────────────

CONDITIONS = "https://fhir.hospital.example/r4/Condition?patient=1"
EMPTY = '{"resourceType": "Bundle", "type": "searchset", "total": 0}'


def asked_of(server: str = "https://fhir.hospital.example/r4") -> FetchResult:
    with OutboundSession(PUBLIC) as session:
        return fetch_queries(EhrServer(server, "token"), {"a": "Condition?patient=1"}, session)["a"]


@responses.activate
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (requests.exceptions.SSLError("x"), Reason.CERTIFICATE_NOT_ACCEPTED),
        (requests.ConnectTimeout("x"), Reason.OVERDUE),
        (requests.ReadTimeout("x"), Reason.OVERDUE),
        (requests.ConnectionError("x"), Reason.NO_CONNECTION),
        (requests.exceptions.ChunkedEncodingError("x"), Reason.BROKEN_OFF),
        (requests.exceptions.InvalidHeader("x"), Reason.BROKEN_OFF),
    ],
)
def test_whatever_goes_wrong_is_told_by_a_reason_of_ours(error: Exception, told: Reason) -> None:
    responses.get(CONDITIONS, body=error)
    assert (asked_of().pages, reason_of(asked_of().why)) == ((), told)


@responses.activate
@pytest.mark.parametrize("base", ["https://fhir.hospital.example/r4", "https://fhir.hospital.example/r4/"])
def test_a_base_with_and_without_its_last_slash_is_the_same(base: str) -> None:
    responses.get(CONDITIONS, body=EMPTY)
    assert asked_of(base) == FetchResult((EMPTY.encode(),))


@responses.activate
@pytest.mark.parametrize("after", ["0", "date", "nonsense", "-1"])
def test_a_server_that_is_busy_is_asked_again_when_it_says(after: str) -> None:
    text = email.utils.formatdate(time.time() + 0.2, usegmt=True) if after == "date" else after
    responses.get(CONDITIONS, status=503, headers={"Retry-After": text})
    responses.get(CONDITIONS, body=EMPTY)
    assert asked_of() == FetchResult((EMPTY.encode(),))
    assert len(responses.calls) == 2


@responses.activate
@pytest.mark.parametrize(
    "next_url", ["/r4/Condition?page=2", "Condition?page=2", "https://fhir.hospital.example/r4/Condition?page=2"]
)
def test_a_next_page_is_found_by_a_relative_or_an_absolute_address(next_url: str) -> None:
    link = f'{{"resourceType": "Bundle", "link": [{{"relation": "next", "url": "{next_url}"}}]}}'
    responses.get(CONDITIONS, body=link)
    responses.get("https://fhir.hospital.example/r4/Condition?page=2", body=EMPTY)
    assert asked_of() == FetchResult((link.encode(), EMPTY.encode()))


@responses.activate
@pytest.mark.parametrize(
    "next_url",
    ["http://fhir.hospital.example/r4?page=2", "https://fhir.hospital.example:444/?p=2", "//evil.example/?p=2", "", "7"],
)
def test_a_next_page_of_another_scheme_port_or_host_is_not_called(next_url: str) -> None:
    link = f'{{"link": [{{"relation": "next", "url": {7 if next_url == "7" else f"{chr(34)}{next_url}{chr(34)}"}}}]}}'
    responses.get(CONDITIONS, body=link)
    found = asked_of()
    assert outline(found.why) == outline(Explanation(Reason.FURTHER_PAGE, because=Explanation(Reason.PAGE_ON_ANOTHER_SERVER)))
    assert len(responses.calls) == 1


def test_neither_a_server_nor_a_request_shows_its_token_in_print() -> None:
    assert "secret" not in repr(EhrServer("https://fhir.hospital.example", "secret"))
