"""The coverage page in Chromium, opened as a file: self-contained, accessible, and readable on any screen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from cds_service.__main__ import main
from tests.charts.test_coverage import BILIRUBIN, local, observation, patient
from tests.conftest import FIXTURES, bundle, folder_of
from tests.support.browser import CHROMIUM


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coverage")
    odd = [
        observation(local("X" * 40, "Bilirubin <b>bold</b> " * 3)),
        observation(BILIRUBIN, id="u", valueQuantity={"value": 1, "unit": "mg"}),
    ]
    (folder / "odd.json").write_text(json.dumps(bundle(patient(), *odd)))
    page = folder / "report.html"
    main(["coverage", *(str(folder_of(name)) for name in FIXTURES), str(folder / "odd.json"), "--html", str(page)])
    return page


@pytest.fixture
def page(report: Path) -> Iterator[Page]:
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: said.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(report.as_uri())
        yield page
        browser.close()
    assert said == [report.as_uri()], "the page loads nothing else and logs nothing"


def test_page_shows_numbers_next_steps_and_lines_for_the_site_file(page: Page) -> None:
    assert page.locator(".numbers li").count() == 5
    assert page.locator(".next li").count() > 3
    lines = page.locator("pre").inner_text()
    assert 'code = "' + "X" * 40 in lines
    assert "[units.total_bilirubin]" in lines
    assert page.locator("td b").count() == 0, "markup in the data stays text"
    assert page.get_by_role("heading", name="Facts found", exact=True).is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_barrier_that_axe_calls_serious(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.evaluate(Path(os.environ["AXE_CORE"]).read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [fault["id"] for fault in found if fault["impact"] in {"serious", "critical"}] == []


@pytest.mark.parametrize("width", [320, 768, 2000])
def test_page_is_no_wider_than_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
