"""Entries become tickets and credentials: what is new is added, what changed is changed, all else is left alone.

A list says what its shop knows. What people did here stays: a ban or a redeem is never undone by a list, and a
ticket that a list does not name any more is not touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Table, bindparam, func, select, update

from admission.entitlements import Attention, CredentialStanding, Standing
from admission.ids import EventId
from sync.imports import holders, tables
from sync.imports.entries import Entry
from sync.tickets import changes
from sync.tickets import tables as sold

SHOPS = Standing.CANCELLED | Standing.REPLACED | Standing.UNPAID | Standing.UNAPPROVED
"""The parts of a standing that a list may set and clear; the rest is said by people here."""


class Compared(NamedTuple):
    """How entries compare with what is there. `new`, `changed`: to be written; `taken`: rows whose code is another's.

    `changed` is with the ticket's number, as the tables hold it.
    """

    new: list[Entry]
    changed: list[tuple[Entry, int]]
    same: int
    taken: frozenset[int]


class Written(NamedTuple):
    """How many entries did what."""

    new: int
    changed: int
    same: int
    taken: int


def compare(connection: Connection, event: int, shop: str, entries: Sequence[Entry]) -> Compared:
    """Compare entries of one shop, a chunk at most, with the event's tickets."""
    s, c = tables.import_source.c, sold.credential.c

    asked_keys = select(s.key, s.shop, s.ticket, s.print).where(
        s.event_id == event, s.key.in_([one.key for one in entries])
    )
    sources = {row.key: row for row in connection.execute(asked_keys) if row.shop == shop}
    digests = [code.digest for one in entries for code in one.codes]
    owners: dict[bytes, int] = {}
    for start in range(0, len(digests), _ASKED_MAX):
        asked = digests[start : start + _ASKED_MAX]
        found = connection.execute(select(c.digest, c.ticket).where(c.event_id == event, c.digest.in_(asked)))
        owners.update((row.digest, row.ticket) for row in found)
    new: list[Entry] = []
    changed: list[tuple[Entry, int]] = []
    taken: set[int] = set()
    same = 0
    for one in entries:
        known = sources.get(one.key)
        if owners and any(
            known is None or owners[code.digest] != known.ticket
            for code in one.codes
            if code.digest in owners
        ):
            taken.add(one.row)
        elif known is None:
            new.append(one)
        elif known.print != one.print:
            changed.append((one, known.ticket))
        else:
            same += 1
    return Compared(new, changed, same, frozenset(taken))


_ASKED_MAX = 10_000
"""Values in one statement; SQLite takes 32,766 (SQLITE_MAX_VARIABLE_NUMBER), PostgreSQL's protocol 65,535."""


def write(
    connection: Connection, event: int, shop: str, organization: int, entries: Sequence[Entry], now_s: int
) -> Written:
    """Write a chunk. The caller raises the list's version where something is new or changed."""
    wanted = compare(connection, event, shop, entries)
    before = _before(connection, event, [number for _, number in wanted.changed])
    people = holders.find_or_make(
        connection,
        organization,
        wanted.new,
        [(one, before[number].holder) for one, number in wanted.changed],
        now_s,
    )
    changes.take(connection, (EventId(event),))
    found = wanted
    if connection.dialect.name != "sqlite":  # again, in the queue: what others wrote since then counts too
        found = compare(connection, event, shop, entries)
        before = _before(connection, event, [number for _, number in found.changed])
    _add(connection, event, shop, found.new, people)
    _change(connection, event, shop, found.changed, people, before)
    return Written(len(found.new), len(found.changed), found.same, len(found.taken))


def _add(
    connection: Connection, event: int, shop: str, entries: Sequence[Entry], people: holders.Holders
) -> None:
    if not entries:
        return
    t = sold.ticket.c
    last = connection.execute(select(func.max(t.id)).where(t.event_id == event)).scalar() or 0
    numbered = list(enumerate(entries, start=last + 1))
    _insert(
        connection, sold.ticket,
        ("event_id", "id", "product", "holder", "zones", "session", "standing", "not_before", "not_after", "admits",
         "home_gate", "attention"),
        [
            (event, number, one.product, people.of(one), one.zones, one.session, max(one.standing, 0),
             one.valid_from, one.valid_until, one.admits, 0, int(Attention.NONE))
            for number, one in numbered
        ],
    )  # fmt: skip
    _insert(connection, sold.credential, _CREDENTIAL, _credentials(event, numbered))
    _insert(
        connection, tables.import_source, ("event_id", "shop", "key", "ticket", "print", "reference"),
        [(event, shop, one.key, number, one.print, one.order) for number, one in numbered],
    )  # fmt: skip


