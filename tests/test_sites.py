"""A site file is read whole or refused whole, with every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds_service.errors import SiteError
from cds_service.sites import development
from cds_service.sites.loader import read_site, read_sites

LEAST = '[site]\nid = "north"\ntitle = "North Hospital"\n'


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
    assert not site.reach.origins
    assert not site.reach.loopback


def test_without_a_site_file_only_this_machine_is_called() -> None:
    reach = development().reach
    assert reach.loopback
    assert not reach.origins
    assert not reach.networks


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "north.toml: top level: found 'site' is a required property"),
        ("[site]\nid = 1", "north.toml: site.id: found 1 is not of type 'string'"),
        (LEAST + "[fihr]\norigins = []", "('fihr' was unexpected)"),
        (LEAST + '[fhir]\norigins = ["fhir.example"]', "north.toml: fhir.origins.0: found 'fhir.example' does not match"),
        (
            LEAST + '[fhir]\norigins = ["https://fhir.example/r4"]',
            "north.toml: fhir.origins.0: found 'https://fhir.example/r4'",
        ),
        (
            LEAST + '[fhir]\norigins = ["http://fhir.example"]',
            "allowed: https; http only for this machine, with loopback = true",
        ),
        (LEAST + '[fhir]\norigins = ["http://127.0.0.1:8080"]', "allowed: https; http only for this machine"),
        (
            LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["10.1.2.3/8"]',
            "allowed: a network such as 10.20.0.0/16",
        ),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["127.0.0.0/8"]', "loopback and link-local ones are no"),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["169.254.0.0/16"]', "allowed: a private network"),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nnetworks = ["0.0.0.0/0"]', "allowed: a private network"),
        (LEAST + '[fhir]\norigins = ["https://a.example"]\nseconds = 60', "north.toml: fhir.seconds: found 60"),
        (LEAST + "[site]", "north.toml"),
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
