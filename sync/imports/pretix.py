"""An event of pretix, from what its REST API answers: products, dates, keys, and a ticket for each position.

A folder holds one file for each resource: `event.json`, `items.json`, `subevents.json`, `checkinlists.json`,
`orders.json`, `revokedsecrets.json`, `blockedsecrets.json`; each as the API gives it: one object, a page with
`results`, or a list of pages or of objects. Only event, items and orders must be there. Field names and their
meaning: pretix's REST API documentation, Resources and endpoints.

What each becomes: an order that is pending `unpaid` (`valid_if_pending` aside), waiting for approval `unapproved`,
expired or canceled `cancelled`; a canceled position `cancelled`; a blocked one `unapproved`, since pretix may unblock
it; a revoked secret a ticket that is `replaced`, so that a gate which trusts the key still refuses it. Orders of test
mode and positions that admit nobody are left out.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from sqlalchemy import Connection, select

from admission.credentials import Malformed, Medium, classify
from admission.digests import CredentialKind, digest
from admission.entitlements import Mode, Product, Session, Standing
from admission.ids import EventId, ProductId, SessionId, ZoneId
from sync.events import rows as programme
from sync.imports.catalogue import Catalogue, number_of
from sync.imports.columns import Column, Layout
from sync.imports.entries import KEY_BYTES, PRINT_BYTES, Code, Entry
from sync.imports.faults import BadCell, CellFault, shown
from sync.imports.files import CHUNK_ROWS, Reading, slabs_of
from sync.imports.texts import FILE_BYTES_MAX
from sync.store.engines import CentreFault
from sync.tickets import rows as sold
from sync.tickets import tables
from sync.wire.lists import ListKey

NUMBER_MAX = 2**16 - 1
"""Products and sessions are u16; pretix's own numbers may be larger and are then replaced."""
LAYOUT = Layout({Column.CODE: 0}, (), ("secret",))

Text = str | dict[str, str]
"""A text of pretix: as it is, or by language."""
T = TypeVar("T")


class _ValidKeys(msgspec.Struct, frozen=True):
    pretix_sig1: tuple[str, ...] = ()


class _Event(msgspec.Struct, frozen=True):
    slug: str = ""
    valid_keys: _ValidKeys = _ValidKeys()


class _Item(msgspec.Struct, frozen=True):
    id: int
    name: Text
    admission: bool = True


class _Subevent(msgspec.Struct, frozen=True):
    id: int
    name: Text
    date_from: datetime


class _CheckinList(msgspec.Struct, frozen=True):
    all_products: bool = True
    limit_products: tuple[int, ...] = ()
    include_pending: bool = False
    allow_multiple_entries: bool = False
    allow_entry_after_exit: bool = False


class _Position(msgspec.Struct, frozen=True):
    id: int
    item: int
    secret: str
    subevent: int | None = None
    canceled: bool = False
    blocked: tuple[str, ...] | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    attendee_name: str | None = None
    attendee_email: str | None = None


class _Order(msgspec.Struct, frozen=True):
    code: str
    status: str
    testmode: bool = False
    email: str | None = None
    phone: str | None = None
    require_approval: bool = False
    valid_if_pending: bool = False
    positions: tuple[_Position, ...] = ()


class _Secret(msgspec.Struct, frozen=True):
    secret: str
    blocked: bool = True


class Dump(msgspec.Struct, frozen=True):
    """What was read of a folder."""

    event: _Event
    items: tuple[_Item, ...]
    subevents: tuple[_Subevent, ...]
    lists: tuple[_CheckinList, ...]
    orders: tuple[_Order, ...]
    revoked: tuple[_Secret, ...]
    blocked: tuple[_Secret, ...]


class Plan(NamedTuple):
    """What an event needs before its tickets, and which number of ours each of pretix's has."""

    products: Mapping[int, int]
    sessions: Mapping[int, int]
    new_products: tuple[Product, ...]
    new_sessions: tuple[Session, ...]
    keys: tuple[ListKey, ...]


