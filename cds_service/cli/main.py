"""The commands: serve, cards FILE, request FILE, coverage PATHS…, knowledge, prefetch, check-site, check-token.

`check-site --site FILE` tries everything that a site needs before it goes live.
`check-token --site FILE < TOKEN` prints every reason why a client's token is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import msgspec

from cds_service import gunicorn_server, knowledge
from cds_service.app import create_app, current_date
from cds_service.cards.card import Card
from cds_service.cards.wording import describe_left_out, safe_explanation, safe_text
from cds_service.cli import integration_checks, terminology_export
from cds_service.cli.install_sheet import EHR_NAMES, install_sheet
from cds_service.cli.listening import check_listening, describe_access, describe_evidence
from cds_service.coverage import command as coverage
from cds_service.errors import CdsError, ChartError
from cds_service.fhir.chart_files import ChartFile, build_request, read_file, story_date
from cds_service.fhir.queries import build_queries
from cds_service.hooks import SERVICES, patient_view
from cds_service.hooks.request import parse_request
from cds_service.rulebook import due_list, render_html, render_markdown, rule_book, rule_book_pages
from cds_service.settings import Settings
from cds_service.sites import Site, development_site
from cds_service.sites.loader import read_site
from cds_service.sites.registry import SANDBOX, link_evidence, open_registry


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. Raises ValueError for a setting that cannot be used."""
    parser = argparse.ArgumentParser(prog="cds-service", description="CDS Hooks for neuroendocrine liver metastases")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start the service")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    serve.add_argument("--port", type=int, default=8080)
    callers = serve.add_mutually_exclusive_group()
    callers.add_argument("--site", type=Path, action="append", metavar="FILE", help="a site file (default: this machine only)")
    callers.add_argument("--profile", choices=[SANDBOX], default="", help="admit only the public CDS Hooks sandbox")
    for name, words in (
        ("cards", "print the cards of a chart or request"),
        ("request", "make a hook request from a chart"),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("file", type=Path, help="a FHIR Bundle, a FHIR resource or a CDS Hooks request, as JSON")
        command.add_argument("--as-of", type=date.fromisoformat, metavar="DATE", help="the day of the cards (default: today)")
        if name == "cards":
            command.add_argument("--json", action="store_true", help="the answer as JSON")
            command.add_argument("--site", type=Path, metavar="FILE", help="judge with this site file")
    coverage.declare_options(
        commands.add_parser("coverage", help="report what the service reads of a site's charts, and what it ignores")
    )
    book = commands.add_parser("knowledge", help="print the rule book, write it as a page, or export its codes as FHIR R4")
    book.add_argument("--html", type=Path, metavar="FILE", help="write it as one self-contained HTML page")
    book.add_argument("--due", type=date.fromisoformat, nargs="?", const=current_date(), metavar="DATE",
                      help="list only what has to be reviewed by then (default: today)")  # fmt: skip
    book.add_argument("--site", type=Path, metavar="FILE", help="with the codes, choices and signature of this site file")
    book.add_argument("--fhir", type=Path, metavar="DIR", help="write CodeSystem, ValueSets and ConceptMap into a folder")
    sheet = commands.add_parser("prefetch", help="print what to type into an EHR that does not read discovery")
    sheet.add_argument("--for", dest="ehr", choices=EHR_NAMES, default="generic")
    sheet.add_argument("--site", type=Path, metavar="FILE", help="with the codes of this site file")
    integration_checks.declare_check_site(
        commands.add_parser("check-site", help="try everything that a site needs before it goes live, and print all faults")
    )
    integration_checks.declare_check_token(
        commands.add_parser("check-token", help="why a client's token, on standard input, is refused, and what is expected")
    )
    chosen = parser.parse_args(arguments)
    try:
        match chosen.command:
            case "serve":
                return _serve(chosen.host, chosen.port, tuple(chosen.site or ()), chosen.profile)
            case "cards":
                return _cards(chosen.file, chosen.as_of, chosen.json, _site(chosen.site))
            case "request":
                return _request(chosen.file, chosen.as_of)
            case "coverage":
                return coverage.run_survey(chosen, _site(chosen.site).knowledge, current_date())
            case "knowledge" if chosen.fhir:
                return terminology_export.write_export(_site(chosen.site).knowledge, chosen.fhir)
            case "knowledge":
                return _knowledge(_site(chosen.site), chosen.html, chosen.due)
            case "prefetch":
                hooks = {service.id: service.hook for service in SERVICES.values()}
                print(install_sheet(_site(chosen.site).knowledge, chosen.ehr, hooks))
                return 0
            case "check-site":
                return integration_checks.run_check_site(chosen)
            case "check-token":
                return integration_checks.run_check_token(chosen)
    except ChartError as error:
        print(error, file=sys.stderr)
        return 1
    except CdsError as error:
        print(error.text, *(f"  {fault}" for fault in error.faults), sep="\n", file=sys.stderr)
        return 1
    return 0


def _knowledge(site: Site, page: Path | None, due: date | None) -> int:
    """Print the rule book of a site or what is due for review, or write the rule book to `page`. Raises ChartError."""
    if due:
        print(due_list(site.knowledge, due))
        return 0
    book = rule_book(site.knowledge)
    if page is None:
        print(render_markdown(book))
        return 0
    try:
        page.write_text(render_html(book), "utf-8")
    except OSError as error:
        raise ChartError(f"{page} cannot be written ({error.strerror})") from None
    print(f"{page}: the rule book, to open in a browser or to print", file=sys.stderr)
    return 0


def _site(file: Path | None) -> Site:
    """Return the site of a file, or the development site. Its cards link to evidence pages if CDS_PUBLIC_URL is set. Raises
    SiteError."""
    site = read_site(file, current_date()) if file else development_site()
    return link_evidence(site, Settings.from_environment())


def _serve(host: str, port: int, sites: tuple[Path, ...], profile: str) -> int:
    settings = Settings.from_environment()
    settings = check_listening(replace(settings, sites=sites or settings.sites, profile=profile), host, port)
    registry = open_registry(settings, current_date())  # before workers start, so that every fault is reported here
    for site in registry.sites:
        patient_view.prepare(site.knowledge, current_date())  # workers inherit it when they fork
        rule_book_pages(site.knowledge)
    at = gunicorn_server.format_address(host, port)
    print(describe_access(registry, settings), describe_evidence(registry, settings), sep="\n", file=sys.stderr)
    page = f", page: http://{at}/" if settings.shows_pages() else ""
    print(f"CDS Hooks discovery: http://{at}/cds-services{page}", file=sys.stderr, flush=True)
    gunicorn_server.run_server(create_app(settings, registry=registry), at)
    return 0


def _cards(path: Path, as_of: date | None, as_json: bool, site: Site) -> int:
    content = read_file(path)
    day = as_of or (story_date(path) if isinstance(content, ChartFile) else None) or current_date()
    if isinstance(content, ChartFile):
        chart = content.chart()
        cards = patient_view.cards_of_chart(chart, site.knowledge, day, "command-line", site.evidence_url)
        if not (chart.conditions or chart.observations) and any(chart.left_out.values()):
            told = ", ".join(f"{count} × {why}" for why, count in sorted(describe_left_out(chart.left_out).items()))
            print(f"left out: {told}", file=sys.stderr)
        for _, broken in chart.unreadable:
            print(f"could not be read: {safe_text(broken.seen_in)}: {safe_explanation(broken.why)}", file=sys.stderr)
    else:
        service = next(iter(SERVICES.values()))
        cards = service.answer(parse_request(content, service.hook), site, day).cards
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"cards": cards}), indent=1).decode())
    else:
        print(_text(cards, day))
    return 0


