"""The try-it page in Chromium with the real server, used by mouse, keyboard and screen reader."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.conftest import folder_of
from tests.support.browser import CHROMIUM
from tests.support.servers import free_port

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESKTOP = (360, 740), (1280, 900)
ARTERIAL = "Midgut NET G2, unresectable liver-dominant disease, all four arterial contraindications excluded"
MOVED = "Arterial therapy was consider →, now contraindicated was consider →, now contraindicated"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the service as `make run` does, on a free port, and yield its URL."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "cds_service", "serve", "--port", str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            _wait(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert "arterial" not in log.read_text(), "the log names the example"


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the server does not answer")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, server: str) -> Iterator[Open]:
    """Return a function that opens pages. An unexpected request to another server, console error or policy violation fails the
    test."""
    faults: list[str] = []
    expected: list[str] = []
    contexts = []

    def open_(path: str = "/", size: tuple[int, int] = DESKTOP, expect_status: int = 0, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('policy broken: ' + e.violatedDirective))"
        )
        page = context.new_page()
        page.set_default_timeout(10_000)
        if expect_status:
            expected.append(f"status of {expect_status}")
        page.on("request", lambda request: None if request.url.startswith(server) else faults.append(request.url))
        page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(server + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [fault for fault in faults if not any(words in fault for words in expected)]


def row(page: Page, treatment: str) -> str:
    """Return the text of a row. Reads cell by cell, as the line breaks in Chromium's inner_text vary between runs."""
    found = page.locator(".verdict-table tbody tr", has_text=treatment)
    expect(found).to_be_visible()
    return " ".join(" ".join(cell.split()) for cell in found.locator("th, td").all_text_contents())