def read_dump(folder: Path) -> Dump:
    """Read a folder. CentreFault where a file is missing, too large, or not what the API gives."""
    events = _read(folder, "event", _Event)
    if len(events) != 1:
        raise CentreFault("event.json is of several events", "Take the folder of one event.")
    return Dump(
        events[0],
        _read(folder, "items", _Item),
        _read(folder, "subevents", _Subevent, needed=False),
        _read(folder, "checkinlists", _CheckinList, needed=False),
        _read(folder, "orders", _Order),
        _read(folder, "revokedsecrets", _Secret, needed=False),
        _read(folder, "blockedsecrets", _Secret, needed=False),
    )


def _read(folder: Path, name: str, kind: type[T], *, needed: bool = True) -> tuple[T, ...]:
    path = folder / f"{name}.json"
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise CentreFault(
                f"{path} has more than {FILE_BYTES_MAX // 2**20} MiB", "Dump the event in parts."
            )
        content = msgspec.json.decode(path.read_bytes())
        return tuple(msgspec.convert(one, kind) for one in _objects(content))
    except FileNotFoundError:
        if not needed:
            return ()
        raise CentreFault(f"{path} is missing", f"Save what the API's {name} answers there.") from None
    except (msgspec.ValidationError, msgspec.DecodeError, OSError) as error:
        raise CentreFault(
            f"{path} cannot be read: {error}", f"Save what the API's {name} answers there."
        ) from error


def _objects(content: Any) -> Iterable[Any]:
    """Yield the objects of an answer: of one object, a page, or a list of either."""
    for one in content if isinstance(content, list) else [content]:
        if isinstance(one, dict) and isinstance(one.get("results"), list):
            yield from one["results"]
        else:
            yield one


def digest_of(dump: Dump, keeps_text: bool) -> bytes:
    """Return what tells one dump and its reading from another."""
    return sha256(msgspec.msgpack.encode((dump, keeps_text))).digest()


def plan(dump: Dump, known: Catalogue, zones: tuple[int, ...]) -> Plan:
    """Say what the event needs besides its tickets. `zones`: that the new products open. CentreFault where it is too much."""
    taken, products, new_products = set(known.product_numbers), {}, []
    for item in dump.items:
        if not item.admission:
            continue
        name = _word(item.name)
        number = number_of(known.products, name)
        if number is None:
            number = _number(item.id, taken)
            taken.add(number)
            mode = _mode(item.id, dump.lists)
            new_products.append(
                Product(
                    ProductId(number),
                    EventId(known.event),
                    name,
                    tuple(ZoneId(one) for one in zones),
                    mode=mode,
                )
            )
        products[item.id] = number
    held, sessions, new_sessions = set(known.session_numbers), {}, []
    zone = ZoneInfo(known.timezone)
    for one in dump.subevents:
        name = _word(one.name)
        day = int(f"{one.date_from.astimezone(zone):%Y%m%d}")
        label = (
            f"{name} {one.date_from.astimezone(zone):%Y-%m-%d %H:%M}"  # a series has many dates of one name
        )
        number = number_of(known.sessions, label)
        if number is None:
            number = _number(one.id, held)
            held.add(number)
            new_sessions.append(Session(SessionId(number), EventId(known.event), label, day))
        sessions[one.id] = number
    keys = tuple(
        ListKey(_public(key), "sig1", EventId(known.event)) for key in dump.event.valid_keys.pretix_sig1
    )
    return Plan(products, sessions, tuple(new_products), tuple(new_sessions), keys)


