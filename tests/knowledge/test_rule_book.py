"""The rule book has all of the knowledge, as Markdown and as a self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_service import knowledge
from cds_service.__main__ import main
from cds_service.knowledge.modality import Comparison
from cds_service.knowledge.numbers import fill_sentences
from cds_service.knowledge.overlay import Overlay, SignOff
from cds_service.knowledge.statement_uses import statement_uses
from cds_service.rulebook import due_list, render_html, render_markdown, rule_book
from tests.conftest import ROOT

KNOWN = knowledge.load()
PAGE = render_html(rule_book(KNOWN))
TEXT = render_markdown(rule_book(KNOWN))


class Page(HTMLParser):
    """Collects the elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(attribute))]


def everything_named() -> list[str]:
    """Return every id and sentence that the rule book must have."""
    names = [criterion.id for criterion in KNOWN.criteria.values() if not criterion.key.startswith(("gate.", "technique."))]
    names += [criterion.says for criterion in KNOWN.criteria.values() if not criterion.key.startswith("gate.")]
    names += [indication.says for modality in KNOWN.modalities for indication in modality.indications]
    names += [technique.says for modality in KNOWN.modalities for technique in modality.techniques]
    names += [modality.title for modality in KNOWN.modalities]
    names += [fact.says for fact in KNOWN.facts.values() if fact.kind != "person"]
    names += [*KNOWN.statements, *KNOWN.publications] + [publication.citation for publication in KNOWN.publications.values()]
    names += [statement.says for statement in KNOWN.statements.values()]
    names += [statement.not_used for statement in KNOWN.statements.values()]
    names += [row.series for row in KNOWN.outcomes] + [conflict.service for conflict in KNOWN.conflicts]
    return names + [check.says for check in KNOWN.review.open]


REQUIRED = {criterion.id for m in KNOWN.modalities for i in m.indications for criterion in (*i.requires, *i.update_requires)}


def bare(text: str) -> str:
    """Return the words without the marks and spaces of either format."""
    return re.sub(r"[*\s]|<br>", "", text)


@pytest.mark.parametrize("form", ["markdown", "page"])
def test_nothing_of_the_knowledge_is_missing(form: str) -> None:
    told = bare(TEXT if form == "markdown" else "".join(Page(PAGE).words))
    missing = [name for name in everything_named() if name not in REQUIRED and bare(name) not in told]
    assert missing == []


def test_both_forms_tell_the_same() -> None:
    page = bare("".join(Page(PAGE).words))
    for line in TEXT.splitlines():
        for cell in line.removeprefix("|").removesuffix("|").replace(r"\|", "¦").split(" | "):
            for part in re.sub(r"^(#+|-) ", "", cell.strip()).split("<br>"):
                if part.strip("- ") and "://" not in part:
                    assert bare(part).replace("¦", "|") in page, part


