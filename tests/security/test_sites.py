"""A site file is used completely, or rejected with all its faults."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from cds_service.errors import SiteError
from cds_service.outbound.policy import is_origin_allowed, origin_of
from cds_service.sites import development_site
from cds_service.sites.loader import read_site, read_sites

LEAST = '[site]\nid = "north"\ntitle = "North Hospital"\n'
FHIR = LEAST + '[fhir]\norigins = ["https://a.example"]\n'
JKU = LEAST + '[[client]]\niss = "x"\njku = "{}"\n'


def faults(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "north.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(SiteError) as caught:
        read_site(file)
    return [str(fault) for fault in caught.value.faults]


def test_a_site_without_fhir_servers_calls_nobody(tmp_path: Path) -> None:
    file = tmp_path / "north.toml"
    file.write_text(LEAST, "utf-8")
    site = read_site(file)
    assert (site.id, site.title) == ("north", "North Hospital")
    assert not site.policy.origins
    assert not site.policy.loopback


def test_without_a_site_file_only_this_machine_is_called() -> None:
    policy = development_site().policy
    assert policy.loopback
    assert not policy.origins
    assert not policy.networks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "north.toml: site is required"),
        ("[site]\nid = 1", "north.toml: site.id must be text, not 1"),
        (LEAST + "[fihr]\norigins = []", 'north.toml: fihr is not a known key; did you mean "fhir"? Allowed: '),
        (
            LEAST + '[fhir]\norigins = ["fhir.example"]',
            "north.toml: fhir.origins.1 is 'fhir.example'; it must be scheme, host and port in lower case",
        ),
        (
            LEAST + '[fhir]\norigins = ["https://fhir.example/r4"]',
            "north.toml: fhir.origins.1 is 'https://fhir.example/r4'",
        ),
        (
            LEAST + '[fhir]\norigins = ["http://fhir.example"]',
            "and must be https; http is only for this machine, with loopback = true",
        ),
        (LEAST + '[fhir]\norigins = ["http://127.0.0.1:8080"]', "and must be https; http is only for this machine"),
        (
            LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["10.1.2.3/8"]',
            "fhir.networks.1 is '10.1.2.3/8', and must be a network such as 10.20.0.0/16",
        ),
        (
            LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["127.0.0.0/8"]',
            "must be a private network that is neither loopback nor link-local",
        ),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["169.254.0.0/16"]', "and must be a private network"),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["0.0.0.0/0"]', "and must be a private network"),
        (
            LEAST + '[fhir]\norigins = ["https://a.example"]\nseconds = 60',
            "north.toml: fhir.seconds must be at most 10, not 60",
        ),
        (LEAST + "[site]", "north.toml"),
        (LEAST + "authenticated_by_proxy = false", "site.authenticated_by_proxy must be true, not false"),
        (
            LEAST + '[fhir]\norigins = ["https://a.example:99999"]',
            "fhir.origins.1 is 'https://a.example:99999', which cannot be called",
        ),
        (FHIR + "seconds = nan", "north.toml: fhir.seconds must be a number from 0.1 to 10, not nan"),
        (FHIR + "seconds = inf", "north.toml: fhir.seconds must be at most 10, not inf"),
        (
            FHIR + 'ca_file = "north.toml"',
            "north.toml: fhir.ca_file is 'north.toml', which holds no certificates (PEM)",
        ),
        (JKU.format("https://a.example:99999/jwks.json"), "client.1.jku cannot be called"),
        (JKU.format("https://a.example:0/jwks.json"), "client.1.jku cannot be called"),
        (JKU.format("https://a..example/jwks.json"), "client.1.jku cannot be called"),
        (JKU.format("https://[::1/jwks.json"), "client.1.jku cannot be called"),
        (JKU.format("https://u:hush@a.example/jwks.json"), 'client.1.jku is text with "@" (not repeated'),
        ("x = " + "[" * 5_000, "north.toml has tables that are nested too deeply to be read"),
        (".".join("a" * 5_000) + " = 1", "north.toml has tables that are nested too deeply to be read"),
        (LEAST + "[" + ".".join("a" * 5_000) + "]", "north.toml has tables that are nested too deeply to be read"),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nopen = "yes"', "fhir.open must be true or false, not 'yes'"),
        (LEAST + "[[client]]\niss = 'x'", "client.1 must have at least one of jku, keys"),
        (LEAST + "[client]\niss = 'x'", "north.toml: client must be a list, not a table"),
        (LEAST.replace("north", "North", 1), "must be lower-case letters, digits and hyphens, at most 40, such as north"),
    ],
)
def test_a_fault_of_a_site_file_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    found = faults(tmp_path, text)
    assert any(told in fault for fault in found), found


def test_all_faults_of_a_site_file_are_told_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, '[site]\nid = "North"\n[fhir]\norigins = ["http://a.example", "ftp://b.example"]\nseconds = 0\n')
    assert len(found) == 5, found


def test_two_site_files_of_one_id_and_a_missing_one_are_told_together(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(LEAST, "utf-8")
    with pytest.raises(SiteError) as caught:
        read_sites([tmp_path / "a.toml", tmp_path / "b.toml", tmp_path / "c.toml"])
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize("where", ["client", "fhir", "fhir twice"])
def test_no_fault_of_a_site_file_repeats_a_password_of_an_address(tmp_path: Path, where: str) -> None:
    address = "https://user:hush@a.example"
    text = {
        "client": JKU.format(f"{address}/jwks.json"),
        "fhir": FHIR.replace("https://a.example", address),
        "fhir twice": FHIR.replace('"https://a.example"', f'"{address}", "{address}"'),
    }
    found = faults(tmp_path, text[where])
    assert not any("hush" in fault for fault in found), found


def test_certificates_of_a_private_authority_are_read(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    file = tmp_path / "north.toml"
    file.write_text(FHIR + 'ca_file = "ca.pem"\n', "utf-8")
    assert read_site(file).policy.ca_file == tmp_path / "ca.pem"


def test_one_server_stands_in_one_site_only(tmp_path: Path) -> None:
    """In any spelling: otherwise a token of one site could be sent to a path of the other."""
    files = [tmp_path / "north.toml", tmp_path / "south.toml"]
    files[0].write_text(f'{LEAST}[fhir]\norigins = ["https://a.example", "https://b.example:443"]\n', "utf-8")
    files[1].write_text(
        LEAST.replace("north", "south") + '[fhir]\norigins = ["https://b.example", "https://c.example"]\n', "utf-8"
    )
    with pytest.raises(SiteError) as caught:
        read_sites(files)
    assert [str(fault) for fault in caught.value.faults] == [
        "fhir.origins has https://b.example in two sites (north, south); remove it from one, or run a service for each site"
    ]


def test_no_fault_of_a_site_file_is_in_the_words_of_the_schema_and_none_repeats_a_key(tmp_path: Path) -> None:
    text = (
        "[site]\nid = 1\ntitle = ''\nauthenticated_by_proxy = 1\nbanner = '<b>'\n[fhir]\norigins = []\nseconds = 99\nopen = 1\n"
        "[client]\niss = ''\nalgorithms = ['HS256']\n[client.secret]\nd = 'of-a-private-key'\n[windows]\n[units]\ninr = {}\n"
        "[wording]\nnote = 1\n[[code]]\nmeans = 'x'\n"
    )
    found = faults(tmp_path, text)
    assert len(found) > 10
    for fault in found:
        assert "schema" not in fault, fault
        assert "^" not in fault, fault
        assert "of-a-private-key" not in fault, fault


def test_an_origin_with_its_default_port_is_the_origin_without_it(tmp_path: Path) -> None:
    file = tmp_path / "north.toml"
    named = ("https://a.example:443", "https://a.example", "https://a.example:8443")
    file.write_text(f"{LEAST}[fhir]\norigins = {list(named)}\n", "utf-8")
    policy = read_site(file).policy
    assert policy.origins == ("https://a.example", "https://a.example:8443")
    assert is_origin_allowed(origin_of("https://a.example:443/r4/Patient/1"), policy)


SECOND_SPELLINGS = [
    "https://f.example.", "https://10.1.1", "https://167837953", "https://0x0a.1.0.1", "https://010.1.0.1",
    "https://[::ffff:10.1.0.1]", "https://[::ffff:a01:1]", "https://[::10.1.0.1]", "https://[::ffff:0:10.1.0.1]",
    "https://[64:ff9b::a01:1]", "https://[2002:a01:1::]",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SECOND_SPELLINGS)
def test_a_second_spelling_of_a_server_is_refused(tmp_path: Path, spelling: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(f'[site]\nid = "a"\ntitle = "A"\n[fhir]\norigins = ["{spelling}"]\n', "utf-8")
    with pytest.raises(SiteError, match="plain spelling"):
        read_site(file)


def test_two_spellings_of_one_address_are_one_server(tmp_path: Path) -> None:
    files = []
    for name, origin in (("a", "https://[fd00::1]"), ("b", "https://[fd00:0:0::1]")):
        files.append(tmp_path / f"{name}.toml")
        files[-1].write_text(f'[site]\nid = "{name}"\ntitle = "A"\n[fhir]\norigins = ["{origin}"]\n', "utf-8")
    with pytest.raises(SiteError, match="in two sites"):
        read_sites(files)


@pytest.mark.parametrize("network", ["240.0.0.0/4", "0.0.0.0/8", "::/96", "64:ff9b:1::/48"])
def test_a_network_that_no_hospital_has_is_refused(tmp_path: Path, network: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        f'[site]\nid = "a"\ntitle = "A"\n[fhir]\norigins = ["https://a.example"]\nnetworks = ["{network}"]\n', "utf-8"
    )
    with pytest.raises(SiteError, match="a private network"):
        read_site(file)


@pytest.mark.parametrize(
    "line",
    ['iss = " https://ehr.example"', 'iss = " "', 'iss = "i"\ntenants = ["a "]', 'iss = "i"\njku = "https://a.example/k#1"'],
)
def test_what_no_token_could_fit_is_told_at_the_start(tmp_path: Path, line: str) -> None:
    file = tmp_path / "site.toml"
    jku = "" if "jku" in line else 'jku = "https://a.example/k"'
    file.write_text(f'[site]\nid = "a"\ntitle = "A"\n[[client]]\n{line}\n{jku}\n', "utf-8")
    with pytest.raises(SiteError, match=r"must not begin or end with a blank|must not have a fragment"):
        read_site(file)
