"""Tables of accounts. Passwords, tokens and sessions are stored so that a copy of the database signs nobody in."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from sync.store.schema import METADATA

EMAIL_CHARS = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""
NAME_CHARS = 200

user = Table(
    "user_account",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("email", String(EMAIL_CHARS), nullable=False, unique=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("password", Text, nullable=False),
    Column("totp_secret", LargeBinary),
    Column("totp_used", BigInteger, nullable=False, server_default="0"),
    Column("disabled", Boolean, nullable=False),
    Column("made_s", BigInteger, nullable=False),
)
"""`email`: in lower case. `totp_secret`: encrypted by the venue's key. `totp_used`: the last step that was accepted."""
membership = Table(
    "membership",
    METADATA,
    Column("user_id", BigInteger, ForeignKey("user_account.id"), primary_key=True),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), primary_key=True),
    Column("role", String(16), nullable=False),
    sqlite_with_rowid=False,
)
signed_in = Table(
    "signed_in",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("user_account.id"), nullable=False, index=True),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False),
    Column("begun_s", BigInteger, nullable=False),
    Column("used_s", BigInteger, nullable=False),
)
"""Sessions of people in browsers; `digest`: SHA-256 of the cookie's value, which has 256 random bits."""
api_token = Table(
    "api_token",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", BigInteger, ForeignKey("organization.id"), nullable=False, index=True),
    Column("name", String(NAME_CHARS), nullable=False),
    Column("role", String(16), nullable=False),
    Column("event_id", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("made_s", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("revoked_s", BigInteger),
    Column("used_s", BigInteger),
)
"""`event_id` 0: for all events of the organization."""
sign_in_failure = Table(
    "sign_in_failure",
    METADATA,
    Column("kind", String(8), primary_key=True),
    Column("subject", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_s", BigInteger, nullable=False),
    Column("until_s", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""`subject`: a digest of the e-mail or the address, so that what was typed by mistake is kept nowhere."""
idempotency_key = Table(
    "idempotency_key",
    METADATA,
    Column("principal", String(64), primary_key=True),
    Column("route", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request", LargeBinary(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("made_s", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)
audit_log = Table(
    "audit_log",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at_s", BigInteger, nullable=False),
    Column("organization_id", BigInteger, nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", BigInteger, nullable=False),
    Column("actor_name", String(NAME_CHARS), nullable=False),
    Column("what", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_audit_log_organization_id_id", "organization_id", "id"),
    Index("ix_audit_log_subject", "organization_id", "subject", "id"),
)
"""Append-only: the database itself refuses to change or delete a row."""
