"""What outlives a request and is shared by all workers: the tokens already seen, and the public keys of callers as they
were last fetched. Nothing of a patient, nothing of a token.

SQLite in a file, or PostgreSQL by URL; opening a ledger brings its tables to the version that this program needs.
"""

from cds_service.ledger.database import Ledger, LedgerDown, open_ledger

__all__ = ["Ledger", "LedgerDown", "open_ledger"]
