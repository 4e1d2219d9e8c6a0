"""Data that outlives a request and is shared by all workers: which tokens were seen (issuer and digest), and the public keys
of callers as last fetched. No patient data and no token is stored.

The database is SQLite in a file, or PostgreSQL. Opening a ledger brings its tables to the version that this program needs.
"""

from cds_service.ledger.database import Ledger, LedgerDown, open_ledger
from cds_service.ledger.inspection import DatabaseState, ReadOnlyLedger, open_read_only, try_writing

__all__ = ["DatabaseState", "Ledger", "LedgerDown", "ReadOnlyLedger", "open_ledger", "open_read_only", "try_writing"]
