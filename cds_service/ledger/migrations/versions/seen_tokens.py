"""0001: the tokens already seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "seen_tokens",
        sa.Column("issuer", sa.String(500), primary_key=True),
        sa.Column("token", sa.String(64), primary_key=True, comment="SHA-256 of the token's jti"),
        sa.Column("forget_after", sa.BigInteger, nullable=False, comment="seconds since 1970"),
    )
    op.create_index("ix_seen_tokens_forget_after", "seen_tokens", ["forget_after"])


def downgrade() -> None:
    op.drop_table("seen_tokens")
