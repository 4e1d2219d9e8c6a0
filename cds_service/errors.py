"""Errors of ours, each with its HTTP status and its FHIR issue code.

CdsError                     an answer that is not a card list; becomes an OperationOutcome
├── BadRequest         400   the body is not a hook request we can understand; all faults at once
│   └── Forbidden      403   a form that another web site sends to the try-it page; no answer of the service
├── Unauthorized       401   who calls cannot be told; always the same words, so that nobody learns why (CH-143)
├── UnknownService     404   no service of that id
├── WrongMethod        405   GET where POST is due, and so on
├── TooSlow            408   the body did not arrive whole in time
├── PreconditionFailed 412   data we cannot do without could not be had (CDS Hooks: CH-55)
├── TooLarge           413   body above a limit: bytes, values, prefetch keys, resources
├── UnsupportedMedia   415   not JSON, or compressed
├── Internal           500   a fault of ours; nothing of the request is repeated
├── Overloaded         503   no free place, or a database or key server that does not answer; with Retry-After
└── TookTooLong        503   judging took more processor time than any chart should; the same again would take as long
KnowledgeError               the knowledge files are wrong; the service does not start; all faults at once
SiteError                    a site file is wrong; the service does not start; all faults at once
ChartError                   a file given to the command line is not a chart
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where (a path of field names), what was found (a JSON type or protocol word), what is allowed."""

    where: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, allowed: {self.allowed}"


class CdsError(Exception):
    status = 500
    code = "exception"

    def __init__(self, text: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.faults = tuple(faults)

    def outcome(self) -> dict[str, object]:
        """The FHIR R4 OperationOutcome of this error: one issue for each fault."""
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
    """Files of ours or of a site that cannot be used: every fault of all of them."""

    files = ""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"the {self.files} have faults:\n" + "\n".join(f"  {fault}" for fault in faults))
        self.faults = tuple(faults)


class KnowledgeError(FileFaults):
    files = "knowledge files"


class SiteError(FileFaults):
    files = "site files"


class ChartError(Exception):
    """A file that is neither a FHIR resource nor a hook request."""