def _text(cards: list[Card], day: date) -> str:
    """Return the cards as text for a terminal."""
    if not cards:
        return f"No card: no neuroendocrine liver metastases in this chart (as of {day})."
    parts = [f"{len(cards)} {'card' if len(cards) == 1 else 'cards'}, as of {day}"]
    for card in cards:
        parts.append(f"━━ {card.indicator.upper()} · {card.kind} ━━\n{card.summary}\n\n{card.detail.replace('**', '')}")
        parts += [f"Suggestion: {suggestion.label}" for suggestion in card.suggestions]
        parts.append(f"Source: {card.source.label}" + "".join(f"\n  {link.label}\n    {link.url}" for link in card.links))
    return "\n\n".join(parts)


def _request(path: Path, as_of: date | None) -> int:
    """Print a hook request. The dates of a fixture are moved to today, which standard error reports."""
    content = read_file(path)
    if not isinstance(content, ChartFile):
        raise ChartError(f"{path} is already a hook request")
    if content.chart().patient_id is None:
        raise ChartError(f"{path} has no Patient, and its resources have no common subject: it is unknown whose chart it is")
    then = as_of or story_date(path)
    shift = current_date() - then if then else timedelta(0)
    if shift:
        print(f"dates moved by {shift.days} days, from {then} to today", file=sys.stderr)
    print(json.dumps(build_request(content, shift, str(uuid.uuid4()), build_queries(knowledge.load())), ensure_ascii=False))
    return 0
