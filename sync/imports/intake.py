"""Entries become tickets and credentials: what is new is added, what changed is changed, all else is left alone.

A list says what its shop knows. What people did here stays: a ban, a redeem, a cancel, an exchange, a new code or a tag is
never undone by a list, and a ticket that a list does not name any more is not touched. A customer's ban reaches the tickets
that a list brings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, or_, select, update

from admission.digests import CredentialKind
from admission.entitlements import Attention, CredentialStanding, Standing
from admission.ids import EventId
from sync.customers.bound import State
from sync.customers.tables import tag, ticket_ban
from sync.gates.tables import bind
from sync.imports import holders, slabs, tables
from sync.imports.chunks import Chunk, NewCode, chunk_of
from sync.imports.entries import Entry
from sync.store.together import Round, Statement
from sync.tickets import changes
from sync.tickets import tables as sold

SHOPS = int(Standing.CANCELLED | Standing.REPLACED | Standing.UNPAID | Standing.UNAPPROVED)
"""The parts of a standing that a list may set, and clear where it was the list that set them; the rest is said by people here."""
BANNED = int(Standing.BANNED)

_LAST_TICKET = Statement("SELECT max(id) FROM ticket WHERE event_id = :event", "id")


class Place(NamedTuple):
    """Where entries go: the event of an organization, and the shop whose list they are of."""

    event: int
    organization: int
    shop: str


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
    sources = {key: (ticket, print_) for key, ticket, print_ in known_rows}
    digests = [code.digest for one in entries for code in one.codes]
    found = slabs.find(connection, (c.digest, c.ticket), c.digest, digests, event_id=event)
    owners = dict(found)
    new: list[Entry] = []
    changed: list[tuple[Entry, int]] = []
    taken: set[int] = set()
    same = 0
    for one in entries:
        known = sources.get(one.key)
        if owners and any(
            known is None or owners[code.digest] != known[0] for code in one.codes if code.digest in owners
        ):
            taken.add(one.row)
        elif known is None:
            new.append(one)
        elif known[1] != one.print:
            changed.append((one, known[0]))
        else:
            same += 1
    return Compared(new, changed, same, frozenset(taken))


def write(
    connection: Connection,
    place: Place,
    chunk: Chunk,
    new_at: int | None,
    now_s: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> Written:
    """Write a chunk. The caller raises the list's version where something is new or changed.

    `new_at`: the version of the list at which all of it was new. Whoever adds a ticket or a code raises the version,
    so that it need not be looked for again while it is the same. `meanwhile`: is called while the database may still be
    busy with what it was given.
    """
    event = place.event
    at = _begin(connection, event, chunk)
    if at.version - 1 == new_at:
        found = Compared(list(chunk.entries), [], 0, frozenset())
        new_at = at.version  # ours alone, as codes of one file are told apart
    else:
        found = compare(connection, event, place.shop, chunk.entries)
        new_at = None
    new = chunk if len(found.new) == len(chunk.entries) else chunk_of(found.new)
    before = _before(connection, event, [number for _, number in found.changed])
    kept = holders.kept_of([(one, before[number].holder) for one, number in found.changed])
    said = new.said
    if found.changed:
        rows = {one.row for one, _ in kept}
        said = holders.said((*new.entries, *(one for one, _ in found.changed if one.row not in rows)))
    people = holders.find(connection, place.organization, said, kept, at.customer)
    with slabs.adding(connection) as adding:
        _add_sources(adding, place, new, at.ticket)
        _add_tickets(adding, event, new.entries, people, at)
        holders.add(adding, place.organization, people, at.customer, now_s)
        # Last, for it takes longest, and small enough that all of it is on its way.
        _add_codes(adding, event, new.codes, range(at.ticket, at.ticket + len(new.entries)), at.version)
        meanwhile()
    holders.rename(connection, people.renamed)
    _change(connection, place, found.changed, people, before, at.version)
    return Written(len(found.new), len(found.changed), found.same, len(found.taken), new_at)


@dataclass(slots=True)
class _Begun:
    """What the rows of a chunk are numbered from, and the list's version that they come with."""

    customer: int = 0
    ticket: int = 0
    version: int = 0


