"""Entries become tickets and credentials: what is new is added, what changed is changed, all else is left alone.

A list says what its shop knows. What people did here stays: a ban or a redeem is never undone by a list, and a
ticket that a list does not name any more is not touched.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, exists, func, or_, select, update

from admission.entitlements import Attention, CredentialStanding, Standing
from admission.ids import EventId
from sync.imports import holders, slabs, tables
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
    """How many entries did what. `new_at`: as given to `write`, for the chunks behind."""

    new: int
    changed: int
    same: int
    taken: int
    new_at: int | None


def compare(connection: Connection, event: int, shop: str, entries: Sequence[Entry]) -> Compared:
    """Compare entries of one shop, a chunk at most, with the event's tickets."""
    s, c = tables.import_source.c, sold.credential.c
    anything = or_(exists().where(s.event_id == event), exists().where(c.event_id == event))
    if not connection.execute(select(anything)).scalar():
        return Compared(
            list(entries), [], 0, frozenset()
        )  # the event's first list, as far as nobody sold anything
    keys = [one.key for one in entries]
    known_rows = slabs.find(connection, (s.key, s.ticket, s.print), s.key, keys, event_id=event, shop=shop)
    sources = {row.key: row for row in known_rows}
    digests = [code.digest for one in entries for code in one.codes]
    found = slabs.find(connection, (c.digest, c.ticket), c.digest, digests, event_id=event)
    owners = {row.digest: row.ticket for row in found}
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


def write(
    connection: Connection,
    event: int,
    shop: str,
    organization: int,
    entries: Sequence[Entry],
    new_at: int | None,
    now_s: int,
) -> Written:
    """Write a chunk. The caller raises the list's version where something is new or changed.

    `new_at`: the version of the list at which all of it was new. Whoever adds a ticket or a code raises the version,
    so that it need not be looked for again while it is the same.
    """
    # Customers' ids first and the event after them, as whoever makes a customer and sells to him; then nobody else
    # writes what is looked at here.
    first = holders.first_of(connection, entries)
    changes.take(connection, (EventId(event),))
    version = changes.coming(connection, EventId(event))
    if version - 1 == new_at:
        found = Compared(list(entries), [], 0, frozenset())
        new_at = version  # ours alone, as codes of one file are told apart
    else:
        found = compare(connection, event, shop, entries)
        new_at = None
    before = _before(connection, event, [number for _, number in found.changed])
    changed = [(one, before[number].holder) for one, number in found.changed]
    people = holders.find(connection, organization, found.new, changed, first)
    t = sold.ticket.c
    last = connection.execute(select(func.max(t.id)).where(t.event_id == event)).scalar() or 0
    with slabs.adding(connection) as adding:
        _add(adding, event, shop, found.new, last, version)
        _add_tickets(adding, event, found.new, people.holders, last, version)
        holders.add(adding, organization, people, first, now_s)
    holders.rename(connection, people.renamed)
    _change(connection, event, shop, found.changed, people.holders, before)
    return Written(len(found.new), len(found.changed), found.same, len(found.taken), new_at)


def _add(
    adding: slabs.Adding, event: int, shop: str, entries: Sequence[Entry], last: int, version: int
) -> None:
    """Add codes and where they came from, in the order of their keys, which are digests: neighbours share pages."""
    # The event is ours to the end of the transaction, so its next version is known: written now, the rows need not
    # be written once more to be stamped.
    numbered = enumerate(entries, start=last + 1)
    codes = sorted(
        (code.digest, number, code.kind, code.text) for number, one in numbered for code in one.codes
    )
    _add_codes(adding, event, codes, version)
    sources = sorted((one.key, number, one) for number, one in enumerate(entries, start=last + 1))
    adding.add(
        tables.import_source,
        {
            "event_id": slabs.Same(event), "key": [key for key, _, _ in sources], "shop": slabs.Same(shop),
            "ticket": [number for _, number, _ in sources], "print": [one.print for _, _, one in sources],
            "reference": [one.order for _, _, one in sources],
        },
        len(sources),
    )  # fmt: skip


def _add_codes(
    adding: slabs.Adding, event: int, codes: Sequence[tuple[bytes, int, str, str | None]], version: int | None
) -> None:
    adding.add(
        sold.credential,
        {
            "event_id": slabs.Same(event), "digest": [one[0] for one in codes], "ticket": [one[1] for one in codes],
            "kind": [one[2] for one in codes], "text": [one[3] for one in codes],
            "standing": slabs.Same(int(CredentialStanding.ACTIVE)), "version": slabs.Same(version),
        },
        len(codes),
    )  # fmt: skip


def _add_tickets(
    adding: slabs.Adding,
    event: int,
    entries: Sequence[Entry],
    people: holders.Holders,
    last: int,
    version: int,
) -> None:
    adding.add(
        sold.ticket,
        {
            "event_id": slabs.Same(event), "id": range(last + 1, last + 1 + len(entries)),
            "product": [one.product for one in entries], "holder": [people.get(one.row, 0) for one in entries],
            "zones": [one.zones for one in entries], "session": [one.session for one in entries],
            "standing": [max(one.standing, 0) for one in entries], "not_before": [one.valid_from for one in entries],
            "not_after": [one.valid_until for one in entries], "admits": [one.admits for one in entries],
            "home_gate": slabs.Same(0), "attention": slabs.Same(int(Attention.NONE)), "version": slabs.Same(version),
        },
        len(entries),
    )  # fmt: skip


class _Before(NamedTuple):
    """What a ticket is before it changes."""

    standing: int
    holder: int


def _before(connection: Connection, event: int, numbers: Sequence[int]) -> dict[int, _Before]:
    t = sold.ticket.c
    found = slabs.find(connection, (t.id, t.standing, t.holder), t.id, numbers, event_id=event)
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
                "of": number, "new_product": one.product, "new_holder": people.get(one.row, 0), "new_zones": one.zones,
                "new_session": one.session, "new_standing": _standing(before[number].standing, one.standing),
                "new_not_before": one.valid_from, "new_not_after": one.valid_until, "new_admits": one.admits,
            }
            for one, number in entries
        ],
    )  # fmt: skip
    held: dict[int, dict[bytes, int]] = {number: {} for number in numbers}
    wanted = (c.c.ticket, c.c.digest, c.c.standing)
    for row in slabs.find(connection, wanted, c.c.ticket, numbers, event_id=event):
        held[row.ticket][row.digest] = row.standing
    added = [
        (code.digest, number, code.kind, code.text)
        for one, number in entries
        for code in one.codes
        if code.digest not in held[number]
    ]
    with slabs.adding(connection) as adding:
        _add_codes(adding, event, added, None)
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
