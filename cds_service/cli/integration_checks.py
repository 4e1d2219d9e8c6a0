"""`check-token` and `check-site`: an integrator runs them on the machine of the service. HTTP cannot reach them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cds_service.app import current_date
from cds_service.errors import SiteError
from cds_service.hooks import SERVICES
from cds_service.settings import Settings
from cds_service.sites import Site
from cds_service.sites.registry import served_sites
from cds_service.sites.server_check import ServerAccess, check_servers
from cds_service.sites.site_check import (
    Check,
    Outcome,
    check_clients,
    check_database,
    check_public_url,
    report_fault,
    report_ok,
)
from cds_service.sites.token_check import check_token

ACCEPTED, REFUSED, UNUSABLE = 0, 1, 2
"""Exit status: nothing wrong; something wrong; a site file, a setting or an option that cannot be used."""
SERVICE_PATH = f"/cds-services/{next(iter(SERVICES))}"
MAX_INPUT_CHARS = 100_000


def declare_check_token(command: argparse.ArgumentParser) -> None:
    """Declare the options of `check-token`."""
    command.add_argument("--site", type=Path, action="append", metavar="FILE", required=True, help="a site file of the service")
    command.add_argument("--path", default=SERVICE_PATH, help=f"the path that the client calls (default: {SERVICE_PATH})")


def declare_check_site(command: argparse.ArgumentParser) -> None:
    """Declare the options of `check-site`."""
    command.add_argument("--site", type=Path, action="append", metavar="FILE", required=True, help="a site file of the service")
    command.add_argument("--fhir-base", action="append", default=[], metavar="URL",
                         help="a FHIR base address, as in fhirServer of a request (default: each of fhir.origins)")  # fmt: skip
    command.add_argument("--patient", default="", metavar="ID", help="a test patient (default: an id that no patient has)")
    command.add_argument("--fhir-token-file", type=Path, metavar="FILE",
                         help="a file with an access token of the FHIR server (or CDS_FHIR_TOKEN)")  # fmt: skip


def run_check_token(chosen: argparse.Namespace) -> int:
    """Read a token from standard input and print why the service would refuse it. Return 0, 1 or 2."""
    try:
        settings = replace(Settings.from_environment(), sites=tuple(chosen.site))
        sites = served_sites(settings, current_date())
        if sys.stdin.isatty():
            print("Paste the token, then press Ctrl-D.", file=sys.stderr)
        report = check_token(sys.stdin.read(MAX_INPUT_CHARS), chosen.path, sites, settings, time.time())
    except (SiteError, ValueError) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    print("\n".join(report.lines()))
    return ACCEPTED if report.accepted else REFUSED


def run_check_site(chosen: argparse.Namespace) -> int:
    """Try everything that the site needs, and print a line for each check when it is done. Return 0, 1 or 2."""
    try:
        settings = replace(Settings.from_environment(), sites=tuple(chosen.site))
        token = _read_token(chosen.fhir_token_file, settings)
    except ValueError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    access = ServerAccess(tuple(chosen.fhir_base), token, chosen.patient, settings.proxy_variables)
    counts = dict.fromkeys(Outcome, 0)

    def print_checks(checks: Iterable[Check]) -> None:
        for check in checks:
            counts[check.outcome] += 1
            print(check, flush=True)

    sites: tuple[Site, ...] = ()
    try:
        sites = served_sites(settings, current_date())
        print_checks(
            report_ok(file.name, f"is a valid site file ({_contents(site)})")
            for file, site in zip(chosen.site, sites, strict=True)
        )
    except SiteError as error:
        print_checks(report_fault(fault.where, fault.problem) for fault in error.faults)
    print_checks(check_public_url(settings, sites, SERVICE_PATH))
    print_checks(check_database(settings))
    for site in sites:
        print_checks(check_clients(site, settings.proxy_variables))
    print_checks(check_servers(sites, access))
    faults = counts[Outcome.FAULT]
    print(f"{faults} fault{'s'[: faults != 1]}, {counts[Outcome.OK]} checks passed, {counts[Outcome.SKIPPED]} skipped")
    if not sites:
        return UNUSABLE
    return REFUSED if faults else ACCEPTED


def _contents(site: Site) -> str:
    clients, servers = len(site.clients), len(site.policy.origins)
    return f"site {site.id}, {clients} client{'s'[: clients != 1]}, {servers} FHIR server{'s'[: servers != 1]}"


def _read_token(file: Path | None, settings: Settings) -> str:
    """Return the access token; "" without one. Raises ValueError, which never repeats it."""
    try:
        token = file.read_text("utf-8").strip() if file else settings.fhir_token
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--fhir-token-file {file}: it cannot be read ({type(error).__name__})") from None
    token = token.removeprefix("Bearer ").strip()
    if (file and not token) or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"{'--fhir-token-file' if file else 'CDS_FHIR_TOKEN'}: it is no access token on one line")
    return token
