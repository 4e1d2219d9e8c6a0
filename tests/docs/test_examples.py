"""Every command and example of README.md and docs/*.md is executed here, or carries a mark with the reason."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from cds_service.cli.main import run_command
from cds_service.sites.loader import read_site
from tests.conftest import ROOT, SERVICE, request_of
from tests.support import curl
from tests.support.documents import EXECUTED, Block, blocks, inline_code
from tests.support.servers import Running, free_port, serving

MOST_MARKS = 8
PORT = re.compile(r"\b808\d\b")
"""Ports in the documents: each becomes a free one. 8080 is the service without a site file, which all documents share."""
SERVE = re.compile(r"(?:^|\s)python -m cds_service serve\b")
COMMAND = re.compile(r"(?:\.venv/bin/)?python -m cds_service (?P<name>[a-z-]+)(?P<rest>.*)")
TODAY = date(2026, 11, 30)


@dataclass
class Reader:
    """Follows one document in a folder of its own, as a person would: saves files, runs commands, starts services."""

    folder: Path
    service: Running
    services: ExitStack
    ports: dict[str, str] = field(default_factory=dict)
    output: str = ""
    """What the last command wrote."""

    def follow(self, block: Block) -> None:
        """Execute a block. Raises AssertionError if it does not do what the document says."""
        text = PORT.sub(lambda match: self.ports.setdefault(match[0], str(free_port())), block.text)
        if block.name:
            (self.folder / block.name).write_text(text, "utf-8")
        match block.language:
            case "sh" if SERVE.search(text):
                self.start(block, text)
            case "sh":
                self.run(block, ["bash", "-euo", "pipefail", "-c", text])
            case "python" if not block.name:
                self.run(block, [sys.executable, "-c", text])
            case "python":
                compile(text, block.name, "exec")
            case "toml":
                self.check_toml(block, text)
            case "json":
                self.check_json(block, text)
            case "text":
                self.check_output(block, text)
            case other:
                raise AssertionError(f"{block.where}: {other!r} is no language that is executed here")

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "COV_"))}
        path = f"{self.folder / 'bin'}:{kept['PATH']}"
        return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(self.folder), "no_proxy": "127.0.0.1"}

    def run(self, block: Block, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=60)
        self.output = done.stdout + done.stderr
        assert done.returncode == 0, f"{block.where}: exit status {done.returncode}\n{self.output[-3000:]}"

    def start(self, block: Block, text: str) -> None:
        """Start the service of a block that ends with `serve`, and leave it running until the document ends."""
        port = re.search(r"--port (\d+)", text)
        assert port, f"{block.where}: a service of a document needs a port of its own (--port 8081)"
        self.services.enter_context(started(self.folder, text, int(port[1]), self.environment(), block.where))

    def check_toml(self, block: Block, text: str) -> None:
        if "site" in tomllib.loads(text) and not block.name:
            file = self.folder / "example-site.toml"
            file.write_text(text, "utf-8")
            read_site(file, TODAY)

    def check_json(self, block: Block, text: str) -> None:
        content = json.loads(text)
        if "hook" in content:
            status, _ = self.service.post(text.encode(), SERVICE)
            assert status == 200, f"{block.where}: {status}"
        if "resourceType" in content:
            get_fhir_model_class(content["resourceType"]).model_validate(content)

    def check_output(self, block: Block, text: str) -> None:
        """Each line was written by the command before it; `…` stands for anything."""
        for line in filter(None, map(str.strip, text.splitlines())):
            pattern = ".*".join(re.escape(part) for part in line.split("…"))
            assert re.search(pattern, self.output), f"{block.where}: {line!r} is not in\n{self.output[-3000:]}"


@contextmanager
def started(folder: Path, command: str, port: int, environment: dict[str, str], where: str) -> Iterator[None]:
    """Run a command that serves, from its first answer on; end it and what it started by their process group."""
    log = folder / f"serve-{port}.log"
    with log.open("wb") as out:
        shell = ["bash", "-euo", "pipefail", "-c", command]
        process = subprocess.Popen(shell, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True)
    running = Running(process, port, log)
    try:
        wait_until_it_answers(running, where)
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)  # gunicorn ends at once, without its grace for open connections
        process.wait(40)


def wait_until_it_answers(service: Running, where: str) -> None:
    """Raises AssertionError if the service ends, or does not answer within 60 s."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert service.process.poll() is None, f"{where}: {service.said()}"
        try:
            connection = service.connect(5)
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise AssertionError(f"{where}: the service did not answer: {service.said()}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service without a site file, started once for all documents."""
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, port=free_port(), PYTHONPATH=str(ROOT)) as running:
        yield running


@pytest.fixture
def reader(tmp_path: Path, service: Running) -> Iterator[Reader]:
    for place in (tmp_path / "bin", tmp_path / ".venv/bin"):
        place.mkdir(parents=True)
        (place / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
        (place / "python").chmod(0o755)
    if shutil.which("curl") is None:
        (tmp_path / "bin/curl").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{curl.__file__}" "$@"\n', "utf-8")
        (tmp_path / "bin/curl").chmod(0o755)
    for name in ("fhir_fixtures", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    with ExitStack() as services:
        yield Reader(tmp_path, service, services, {"8080": str(service.port)})


def runnable(document: Path) -> list[Block]:
    return [block for block in blocks(document) if not (block.not_run or block.run_by)]


@pytest.mark.parametrize("document", EXECUTED, ids=lambda path: path.name)
def test_every_example_of_a_document_works(document: Path, reader: Reader) -> None:
    for block in runnable(document):
        reader.follow(block)


def test_a_block_that_is_not_run_carries_a_reason_and_there_are_few() -> None:
    marked = {block.where: block.not_run for path in EXECUTED for block in blocks(path) if block.not_run}
    assert len(marked) <= MOST_MARKS, marked


def test_a_section_that_another_test_runs_names_a_test_that_reads_it() -> None:
    named = {(block.document.name, block.run_by) for path in EXECUTED for block in blocks(path) if block.run_by}
    assert named
    for document, test in named:
        assert f"docs/{document}" in (ROOT / test).read_text("utf-8")


def test_every_command_within_a_sentence_exists_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    spans = [(path.name, match) for path in EXECUTED for text in inline_code(path) if (match := COMMAND.fullmatch(text))]
    assert spans
    for document, match in spans:
        with pytest.raises(SystemExit) as ended:
            run_command([match["name"], "--help"])
        assert ended.value.code == 0, f"{document}: {match[0]}"
        options = re.findall(r"--[a-z][a-z-]*", match["rest"])
        assert [option for option in options if option not in capsys.readouterr().out] == [], f"{document}: {match[0]}"


def test_a_line_of_the_log_has_the_keys_that_the_guide_for_operators_lists(service: Running) -> None:
    status, _ = service.post(json.dumps(request_of("resectable")).encode(), SERVICE)
    assert status == 200
    lines = [json.loads(line) for line in service.said().splitlines() if line.startswith('{"service"')]
    logged = max(lines, key=len)
    guide = (ROOT / "docs/operator.md").read_text("utf-8").split("\n## Logs\n")[1].split("\nOther lines")[0]
    example = json.loads(guide.split("```json\n")[1].split("```")[0])
    keys = {key for row in re.findall(r"^\| (`[^|]+) \|", guide, re.MULTILINE) for key in re.findall(r"`([^`]+)`", row)}
    assert set(logged) == set(example) == keys
