"""The service under gunicorn: slow clients, too many requests, worker replacement, stopping, malformed HTTP."""

from __future__ import annotations

import inspect
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType
from typing import Any

import gunicorn
import pytest
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from cds_service.__main__ import main
from cds_service.capacity import MAX_CONCURRENT_EVALUATIONS
from cds_service.gunicorn_server import OPTIONS, GunicornServer, Worker, format_address
from tests.conftest import EXTENSION, SERVICE, as_of, bare_request, request_of, validator
from tests.support.callers import BASE, Ehr, bearer, ec_key
from tests.support.callers import site_file as callers_file
from tests.support.servers import Running, free_port, running, serving

TODAY = as_of("resectable")
SOUND = json.dumps(request_of("resectable")).encode()
EMPTY = json.dumps(bare_request(prefetch={"conditions": None})).encode()
HEAD = f"POST {SERVICE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
SLEEPY = (
    "import logging, time\nread = app.parse_request\n"
    "def sleepy(body, hook):\n"
    "    if b'sleep' in body: time.sleep(3)\n"
    "    if b'warn' in body: logging.getLogger('urllib3').warning('GET /Patient/MARKER')\n"
    "    return read(body, hook)\n"
    "app.parse_request = sleepy\n"
    "gunicorn_server.REQUEST_READ_TIMEOUT_S, gunicorn_server.RESPONSE_WRITE_TIMEOUT_S = 3, 6\n"
)
"""Makes a request with the word "sleep" take three seconds, and shortens the deadlines."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server"), TODAY, SLEEPY, {"workers": 1}, pages=True) as found:
        yield found


def asleep(**more: Any) -> bytes:
    return json.dumps(bare_request(prefetch={"conditions": None}, extension={"x": "sleep"}, **more)).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def outcome(answer: bytes) -> list[str]:
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    validator("OperationOutcome").validate(body)
    return [issue["diagnostics"] for issue in body["issue"]]


def _all(raw: socket.socket) -> bytes:
    """Return all bytes until the service closes the connection. Raises TimeoutError if none arrive."""
    found = raw.recv(65536)
    while part := raw.recv(65536):
        found += part
    return found


# ── slow clients ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_half_sent_requests_hold_nobody_up_and_are_ended_in_time(service: Running) -> None:
    halves = [HEAD + b"Content-Length: 1000\r\n\r\n{", HEAD, b"PO"]
    slow = [service.socket() for _ in range(18)]
    for number, raw in enumerate(slow):
        raw.sendall(halves[number % 3])
    time.sleep(0.3)
    started = time.perf_counter()
    assert service.post(SOUND)[0] == 200
    assert time.perf_counter() - started < 2.5, "the request waited for slow clients"
    for number, raw in enumerate(slow):
        answer = raw.recv(65536)
        assert time.perf_counter() - started < 8
        assert (status(answer) == 408) if number % 3 == 0 else (answer == b"")
        raw.close()


def test_a_client_that_drips_is_ended_too(service: Running) -> None:
    started, answer = time.perf_counter(), b""
    with service.socket() as raw:
        raw.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        raw.settimeout(0.2)
        while not answer and time.perf_counter() - started < 10:
            raw.sendall(b" ")
            try:
                answer = _all(raw)
            except TimeoutError:
                continue
    assert status(answer) == 408
    assert outcome(answer) == ["body was cut off, malformed or too slow"]
    assert time.perf_counter() - started < 6


def test_clients_that_do_not_close_their_side_hold_nobody_up(service: Running) -> None:
    """gunicorn's own worker waits two seconds for each of them in its main loop."""
    lingering = [service.socket() for _ in range(6)]
    for raw in lingering:
        raw.sendall(b"garbage\r\n\r\n")
    time.sleep(0.3)
    started = time.perf_counter()
    assert service.post(EMPTY)[0] == 200
    assert time.perf_counter() - started < 4, "twelve seconds with gunicorn's own worker"
    for raw in lingering:
        raw.close()


def test_a_client_that_never_takes_its_answer_is_cut_off(service: Running) -> None:
    form = b"chart=" + b"a" * 19_900_000  # the page repeats the pasted text, which is larger than the socket buffers
    kind = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(form)
    with service.socket() as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + kind + form)
        time.sleep(8)
        taken = 0
        try:
            while part := raw.recv(10_000_000):
                taken += len(part)
        except ConnectionResetError:
            pass
    assert 0 < taken < 19_900_000


