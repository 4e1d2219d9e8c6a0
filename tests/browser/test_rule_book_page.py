"""The rule book's page in Chromium, opened from a file, as after it was sent by mail: on screen, on a phone, on paper."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from cds_service import knowledge
from cds_service.rulebook import render_html, rule_book
from tests.browser.test_try_it_page import ARGUMENTS, PHONE
from tests.support.browser import CHROMIUM


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Open the page. Fails if it requests anything else or if the browser logs anything."""
    file = tmp_path_factory.mktemp("book") / "rules.html"
    file.write_text(render_html(rule_book(knowledge.load())), "utf-8")
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page()
        page.on("request", lambda request: None if request.url == file.as_uri() else faults.append(request.url))
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(file.as_uri())
        yield page
        browser.close()
    assert faults == []


def test_the_style_sheet_is_let_in_by_the_policy_of_the_page(opened: Page) -> None:
    assert opened.locator(".status").evaluate("e => getComputedStyle(e).borderLeftStyle") == "solid"


def test_a_source_behind_a_criterion_is_one_click_away(opened: Page) -> None:
    opened.locator("#resection-indications").get_by_role("link", name="S019").click()
    assert opened.evaluate("location.hash") == "#S019"
    row = opened.locator("tr#S019")
    assert "the review advises resection for most patients" in row.inner_text()
    assert row.evaluate("e => e.getBoundingClientRect().top") < 800


def test_on_a_phone_nothing_but_the_tables_scrolls_sideways(opened: Page) -> None:
    before = opened.viewport_size
    opened.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert before
    opened.set_viewport_size(before)


def test_it_prints_on_numbered_pages(opened: Page, tmp_path: Path) -> None:
    printed = opened.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF-")
    assert 30 < printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page/") < 90


def test_axe_finds_nothing(opened: Page) -> None:
    opened.evaluate(Path(os.environ["AXE_CORE"]).read_text("utf-8"))
    found = opened.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
