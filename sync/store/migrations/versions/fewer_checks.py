"""A list's event is looked at once a transaction, on PostgreSQL no longer for each of its tickets."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop a foreign key that the server checked for each row of a list. On SQLite the checks cost next to nothing."""
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint("fk_ticket_event_id", "ticket", type_="foreignkey")
