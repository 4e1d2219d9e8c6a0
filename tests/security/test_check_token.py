"""`check-token` gives every reason for which the service refuses a token, and changes nothing in the service."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_service.__main__ import main
from cds_service.auth.caller import Callers
from cds_service.auth.keys import fetch_keys
from cds_service.ledger import open_ledger
from cds_service.settings import Settings
from cds_service.sites import Site
from cds_service.sites.registry import served_sites
from cds_service.sites.token_check import TokenReport, check_token
from tests.conftest import SERVICE
from tests.security.test_callers import ATTACKS, EVIL, JKU, SOUND, at_main
from tests.support.callers import (
    BASE,
    CALLED,
    DROP,
    NOW,
    Ehr,
    Listener,
    bearer,
    ec_key,
    listener,
    open_door,
    rsa_key,
    site_file,
)
from tests.test_architecture import MODULES, ours

NORTH = site_file(keys=[ec_key().jwk, rsa_key().jwk], jku=JKU, tenants=["main"])
Made = Callable[[Ehr], str]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("north")
    (folder / "north.toml").write_text(NORTH, "utf-8")
    database = f"sqlite:///{folder / 'ledger.db'}"
    return Settings(sites=(folder / "north.toml",), public_urls=(BASE,), database=database)


@pytest.fixture(scope="module")
def sites(settings: Settings) -> tuple[Site, ...]:
    return served_sites(settings)


@pytest.fixture
def report(sites: tuple[Site, ...], settings: Settings) -> Callable[[str], TokenReport]:
    return lambda token: check_token(token, SERVICE, sites, settings, NOW)


@pytest.mark.parametrize("case", SOUND)
def test_a_token_that_the_service_accepts_is_accepted(report: Callable[[str], TokenReport], case: str) -> None:
    found = report(SOUND[case](Ehr()))
    assert found.accepted
    assert found.lines()[0].startswith("accepted (client https://ehr.north.example of site north).")


@pytest.mark.parametrize("case", [case for case in ATTACKS if case != "empty"])
def test_the_first_reason_is_the_one_in_the_log_of_the_service(report: Callable[[str], TokenReport], case: str) -> None:
    why, make = ATTACKS[case]
    found = report(make(Ehr()))
    assert not found.accepted
    assert found.refusals[0].word == why
    assert all(len(line) < 1000 and line.isascii() for line in found.lines())


EXPECTED: dict[str, tuple[Made, str]] = {
    "audience": (
        lambda ehr: at_main(ehr, aud="https://other.example/x"),
        f'Claim aud is "https://other.example/x". Expected: "{CALLED}" (CDS_PUBLIC_URL and the path that is called).',
    ),
    "clock behind": (
        lambda ehr: at_main(ehr, iat=NOW - 900, exp=NOW - 600),
        f"Claim exp is {NOW - 600}: the token expired 600 s ago. The leeway of this client is 60 s. It is {NOW} here.",
    ),
    "clock ahead": (lambda ehr: at_main(ehr, iat=NOW + 600, exp=NOW + 900), "600 s in the future"),
    "kid": (
        lambda ehr: at_main(ehr, header={"kid": "north-2"}),
        'kid is "north-2". The key set of this client has: "north-1", "north-rsa".',
    ),
    "kid for another algorithm": (
        lambda ehr: at_main(ehr, header={"alg": "RS384"}),
        'The key "north-1" is for ES384, not for the algorithm "RS384".',
    ),
    "algorithm": (lambda ehr: at_main(ehr, header={"alg": "HS256"}), 'alg is "HS256". This client may use ES384, RS384'),
    "typ": (lambda ehr: at_main(ehr, header={"typ": DROP}), 'typ is missing. Expected: "JWT".'),
    "jku": (
        lambda ehr: at_main(ehr, header={"jku": "https://evil.example/k?secret=1"}),
        f'jku is "https://evil.example/k?...". Registered is "{JKU}", letter by letter.',
    ),
    "signature": (lambda ehr: at_main(ehr, key=EVIL), "The signature does not belong to this header and these claims"),
    "lifetime": (
        lambda ehr: at_main(ehr, exp=NOW + 1200),
        "The token lives 1200 s (exp - iat). Allowed: more than 0, at most 900 s",
    ),
    "times as text": (lambda ehr: at_main(ehr, exp=str(NOW)), "Expected: seconds since 1970, as a number."),
    "claim missing": (lambda ehr: at_main(ehr, jti=DROP), "Claim jti is missing."),
    "issuer": (
        lambda ehr: at_main(ehr, iss="x"),
        'Claim iss is "x". The site files have: "https://ehr.north.example", letter by letter.',
    ),
    "tenant": (lambda ehr: at_main(ehr, tenant="x"), 'Claim tenant is "x". The site files have for this iss: "main".'),
    "not a token": (lambda _: "abc.def", "It has 2 parts between dots; 3 are expected."),
    "nothing": (lambda _: "", "There is no token."),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_a_reason_says_what_the_token_has_and_what_is_expected(report: Callable[[str], TokenReport], case: str) -> None:
    make, text = EXPECTED[case]
    assert text in "\n".join(report(make(Ehr())).lines())


def test_all_reasons_are_told_at_once(report: Callable[[str], TokenReport]) -> None:
    """Four independent ones; the signature is not checked, because the key is unknown."""
    found = report(
        at_main(Ehr(), header={"kid": "north-2"}, aud="https://other.example", iat=NOW - 900, exp=NOW - 600, jti=DROP)
    )
    assert [refusal.word.value for refusal in found.refusals] == ["unknown key", "claims", "another audience", "expired"]
    assert found.not_checked == ("signature",)


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "Authorization: Bearer {}\n", "  {}\n\n"])
def test_the_token_may_come_with_its_header(report: Callable[[str], TokenReport], form: str) -> None:
    assert report(form.format(at_main(Ehr()))).accepted


def test_a_checked_token_can_still_be_used_and_a_used_one_is_told(tmp_path: Path) -> None:
    door, ehr = open_door(tmp_path, NORTH), Ehr()
    settings = Settings(sites=(tmp_path / "0.toml",), public_urls=(BASE,), database=f"sqlite:///{door.database}")
    sites, token = served_sites(settings), at_main(ehr)
    assert check_token(token, SERVICE, sites, settings, NOW).accepted
    assert check_token(token, SERVICE, sites, settings, NOW).accepted
    assert door.seen() == 0
    assert door.call(bearer(token)).status_code == 200
    used = check_token(token, SERVICE, sites, settings, NOW)
    assert [refusal.word.value for refusal in used.refusals] == ["seen before"]
    later = check_token(token, SERVICE, sites, settings, NOW + 400)
    assert [refusal.word.value for refusal in later.refusals] == ["expired", "seen before"]
    assert door.seen() == 1


def test_a_token_is_never_examined_with_a_ledger_that_would_record_it(tmp_path: Path) -> None:
    callers = Callers([], [BASE], open_ledger(f"sqlite:///{tmp_path}/ledger.db"), fetch_keys)
    with pytest.raises(TypeError):
        callers.list_refusals("Bearer x", SERVICE, NOW)


def test_only_the_command_line_can_reach_the_checks() -> None:
    for module in ("token_check", "site_check", "server_check"):
        importers = {name for name in MODULES if f"cds_service.sites.{module}" in ours(name)}
        assert importers <= {"cds_service.cli.integration_checks", "cds_service.sites.server_check"}, importers
    assert {name for name in MODULES if "cds_service.cli.integration_checks" in ours(name)} == {"cds_service.cli.main"}


@pytest.fixture
def server() -> Iterator[Listener]:
    with listener() as server:
        server.serve_keys(ec_key().jwk)
        yield server


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, site: str, token: str, *more: str, **environment: str) -> int:
    (folder / "north.toml").write_text(site, "utf-8")
    for name, value in {"CDS_PUBLIC_URL": BASE, "CDS_DATABASE": f"sqlite:///{folder}/ledger.db", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO(token))
    return main(["check-token", "--site", str(folder / "north.toml"), *more])


def test_the_command_fetches_keys_and_answers_by_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    ehr, site = Ehr(now=time.time()), site_file(fhir=server.fhir, jku=server.jku)
    assert run(monkeypatch, tmp_path, site, ehr.token()) == 0
    assert "Nothing was recorded" in capsys.readouterr().out
    assert not (tmp_path / "ledger.db").exists()
    assert run(monkeypatch, tmp_path, site, ehr.token(), "--path", "/cds-services") == 1
    assert f'Expected: "{BASE}/cds-services"' in capsys.readouterr().out
    server.status = 500
    assert run(monkeypatch, tmp_path, site, ehr.token()) == 1
    out = capsys.readouterr().out
    assert "refused with 503" in out
    assert f"could not be read from {server.address} (status-not-ok)" in out


@pytest.mark.parametrize(
    ("site", "environment", "told"),
    [
        (site_file(), {}, "at least one of jku, keys"),
        (NORTH, {"CDS_PUBLIC_URL": ""}, "CDS_PUBLIC_URL"),
        (NORTH, {"CDS_PUBLIC_URL": "ftp://x"}, "CDS_PUBLIC_URL"),
        (NORTH, {"CDS_DATABASE": "mysql://x"}, "CDS_DATABASE"),
        ('[site]\nid = "north"\ntitle = "North"\nauthenticated_by_proxy = true\n', {}, "has no [[client]]"),
    ],
)
def test_an_unusable_site_or_setting_is_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], site: str, environment: Any, told: str
) -> None:
    assert run(monkeypatch, tmp_path, site, "x", **environment) == 2
    assert told in capsys.readouterr().err
