"""A gate's name is its own within its group, no longer in the whole centre, where organizations met each other's."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_COLUMNS = "id, group_id, name, zones, public, sealing, enrolled_at_s, redeemed_s"


def upgrade() -> None:
    """Let two groups have gates of one name; those of one group keep theirs apart, as they are."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("uq_gate_name", "gate", type_="unique")
        op.create_unique_constraint("uq_gate_group_id_name", "gate", ["group_id", "name"])
        return
    # SQLite drops no constraint: the table is made anew, under its own name, so that what points to its rows is whole
    # again before the transaction ends. One that takes another's name would leave them missing.
    op.execute("PRAGMA defer_foreign_keys=ON")
    op.execute("CREATE TABLE gate_before AS SELECT * FROM gate")
    op.drop_table("gate")
    op.create_table(
        "gate",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=True),
        sa.Column("sealing", sa.LargeBinary(length=32), nullable=True),
        sa.Column("enrolled_at_s", sa.BigInteger(), nullable=True),
        sa.Column("redeemed_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["event_group.id"], name=op.f("fk_gate_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate")),
        sa.UniqueConstraint("group_id", "name", name=op.f("uq_gate_group_id_name")),
    )
    op.execute(f"INSERT INTO gate ({_COLUMNS}) SELECT {_COLUMNS} FROM gate_before")  # noqa: S608 - fixed names
    op.drop_table("gate_before")