# ── too many at once ─────────────────────────────────────────────────────────────────────────────────────────────


def test_who_finds_no_slot_is_told_in_milliseconds_to_come_again(service: Running) -> None:
    with ThreadPoolExecutor(MAX_CONCURRENT_EVALUATIONS) as pool:
        busy = [pool.submit(service.post, asleep()) for _ in range(MAX_CONCURRENT_EVALUATIONS)]
        time.sleep(1)
        times = []
        for _ in range(10):
            connection = service.connect()
            started = time.perf_counter()
            connection.request("POST", SERVICE, EMPTY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            times.append(time.perf_counter() - started)
            connection.close()
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "2"
            assert body["issue"][0]["code"] == "throttled"
            validator("OperationOutcome").validate(body)
        started = time.perf_counter()
        assert service.exchange(b"GET /cds-services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").startswith(
            b"HTTP/1.1 200"
        )
        assert time.perf_counter() - started < 1, "discovery needs no slot"
        assert [future.result()[0] for future in busy] == [200] * MAX_CONCURRENT_EVALUATIONS, "running evaluations finish"
    assert sorted(times)[5] < 0.25, times
    assert service.post(EMPTY)[0] == 200


def test_there_are_more_threads_than_slots() -> None:
    assert OPTIONS["threads"] >= 2 * MAX_CONCURRENT_EVALUATIONS


# ── recycling and stopping ───────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_is_replaced_after_its_requests_and_no_request_is_lost(tmp_path: Path) -> None:
    with running(tmp_path, TODAY, options={"workers": 2, "max_requests": 15, "max_requests_jitter": 5}) as service:
        first = set(service.workers())
        with ThreadPoolExecutor(4) as pool:
            answers = [answer[0] for answer in pool.map(lambda _: service.post(EMPTY), range(80))]
        assert answers == [200] * 80
        until = time.monotonic() + 20
        while first & set(service.workers()) and time.monotonic() < until:
            service.post(EMPTY)
            time.sleep(0.2)
        assert not first & set(service.workers())


def test_a_service_finishes_its_requests_before_it_stops(tmp_path: Path) -> None:
    with running(tmp_path, TODAY, SLEEPY) as service, ThreadPoolExecutor(3) as pool:
        begun = [pool.submit(service.post, asleep()) for _ in range(3)]
        time.sleep(0.7)
        service.process.send_signal(signal.SIGTERM)
        assert [future.result()[0] for future in begun] == [200, 200, 200]
        assert service.process.wait(10) == 0


# ── what gunicorn_server.py uses of gunicorn that is private to it ────────────────────────────────────────────────────────

PARAMETERS: dict[tuple[type, str], list[str]] = {
    (ThreadWorker, "__init__"): ["self", "*args", "**kwargs"],
    (ThreadWorker, "handle"): ["self", "conn"],
    (ThreadWorker, "finish_request"): ["self", "conn", "fs"],
    (ThreadWorker, "murder_pending"): ["self"],
    (ThreadWorker, "handle_error"): ["self", "req", "client", "addr", "exc"],
    (TConn, "close"): ["self", "graceful"],
    (BaseApplication, "__init__"): ["self", "usage", "prog"],
    (BaseApplication, "load_config"): ["self"],
    (BaseApplication, "load"): ["self"],
    (BaseApplication, "run"): ["self"],
    (Config, "set"): ["self", "name", "value"],
}
"""Private method of gunicorn that gunicorn_server.py overrides or calls → its parameters."""

USES: dict[tuple[type, str], set[str]] = {
    (ThreadWorker, "run"): {"murder_pending"},
    (ThreadWorker, "enqueue_req"): {"handle", "finish_request"},
    (ThreadWorker, "accept"): {"TConn", "nr_conns", "enqueue_req"},
    (ThreadWorker, "handle"): {"handle_error"},
    (ThreadWorker, "finish_request"): {"result", "nr_conns", "close"},
    (TConn, "__init__"): {"sock"},
    (BaseApplication, "__init__"): {"do_load_config"},
    (BaseApplication, "do_load_config"): {"load_default_config", "load_config"},
    (BaseApplication, "load_default_config"): {"cfg"},
    (BaseApplication, "wsgi"): {"load", "callable"},
}
"""Method of gunicorn → names that it must use, since otherwise an override in gunicorn_server.py has no effect."""


def written(parameter: inspect.Parameter) -> str:
    """Return the name of a parameter with its stars, as in the signature."""
    return str(parameter).partition("=")[0].partition(":")[0]


def names_in(code: CodeType) -> set[str]:
    """Return the global names and attributes that a function and its inner functions use."""
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *code.co_freevars}.union(*inner)