def write_plan(connection: Connection, planned: Plan, group: int) -> None:
    """Make what is missing, within `changes.change` of the event. `group`: the event's, whose gates are to know its keys."""
    programme.add_products(connection, planned.new_products)
    programme.add_sessions(connection, planned.new_sessions)
    t = tables.ticket_key.c
    there = set(
        connection.execute(
            select(t.public).where(t.group_id == group, t.public.in_([one.public for one in planned.keys]))
        ).scalars()
    )
    sold.add_keys(connection, [one for one in planned.keys if one.public not in there], group)


def held(connection: Connection, dump: Dump, known: Catalogue) -> frozenset[bytes]:
    """Return the digests of revoked secrets that are some ticket's already: its position says what became of it."""
    c = tables.credential.c
    asked = [
        code.digest
        for one in dump.revoked
        if (code := code_of(one.secret, known, keeps_text=False)) is not None
    ]
    found: set[bytes] = set()
    for at in range(0, len(asked), CHUNK_ROWS):
        wanted = select(c.digest).where(c.event_id == known.event, c.digest.in_(asked[at : at + CHUNK_ROWS]))
        found.update(connection.execute(wanted).scalars())
    return frozenset(found)


def code_of(secret: str, known: Catalogue, *, keeps_text: bool) -> Code | None:
    """Return a secret as gates know it; None for what can be no ticket's."""
    found = classify(secret.encode(), Medium.BARCODE)
    if isinstance(found, Malformed) or found.kind is CredentialKind.TK1:
        return None
    return Code(
        digest(found.kind, found.data, known.digest_key), found.kind.value, secret if keeps_text else None
    )


def read_tickets(
    dump: Dump, known: Catalogue, planned: Plan, held: frozenset[bytes], *, keeps_text: bool
) -> Reading:
    """Turn positions and revoked secrets into entries; a bad one is named by its order. `held`: see there."""
    reader = _Reader(dump, known, planned, keeps_text)
    return Reading("utf-8", "", LAYOUT, slabs_of(reader.rows(dump, held)))


class _Reader:
    """Makes entries of what a dump says; `row` counts positions as the dump has them."""

    def __init__(self, dump: Dump, known: Catalogue, planned: Plan, keeps_text: bool) -> None:
        self._known, self._planned, self._keeps_text = known, planned, keeps_text
        self._blocked = {one.secret for one in dump.blocked if one.blocked}
        self._pending_enters = any(one.include_pending for one in dump.lists)
        self._seen: set[str] = set()
        self._row = 0

    def rows(self, dump: Dump, held: frozenset[bytes]) -> Iterator[tuple[int, Entry | list[BadCell]]]:
        """Yield what became of each position and of each revoked secret, numbered."""
        merchandise = {
            one.id for one in dump.items if one.id not in self._planned.products
        }  # nobody enters with it
        for order in dump.orders:
            for position in () if order.testmode else order.positions:
                if position.item not in merchandise:
                    made = self.position(order, position)
                    yield self._row, [made] if isinstance(made, BadCell) else made
        for one in dump.revoked:
            if (gone := self.revoked(one, held)) is not None:
                yield self._row, gone

    def position(self, order: _Order, position: _Position) -> Entry | BadCell:
        self._row += 1
        product = self._planned.products.get(position.item)
        if product is None:
            return BadCell(self._row, shown(order.code), str(position.item), CellFault.ITEM_UNKNOWN)
        session = self._planned.sessions.get(position.subevent or 0, 0)
        if position.subevent and not session:
            return BadCell(self._row, shown(order.code), str(position.subevent), CellFault.DATE_UNKNOWN)
        code = code_of(position.secret, self._known, keeps_text=self._keeps_text)
        if code is None:
            return BadCell(self._row, shown(order.code), shown(position.secret), CellFault.BAD_SECRET)
        if position.secret in self._seen:
            return BadCell(self._row, shown(order.code), shown(position.secret), CellFault.SECRET_TWICE)
        self._seen.add(position.secret)
        first, _, last = (position.attendee_name or "").rpartition(" ")
        return self._entry(
            f"position {position.id}", code, product, session, self._standing(order, position),
            _seconds(position.valid_from), _seconds(position.valid_until), order.code, first, last,
            position.attendee_email or order.email or "", order.phone or "",
        )  # fmt: skip

    def revoked(self, secret: _Secret, held: frozenset[bytes]) -> Entry | None:
        code = code_of(secret.secret, self._known, keeps_text=self._keeps_text)
        if code is None or code.digest in held or secret.secret in self._seen or not self._planned.products:
            return None
        self._row += 1
        self._seen.add(secret.secret)
        product = min(self._planned.products.values())  # which does not matter: it is refused before that
        name = f"revoked {secret.secret}"
        return self._entry(name, code, product, 0, Standing.REPLACED, 0, 0, "", "", "", "", "")

    def _entry(
        self, name: str, code: Code, product: int, session: int, standing: Standing, valid_from: int,
        valid_until: int, order: str, first: str, last: str, email: str, phone: str,
    ) -> Entry:  # fmt: skip
        key = blake2b(
            name.encode(), digest_size=KEY_BYTES, key=self._known.digest_key, person=b"pretix"
        ).digest()
        fields = (
            (code,), product, "[]", session, valid_from, valid_until, 1, int(standing), order, first, last, email, phone
        )  # fmt: skip
        print_ = blake2b(msgspec.msgpack.encode(fields), digest_size=PRINT_BYTES).digest()
        return Entry(self._row, key, print_, *fields)

    def _standing(self, order: _Order, position: _Position) -> Standing:
        standing = Standing.VALID
        if order.status in {"c", "e"} or position.canceled:
            standing |= Standing.CANCELLED
        if order.status == "n" and order.require_approval:
            standing |= Standing.UNAPPROVED
        elif order.status == "n" and not (order.valid_if_pending or self._pending_enters):
            standing |= Standing.UNPAID
        if position.blocked or position.secret in self._blocked:
            standing |= Standing.UNAPPROVED
        return standing


