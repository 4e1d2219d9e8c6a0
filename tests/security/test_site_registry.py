"""Which sites are served and to whom: without a site file only this machine; no site's token goes to another's server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cds_service.__main__ import main
from cds_service.app import create_app
from cds_service.cli.listening import SANDBOX_ORIGIN, check_listening
from cds_service.errors import SiteError, Unauthorized
from cds_service.settings import Settings
from cds_service.sites.registry import is_this_machine, open_registry, sandbox_site
from tests.conftest import ROOT, SERVICE, CheckedClient, as_of, bare_request, diagnostics, extensions, request_of
from tests.support.callers import (
    BASE,
    CALLED,
    DISCOVERY,
    NOW,
    REQUEST,
    Ehr,
    Listener,
    bearer,
    ec_key,
    listener,
    part,
    site_file,
)

DAY = date(2026, 11, 25)
PROXIED = '[site]\nid = "north"\ntitle = "North Hospital"\nauthenticated_by_proxy = true\n'


def written(folder: Path, *sites: str) -> tuple[Path, ...]:
    files = tuple(folder / f"{number}.toml" for number in range(len(sites)))
    for file, content in zip(files, sites, strict=True):
        file.write_text(content, "utf-8")
    return files


def served(folder: Path, *sites: str, day: date = DAY, **more: Any) -> FlaskClient:
    database = f"sqlite:///{folder}/ledger.db"
    settings = Settings(sites=written(folder, *sites), public_urls=(BASE,), database=database, **more)
    app = create_app(settings, lambda: day, now=lambda: float(NOW))
    app.test_client_class = CheckedClient
    return app.test_client()


# ── without a site file ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def alone() -> FlaskClient:
    app = create_app(Settings(pages=False), lambda: DAY)
    app.test_client_class = CheckedClient
    return app.test_client()


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_without_a_site_file_this_machine_is_answered(alone: FlaskClient, peer: str) -> None:
    answer = alone.post(SERVICE, json=REQUEST, environ_overrides={"REMOTE_ADDR": peer})
    assert answer.status_code == 200


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.1.2", "203.0.113.9", "2001:db8::1", "::ffff:10.0.0.7", "", "unknown"])
def test_without_a_site_file_no_other_machine_is_answered_however_it_listens(alone: FlaskClient, peer: str) -> None:
    for answer in (
        alone.post(SERVICE, json=REQUEST, environ_overrides={"REMOTE_ADDR": peer}),
        alone.get("/cds-services", environ_overrides={"REMOTE_ADDR": peer}),
        alone.get("/health", environ_overrides={"REMOTE_ADDR": peer}),
    ):
        assert answer.status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost", "localhost:8080", "[::1]", "[::1]:8080"])
def test_without_a_site_file_this_machine_is_called_by_its_own_names(alone: FlaskClient, host: str) -> None:
    assert alone.post(SERVICE, json=REQUEST, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost", "10.0.0.7",
        "localhost:", "localhost:8080:1", "user@localhost", "::1", "[::1", "[::1].evil.example", "localhost,evil.example",
        "localhost evil.example", "0.0.0.0:8080", "[::]", "",
    ],
)  # fmt: skip
def test_a_name_made_to_lead_to_this_machine_is_not_answered(host: str) -> None:
    client = create_app(Settings(), lambda: DAY).test_client()
    for answer in (
        client.post(SERVICE, json=REQUEST, headers={"Host": host}),
        client.get("/cds-services", headers={"Host": host}),
        client.get("/health", headers={"Host": host}),
        client.post("/", data={"fixture": "resectable"}, headers={"Host": host, "Origin": f"http://{host}"}),
        client.get("/", headers={"Host": host}),
    ):
        assert answer.status_code == 401
        assert b"evil" not in answer.data


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "192.168.1.2", "cds.example", "169.254.1.1", ""])
def test_beyond_this_machine_the_service_does_not_start_without_a_site_file(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDS_SITES", raising=False)
    assert main(["serve", "--host", host]) == 1
    said = capsys.readouterr().err
    assert "needs a site file, which lists who may call" in said
    assert "--site FILE or CDS_SITES" in said
    assert "--profile sandbox" in said


def test_a_container_does_not_start_without_a_site_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDS_SITES", raising=False)
    (command,) = re.findall(r"^CMD \[(.+)\]$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert main([word.strip().strip('"') for word in command.split(",")]) == 1
    assert "needs a site file, which lists who may call" in capsys.readouterr().err


def test_this_machine_is_known_by_its_addresses_alone() -> None:
    assert all(is_this_machine(host) for host in ("127.0.0.1", "127.0.0.53", "::1", "localhost", "::ffff:127.0.0.1"))
    others = ("0.0.0.0", "::", "", "localhost.example", "127.0.0.1.example", "2130706433", "127.1", "10.0.0.1")
    assert not any(is_this_machine(host) for host in others)


# ── a site file says who may call ────────────────────────────────────────────────────────────────────────────────


def refused(settings: Settings) -> list[str]:
    with pytest.raises(SiteError) as caught:
        open_registry(settings)
    return [str(fault) for fault in caught.value.faults]


def test_a_site_file_without_callers_does_not_start_unless_a_proxy_is_named(tmp_path: Path) -> None:
    files = written(tmp_path, '[site]\nid = "north"\ntitle = "North Hospital"\n')
    (told,) = refused(Settings(sites=files))
    assert told.startswith("site north: client is required; or authenticated_by_proxy = true in [site], if a proxy in front")
    assert "authenticated_by_proxy = true" in told


def test_behind_a_proxy_that_authenticates_a_site_answers_without_tokens(tmp_path: Path) -> None:
    client = served(tmp_path, PROXIED)
    assert client.post(SERVICE, json=REQUEST).status_code == 200
    assert client.post(SERVICE, json=REQUEST, headers={"Authorization": "Bearer the-proxys-own"}).status_code == 200
    assert client.get("/cds-services", headers={"Authorization": "Basic x"}).status_code == 200
    assert not (tmp_path / "ledger.db").exists()


def test_a_site_behind_a_proxy_stands_alone(tmp_path: Path) -> None:
    south = site_file("south", keys=[ec_key().jwk])
    assert any(
        "must not be used together with other sites" in told
        for told in refused(Settings(sites=written(tmp_path, PROXIED, south)))
    )


def test_callers_without_a_public_address_do_not_start(tmp_path: Path) -> None:
    files = written(tmp_path, site_file(keys=[ec_key().jwk]))
    with pytest.raises(ValueError, match="CDS_PUBLIC_URL is not set"):
        open_registry(Settings(sites=files))


def test_one_issuer_leads_to_one_site(tmp_path: Path) -> None:
    issuer = "https://cloud.ehr.example"
    keys = [ec_key().jwk]
    one, other = (site_file(name, keys=keys, issuer=issuer) for name in ("north", "south"))
    (told,) = refused(Settings(sites=written(tmp_path, one, other), public_urls=(BASE,)))
    assert told == f"iss '{issuer}' is in two [[client]] (north, south); use one, or tenants that differ"
    tenants = [("a", "b"), ("b", "c")]
    one, other = (
        site_file(name, keys=keys, issuer=issuer, tenants=list(names))
        for name, names in zip(("north", "south"), tenants, strict=True)
    )
    assert len(refused(Settings(sites=written(tmp_path, one, other), public_urls=(BASE,)))) == 1


FAULTS: dict[str, tuple[str, str]] = {
    "neither keys nor jku": (site_file(), "client.1 must have at least one of jku, keys"),
    "HS256": (
        site_file(keys=[ec_key().jwk], algorithms=["HS256"]),
        "client.1.algorithms.1 must be one of ES384, RS384, ES256, RS256, not 'HS256'",
    ),
    "none": (
        site_file(keys=[ec_key().jwk], algorithms=["none"]),
        "client.1.algorithms.1 must be one of ES384, RS384, ES256, RS256, not 'none'",
    ),
    "no algorithm": (site_file(keys=[ec_key().jwk], algorithms=[]), "client.1.algorithms"),
    "leeway above a minute": (site_file(keys=[ec_key().jwk], leeway=61), "client.1.leeway must be at most 60, not 61"),
    "a lifetime of a day": (site_file(keys=[ec_key().jwk], max_lifetime=86_400), "client.1.max_lifetime"),
    "jku in plain http": (site_file(jku="http://ehr.example/jwks"), "client.1.jku"),
    "jku of this machine": (
        site_file(jku="http://127.0.0.1:1/jwks"),
        "must be an https address; http is only for this machine",
    ),
    "jku with a user": (site_file(jku="https://u:p@ehr.example/jwks"), "client.1.jku"),
    "a misspelt word": (
        site_file(keys=[ec_key().jwk], tenant="x"),
        'client.1.tenant is not a known key; did you mean "tenants"?',
    ),
    "a private key": (
        site_file(keys=[{**ec_key().jwk, "d": "hush"}]),
        "client.1.keys.1 must be a public EC or RSA key as a JWK with kid; it is a private",
    ),
    "a symmetric key": (
        site_file(keys=[{"kid": "x", "kty": "oct", "k": "hush"}]),
        "client.1.keys.1 must be a public EC or RSA key",
    ),
    "not a key": (
        site_file(keys=[{**ec_key().jwk, "x": "hush"}]),
        "client.1.keys.1 must be a public EC or RSA key as a JWK with kid; it is not a valid key",
    ),
    "keys in another form": (
        site_file(keys=[]) + 'keys = "-----BEGIN PRIVATE KEY-----hush"\n',
        "client.1.keys must be a list of 1 to 50 JWKs",
    ),
    "too many keys": (
        site_file(keys=[]) + "keys = [" + '{kid = "hush"}, ' * 51 + "]\n",
        "client.1.keys must be a list of 1 to 50 JWKs",
    ),
    "a key that is none": (
        site_file(keys=[]) + 'keys = ["hush"]\n',
        "client.1.keys.1 must be a public EC or RSA key as a JWK with kid; it is not a JSON object",
    ),
    "one kid twice": (site_file(keys=[ec_key().jwk, ec_key().jwk]), "client.1.keys has two keys with the kid 'north-1'"),
    "no key for the algorithm": (
        site_file(keys=[ec_key().jwk], algorithms=["RS384"]),
        "client.1.algorithms has no algorithm that one of the keys is for",
    ),
    "beside a proxy": (
        site_file(fhir="authenticated_by_proxy = true", keys=[ec_key().jwk]),
        "site.authenticated_by_proxy must not be used together with [[client]]",
    ),
    "a banner with markup": (site_file(fhir='banner = "<b>x</b>"', keys=[ec_key().jwk]), "site.banner"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_in_who_may_call_is_told_at_the_start_and_no_key_with_it(tmp_path: Path, case: str) -> None:
    content, told = FAULTS[case]
    faults = refused(Settings(sites=written(tmp_path, content), public_urls=(BASE,)))
    assert any(told in fault for fault in faults), faults
    assert "hush" not in "".join(faults)


@pytest.mark.parametrize(
    "url",
    [
        "http://cds.example",
        "https://",
        "cds.example",
        "https://u@cds.example",
        "https://cds.example?x",
        f"{BASE}/cds-services/",
    ],
)
def test_a_public_address_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="CDS_PUBLIC_URL"):
        Settings.from_environment({"CDS_PUBLIC_URL": url})


def test_several_public_addresses_can_be_meant(tmp_path: Path) -> None:
    read = Settings.from_environment({"CDS_PUBLIC_URL": f"{BASE}/, http://127.0.0.1:8080", "CDS_DATABASE": "sqlite:///x.db"})
    assert read.public_urls == (BASE, "http://127.0.0.1:8080")
    assert read.database == "sqlite:///x.db"


# ── two sites ────────────────────────────────────────────────────────────────────────────────────────────────────

EMPTY = b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'
SECRETS = {"north": "north-access-token", "south": "south-access-token"}


@pytest.fixture
def servers() -> Iterator[dict[str, Listener]]:
    """The FHIR servers of two hospitals."""
    with listener() as north, listener() as south:
        north.body = south.body = EMPTY
        yield {"north": north, "south": south}


@pytest.fixture
def both(tmp_path: Path, servers: dict[str, Listener]) -> FlaskClient:
    sites = [site_file(name, keys=[ec_key(f"{name}-1").jwk], fhir=server.fhir) for name, server in servers.items()]
    return served(tmp_path, *sites)


def ehr_of(name: str) -> Ehr:
    return Ehr(f"https://ehr.{name}.example", ec_key(f"{name}-1"))


def asking(server: Listener, secret: str) -> dict[str, Any]:
    """A hook request without prefetch: the service has to ask the server that it names."""
    access = {
        "access_token": secret, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "cds",
        "patient": "example",
    }  # fmt: skip
    return bare_request(fhirServer=server.address, fhirAuthorization=access)


@pytest.mark.parametrize(("mine", "other"), [("north", "south"), ("south", "north")])
def test_a_callers_token_reaches_the_server_of_its_own_site_and_no_other(
    both: FlaskClient, servers: dict[str, Listener], mine: str, other: str
) -> None:
    ehr = ehr_of(mine)
    answer = both.post(SERVICE, json=asking(servers[mine], SECRETS[mine]), headers=bearer(ehr.token()))
    assert answer.json == {"cards": []}
    assert servers[mine].asked >= 1
    assert servers[mine].tokens == {f"Bearer {SECRETS[mine]}"}
    assert servers[other].asked == 0
    before = servers[mine].asked
    answer = both.post(SERVICE, json=asking(servers[other], SECRETS[mine]), headers=bearer(ehr.token()))
    assert answer.status_code == 412
    assert "prefetch.conditions" in diagnostics(answer)[0]
    assert servers[other].asked == 0
    assert servers[mine].asked == before


def test_nobody_signs_for_another_site(both: FlaskClient) -> None:
    north, south = ehr_of("north"), ehr_of("south")
    for token in (
        north.token(iss=south.issuer),
        north.token(iss=south.issuer, header={"kid": south.key.kid}),
        south.token(key=north.key),
    ):
        assert both.post(SERVICE, json=REQUEST, headers=bearer(token)).status_code == 401
    for ehr in (north, south):
        assert both.post(SERVICE, json=REQUEST, headers=bearer(ehr.token())).status_code == 200
    assert both.post(SERVICE, json=REQUEST).status_code == 401


def test_one_jti_may_come_from_two_issuers(both: FlaskClient) -> None:
    for name in ("north", "south"):
        assert both.post(SERVICE, json=REQUEST, headers=bearer(ehr_of(name).token(jti="1"))).status_code == 200


def test_of_one_issuer_the_tenant_decides_whose_server_is_reached(tmp_path: Path, servers: dict[str, Listener]) -> None:
    issuer, key = "https://cloud.ehr.example", ec_key("cloud")
    sites = [
        site_file(name, issuer=issuer, keys=[key.jwk], tenants=[f"{name}-tenant"], fhir=server.fhir)
        for name, server in servers.items()
    ]
    client, ehr = served(tmp_path, *sites), Ehr(issuer, key)
    token = ehr.token(tenant="south-tenant")
    assert client.post(SERVICE, json=asking(servers["south"], "s"), headers=bearer(token)).status_code == 200
    assert (servers["north"].asked, servers["south"].asked > 0) == (0, True)
    token = ehr.token(tenant="north-tenant")
    assert client.post(SERVICE, json=asking(servers["south"], "n"), headers=bearer(token)).status_code == 412
    assert servers["south"].tokens == {"Bearer s"}
    for tenant in ("east-tenant", "", None):
        assert client.post(SERVICE, json=REQUEST, headers=bearer(ehr.token(tenant=tenant))).status_code == 401


def test_two_sites_never_share_the_uuid_of_a_card(both: FlaskClient, tmp_path: Path) -> None:
    request = request_of("resectable")
    uuids = []
    for name in ("north", "south"):
        answer: Any = both.post(SERVICE, json=request, headers=bearer(ehr_of(name).token())).json
        uuids.append({card["uuid"] for card in answer["cards"]})
    assert uuids[0]
    assert not uuids[0] & uuids[1]


# ── the public sandbox ───────────────────────────────────────────────────────────────────────────────────────────

SIGNED_IN_2020 = 1_594_230_600
"""The time of the sandbox's signature below, for discovery at http://127.0.0.1:8000; from a public repository."""
SIGNATURE = (
    "Cbey3n5NkDRoCLHZ2WMFc1z_RY8Rlq5oGxdAYfbrBPMiJXLCwjbYoU0av2CQj-Olhbnpe7Vs8vzJ5oHP5gc2"
    "-0ooc5J49t4Uz9iYKpiM9KLUrqaJe0umc_klM2-ynHAI"
)
ISSUER = "https://sandbox.cds-hooks.org"


