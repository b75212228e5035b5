"""Tables of what takes place. `event_id` comes first in every hot key. JSON columns hold lists of small numbers only.

An organization owns its venues, ticketings and event groups; a group's events share gates, logs, zones and one list.
Times are UTC Unix seconds, 0 where none is set; money is integer minor units of an ISO 4217 currency.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from sync.store.schema import METADATA

NAME_CHARS = 200
ZONE_CHARS = 64
"""The longest name of an IANA time zone is half of it."""
CURRENCY_CHARS = 3

organization = Table(
    "organization",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("language", String(8), nullable=False),
    Column("created_s", BigInteger, nullable=False),
)
venue = Table(
    "venue",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False, index=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("address", Text, nullable=False),
    Column("timezone", String(ZONE_CHARS), nullable=False),
)
ticketing = Table(
    "ticketing",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False, index=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("currency", String(CURRENCY_CHARS), nullable=False),
)
"""One box office with its currency; events are on sale in one."""
event_group = Table(
    "event_group",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("digest_key", LargeBinary(32), nullable=False),
    Column("organization_id", BigInteger, nullable=False, server_default="1"),
    Column("venue_id", BigInteger),
)
"""Without foreign keys to the newer tables: SQLite adds none to a table that stands."""
event = Table(
    "event",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("group_id", Integer, ForeignKey("event_group.id"), nullable=False),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("timezone", String(ZONE_CHARS), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("sealed_at_s", BigInteger, nullable=False),
    Column("ticketing_id", BigInteger),
    Column("state", String(8), nullable=False, server_default="open"),
    Column("starts_s", BigInteger, nullable=False, server_default="0"),
    Column("ends_s", BigInteger, nullable=False, server_default="0"),
)
"""`version`: the locked counter of its list's changes (`sync.tickets.changes`). `state`: see `programme.State`."""
session = Table(
    "session",
    METADATA,
    Column("event_id", Integer, ForeignKey("event.id"), primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("day", Integer, nullable=False),
    Column("zone", Integer, nullable=False, server_default="0"),
    Column("end_s", BigInteger, nullable=False, server_default="0"),
    Column("starts_s", BigInteger, nullable=False, server_default="0"),
)
zone = Table(
    "zone",
    METADATA,
    Column("group_id", Integer, ForeignKey("event_group.id"), primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("parent", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("gate", BigInteger, nullable=False),
    Column("reset_at", Integer, nullable=False, server_default="-1"),
)
product = Table(
    "product",
    METADATA,
    Column("event_id", Integer, ForeignKey("event.id"), primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("zones", Text, nullable=False),
    Column("mode", Integer, nullable=False),
    Column("limit_session", Integer, nullable=False),
    Column("limit_day", Integer, nullable=False),
    Column("limit_total", Integer, nullable=False),
    Column("offline", Integer, nullable=False),
    Column("attention", Integer, nullable=False),
    Column("price_minor", BigInteger, nullable=False, server_default="0"),
    Column("currency", String(CURRENCY_CHARS), nullable=False, server_default=""),
    Column("quota", Integer),
    Column("session", Integer, nullable=False, server_default="0"),
    Column("admits", Integer, nullable=False, server_default="1"),
    Column("not_before", BigInteger, nullable=False, server_default="0"),
    Column("not_after", BigInteger, nullable=False, server_default="0"),
    Column("sale_from_s", BigInteger, nullable=False, server_default="0"),
    Column("sale_until_s", BigInteger, nullable=False, server_default="0"),
)
"""`quota` empty: as many as people buy. `session`, `admits`, `not_before`, `not_after`: of the tickets sold."""
