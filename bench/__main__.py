"""Compares CPU time per request with a floor: a Flask view that decodes the whole body with json and returns one fixed card.

Both run in turn in one process through Flask's test client, so that noise affects both; the result is a ratio (above 1: faster
than the floor). The checks that the service does in that time are printed too.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from flask import Flask, request
from flask.testing import FlaskClient

from cds_service import create_app, knowledge
from cds_service.fhir.chart_files import ChartFile, build_request, read_file, story_date
from cds_service.fhir.queries import build_queries
from cds_service.settings import Settings

FIXTURES = Path(__file__).parent.parent / "fhir_fixtures"
CASES = {"resectable": "NLM", "almost-nothing-known": "NLM, nothing known", "colorectal-liver-metastases": "not NLM"}
SIZES = (0, 300, 3000)
URL = "/cds-services/nlm-patient-view"
CHECKED = (
    "checked: envelope by JSON Schema, read fields by type, status, dates, units, codes, card invariants, "
    "the deciding resources by fhir.resources"
)


def floor() -> FlaskClient:
    """Return the client of the floor."""
    app = Flask("floor")

    @app.post(URL)
    def fixed() -> dict[str, object]:
        json.loads(request.get_data())
        return {"cards": [{"summary": "fixed", "indicator": "info", "source": {"label": "floor"}}]}

    return app.test_client()


def body(case: str, size: int) -> bytes:
    """Return the fixture as a request, filled up to `size` resources with laboratory values that were not requested."""
    path = FIXTURES / case / "chart.json"
    chart = read_file(path)
    assert isinstance(chart, ChartFile)
    sent = build_request(chart, timedelta(0), "7e5c0a51-0ad1-4f4b-9c3a-0c5a1d8e6f10", build_queries(knowledge.load()))
    entries = sent["prefetch"]["observations"]["entry"]
    glucose = next(e["resource"] for e in entries if e["resource"]["status"] == "final" and "valueQuantity" in e["resource"])
    code = {"coding": [{"system": "http://loinc.org", "code": "2345-7", "display": "Glucose"}]}
    count = sum(len(value["entry"]) for value in sent["prefetch"].values() if isinstance(value, dict) and "entry" in value)
    for number in range(max(0, size - count)):
        entries.append({"resource": glucose | {"id": f"glucose-{number}", "code": code}})
    return json.dumps(sent).encode()


def cpu(client: FlaskClient, content: bytes) -> float:
    """Return the milliseconds of processor time for one request."""
    start = time.process_time()
    answer = client.post(URL, data=content, content_type="application/json")
    assert answer.status_code == 200
    return (time.process_time() - start) * 1000


def main() -> None:
    print(CHECKED)
    print(f"{'chart':22}{'resources':>10}{'kB':>8}{'floor ms':>10}{'ours ms':>10}{'ratio':>8}")
    for case, words in CASES.items():
        day = story_date(FIXTURES / case / "chart.json")
        assert day is not None
        ours, base = create_app(Settings(), today=lambda day=day: day).test_client(), floor()
        for size in SIZES:
            content = body(case, size)
            pairs = [(cpu(base, content), cpu(ours, content)) for _ in range(8)]
            low, high = median(a for a, _ in pairs), median(b for _, b in pairs)
            shown = size or "as it is"
            print(f"{words:22}{shown:>10}{len(content) // 1000:>8}{low:>10.2f}{high:>10.2f}{low / high:>8.2f}")


if __name__ == "__main__":
    main()
