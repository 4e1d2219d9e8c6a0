"""What Alembic runs: the steps that are missing, on the connection and in the transaction of the ledger."""

from alembic import context

from cds_service.ledger.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
