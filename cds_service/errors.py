"""The exceptions of the service. Those that answer a request have an HTTP status and a FHIR issue code.

CdsError                     the answer is an OperationOutcome instead of cards
├── BadRequest         400   the request is not a valid hook request; lists every error
│   └── Forbidden      403   another website sent a form to the try-it page
├── Unauthorized       401   the caller is not authenticated; the message is deliberately generic (CH-143)
├── UnknownService     404   the path or the service id does not exist
├── WrongMethod        405   the path does not support this method
├── TooSlow            408   the body did not arrive completely in time
├── PreconditionFailed 412   required data is missing (CH-55)
├── TooLarge           413   the body exceeds a limit: bytes, values, prefetch keys, resources
├── UnsupportedMedia   415   the body is not JSON, or is compressed
├── Internal           500   an unexpected error; repeats nothing of the request
├── Overloaded         503   all slots are taken, or the database or a key server does not answer; has Retry-After
└── TookTooLong        503   the evaluation exceeded its processor time; a retry would exceed it too
KnowledgeError               the knowledge files have errors; the service does not start; lists every error
SiteError                    the site files have errors; the service does not start; lists every error
ChartError                   a file is neither a chart nor a hook request
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of a request or a file, as a sentence: `context.patientId is required`.

    It never contains a value of a request or a chart. It may contain a value of a site file or a knowledge file.
    """

    where: str
    """The path of the element: field names joined by dots, entries of lists counted from 1."""
    problem: str
    """The rest of the sentence, from its verb on: what is wrong and what is allowed."""

    @classmethod
    def missing(cls, where: str) -> Fault:
        """Return the error for a required element that is missing."""
        return cls(where, "is required")

    @classmethod
    def wrong(cls, where: str, found: str, expected: str) -> Fault:
        """Return the error for an element whose value or type is `found` where `expected` is allowed."""
        return cls(where, f"must be {expected}, not {found}")

    def __str__(self) -> str:
        return f"{self.where} {self.problem}"


class CdsError(Exception):
    """An answer that is not a list of cards. `text` is the summary, `faults` lists every error of the request."""

    status = 500
    code = "exception"

    def __init__(self, text: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.faults = tuple(faults)

    def outcome(self) -> dict[str, object]:
        """Return a FHIR R4 OperationOutcome with one issue for each fault, or with `text` alone if there is none."""
        lines = [str(fault) for fault in self.faults] or [self.text]
        return {
            "resourceType": "OperationOutcome",
            "issue": [
                {"severity": "error", "code": self.code, "details": {"text": self.text}, "diagnostics": line} for line in lines
            ],
        }


class BadRequest(CdsError):
    status, code = 400, "invalid"


class Forbidden(BadRequest):
    status, code = 403, "forbidden"


class Unauthorized(CdsError):
    status, code = 401, "login"

    def __init__(self) -> None:
        super().__init__("not authorized")


class UnknownService(CdsError):
    status, code = 404, "not-found"


class WrongMethod(CdsError):
    status, code = 405, "not-supported"


class TooSlow(CdsError):
    status, code = 408, "timeout"


class PreconditionFailed(CdsError):
    status, code = 412, "required"


class TooLarge(CdsError):
    status, code = 413, "too-long"


class UnsupportedMedia(CdsError):
    status, code = 415, "not-supported"


class Internal(CdsError):
    status, code = 500, "exception"


class Overloaded(CdsError):
    status, code = 503, "throttled"
    retry_after = 2
    """Seconds."""


class TookTooLong(CdsError):
    status, code = 503, "too-costly"


class FileFaults(Exception):
    """Knowledge files or site files are invalid. Lists every error of all files."""

    files = ""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"the {self.files} have errors:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.faults = tuple(faults)


class KnowledgeError(FileFaults):
    files = "knowledge files"


class SiteError(FileFaults):
    files = "site files"


class ChartError(Exception):
    """A file that is neither a FHIR resource nor a hook request."""
