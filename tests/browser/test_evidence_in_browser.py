"""The evidence pages in Chromium with the real server: from a card to its rule, search, phone, paper, accessibility."""

from __future__ import annotations

from io import BytesIO

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.browser.test_try_it_page import DESKTOP, PHONE, Open, browser, open_page, serious_faults, server

__all__ = ["browser", "open_page", "server"]
PAGES = ("/evidence/", "/evidence/hepatic-arterial-therapy", "/evidence/?q=portal+vein", "/evidence/none")


def test_the_link_of_a_card_leads_to_the_rule_that_decided(open_page: Open) -> None:
    page = open_page("/?fixture=arterial-portal-vein-occluded")
    card = page.get_by_role("article").filter(has_text="Arterial therapy: contraindicated")
    card.get_by_role("link", name="Evidence and rules: arterial therapy").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("evidence and rules")
    rule = page.locator(":target")
    expect(rule).to_contain_text("Main portal vein occluded")
    assert rule.evaluate("e => Math.abs(e.getBoundingClientRect().top) < innerHeight")
    rule.get_by_role("link", name="S053").click()
    statement = page.locator(":target")
    expect(statement).to_contain_text("Reddy SK, Clary BM")
    expect(statement.get_by_role("link", name="https://doi.org/10.1016/j.suc.2010.04.016")).to_be_visible()


def test_a_search_leads_to_rules_and_statements(open_page: Open) -> None:
    page = open_page("/evidence/transplantation")
    page.get_by_label("Search rules and statements").fill("portal vein")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("found for “portal vein”")
    page.get_by_role("link", name="portal-vein-occlusion").click()
    expect(page.locator(":target")).to_contain_text("Main portal vein occluded")


def test_the_pages_work_without_javascript(open_page: Open) -> None:
    page = open_page("/evidence/", java_script_enabled=False)
    page.get_by_role("link", name="Ablation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ablation: evidence and rules")
    page.get_by_label("Search rules and statements").fill("M018")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("found for “M018”")


def printed(page: Page) -> str:
    """Return the text of the printed page."""
    paper = PdfReader(BytesIO(page.pdf(prefer_css_page_size=True)))
    return "\n".join(sheet.extract_text() for sheet in paper.pages)


def test_a_page_prints_without_its_navigation_and_the_rule_book_with_lines_to_sign(open_page: Open) -> None:
    page = open_page("/evidence/hepatic-arterial-therapy")
    text = printed(page)
    assert "Main portal vein occluded" in text
    assert "Search rules" not in text
    page.goto(page.url.replace("hepatic-arterial-therapy", "rule-book"))
    text = printed(page)
    assert "What the signature covers" in text
    assert "restart the service" in text


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(open_page: Open, path: str, size: tuple[int, int]) -> None:
    page = open_page(path, size, expect_status=404 if path.endswith("none") else 0)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert serious_faults(page) == []
