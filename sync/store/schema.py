"""What all tables share: one metadata, and how u64 numbers get through SQL's signed integers."""

from sqlalchemy import MetaData

METADATA = MetaData(
    # Names are given, so that a migration can drop what another database would name differently.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def signed(number: int) -> int:
    """Return a u64 as the i64 of the same bits."""
    return number if number < 1 << 63 else number - (1 << 64)


def unsigned(number: int) -> int:
    """Return the u64 that `signed` took."""
    return number if number >= 0 else number + (1 << 64)
