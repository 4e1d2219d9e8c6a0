"""Stands in for curl where a machine has none: the options that the documents use. `make test` needs Python alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def main() -> int:
    """Print the body of an answer. Return 22 for an error status with --fail, as curl does; otherwise 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("--fail", action="store_true")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("--data-binary")
    parser.add_argument("url")
    chosen = parser.parse_args()
    body = chosen.data_binary.encode() if chosen.data_binary else None
    if body and body.startswith(b"@"):
        body = Path(body[1:].decode()).read_bytes()
    headers = dict(header.split(": ", 1) for header in chosen.H)
    try:
        with urlopen(Request(chosen.url, body, headers), timeout=60) as answer:
            sys.stdout.write(answer.read().decode())
    except HTTPError as error:
        if chosen.fail:
            return 22
        sys.stdout.write(error.read().decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