_CREDENTIAL = ("event_id", "digest", "ticket", "kind", "text", "standing")


def _credentials(event: int, numbered: Iterable[tuple[int, Entry]]) -> list[tuple[object, ...]]:
    return [
        (event, code.digest, number, code.kind, code.text, int(CredentialStanding.ACTIVE))
        for number, one in numbered
        for code in one.codes
    ]


def _insert(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert many rows: written as the driver takes them, since SQLAlchemy's own way costs three times as much."""
    if not rows:
        return
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    quoted = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
    marks = ", ".join(mark for _ in names)
    statement = f"INSERT INTO {table.name} ({quoted}) VALUES ({marks})"  # noqa: S608 - fixed names of our own
    connection.exec_driver_sql(statement, list(rows))


class _Before(NamedTuple):
    """What a ticket is before it changes."""

    standing: int
    holder: int


def _before(connection: Connection, event: int, numbers: Sequence[int]) -> dict[int, _Before]:
    t = sold.ticket.c
    found = connection.execute(
        select(t.id, t.standing, t.holder).where(t.event_id == event, t.id.in_(numbers))
    )
    return {row.id: _Before(row.standing, row.holder) for row in found}


def _change(
    connection: Connection,
    event: int,
    shop: str,
    entries: Sequence[tuple[Entry, int]],
    people: holders.Holders,
    before: Mapping[int, _Before],
) -> None:
    if not entries:
        return
    t, c, s = sold.ticket, sold.credential, tables.import_source
    numbers = [number for _, number in entries]
    connection.execute(
        update(t)
        .where(t.c.event_id == event, t.c.id == bindparam("of"))
        .values(
            {
                name: bindparam(f"new_{name}")
                for name in ("product", "holder", "zones", "session", "standing", "not_before", "not_after", "admits")
            }
            | {"version": None}
        ),
        [
            {
                "of": number, "new_product": one.product, "new_holder": people.of(one), "new_zones": one.zones,
                "new_session": one.session, "new_standing": _standing(before[number].standing, one.standing),
                "new_not_before": one.valid_from, "new_not_after": one.valid_until, "new_admits": one.admits,
            }
            for one, number in entries
        ],
    )  # fmt: skip
    held: dict[int, dict[bytes, int]] = {number: {} for number in numbers}
    for row in connection.execute(
        select(c.c.ticket, c.c.digest, c.c.standing).where(c.c.event_id == event, c.c.ticket.in_(numbers))
    ):
        held[row.ticket][row.digest] = row.standing
    _insert(
        connection, c, _CREDENTIAL,
        [row for row in _credentials(event, ((number, one) for one, number in entries)) if row[1] not in held[row[2]]],  # type: ignore[index]  # a digest and a ticket's number
    )  # fmt: skip
    moved = [
        {"of": number, "digest_": digest, "new_standing": after}
        for one, number in entries
        for digest, was in held[number].items()
        if (after := _code_standing(was, any(code.digest == digest for code in one.codes))) != was
    ]
    if moved:
        connection.execute(
            update(c)
            .where(c.c.event_id == event, c.c.digest == bindparam("digest_"), c.c.ticket == bindparam("of"))
            .values(standing=bindparam("new_standing"), version=None),
            moved,
        )
    connection.execute(
        update(s)
        .where(s.c.event_id == event, s.c.shop == shop, s.c.key == bindparam("key_"))
        .values(print=bindparam("print_"), reference=bindparam("reference_")),
        [{"key_": one.key, "print_": one.print, "reference_": one.order} for one, _ in entries],
    )


def _standing(before: int, said: int) -> int:
    return before if said < 0 else before & ~int(SHOPS) | said & int(SHOPS)


def _code_standing(before: int, named: bool) -> int:
    replaced = int(CredentialStanding.REPLACED)
    return before & ~replaced if named else before | replaced