def test_chosen_example_shows_cards_stage_and_reasons(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Example").select_option(label=ARTERIAL)
    page.get_by_role("button", name="Show the cards").first.click()
    card = page.get_by_role("article").first
    expect(card.get_by_role("heading")).to_contain_text("unresectable: crisis plan first")
    expect(card).to_contain_text("Information")
    assert card.evaluate("e => e.clientWidth") <= 420
    expect(card.locator(".with-links")).to_be_hidden()
    card.get_by_text("View more").click()
    expect(card.get_by_role("link", name="Reddy & Clary 2010").first).to_have_attribute("rel", "noopener noreferrer")
    expect(page.locator(".stage")).to_contain_text("IV, M1c (liver and elsewhere)")
    expect(page.locator(".moved-dates")).to_contain_text("All its dates are moved by")
    page.get_by_role("link", name="Arterial therapy", exact=True).click()
    expect(page.locator("#reasons-hepatic-arterial-therapy")).to_contain_text("Portal vein: patent (met if occluded)")
    expect(page.locator("#ignored-title + h3")).to_have_text("Left out")


def test_control_moves_a_verdict_in_place_and_says_so(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-candidate")
    assert row(page, "Arterial therapy") == "Arterial therapy consider consider"
    control = page.get_by_label("Portal vein", exact=True)
    control.focus()
    control.select_option("occluded")
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    assert row(page, "Arterial therapy") == MOVED
    expect(control).to_be_focused()
    expect(page.locator("#announce")).to_contain_text("Arterial therapy, with later evidence: consider, now contraindicated.")
    expect(page.get_by_role("article").filter(has_text="Warning")).to_contain_text("Arterial therapy: contraindicated")
    page.get_by_role("button", name="Back to the chart").click()
    expect(page.get_by_role("heading", name="Verdicts")).to_be_visible()
    assert row(page, "Arterial therapy") == "Arterial therapy consider consider"


def test_links_are_stripped_from_the_text_by_a_switch(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-candidate")
    page.locator("#detail-1 > summary").click()
    detail = page.locator("#detail-1")
    expect(detail.get_by_role("link", name="Reddy & Clary 2010").first).to_be_visible()
    page.get_by_label("Strip the links").check()
    expect(detail.get_by_role("link")).to_have_count(0)
    expect(detail).to_contain_text("Reddy & Clary 2010")
    page.get_by_label("Portal vein", exact=True).select_option("occluded")
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    expect(page.locator("#detail-1").get_by_role("link")).to_have_count(0)


def test_a_change_is_one_request(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-candidate")
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.method) if request.method == "POST" else None)
    inr = page.get_by_label("INR", exact=True)
    inr.fill("2.4")
    expect(page.locator(".supposed")).to_contain_text("INR 2.4")
    inr.blur()
    page.wait_for_timeout(700)
    assert posted == ["POST"]


def test_a_fact_is_found_changed_and_its_effect_on_others_is_shown(open_page: Open) -> None:
    page = open_page("/?fixture=almost-nothing-known")
    expect(page.locator("#decides-portal_vein")).to_contain_text("Arterial therapy")
    before = page.locator("#count-tumour").inner_text()
    page.get_by_label("Find a fact").fill("ki-67")
    expect(page.get_by_label("Ki-67 index")).to_be_visible()
    expect(page.get_by_label("INR", exact=True)).to_be_hidden()
    page.get_by_label("Ki-67 index").fill("70")
    expect(page.locator(".supposed")).to_contain_text("Ki-67 index 70 %")
    expect(page.locator("#count-tumour")).not_to_have_text(before)
    expect(page.get_by_label("INR", exact=True)).to_be_hidden()
    page.get_by_label("Find a fact").fill("no such fact")
    expect(page.get_by_text("No fact has these words.")).to_be_visible()
    page.get_by_label("Find a fact").fill("")
    page.get_by_label("Only facts that would decide").check()
    assert all(page.locator(".control:not([hidden]) .decides").all_inner_texts())


def test_an_order_is_drafted_and_judged_as_before_signing(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-portal-vein-occluded")
    page.get_by_label("Draft an order").select_option("embolization")
    cards = page.locator("#order-cards")
    expect(cards.get_by_role("heading", name="Before signing: Embolization")).to_be_visible()
    expect(cards.get_by_role("article")).to_contain_text("Critical")
    page.get_by_label("Portal vein", exact=True).select_option("patent")
    expect(cards).not_to_contain_text("Critical")


def test_number_out_of_range_is_reported_beside_its_control(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-candidate", expect_status=400)
    page.get_by_label("INR").fill("900")
    expect(page.locator("#fault-inr")).to_contain_text("INR must be a number from")
    expect(page.get_by_label("INR")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("INR").fill("2.4")
    expect(page.locator("#fault-inr")).to_be_empty()
    expect(page.locator(".supposed")).to_contain_text("INR 2.4")


def test_what_the_reader_opened_stays_open(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-candidate")
    page.locator("#why-resection > summary").click()
    page.get_by_label("Portal vein", exact=True).select_option("occluded")
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    expect(page.locator("#reasons-resection")).to_be_visible()


def test_pasted_garbage_gets_a_clear_message_and_can_be_edited(open_page: Open) -> None:
    page = open_page(expect_status=400)
    page.get_by_text("Paste or upload").click()
    page.get_by_label("A FHIR R4 Bundle").fill("this is no chart")
    page.locator("#own button").click()
    expect(page.get_by_role("alert")).to_contain_text("the input is not JSON: line 1, column 1")
    expect(page.get_by_label("A FHIR R4 Bundle")).to_have_value("this is no chart")


def test_pasted_chart_can_be_changed_too(open_page: Open) -> None:
    page = open_page()
    page.get_by_text("Paste or upload").click()
    chart = folder_of("arterial-candidate") / "chart.json"
    page.get_by_label("or a file").set_input_files(chart)
    page.locator("#own button").click()
    expect(page.get_by_role("heading", name="Your chart")).to_be_visible()
    page.get_by_label("Disease outside the liver").select_option("none")
    expect(page.locator(".supposed")).to_contain_text("Disease outside the liver none, as of today")


def test_a_choice_made_before_the_script_runs_is_applied(open_page: Open) -> None:
    page = open_page()
    held: list[Route] = []
    page.route("**/try-it.js", lambda route: held.append(route))
    page.goto(page.url + "?fixture=arterial-candidate", wait_until="commit")
    page.get_by_label("Portal vein", exact=True).select_option("occluded")
    expect(page.get_by_role("heading", name="Verdicts")).to_be_visible()
    held[0].continue_()
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    assert row(page, "Arterial therapy") == MOVED


def test_works_without_javascript(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    page.get_by_label("Example").select_option(label=ARTERIAL)
    page.get_by_role("button", name="Show the cards").first.click()
    page.get_by_label("Portal vein", exact=True).select_option("occluded")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    assert row(page, "Arterial therapy") == MOVED
    expect(page.get_by_label("Portal vein", exact=True)).to_have_value("occluded")


def test_works_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Example")).to_be_focused()
    page.keyboard.type("Midgut NET G2")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").first).to_be_visible()
    portal_vein = page.get_by_label("Portal vein", exact=True)
    for _ in range(25):
        page.keyboard.press("Tab")
        if portal_vein.evaluate("element => element === document.activeElement"):
            break
    assert portal_vein.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.type("occ")
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    expect(portal_vein).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_no_serious_fault_of_accessibility(open_page: Open, size: tuple[int, int], scheme: str) -> None:
    page = open_page("/", size, expect_status=400, color_scheme=scheme)
    assert not serious_faults(page), "start"
    page.get_by_text("Paste or upload").click()
    page.get_by_label("A FHIR R4 Bundle").fill("[]")
    page.locator("#own button").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert not serious_faults(page), "refused"
    page.get_by_label("Example").select_option(label=ARTERIAL)
    page.get_by_role("button", name="Show the cards").first.click()
    page.get_by_label("Portal vein", exact=True).select_option("occluded")
    page.get_by_label("INR").fill("900")
    expect(page.locator("#fault-inr")).not_to_be_empty()
    expect(page.get_by_role("heading", name="What moved")).to_be_visible()
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert not serious_faults(page), "changed, everything open"


def serious_faults(page: Page) -> list[str]:
    """Return the serious and critical violations that axe-core finds. Runs it by evaluate, as the page's policy allows no other
    script."""
    page.evaluate(Path(os.environ["AXE_CORE"]).read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("width", [320, 768, 2000])
def test_nothing_is_wider_than_the_screen(open_page: Open, width: int) -> None:
    page = open_page("/?fixture=arterial-candidate", (width, 800))
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