def _begin(connection: Connection, event: int, chunk: Chunk) -> _Begun:
    """Keep others from writing what is looked at, and return what is next."""
    begun = _Begun()

    def customer(number: int) -> None:
        begun.customer = number

    def version(rows: list[Any]) -> None:
        begun.version = rows[0].version + 1

    def ticket(rows: list[Any]) -> None:
        begun.ticket = (rows[0].id or 0) + 1

    # Customers' ids first and the event after them, as whoever makes a customer and sells to him; then nobody else
    # writes what is looked at here.
    round_ = Round(connection)
    if not chunk.said.is_nobody:
        holders.ask_first(round_, customer)
    round_.add(changes.taking(EventId(event)), version)
    round_.add(_LAST_TICKET.ask(event=event), ticket)
    round_.run()
    return begun


def _add_sources(adding: slabs.Adding, place: Place, new: Chunk, first: int) -> None:
    entries = new.entries
    adding.add(
        tables.import_source,
        {
            "event_id": slabs.Same(place.event), "key": [key for key, _ in new.sources],
            "shop": slabs.Same(place.shop), "ticket": [first + at for _, at in new.sources],
            "print": [entries[at].print for _, at in new.sources],
            "reference": [entries[at].order for _, at in new.sources],
            "standing": [max(entries[at].standing, 0) & SHOPS for _, at in new.sources],
        },
        len(new.sources),
    )  # fmt: skip


def _add_codes(
    adding: slabs.Adding, event: int, codes: Sequence[NewCode], tickets: Sequence[int], version: int | None
) -> None:
    adding.add(
        sold.credential,
        {
            "event_id": slabs.Same(event), "digest": [one[0] for one in codes],
            "ticket": [tickets[one[1]] for one in codes], "kind": [one[2] for one in codes],
            "text": [one[3] for one in codes], "standing": slabs.Same(int(CredentialStanding.ACTIVE)),
            "version": slabs.Same(version),
        },
        len(codes),
    )  # fmt: skip


def _add_tickets(
    adding: slabs.Adding, event: int, entries: Sequence[Entry], people: holders.Found, at: _Begun
) -> None:
    standings = [max(one.standing, 0) for one in entries]
    if people.banned:
        standings = [
            said | BANNED if people.holders.get(one.row) in people.banned else said
            for one, said in zip(entries, standings, strict=True)
        ]
    adding.add(
        sold.ticket,
        _tickets(
            event, range(at.ticket, at.ticket + len(entries)), entries, people.holders, standings, at.version
        ) | {"home_gate": slabs.Same(0), "attention": slabs.Same(int(Attention.NONE))},
        len(entries),
    )  # fmt: skip


_SAID = ("product", "holder", "zones", "session", "standing", "not_before", "not_after", "admits")
"""What a list says of a ticket."""


def _tickets(
    event: int, numbers: Sequence[int], entries: Sequence[Entry], people: holders.Holders, standings: Sequence[int], version: int
) -> dict[str, slabs.Values]:  # fmt: skip
    # The event is ours to the end of the transaction, so its next version is known: written now, the rows need not
    # be written once more to be stamped.
    return {
        "event_id": slabs.Same(event), "id": numbers, "product": [one.product for one in entries],
        "holder": [people.get(one.row, 0) for one in entries], "zones": [one.zones for one in entries],
        "session": [one.session for one in entries], "standing": standings,
        "not_before": [one.valid_from for one in entries], "not_after": [one.valid_until for one in entries],
        "admits": [one.admits for one in entries], "version": slabs.Same(version),
    }  # fmt: skip


class _Before(NamedTuple):
    """What a ticket is before it changes."""

    standing: int
    holder: int
    home_gate: int
    attention: int


def _before(connection: Connection, event: int, numbers: Sequence[int]) -> dict[int, _Before]:
    t = sold.ticket.c
    wanted = (t.id, t.standing, t.holder, t.home_gate, t.attention)
    return {
        number: _Before(*was)
        for number, *was in slabs.find(connection, wanted, t.id, numbers, event_id=event)
    }