def _word(text: Text) -> str:
    if isinstance(text, str):
        return text[:200]
    return next(
        (text[one] for one in ("de", "en", "fr", "it") if text.get(one)), next(iter(text.values()), "?")
    )[:200]


def _number(theirs: int, taken: set[int]) -> int:
    """Return their own number where it is free: a sig1 ticket that no list holds is then known by it."""
    if 0 < theirs <= NUMBER_MAX and theirs not in taken:
        return theirs
    free = next((one for one in range(1, NUMBER_MAX + 1) if one not in taken), None)
    if free is None:
        raise CentreFault(
            f"the event has more than {NUMBER_MAX} products or dates", "Cut it into several events."
        )
    return free


def _mode(item: int, lists: tuple[_CheckinList, ...]) -> Mode:
    """Return the widest mode that a check-in list of this item allows; without lists a lane's own holds."""
    of_item = [one for one in lists if one.all_products or item in one.limit_products]
    if not of_item or any(one.allow_multiple_entries for one in of_item):
        return Mode.MULTIPLE
    return Mode.ENTRY_EXIT if any(one.allow_entry_after_exit for one in of_item) else Mode.NORMAL


def _public(key: str) -> bytes:
    """Return the raw key of `valid_keys.pretix_sig1`: base64 of its PEM, or of the DER in it."""
    try:
        raw = b64decode(key, validate=True)
        found = load_pem_public_key(raw) if raw.startswith(b"-----") else load_der_public_key(raw)
    except (Base64Error, ValueError, UnsupportedAlgorithm) as error:
        raise CentreFault(
            f"the event's key {shown(key)} cannot be read", "Save the event's JSON again."
        ) from error
    if not isinstance(found, Ed25519PublicKey):
        raise CentreFault(
            f"the event's key {shown(key)} is not for sig1 tickets", "Save the event's JSON again."
        )
    return found.public_bytes_raw()


def _seconds(at: datetime | None) -> int:
    return 0 if at is None else int(at.timestamp())
