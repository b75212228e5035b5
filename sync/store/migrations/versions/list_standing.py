"""What of a ticket's standing is its list's, so that a list takes back nothing that people did."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of rows that are there, all that a list may say counts as said by it, as it did until now."""
    op.add_column("import_source", sa.Column("standing", sa.Integer(), nullable=False, server_default="51"))
