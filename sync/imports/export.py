"""Tables as CSV, row by row, for spreadsheets: a cell that would be a formula there is marked as text.

UTF-8 with BOM, since spreadsheets take a file without one for the old encoding of their country; comma, CRLF and
quotation marks as RFC 4180 says. Times are ISO 8601 in UTC.
"""

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Any

from sqlalchemy import Connection, select

from admission.entitlements import Standing
from admission.reasons import Reason
from admission.records import Kind, MalformedRecord, Record, record_from_bytes, stored_us
from sync.customers import profiles
from sync.customers.tables import customer
from sync.events import tables as events
from sync.events.rows import numbers
from sync.gates import tables as gates
from sync.imports import tables
from sync.store.schema import unsigned
from sync.tickets import tables as sold

BOM = "\ufeff"
PIECE_ROWS = 1000
"""Rows made into one piece of text."""

Export = Callable[[Connection, int], Iterator[str]]


def cell(value: object) -> str:
    """Return a value as a cell that no spreadsheet runs: what looks like a formula gets an apostrophe."""
    if isinstance(value, int) or value is None:
        return "" if value is None else str(value)
    return profiles.cell(str(value).replace("\0", ""))


def csv_pieces(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a CSV file in pieces, BOM and heading first."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    out.write(BOM)
    writer.writerow(heading)
    for number, row in enumerate(rows, start=1):
        writer.writerow([cell(value) for value in row])
        if number % PIECE_ROWS == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def spooled(pieces: Iterable[str]) -> IO[bytes]:
    """Return a file, at its beginning and without a name, that holds these pieces.

    So a table of any size takes no memory, and who reads it slowly keeps no transaction open.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever has sent it
    try:
        for piece in pieces:
            file.write(piece.encode())
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


TICKETS = (
    "ticket", "product", "session", "zones", "standing", "valid_from", "valid_until", "admits", "order", "shop",
    "first_name", "last_name", "email", "code",
)  # fmt: skip


def tickets(connection: Connection, event: int) -> Iterator[str]:
    """Yield the tickets of an event; `code` where it was kept readable, several with spaces between."""
    t, p, s, i, h = sold.ticket, events.product, events.session, tables.import_source, customer
    zones = {row.id: row.name for row in connection.execute(select(events.zone.c.id, events.zone.c.name))}
    found = connection.execute(
        select(
            t, p.c.name.label("product_name"), s.c.name.label("session_name"), i.c.shop, i.c.reference,
            h.c.first_name, h.c.last_name, h.c.email,
        )
        .outerjoin(p, (p.c.event_id == t.c.event_id) & (p.c.id == t.c.product))
        .outerjoin(s, (s.c.event_id == t.c.event_id) & (s.c.id == t.c.session))
        .outerjoin(i, (i.c.event_id == t.c.event_id) & (i.c.ticket == t.c.id))
        .outerjoin(h, h.c.id == t.c.holder)
        .where(t.c.event_id == event)
        .order_by(t.c.id)
        .execution_options(yield_per=PIECE_ROWS)  # the statement's: a connection would keep them
    )  # fmt: skip

    def lines() -> Iterator[Sequence[object]]:
        for part in found.partitions(PIECE_ROWS):
            codes = _codes(connection, event, part[0].id, part[-1].id)
            for row in part:
                yield (
                    unsigned(row.id), row.product_name, row.session_name,
                    " ".join(zones.get(one, str(one)) for one in numbers(row.zones)),
                    _words(row.standing), _time(row.not_before), _time(row.not_after), row.admits, row.reference,
                    row.shop, row.first_name, row.last_name, row.email, " ".join(codes.get(row.id, ())),
                )  # fmt: skip

    return csv_pieces(TICKETS, lines())


CUSTOMERS = (
    "customer", "first_name", "last_name", "email", "phone", "address", "postcode", "city", "country", "gender",
    "banned", "origin", "created",
)  # fmt: skip


def customers(connection: Connection, organization: int) -> Iterator[str]:
    """Yield the customers of an organization."""
    t = customer
    found = connection.execute(
        select(t)
        .where(t.c.organization_id == organization)
        .order_by(t.c.id)
        .execution_options(yield_per=PIECE_ROWS)
    )
    return csv_pieces(
        CUSTOMERS,
        (
            (
                row.id, row.first_name, row.last_name, row.email, row.phone, row.address, row.postcode, row.city,
                row.country, row.gender, "yes" if row.banned else "no", row.origin, _time(row.created_s),
            )
            for row in found
        ),
    )  # fmt: skip


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def _words(standing: int) -> str:
    """Return a standing in the words that a list may use for it."""
    return " ".join(one.name.lower() for one in Standing if one.name and standing & one) or "valid"


def _codes(connection: Connection, event: int, first: int, last: int) -> dict[int, list[str]]:
    """Return the readable codes of these tickets."""
    c = sold.credential.c
    found: dict[int, list[str]] = {}
    for row in connection.execute(
        select(c.ticket, c.text).where(
            c.event_id == event, c.ticket.between(first, last), c.text.is_not(None)
        )
    ):
        found.setdefault(row.ticket, []).append(row.text)
    return found


SCANS = (
    "time", "gate", "epoch", "record", "kind", "lane", "zone", "session", "direction", "outcome", "reason", "ticket",
)  # fmt: skip


def scans(connection: Connection, event: int) -> Iterator[str]:
    """Yield what gates recorded of an event, scans of unknown codes in its group with it, as their logs hold it."""
    g, r, e = gates.gate, gates.record, events.event
    group = connection.execute(select(e.c.group_id).where(e.c.id == event)).scalar()
    found = connection.execute(
        select(r.c.gate_id, r.c.epoch, r.c.seq, r.c.blob, g.c.name)
        .join(g, g.c.id == r.c.gate_id)
        .where(g.c.group_id == group)
        .order_by(r.c.gate_id, r.c.epoch, r.c.seq)
        .execution_options(yield_per=PIECE_ROWS)
    )

    def lines() -> Iterator[Sequence[object]]:
        for row in found:
            try:
                body = record_from_bytes(row.blob)
            except MalformedRecord:
                continue
            if isinstance(body, Record) and body.kind in _PEOPLE and (body.ticket or (event, 0))[0] == event:
                yield _scan_line(row, body)

    return csv_pieces(SCANS, lines())


_PEOPLE = frozenset(
    (
        Kind.SCAN,
        Kind.STORED,
        Kind.PASSAGE,
        Kind.GIVE_BACK,
        Kind.LATE_PASSAGE,
        Kind.INTRUSION,
        Kind.TAILGATE,
        Kind.OVERRIDE,
        Kind.ANNUL,
    )
)
"""What people did, not what devices did."""


def _scan_line(row: Any, body: Record) -> Sequence[object]:
    at_us = stored_us(body) if body.kind is Kind.STORED else body.time_us
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
    reason = Reason(body.reason).name.lower() if body.reason in _REASONS else str(body.reason)
    return (
        at, row.name, f"{unsigned(row.epoch):016x}", row.seq, body.kind.name.lower(), body.lane, body.zone,
        body.session, body.direction.name.lower(), body.outcome.name.lower(), reason if body.reason else "",
        "" if body.ticket is None else body.ticket[1],
    )  # fmt: skip


_REASONS = frozenset(int(one) for one in Reason)

OF_EVENT: Mapping[str, Export] = {"tickets": tickets, "scans": scans}
EXPORTS: Mapping[str, Export] = {**OF_EVENT, "customers": customers}
