"""Reports what the service reads of a site's charts and what it ignores, for integrators (`coverage PATHS…`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TextIO

from cds_service.coverage.progress import Progress
from cds_service.coverage.report import Report
from cds_service.coverage.rows import make_report
from cds_service.coverage.sources import ReadCounts, Sorter, chart_paths
from cds_service.coverage.store import ChartStore
from cds_service.coverage.tally import Surveyor
from cds_service.knowledge.model import Knowledge


def survey(paths: Sequence[Path], knowledge: Knowledge, today: date, progress_on: TextIO) -> Report:
    """Return the report on everything under each path: Bundles, resources, hook requests, NDJSON, and .gz files of these.
    Raises OSError if a path does not exist."""
    read = ReadCounts()
    files = [(source, file) for source, path in enumerate(paths) for file in chart_paths(path, read)]
    surveyor = Surveyor(knowledge, today)
    with ChartStore() as store:
        sorter = Sorter(store, read)
        reading = Progress(progress_on, "Reading files ", sum(file.stat().st_size for _, file in files))
        for number, (source, file) in enumerate(files, 1):
            for used in sorter.take_file(source, number, file):
                reading.step(used)
        reading.end()
        judging = Progress(progress_on, "Reading charts", store.close_for_adding())
        for chart in store.charts():
            surveyor.add_chart(chart)
            read.count_uncounted(chart)
            judging.step(1)
        judging.end()
    return make_report(surveyor.tally, read, knowledge, today)
