"""Installs every direct dependency at its lowest allowed version in a new venv, and sends requests to the service there.

Detects a lower bound in pyproject.toml that is too low. Any failure, of uv, of the start or of an answer, fails the step; it is
never skipped.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm

ROOT = Path(__file__).parent.parent
FIXTURE = "resectable"
ISSUER = "https://ehr.north.example"
STARTS_WITHIN = 60
"""Seconds, on a machine with other work."""


def main() -> int:
    """Return 0. Raises CalledProcessError, URLError or SystemExit when anything fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = install(folder / "venv")
        key = generate_private_key(SECP384R1())
        site = folder / "north.toml"
        site.write_text(site_file(key), "utf-8")
        chart = ROOT / "fhir_fixtures" / FIXTURE / "chart.json"
        # outside the checkout, so that the installed package runs
        body = subprocess.run(
            [python, "-m", "cds_service", "request", chart], cwd=folder, check=True, stdout=subprocess.PIPE
        ).stdout
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        settings = {"CDS_PUBLIC_URL": base, "CDS_DATABASE": f"sqlite:///{folder}/ledger.db", "CDS_PAGES": "on"}
        service = subprocess.Popen(
            [python, "-m", "cds_service", "serve", "--site", site, "--port", str(port)],
            cwd=folder,
            env={**os.environ, **settings},
        )
        try:
            wait_for(f"{base}/health", service)
            hook = f"{base}/cds-services/nlm-patient-view"
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(key, hook)}"}
            cards = json.loads(fetch(Request(hook, body, headers)))["cards"]
            fetch(f"{base}/?fixture={FIXTURE}")  # the page uses libraries that the service does not
        finally:
            service.terminate()
            service.wait(60)
    if not cards:
        sys.exit("lowest versions: the answer to the fixture has no card")
    print(f"lowest versions: 200 with {len(cards)} cards, and the try-it page")
    return 0


def install(venv: Path) -> str:
    """Return the Python of a new venv that holds this project with its lowest dependencies. uv prints their versions."""
    python = str(venv / "bin" / "python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    project = f"{ROOT}[postgres]"
    subprocess.run([*uv, "pip", "install", "--python", python, "--resolution", "lowest-direct", project], check=True)
    subprocess.run([python, "-c", "import psycopg"], check=True)  # no PostgreSQL is started here
    return python


def site_file(key: EllipticCurvePrivateKey) -> str:
    """Return a site file with one caller, so that tokens and the ledger are needed."""
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    lines = ["[site]", 'id = "north"', 'title = "North Hospital"', "[[client]]", f'iss = "{ISSUER}"', "[[client.keys]]"]
    lines += [f'{name} = "{value}"' for name, value in {**jwk, "kid": "north-1"}.items() if isinstance(value, str)]
    return "\n".join(lines) + "\n"


def token(key: EllipticCurvePrivateKey, audience: str) -> str:
    """Return a signed client JWT for `audience`, valid for five minutes."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": audience, "iat": now, "exp": now + 300, "jti": str(uuid.uuid4())}
    return jwt.encode(claims, key, "ES384", {"kid": "north-1"})


def wait_for(address: str, service: subprocess.Popen[bytes]) -> None:
    """Return when the service answers. Raises SystemExit if it exits, or does not answer in time."""
    until = time.monotonic() + STARTS_WITHIN
    while service.poll() is None and time.monotonic() < until:
        try:
            fetch(address)
            return
        except URLError:
            time.sleep(0.2)
    sys.exit(f"lowest versions: the service did not start (exit status {service.poll()})")


def fetch(request: Request | str) -> bytes:
    """Return the body of an answer. Raises URLError when there is none, or when its status is an error."""
    with urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


if __name__ == "__main__":
    sys.exit(main())
