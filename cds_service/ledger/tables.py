"""The tables of the ledger, as the newest migration leaves them (a test compares the two)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, String, Table

METADATA = MetaData()

SEEN_TOKENS = Table(
    "seen_tokens",
    METADATA,
    Column("issuer", String(500), primary_key=True),
    Column("token", String(64), primary_key=True, comment="SHA-256 of the token's jti"),
    Column("forget_after", BigInteger, nullable=False, index=True, comment="seconds since 1970"),
)
"""Tokens that were accepted, until they could not be accepted again anyhow."""
