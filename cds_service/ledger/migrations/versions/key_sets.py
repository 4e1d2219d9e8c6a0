"""0002: the key sets last fetched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "key_sets",
        sa.Column("site", sa.String(500), primary_key=True),
        sa.Column("jku", sa.String(2000), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="public keys, as they were fetched"),
        sa.Column("fetched", sa.BigInteger, nullable=False, comment="seconds since 1970"),
    )


def downgrade() -> None:
    op.drop_table("key_sets")