def compact(content: dict[str, Any]) -> str:
    """Return JSON as JavaScript writes it."""
    return part(json.dumps(content, separators=(",", ":")).encode())


def sandbox_token() -> str:
    header = {
        "alg": "ES384", "typ": "JWT", "kid": "44823f3d-0b01-4a6c-a80e-b9d3e8a7226f", "jku": f"{ISSUER}/.well-known/jwks.json"
    }  # fmt: skip
    claims = {
        "iss": ISSUER, "aud": "http://127.0.0.1:8000/cds-services", "exp": SIGNED_IN_2020 + 300, "iat": SIGNED_IN_2020,
        "jti": "efb3773d-3a28-43e2-9fbc-b936a9ae388b",
    }  # fmt: skip
    return f"{compact(header)}.{compact(claims)}.{SIGNATURE}"


def in_the_sandbox(folder: Path, host: str = "127.0.0.1", **more: Any) -> Settings:
    return check_listening(Settings(profile="sandbox", database=f"sqlite:///{folder}/ledger.db", **more), host, 8000)


def test_the_sandbox_is_let_in_by_one_flag_with_a_token_that_it_signed_itself(tmp_path: Path) -> None:
    app = create_app(in_the_sandbox(tmp_path), lambda: DAY, now=lambda: SIGNED_IN_2020 + 10.0)
    app.test_client_class = CheckedClient
    client = app.test_client()
    headers = {**bearer(sandbox_token()), "Origin": SANDBOX_ORIGIN}
    answer = client.get("/cds-services", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SANDBOX_ORIGIN
    refusal = client.get("/cds-services", headers=headers)
    assert refusal.status_code == 401
    assert refusal.headers["Access-Control-Allow-Origin"] == SANDBOX_ORIGIN
    assert client.post(SERVICE, json=REQUEST).status_code == 401
    assert client.get("/").status_code == 404


def test_the_sandboxs_token_opens_nothing_where_it_was_not_asked_for(tmp_path: Path) -> None:
    settings = Settings(
        sites=written(tmp_path, site_file(keys=[ec_key().jwk])),
        public_urls=("http://127.0.0.1:8000",),
        database=f"sqlite:///{tmp_path}/ledger.db",
    )
    client = create_app(settings, lambda: DAY, now=lambda: SIGNED_IN_2020 + 10.0).test_client()
    answer = client.get("/cds-services", headers={**bearer(sandbox_token()), "Origin": SANDBOX_ORIGIN})
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_sandbox_may_be_answered_from_its_own_fhir_server_only() -> None:
    site = sandbox_site()
    assert site.policy.origins == ("https://launch.smarthealthit.org",)
    assert site.policy.open
    assert not site.policy.networks
    assert not site.policy.loopback
    (client,) = site.clients
    assert client.keys is not None
    assert set(client.keys) == {("44823f3d-0b01-4a6c-a80e-b9d3e8a7226f", "ES384")}


@pytest.mark.parametrize("fixture", ["resectable", "arterial-candidate"])
def test_a_banner_stands_first_on_every_card(tmp_path: Path, fixture: str) -> None:
    banner = sandbox_site().banner
    assert "anyone can call" in banner
    content = site_file(keys=[ec_key().jwk], fhir=f'banner = "{banner}"')
    client = served(tmp_path, content, day=as_of(fixture))
    answer = client.post(SERVICE, json=request_of(fixture), headers=bearer(Ehr().token()))
    assert extensions(answer)
    assert answer.json is not None
    assert all(card["detail"].startswith(f"**{banner}**\n\n") for card in answer.json["cards"])


def test_the_sandbox_is_never_admitted_beside_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, site_file(keys=[ec_key().jwk]))
    with pytest.raises(ValueError, match="cannot be used with a site file"):
        in_the_sandbox(tmp_path, sites=files)
    with pytest.raises(SystemExit):
        main(["serve", "--profile", "sandbox", "--site", str(files[0])])
    assert "not allowed with" in capsys.readouterr().err