def _change(
    connection: Connection,
    place: Place,
    changed: Sequence[tuple[Entry, int]],
    people: holders.Found,
    before: Mapping[int, _Before],
    version: int,
) -> None:
    if not changed:
        return
    entries, numbers = [one for one, _ in changed], [number for _, number in changed]
    s = tables.import_source.c
    keys = [one.key for one in entries]
    set_before = dict(
        slabs.find(connection, (s.key, s.standing), s.key, keys, event_id=place.event, shop=place.shop)
    )
    said = [_standing(before[number].standing, set_before[one.key], one.standing) for one, number in changed]
    banned = [people.holders.get(one.row) in people.banned for one in entries]
    standings = [
        standing | BANNED if is_banned else standing
        for (standing, _), is_banned in zip(said, banned, strict=True)
    ]
    _keep_own_bans(
        connection,
        place.event,
        [
            number
            for number, is_banned in zip(numbers, banned, strict=True)
            if is_banned and before[number].standing & BANNED
        ],
    )
    whole = _tickets(place.event, numbers, entries, people.holders, standings, version) | {
        "home_gate": [before[number].home_gate for number in numbers],
        "attention": [before[number].attention for number in numbers],
    }
    slabs.change(connection, sold.ticket, whole, (*_SAID, "version"), len(changed))
    _change_codes(connection, place.event, changed, version)
    sources: dict[str, slabs.Values] = {
        "event_id": slabs.Same(place.event), "key": [one.key for one in entries], "shop": slabs.Same(place.shop),
        "ticket": numbers, "print": [one.print for one in entries], "reference": [one.order for one in entries],
        "standing": [ours for _, ours in said],
    }  # fmt: skip
    slabs.change(connection, tables.import_source, sources, ("print", "reference", "standing"), len(changed))


def _keep_own_bans(connection: Connection, event: int, numbers: Sequence[int]) -> None:
    """Let tickets that were banned before they came to a banned customer stay so when that ban is lifted."""
    b = ticket_ban.c
    kept = {one for (one,) in slabs.find(connection, (b.ticket,), b.ticket, numbers, event_id=event)}
    slabs.add(
        connection, ticket_ban, ("event_id", "ticket"), [(event, one) for one in numbers if one not in kept]
    )


def _change_codes(
    connection: Connection, event: int, changed: Sequence[tuple[Entry, int]], version: int
) -> None:
    """Add codes that tickets had not, and mark those that they have no more; or have again.

    Tags and codes that people gave here are not the list's, nor are its own that they replaced.
    """
    c = sold.credential
    numbers = [number for _, number in changed]
    held: dict[int, dict[bytes, int]] = {number: {} for number in numbers}
    wanted = (c.c.ticket, c.c.digest, c.c.standing, c.c.kind)
    found = slabs.find(connection, wanted, c.c.ticket, numbers, event_id=event)
    for ticket, digest, standing, _ in found:
        held[ticket][digest] = standing
    theirs = _of_people(connection, event, numbers, found)
    added = [
        (code.digest, at, code.kind, code.text)
        for at, (one, number) in enumerate(changed)
        for code in one.codes
        if code.digest not in held[number]
    ]
    with slabs.adding(connection) as adding:
        _add_codes(adding, event, added, numbers, version)
    moved = [
        {"of": number, "digest_": digest, "new_standing": after}
        for one, number in changed
        for digest, was in held[number].items()
        if (number, digest) not in theirs
        and (after := _code_standing(was, any(code.digest == digest for code in one.codes))) != was
    ]
    if moved:
        connection.execute(
            update(c)
            .where(c.c.event_id == event, c.c.digest == bindparam("digest_"), c.c.ticket == bindparam("of"))
            .values(standing=bindparam("new_standing"), version=version),
            moved,
        )


def _of_people(
    connection: Connection, event: int, numbers: Sequence[int], held: Sequence[tuple[int, bytes, int, str]]
) -> set[tuple[int, bytes]]:
    """Return those of tickets' codes, with their tickets, of which people here said what they are."""
    # No list holds a code of ours: whoever has one was given it here, for all that the ticket had.
    recoded = {ticket for ticket, _, _, kind in held if kind == CredentialKind.TK1.value}
    found = {
        (ticket, digest)
        for ticket, digest, standing, kind in held
        if kind == CredentialKind.TK1.value or (ticket in recoded and standing & CredentialStanding.REPLACED)
    }
    t, b = tag.c, bind.c
    uids = [digest for _, digest, _, kind in held if kind == CredentialKind.UID.value]
    given = {digest for (digest,) in slabs.find(connection, (t.digest,), t.digest, uids, event_id=event)}
    found.update((ticket, digest) for ticket, digest, _, _ in held if digest in given)
    bound = slabs.find(connection, (b.ticket, b.code, b.state), b.ticket, numbers, event_id=event)
    found.update((ticket, code) for ticket, code, state in bound if state == State.HOLDS)
    return found


def _standing(before: int, ours: int, said: int) -> tuple[int, int]:
    """Return a ticket's standing, and what of it is the list's; `ours`: what was so until now."""
    if said < 0:
        return before, ours
    kept = before & ~(ours & SHOPS)
    return kept | said & SHOPS, said & SHOPS & ~kept


def _code_standing(before: int, named: bool) -> int:
    replaced = int(CredentialStanding.REPLACED)
    return before & ~replaced if named else before | replaced
