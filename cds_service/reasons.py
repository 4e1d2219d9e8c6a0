"""Reasons as codes, and explanations for people: why a fact is unknown, where a value comes from, why data is unavailable.

The program decides by a `Reason`. The text of each is in `cards/reasons.toml` and is rendered by `cards/wording.py` alone,
so a text can be changed without changing behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn


class Reason(Enum):
    """Why something is as it is. Each value is a key of `cards/reasons.toml`."""

    # Why a recorded fact is not known on a day
    NOT_CONSULTED = "not-consulted"
    NOT_DOCUMENTED = "not-documented"
    UNREADABLE = "unreadable"
    OUT_OF_DATE = "out-of-date"
    UNDATED = "undated"
    UNDATED_BESIDE_DATED = "undated-beside-dated"
    CONFLICT_OF_ONE_DATE = "conflict-of-one-date"
    CONFLICT_NONE_NEWER = "conflict-none-newer"
    # How one of several readings was chosen
    CONFLICT_WORSE_COUNTS = "conflict-worse-counts"
    SEVERAL_HIGHEST_COUNTS = "several-highest-counts"
    # Grade
    SITE_UNKNOWN = "site-unknown"
    SITE_NOT_GRADED_BY_INDEX = "site-not-graded-by-index"
    NO_INDEX = "no-index"
    INDEX_NOT_USABLE = "index-not-usable"
    REPORTED_GRADE_OPEN = "reported-grade-open"
    INDEX_ABOVE_REPORTED = "index-above-reported"
    GRADES_DISAGREE = "grades-disagree"
    GRADE_UNKNOWN = "grade-unknown"
    FACT_OPEN = "fact-open"
    G3_OR_NEC = "g3-or-nec"
    G3_OR_NEC_BY_DIFFERENTIATION = "g3-or-nec-by-differentiation"
    DIFFERENTIATION_UNKNOWN = "differentiation-unknown"
    # Organs
    ON_VITAMIN_K_ANTAGONIST = "on-vitamin-k-antagonist"
    POINTS_AT_LEAST = "points-at-least"
    POINTS = "points"
    PARTS_UNKNOWN = "parts-unknown"
    OLDER_ASSESSMENT_DENIES = "older-assessment-denies"
    NEWER_ASSESSMENT_DENIES = "newer-assessment-denies"
    NEWER_ASSESSMENT_DENIES_MEASURED = "newer-assessment-denies-measured"
    ABNORMAL_SINCE_DENIAL = "abnormal-since-denial"
    OBSTRUCTION_EXPLAINS_BILIRUBIN = "obstruction-explains-bilirubin"
    BILIRUBIN_WITHIN_LIMIT = "bilirubin-within-limit"
    NO_BILIRUBIN = "no-bilirubin"
    BILIRUBIN_OPEN = "bilirubin-open"
    FAILURE_OR_OBSTRUCTION = "failure-or-obstruction"
    ANTAGONIST_EXPLAINS_INR = "antagonist-explains-inr"
    CORRECTABLE = "correctable"
    NO_INR_AND_PLATELETS = "no-inr-and-platelets"
    NO_EGFR = "no-egfr"
    NO_EGFR_NOT_ADULT = "no-egfr-not-adult"
    EGFR_FROM_CREATININE = "egfr-from-creatinine"
    COMPUTED = "computed"
    ASCITES_OR_ENCEPHALOPATHY_CODED = "ascites-or-encephalopathy-coded"
    DIAGNOSES_NOT_CONSULTED = "diagnoses-not-consulted"
    EGFR_NOT_EXACT = "egfr-not-exact"
    # Surgery and extent
    REMNANT_DISAGREES = "remnant-disagrees"
    REMNANT_UNKNOWN = "remnant-unknown"
    OUTSIDE_RESECTABLE = "outside-resectable"
    NOTHING_OUTSIDE_ON_PET = "nothing-outside-on-pet"
    NO_PET_BACKING = "no-pet-backing"
    SITE_NOT_PRECISE = "site-not-precise"
    # Hormones
    SYNDROME_NOT_NAMED = "syndrome-not-named"
    CONTROL_OPEN = "control-open"
    # Course
    IN_DOUBT = "in-doubt"
    NEW_METASTASIS = "new-metastasis"
    RECURRENCE_OPEN = "recurrence-open"
    DURATION_NOT_DOCUMENTED = "duration-not-documented"
    DURATION_SINCE_PROGRESSION_OPEN = "duration-since-progression-open"
    DURATION_NOT_EXACT = "duration-not-exact"
    DRUG_NOT_DATED = "drug-not-dated"
    PROGRESSION_NOT_DATED = "progression-not-dated"
    DIAGNOSIS_NOT_DATED = "diagnosis-not-dated"
    DIAGNOSIS_DATE_NOT_EXACT = "diagnosis-date-not-exact"
    DATE_NOT_EXACT = "date-not-exact"
    # Stage
    AS_RECORDED = "as-recorded"
    OUTSIDE_OPEN = "outside-open"
    WIDESPREAD_BUT_LIVER_ONLY = "widespread-but-liver-only"
    LIVER_ONLY = "liver-only"
    LIVER_AND_ELSEWHERE = "liver-and-elsewhere"
    NO_M_CATEGORY_FOR_TUMOUR = "no-m-category-for-tumour"
    RECORDED_AGAINST_DOCUMENTED = "recorded-against-documented"
    RECORDED_OTHERWISE = "recorded-otherwise"
    LIVER_ONLY_NOT_CONFIRMED = "liver-only-not-confirmed"
    SINGLE_LESION = "single-lesion"
    NUMBER_NOT_EXACT = "number-not-exact"
    BY_DATES = "by-dates"
    NO_TREATMENT_GROUP = "no-treatment-group"

    # Reading a chart: how a reading came about
    CODED = "coded"
    ECHOCARDIOGRAPHY = "echocardiography"
    LIVER_SPECIMEN = "liver-specimen"
    COUNTED_FROM_SIZES = "counted-from-sizes"
    FROM_SEGMENTS = "from-segments"
    # Reading a chart: what raises a question without answering it
    RESOURCE_UNREADABLE = "resource-unreadable"
    RECORDED_AS_PROVISIONAL = "recorded-as-provisional"
    BY_NAME = "by-name"
    PRODUCT_UNCERTAIN = "product-uncertain"
    ENTRIES_UNREADABLE = "entries-unreadable"
    EXTENT_NOT_STATED = "extent-not-stated"
    NODES_REGIONAL_OR_DISTANT = "nodes-regional-or-distant"
    METASTATIC_SITE_NOT_NAMED = "metastatic-site-not-named"
    METASTASIS_ELSEWHERE = "metastasis-elsewhere"
    METASTASES_IN_DOUBT = "metastases-in-doubt"
    # Reading a chart: what is coded or written irregularly, so that it only raises a question
    CODE_OF_ANOTHER_SYSTEM = "code-of-another-system"
    CLASSIFICATION_OUT_OF_USE = "classification-out-of-use"
    TEXT_ALONE = "text-alone"
    # Reading a chart: why the patient of a resource is unclear
    SUBJECT_NOT_TOLD = "subject-not-told"
    SUBJECT_MERGED = "subject-merged"
    # Reading a chart: the certainty of a diagnosis
    CERTAINTY_AGAINST_STATUS = "certainty-against-status"
    CERTAINTIES_DISAGREE = "certainties-disagree"
    CERTAINTY_NOT_READ = "certainty-not-read"
    TEXT_BEHIND_CODE = "text-behind-code"
    # Reading a chart: why a resource is not trusted
    NOT_DECODABLE = "not-decodable"
    NESTED_TOO_DEEPLY = "nested-too-deeply"
    NOT_VALID_R4 = "not-valid-r4"
    PART_NOT_VALID_R4 = "part-not-valid-r4"
    WHOLE_NOT_VALID_R4 = "whole-not-valid-r4"
    MODIFIED = "modified"
    LONGER_THAN_READ = "longer-than-read"
    CODE_NOT_OF_ITS_SYSTEM = "code-not-of-its-system"
    STATUS_NOT_OF_FHIR = "status-not-of-fhir"
    STATUS_UNKNOWN = "status-unknown"
    VERIFICATION_STATUS_NOT_OF_FHIR = "verification-status-not-of-fhir"
    CLINICAL_STATUS_NOT_OF_FHIR = "clinical-status-not-of-fhir"
    DATE_NOT_VALID = "date-not-valid"
    END_DATE_NOT_VALID = "end-date-not-valid"
    NEWER_VERSION_UNDECIDED = "newer-version-undecided"
    # Reading a chart: why a value could not be read
    CODE_WITHOUT_SYSTEM = "code-without-system"
    NO_UPPER_LIMIT = "no-upper-limit"
    RESULTS_NOT_SENT = "results-not-sent"
    REPORT_RESULTS_NOT_SENT = "report-results-not-sent"
    REPORTS_RESULTS_NOT_SENT = "reports-results-not-sent"
    SITE_IN_WORDS = "site-in-words"
    SITE_NOT_SENT = "site-not-sent"
    DATED_IN_FUTURE = "dated-in-future"
    DEATH_NOT_READABLE = "death-not-readable"
    NO_VALUE = "no-value"
    VALUE_ABSENT = "value-absent"
    VALUE_ABSENT_BECAUSE = "value-absent-because"
    VALUE_BESIDE_ABSENCE = "value-beside-absence"
    SEVERAL_VALUES = "several-values"
    VALUE_OF_ANOTHER_KIND = "value-of-another-kind"
    NOT_A_NUMBER = "not-a-number"
    NOT_A_WHOLE_NUMBER = "not-a-whole-number"
    NUMBER_NOT_POSSIBLE = "number-not-possible"
    COMPARATOR_NOT_OF_FHIR = "comparator-not-of-fhir"
    COMPARATOR_BESIDE_RANGE = "comparator-beside-range"
    CODES_CONTRADICT = "codes-contradict"
    RANGE_WITHOUT_ENDS = "range-without-ends"
    RANGE_UPSIDE_DOWN = "range-upside-down"
    RATIO_WITHOUT_NUMBERS = "ratio-without-numbers"
    RATIO_OF_TWO_UNITS = "ratio-of-two-units"
    UNIT_WITHOUT_NUMBER = "unit-without-number"
    NO_UNIT = "no-unit"
    UNIT_NOT_ACCEPTED = "unit-not-accepted"
    UNIT_AMBIGUOUS = "unit-ambiguous"
    UNIT_OF_ANOTHER_SYSTEM = "unit-of-another-system"
    UNIT_CONTRADICTS_CODE = "unit-contradicts-code"
    # Reading a chart: why neuroendocrine liver metastases can be neither confirmed nor excluded
    MIXED_TUMOUR = "mixed-tumour"
    OTHER_MALIGNANCY = "other-malignancy"
    UNREAD_MALIGNANCY = "unread-malignancy"
    ONE_DIAGNOSIS_UNREADABLE = "one-diagnosis-unreadable"
    DIAGNOSES_UNREADABLE = "diagnoses-unreadable"
    CONFIRM_UNREADABLE = "confirm-unreadable"
    CONFIRM_PROVISIONAL = "confirm-provisional"
    CONFIRM_WRITTEN_OTHERWISE = "confirm-written-otherwise"
    SUBJECT_OPEN = "subject-open"
    BENIGN_OR_FORMER_TUMOUR = "benign-or-former-tumour"
    DECIDING_RESULT_UNREADABLE = "deciding-result-unreadable"
    HISTOLOGY_NOT_CONSULTED = "histology-not-consulted"

    # Fetching: the state of an incomplete prefetch key
    KEY_PARTIAL = "key-partial"
    KEY_ERROR = "key-error"
    KEY_MISSING = "key-missing"
    KEY_AND_SERVER = "key-and-server"
    # Fetching: why the FHIR server was not asked
    NO_SERVER_NAMED = "no-server-named"
    SERVER_NOT_ALLOWED = "server-not-allowed"
    NO_HTTP_ADDRESS = "no-http-address"
    ADDRESS_NOT_PERMITTED = "address-not-permitted"
    NO_TOKEN = "no-token"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_OF_ANOTHER_PATIENT = "token-of-another-patient"
    # Fetching: why a call or a search returned nothing, or not everything
    STATUS_NOT_OK = "status-not-ok"
    REDIRECTED = "redirected"
    NO_CONNECTION = "no-connection"
    CERTIFICATE_NOT_ACCEPTED = "certificate-not-accepted"
    OVERDUE = "overdue"
    BROKEN_OFF = "broken-off"
    TOO_LARGE = "too-large"
    ANSWER_UNREADABLE = "answer-unreadable"
    ANSWER_NO_BUNDLE = "answer-no-bundle"
    ANSWER_NOT_WHOLE = "answer-not-whole"
    BY_CATEGORY_ONLY = "by-category-only"
    TOO_MANY_PAGES = "too-many-pages"
    FURTHER_PAGE = "further-page"
    PAGE_ON_ANOTHER_SERVER = "page-on-another-server"
    # Reading exported files
    FILE_NOT_OPENED = "file-not-opened"
    NOT_GZIP = "not-gzip"
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    NO_DOCUMENT = "no-document"
    HOOK_WITHOUT_PREFETCH = "hook-without-prefetch"
    DOCUMENT_WITHOUT_DATA = "document-without-data"
    PAGE_OF_BUNDLE = "page-of-bundle"


NOT_SENT = frozenset({Reason.REPORT_RESULTS_NOT_SENT, Reason.REPORTS_RESULTS_NOT_SENT})
"""The report was read, but the results that it refers to were not sent."""
STAGE_CONFLICTS = frozenset({Reason.WIDESPREAD_BUT_LIVER_ONLY, Reason.RECORDED_AGAINST_DOCUMENTED, Reason.RECORDED_OTHERWISE})
"""The recorded stage contradicts the facts from which the stage is determined."""
WRITTEN_OTHERWISE = frozenset(
    {Reason.CODE_OF_ANOTHER_SYSTEM, Reason.CLASSIFICATION_OUT_OF_USE, Reason.TEXT_ALONE,
     Reason.CERTAINTY_AGAINST_STATUS, Reason.CERTAINTIES_DISAGREE, Reason.CERTAINTY_NOT_READ, Reason.TEXT_BEHIND_CODE}
)  # fmt: skip
"""A diagnosis or finding is not coded in a way that counts; it only raises a question."""
WHOSE_IT_IS = frozenset({Reason.SUBJECT_NOT_TOLD, Reason.SUBJECT_MERGED})
"""It is unclear whether a resource belongs to this patient."""
DECIDED_CONFLICTS = frozenset({Reason.CONFLICT_WORSE_COUNTS, Reason.GRADES_DISAGREE})
"""Readings contradict each other, and the worse one was used."""


class Explanation:
    """A reason with the details that its sentence names, for people.

    The program uses `reason` only. Comparing, searching, slicing or formatting an explanation raises TypeError.
    `cards/wording.py` renders it.
    """

    __slots__ = ("details", "reason")

    reason: Reason
    details: Mapping[str, Any]

    def __init__(self, reason: Reason, /, **details: str | int | Decimal | date | Reason | Explanation) -> None:
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "details", MappingProxyType(details))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an explanation is immutable")

    def __repr__(self) -> str:
        return f"Explanation({self.reason.name})"  # no details: they may hold a unit as it was sent

    def __bool__(self) -> bool:
        return True  # only None is false

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("an explanation cannot be compared or formatted; use its reason (cards/wording.py renders it)")

    if not TYPE_CHECKING:  # hidden from mypy, so that it rejects every use of them
        __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
        __contains__ = __getitem__ = __iter__ = __len__ = __add__ = __str__ = __format__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # an explanation is no key of a dict


class ValueNotReadable(ValueError):
    """Raised for a recorded value that cannot be read. `why` never holds the value."""

    def __init__(self, why: Explanation) -> None:
        super().__init__(why.reason.value)
        self.why = why


def reason_of(explanation: Explanation | None) -> Reason | None:
    """Return the reason code of an explanation, or None without one."""
    return explanation.reason if explanation is not None else None