def test_the_counts_on_the_first_page_are_those_of_the_ledger() -> None:
    assert "208 statements (44 decide, 127 are context, 37 are not used, with the reason), 21 series" in TEXT
    assert "| The review of 2010 | 13 | 68 | 22 | 103 |" in TEXT
    assert "| Later evidence | 31 | 59 | 15 | 105 |" in TEXT


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = Page(PAGE)
    assert not {"script", "img", "link", "iframe", "object", "form", "button"} & {name for name, _ in page.elements}
    assert not [attribute for _, attributes in page.elements for attribute in attributes if attribute.startswith("on")]
    assert page.all("src") == page.all("style") == []
    policy = next(value for value in page.all("content") if "default-src" in value)
    style = re.search(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"


def test_every_link_leads_somewhere_and_every_name_is_there_once() -> None:
    page = Page(PAGE)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    links = page.all("href")
    assert {link for link in links if link.startswith("#")} <= {f"#{name}" for name in ids}
    addresses = {publication.page_url for publication in KNOWN.publications.values() if publication.page_url}
    assert {link for link in links if not link.startswith("#")} == addresses
    assert {f"#{entry.statement}" for entry in statement_uses(KNOWN) if entry.standing == "decides"} <= set(links)


def test_headings_go_down_one_step_at_a_time() -> None:
    levels = [int(name[1]) for name, _ in Page(PAGE).elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_what_somebody_writes_into_the_knowledge_is_text_and_never_markup() -> None:
    wild = replace(KNOWN.statements["S019"], says='<script>alert(1)</script> & "quoted" | barred')
    book = rule_book(replace(KNOWN, statements={**KNOWN.statements, "S019": wild}))
    page = Page(render_html(book))
    assert "script" not in {name for name, _ in page.elements}
    assert "<script>alert(1)</script>" in "".join(page.words)
    row = next(line for line in render_markdown(book).splitlines() if line.startswith("| S019 |"))
    assert row.count(" | ") == 3


def test_the_book_shows_the_limits_windows_and_codes_of_the_knowledge_it_is_given() -> None:
    """Changed as by a site's overlay."""
    key = "contraindication.ecog-3-or-worse"
    plain = KNOWN.unfilled
    assert plain
    ecog = replace(plain.criteria[key], tests=(Comparison("ecog", "at_least", Decimal(2)),))
    modalities = tuple(
        replace(m, contraindications=tuple(ecog if c.key == key else c for c in m.contraindications)) for m in plain.modalities
    )
    scores = msgspec.structs.replace(KNOWN.scores, remnant=msgspec.structs.replace(KNOWN.scores.remnant, normal=Decimal(25)))
    facts = {**plain.facts, "inr": replace(plain.facts["inr"], window_days=14)}
    changed = replace(
        plain, criteria={**plain.criteria, key: ecog}, modalities=modalities, scores=scores, facts=facts, digest="0" * 16
    )
    told = render_markdown(rule_book(fill_sentences(changed)))
    assert "ECOG performance status: at least 2" in told
    assert "ECOG 2 or worse" in told
    assert "at least 25 % of a normal liver" in told
    assert re.search(r"\| 14 days \| INR \|", told)
    assert "0" * 16 in told
    for words in ("ECOG 2 or worse", "at least 25 % of a normal liver", "14 days"):
        assert words not in TEXT


def test_the_book_says_who_signed_it_or_that_nobody_did() -> None:
    assert "No clinician has signed this knowledge" in TEXT
    assert "208 of 208 statements: not clinically verified" in TEXT
    for digest, counts in ((KNOWN.digest, True), ("another-digest", False)):
        sign = SignOff("Dr A. Example", "hepatobiliary surgeon", "2026-12-01", "the whole", digest)
        told = render_markdown(rule_book(replace(KNOWN, overlay=Overlay("north", sign_off=sign))))
        assert ("**Signed by Dr A. Example**, hepatobiliary surgeon, on 2026-12-01: the whole." in told) is counts
        assert ("No clinician has signed this knowledge" in told) is not counts
    one = replace(KNOWN.statements["S019"], verified="Dr A. Example, 2026-12-01")
    told = render_markdown(rule_book(replace(KNOWN, statements={**KNOWN.statements, "S019": one})))
    assert "207 of 208 statements: not clinically verified; 1 of 208 statements: Dr A. Example, 2026-12-01." in told


def test_both_editions_stand_side_by_side_with_their_statements() -> None:
    transplantation = TEXT.split("### Transplantation")[1].split("###")[0]
    assert "| The review of 2010 | Later |" in transplantation
    assert transplantation.index("**S062**") < transplantation.index("**M043**")
    assert "**M046 (partly from memory)**" in transplantation


def test_what_is_doubtful_is_marked_wherever_it_is_a_source() -> None:
    assert "| M030, M029 (low confidence, partly from memory) |" in TEXT
    doubtful = TEXT.split("## Low confidence")[1].split("## When")[0]
    for statement in KNOWN.statements.values():
        if statement.confidence != "high" or statement.from_memory:
            assert f"**{statement.id}**" in doubtful


def test_a_local_choice_is_told_as_one() -> None:
    local = TEXT.split("## Local choices")[1].split("## Low")[0]
    for criterion in KNOWN.criteria.values():
        assert (f"({criterion.id})" in local) >= criterion.local
    assert "synchronous within months: 6" in local
    for key, bounds in KNOWN.limit_bounds.items():
        assert f"({KNOWN.criteria[key].id}) | {bounds.at_least} | {bounds.at_most} | {bounds.reason}" in local
    assert "INR; Platelets; Creatinine; Estimated GFR; Haemoglobin; Leukocytes; ALT; AST | 30 days | 180 days |" in local


DRAWN_UP = date(2026, 11, 25)


def test_a_guideline_named_as_not_yet_read_is_due_from_the_day_it_was_drawn_up() -> None:
    told = due_list(KNOWN, DRAWN_UP)
    assert told.startswith("Due by 2026-11-25:\n- 2026-11-25  A guideline that is not read yet: ENETS on small-intestinal")
    assert "(Lamarca 2024): M096" in told.split("Next:")[0]
    assert told.split("Next:")[0].count("- 2026-11-25") == 2
    assert "2027-02-25  Of low confidence, or partly from memory: S024, S026," in told
    assert "high confidence" not in told


def test_where_every_guideline_is_read_nothing_is_due_on_the_day_it_was_drawn_up() -> None:
    read = replace(KNOWN, review=replace(KNOWN.review, open=()))
    assert due_list(read, DRAWN_UP).startswith("Nothing is due by 2026-11-25.\n\nNext:\n- 2027-02-25  Of low confidence")


@pytest.mark.parametrize(
    ("day", "due", "not_due"),
    [
        (date(2027, 2, 24), "not read yet", "Of low confidence"),
        (date(2027, 2, 25), "Of low confidence", "of high confidence"),
        (date(2027, 5, 25), "of moderate confidence", "of high confidence"),
        (date(2027, 11, 25), "of high confidence", "The review of 2010"),
        (date(2028, 11, 30), "The review of 2010", "Next:"),
    ],
)
def test_a_statement_is_due_by_its_confidence_and_edition(day: date, due: str, not_due: str) -> None:
    told = due_list(KNOWN, day).split("\n\nNext:")
    assert due in told[0]
    assert not_due not in told[0]
    assert ("Next:" in due_list(KNOWN, day)) == (day < date(2028, 11, 25))


def test_a_statement_that_was_checked_again_is_due_later() -> None:
    checked = replace(KNOWN.statements["M029"], checked="2027-11-30")
    again = replace(KNOWN, statements={**KNOWN.statements, "M029": checked}, review=replace(KNOWN.review, open=()))
    assert "M029" in due_list(KNOWN, date(2027, 3, 1)).split("Next:")[0]
    assert "M029" not in due_list(again, date(2027, 3, 1)).split("Next:")[0]
    assert "2028-02-29" in due_list(again, date(2028, 3, 1))


def printed(*arguments: str) -> str:
    with redirect_stdout(io.StringIO()) as out:
        assert main(arguments) == 0
    return out.getvalue()


def test_the_command_prints_the_book_writes_the_page_and_lists_what_is_due(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed("knowledge") == f"{TEXT}\n"
    assert printed("knowledge", "--html", str(tmp_path / "book.html")) == ""
    assert (tmp_path / "book.html").read_text("utf-8") == PAGE
    assert printed("knowledge", "--due", "2027-02-25").startswith("Due by 2027-02-25:\n- 2026-11-25  ")
    assert printed("knowledge", "--due").startswith(f"Due by {date.today()}:\n- 2026-11-25  A guideline that is not read yet")
    assert main(["knowledge", "--html", str(tmp_path / "nowhere" / "book.html")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_the_command_prints_the_book_of_a_site(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('[site]\nid = "north"\ntitle = "North hospital"\n', "utf-8")
    assert printed("knowledge", "--site", str(file)) == f"{TEXT}\n"


def test_the_page_of_the_attributes_of_this_source_tells_the_counts_of_the_knowledge() -> None:
    """docs/evidence-source.md repeats a few figures; they must be up to date."""
    page = (ROOT / "docs/evidence-source.md").read_text("utf-8")
    found: dict[str, Any] = {
        "statements": len(KNOWN.statements), "publications": len(KNOWN.publications), "criteria": len(KNOWN.criteria),
        "treatments": len(KNOWN.modalities),
    }  # fmt: skip
    for name, count in found.items():
        assert f"{count} {name}" in page
    assert str(KNOWN.review.drawn_up) in page