def test_the_sandbox_profile_knows_its_address_on_this_machine_and_must_be_told_it_elsewhere(tmp_path: Path) -> None:
    assert in_the_sandbox(tmp_path).public_urls == ("http://127.0.0.1:8000", "http://localhost:8000")
    assert in_the_sandbox(tmp_path, public_urls=(BASE,)).public_urls == (BASE,)
    with pytest.raises(ValueError, match="CDS_PUBLIC_URL is not set"):
        open_registry(in_the_sandbox(tmp_path, host="0.0.0.0"))


def test_no_variable_of_the_environment_admits_the_sandbox() -> None:
    names = {f"CDS_{name}": "sandbox" for name in ("PROFILE", "SANDBOX", "SITE_PROFILE")}
    assert Settings.from_environment(names).profile == ""


# ── sites that ask for different things ──────────────────────────────────────────────────────────────────────────


def test_discovery_is_for_anyone_where_all_sites_ask_for_the_same(both: FlaskClient) -> None:
    assert both.get("/cds-services").status_code == 200
    token = ehr_of("north").token(aud=DISCOVERY)
    assert both.get("/cds-services", headers=bearer(token)).status_code == 200
    assert both.get("/cds-services", headers=bearer(ehr_of("north").token(aud=CALLED))).status_code == 401


def test_where_sites_ask_for_different_things_discovery_has_to_know_who_asks(tmp_path: Path) -> None:
    files = written(tmp_path, *(site_file(name, keys=[ec_key(f"{name}-1").jwk]) for name in ("north", "south")))
    found = open_registry(Settings(sites=files, public_urls=(BASE,), database=f"sqlite:///{tmp_path}/ledger.db"))
    north, south = found.sites
    south = replace(south, knowledge=replace(south.knowledge, digest="0" * 16))
    differing = replace(found, sites=(north, south))
    with pytest.raises(Unauthorized):
        differing.site_for_discovery(None, "/cds-services", NOW)
    for site in (north, south):
        token = ehr_of(site.id).token(aud=DISCOVERY)
        assert differing.site_for_discovery(f"Bearer {token}", "/cds-services", NOW) is site