CHANGED = (
    f"gunicorn {gunicorn.__version__} has changed {{}}: "
    "look at cds_service/gunicorn_server.py before its bound in pyproject.toml"
)


@pytest.mark.parametrize(("owner", "name"), PARAMETERS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_gunicorn_has_the_methods_that_we_override_or_call(owner: type, name: str) -> None:
    method = getattr(owner, name, None)
    assert method is not None, CHANGED.format(f"{owner.__name__}.{name}, which is gone")
    found = [written(parameter) for parameter in inspect.signature(method).parameters.values()]
    assert found == PARAMETERS[owner, name], CHANGED.format(f"the parameters of {owner.__name__}.{name}")


@pytest.mark.parametrize(("owner", "name"), USES, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_gunicorn_calls_what_we_override(owner: type, name: str) -> None:
    method = getattr(owner, name, None)
    assert method is not None, CHANGED.format(f"{owner.__name__}.{name}, which is gone")
    missing = USES[owner, name] - names_in(method.__code__)
    assert not missing, CHANGED.format(f"{owner.__name__}.{name}, which no longer uses {', '.join(sorted(missing))}")


def test_each_method_of_our_subclasses_is_looked_up_above() -> None:
    for ours, theirs in ((Worker, ThreadWorker), (GunicornServer, BaseApplication)):
        overridden = {name for name, member in vars(ours).items() if inspect.isfunction(member)}
        assert overridden <= {name for owner, name in PARAMETERS if owner is theirs}


def test_gunicorn_knows_every_option_and_every_error_that_we_name() -> None:
    unknown = sorted(set(OPTIONS) - set(Config().settings))
    assert not unknown, CHANGED.format(f"its options, which lack {', '.join(unknown)}")
    assert issubclass(LimitRequestLine, ParseException)
    assert issubclass(LimitRequestHeaders, ParseException)


def test_the_parser_is_gunicorns_own_whatever_else_is_installed(tmp_path: Path) -> None:
    """Installs an empty module as the compiled parser: using it would cause a 500."""
    installed = (
        "import sys, types\nfast = types.ModuleType('gunicorn_h1c')\n"
        "fast.LimitRequestLine = fast.InvalidChunkExtension = ValueError\nsys.modules['gunicorn_h1c'] = fast\n"
    )
    with running(tmp_path, TODAY, installed, {"workers": 1}) as service:
        assert service.post(EMPTY)[0] == 200


# ── files are read once, by the master ───────────────────────────────────────────────────────────────────────────

SITE = '[site]\nid = "north"\ntitle = "North Hospital"\nauthenticated_by_proxy = true\n'
LOCAL_CODE = '[[code]]\nsystem = "urn:north"\ncode = "{}"\nmeans = "loinc|1975-2"\n'
"""A site's own code for bilirubin. Another code gives another knowledge digest."""


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    file = tmp_path / "north.toml"
    file.write_text(SITE + LOCAL_CODE.format("A"), "utf-8")
    return file


def digests(service: Running, answers: int) -> set[str]:
    """Return the knowledge digests on the cards of that many answers. Asserts that each answer is 200 with cards, and that
    every worker has answered."""
    found: set[str] = set()
    until, count = time.monotonic() + 60, 0
    with ThreadPoolExecutor(4) as pool:
        while count < answers or not service.all_have_answered():
            assert time.monotonic() < until, "a worker does not answer"
            for status_code, body in pool.map(lambda _: service.post(SOUND), range(20)):
                assert status_code == 200
                cards = json.loads(body)["cards"]
                assert cards
                found |= {card["extension"][EXTENSION]["knowledge"] for card in cards}
            count += 20
    return found


def kill_a_worker(service: Running) -> None:
    """Kill one worker and wait until another has replaced it."""
    before = service.workers()
    os.kill(before[0], signal.SIGKILL)
    service.wait_for_workers(other_than=before[:1], count=len(before))


def test_an_edited_or_broken_site_file_changes_nothing_until_a_restart(tmp_path: Path, site_file: Path) -> None:
    port = free_port()
    with serving(tmp_path, "--site", str(site_file), port=port) as service:
        first = digests(service, 20)
        assert len(first) == 1
        site_file.write_text(SITE + LOCAL_CODE.format("B"), "utf-8")
        kill_a_worker(service)
        assert digests(service, 200) == first
        site_file.write_text("[site\n", "utf-8")
        kill_a_worker(service)
        assert digests(service, 20) == first
        before = service.workers()
        service.process.send_signal(signal.SIGHUP)
        service.wait_for_workers(other_than=before, count=len(before))
        assert digests(service, 20) == first
    site_file.write_text(SITE + LOCAL_CODE.format("B"), "utf-8")
    with serving(tmp_path, "--site", str(site_file), port=port) as service:
        assert not digests(service, 20) & first, "a restart reads the files again"


def test_no_thread_or_connection_is_shared_across_a_fork(tmp_path: Path) -> None:
    """The master has one thread and no ledger connection; each worker opens its own."""
    ehr, file = Ehr(now=time.time()), tmp_path / "callers.toml"
    file.write_text(callers_file(keys=[ec_key().jwk]), "utf-8")
    start = {"CDS_DATABASE": f"sqlite:///{tmp_path}/ledger.db", "CDS_PUBLIC_URL": BASE}
    with serving(tmp_path, "--site", str(file), port=free_port(), **start) as service:
        until = time.monotonic() + 60
        while not service.all_have_answered():
            assert time.monotonic() < until, "a worker does not answer"
            assert service.post(EMPTY, **bearer(ehr.token()))[0] == 200
        master = service.process.pid
        assert service.threads(master) == 1
        assert not [name for name in service.open_files(master) if "ledger.db" in name]


# ── malformed HTTP, and HTTP that is too large ───────────────────────────────────────────────────────────────────

MARK = b"Zzyzx4711"
ANY = b"request is not valid HTTP/1.1 (RFC 9112)"
LONG_HEADERS = b"headers must be at most 100, each of at most 8190 bytes"
LONG_LINE = b"request line must be at most 4094 bytes"
BROKEN = b"body was cut off, malformed or too slow"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
NO_PATH = b"path must be /cds-services, /cds-services/{id} or /health"
ODD_BYTES = (400, ANY) if gunicorn.version_info >= (27,) else (404, NO_PATH)
"""gunicorn 26 accepts any byte in a path."""
MALFORMED: dict[str, tuple[bytes, int, bytes]] = {
    "no HTTP at all": (MARK + b"\r\n\r\n", 400, ANY),
    "a path of odd bytes": (b"GET /" + MARK + b"\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", *ODD_BYTES),
    "HTTP 9.9": (b"GET /" + MARK + b" HTTP/9.9\r\nHost: localhost\r\n\r\n", 400, ANY),
    "a long path": (b"GET /" + MARK * 500 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, LONG_LINE),
    "a large header": (GET + b"Authorization: Bearer " + MARK * 1000 + b"\r\n\r\n", 431, LONG_HEADERS),
    "many headers": (GET + b"".join(b"%s-%d: a\r\n" % (MARK, n) for n in range(101)) + b"\r\n", 431, LONG_HEADERS),
    "a header without colon": (GET + MARK + b"\r\n\r\n", 400, ANY),
    "a header name with a space": (GET + b"X " + MARK + b": 1\r\n\r\n", 400, ANY),
    "two lengths": (HEAD + b"X: " + MARK + b"\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, ANY),
    "length and chunks": (CHUNKED + b"X: " + MARK + b"\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, ANY),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n" + MARK, 400, ANY),
    "a chunk of no size": (CHUNKED + b"\r\n" + MARK + b"\r\n\r\n", 408, BROKEN),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_http_is_an_operation_outcome_that_repeats_nothing(service: Running, case: str) -> None:
    sent, expected, told = MALFORMED[case]
    answer = service.exchange(sent)
    assert status(answer) == expected
    assert outcome(answer) == [told.decode()]
    assert MARK not in answer
    assert MARK.decode() not in service.said()


PATHS = [
    "//evil.example/cds-services", "/cds-services//nlm-patient-view", "/cds-services/../health",
    "/cds-services/%2e%2e/health", "/..%2f..%2fetc/passwd", "/../../etc/passwd", "/static/../../settings.py",
    "/static/..%2f..%2fsettings.py", "/static/%2e%2e/views.py", "/cds-services;x=1", "/%00", "/%0d%0aSet-Cookie:x", "/\\evil",
    "/cds-services/%ff", "http://evil.example/nothing", "/HEALTH", "/.env", "/cds-services/nlm-patient-view%20",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_trick_with_a_path_gets_more_than_an_unknown_path_does(service: Running, path: str) -> None:
    for method in ("GET", "POST"):
        body = b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" if method == "POST" else b"\r\n"
        answer = service.exchange(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode() + body)
        assert status(answer) in {404, 405}
        assert b"Location:" not in answer


@pytest.mark.parametrize(
    "header",
    [
        "SCRIPT_NAME: /cds-services", "Script_Name: /cds-services", "SCRIPT-NAME: /cds-services", "PATH_INFO: /health",
        "REMOTE_ADDR: 10.0.0.7", "X-Forwarded-For: 10.0.0.7", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /cds-services",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off",
    ],
)  # fmt: skip
def test_no_header_moves_the_path_or_the_caller(service: Running, header: str) -> None:
    for path in ("/cds-services/", "/cds-services", "/nothing", "/cds-services/health"):
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        plain, with_header = (service.exchange(f"{request}{more}\r\n".encode()) for more in ("", f"{header}\r\n"))
        assert status(with_header) == status(plain)
        assert with_header.partition(b"\r\n\r\n")[2] == plain.partition(b"\r\n\r\n")[2]


def test_a_body_of_100_megabytes_is_refused_unread(service: Running) -> None:
    before = sum(service.resident().values())
    with service.socket() as raw:
        raw.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")

        def send() -> None:
            try:
                for _ in range(100):
                    raw.sendall(b"[" * 1_000_000)
            except OSError:
                return

        sender = threading.Thread(target=send)
        sender.start()
        answer = _all(raw)
        sender.join(10)
    assert status(answer) == 413
    assert outcome(answer) == ["body must be at most 20000000 bytes"]
    assert sum(service.resident().values()) - before < 20_000


def test_a_chunked_body_of_100_megabytes_is_refused_at_its_limit(service: Running) -> None:
    part = b"100000\r\n" + b"[" * 0x100000 + b"\r\n"
    with service.socket() as raw:
        raw.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")

        def send() -> None:
            try:
                for _ in range(96):
                    raw.sendall(part)
            except OSError:
                return

        sender = threading.Thread(target=send)
        sender.start()
        answer = raw.recv(65536)
        sender.join(10)
    assert status(answer) == 413


# ── what is written where ────────────────────────────────────────────────────────────────────────────────────────


def test_no_library_writes_its_own_words_into_the_log(service: Running) -> None:
    body = json.dumps(bare_request(prefetch={"conditions": None}, extension={"x": "warn"})).encode()
    assert service.post(body)[0] == 200
    assert "MARKER" not in service.said()
    assert all(isinstance(json.loads(line), dict) for line in service.said().splitlines())


def test_a_fault_outside_of_flask_tells_neither_caller_nor_log_what_it_choked_on(tmp_path: Path) -> None:
    broken = (
        "from flask import Flask\n"
        "def fail(self, environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/health': return whole(self, environ, start_response)\n"
        "    raise ValueError('Zzyzx4711 ' + environ['PATH_INFO'])\n"
        "whole = Flask.wsgi_app\nFlask.wsgi_app = fail\n"
    )
    with running(tmp_path, TODAY, broken, {"workers": 1}) as service:
        answer = service.exchange(b"GET /Zzyzx4711 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status(answer) == 500
        assert outcome(answer) == ["internal error; nothing was decided"]
        assert '"because": "ValueError"' in service.said()
        assert "Zzyzx4711" not in service.said()


def test_no_core_dump_would_be_written(service: Running) -> None:
    for pid in service.workers():
        limits = Path(f"/proc/{pid}/limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"]


def test_the_service_listens_on_one_address_only(service: Running) -> None:
    assert not list(Path(os.environ.get("HOME", "/")).glob(".gunicorn/gunicorn.ctl"))


def test_an_address_that_cannot_be_listened_on_is_reported_before_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert capsys.readouterr().err == f"cannot listen on --host 127.0.0.1 --port {port}: address already in use\n"
    assert main(["serve", "--port", "99999"]) == 1
    assert capsys.readouterr().err == "--port must be a number from 0 to 65535, not 99999\n"


def test_an_address_of_ipv6_is_written_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, object]] = []

    def listen(at: object, family: object) -> socket.socket:
        asked.append((at, family))
        return socket.socket()

    monkeypatch.setattr(socket, "create_server", listen)
    assert format_address("::1", 8080) == "[::1]:8080"
    assert format_address("127.0.0.1", 8080) == "127.0.0.1:8080"
    assert asked == [(("::1", 8080), socket.AF_INET6), (("127.0.0.1", 8080), socket.AF_INET)]
