"""The reason to reject a request: a word of a closed list for the log, and sentences that only `check-token` prints."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum

MAX_SHOWN_CHARS = 200


class Why(StrEnum):
    """The words of the log (`{"refused": …}`)."""

    NO_TOKEN = "no token"
    TOO_LONG = "too long"
    NOT_A_TOKEN = "not a token"
    ISSUER = "unknown issuer"
    TENANT = "another tenant"
    TYP = "typ"
    ALGORITHM = "algorithm"
    KID = "kid"
    CRIT = "crit"
    JKU = "jku"
    KEY = "unknown key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    AUDIENCE = "another audience"
    TIMES = "times"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    TOO_LONG_LIVED = "too long-lived"
    JTI = "jti"
    SEEN_BEFORE = "seen before"
    NOT_THIS_MACHINE = "no site file, and not of this machine"
    NAME_OF_ANOTHER_MACHINE = "no site file, and called by another name than this machine's"
    # The service answers 503: it cannot tell whether the token is valid
    NO_KEYS = "no keys"
    NO_LEDGER = "no ledger"


UNDECIDED = frozenset({Why.NO_KEYS, Why.NO_LEDGER})
"""Answered with 503 instead of 401."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason to reject a token. `text`: sentences on what the token has and what is expected, which the service drops."""

    word: Why
    text: str = field(repr=False)  # it repeats parts of a token


def quoted(value: object) -> str:
    """Return a part of a token on one line of printable ASCII, cut after 200 characters."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists nested too deeply
        return "a value that cannot be printed"
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"


def without_query(address: object) -> object:
    """Return a key set address without its query, which may hold a secret."""
    if not isinstance(address, str) or "?" not in address:
        return address
    return f"{address.split('?', 1)[0]}?..."
