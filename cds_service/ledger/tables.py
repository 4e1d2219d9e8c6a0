"""Define the tables of the ledger as the newest migration leaves them (a test compares the two)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table

METADATA = MetaData()

SEEN_TOKENS = Table(
    "seen_tokens",
    METADATA,
    Column("issuer", String(500), primary_key=True),
    Column("token", String(64), primary_key=True, comment="SHA-256 of the token's jti"),
    Column("forget_after", BigInteger, nullable=False, index=True, comment="seconds since 1970"),
)
"""Accepted tokens, kept until they have expired."""

KEY_SETS = Table(
    "key_sets",
    METADATA,
    Column("site", String(500), primary_key=True),
    Column("jku", String(2000), primary_key=True),
    Column("body", LargeBinary, nullable=False, comment="public keys, as they were fetched"),
    Column("fetched", BigInteger, nullable=False, comment="seconds since 1970"),
)
"""The last valid key set of each address. All workers use it while the address cannot be fetched."""
