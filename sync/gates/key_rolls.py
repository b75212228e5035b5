"""A gate's keys rolled because an organizer asked for it (`sync.wire.gate_keys` has the steps).

An order stands until the gate has carried it out, or is another box: enrolling anew and shutting out void it. Nothing
of it reaches the roster before the gate signs with its new key.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    LargeBinary,
    Table,
    delete,
    insert,
    select,
    update,
)

from admission.ids import GateId
from sync.accounts.audit import note
from sync.accounts.principal import Actor
from sync.events.tables import event_group
from sync.gates import former_keys, tables
from sync.keys import VenueKeys
from sync.store.schema import METADATA, queue
from sync.tickets import changes
from sync.wire.gate_keys import KEY_BYTES, KeyOffer, RollAsked, is_proved
from sync.wire.messages import fingerprint_of

key_roll = Table(
    "key_roll",
    METADATA,
    Column("gate_id", BigInteger, ForeignKey("gate.id"), primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("asked_s", BigInteger, nullable=False),
    Column("offered_s", BigInteger, nullable=False, server_default="0"),
    Column("public", LargeBinary(KEY_BYTES)),
    Column("sealing", LargeBinary(KEY_BYTES)),
    Column("done_s", BigInteger, nullable=False, server_default="0"),
)
"""The newest order of each gate. `public`, `sealing`: what the gate offered, by a request that it signed at `offered_s`;
empty before that and once it is done."""

_DOMAIN = b"gatehouse roll challenge 0\n"


class OfferRefused(ValueError):
    """New keys that are not taken. `code` for the gate's journal; the text for people."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it stands; 0 where something was not yet."""

    number: int
    asked_s: int
    offered_s: int
    done_s: int

    @property
    def state(self) -> str:
        """Say how far it is: asked, offered or done."""
        return "done" if self.done_s else "offered" if self.offered_s else "asked"


def ask(connection: Connection, gate: GateId, now_s: int) -> tuple[Order, bool]:
    """Ask a gate for new keys; returns the order, and whether it is a new one: one that stands is not given twice."""
    queue(connection, "key_roll")
    before = order_of(connection, gate)
    if before is not None and not before.done_s:
        return before, False
    # Of the clock, so that a centre restored from its backup does not give a number again that a gate has met.
    number = max(before.number + 1 if before is not None else 1, now_s)
    connection.execute(delete(key_roll).where(key_roll.c.gate_id == gate))
    connection.execute(insert(key_roll).values(gate_id=gate, number=number, asked_s=now_s))
    return Order(number, now_s, 0, 0), True


def order_of(connection: Connection, gate: GateId) -> Order | None:
    """Return a gate's newest order."""
    t = key_roll.c
    row = connection.execute(
        select(t.number, t.asked_s, t.offered_s, t.done_s).where(t.gate_id == gate)
    ).first()
    return None if row is None else Order(*row)


def orders_of_group(connection: Connection, group: int) -> dict[GateId, Order]:
    """Return the newest order of each gate of a group that was ever given one."""
    t, g = key_roll.c, tables.gate.c
    found = connection.execute(
        select(t.gate_id, t.number, t.asked_s, t.offered_s, t.done_s)
        .join_from(key_roll, tables.gate, g.id == t.gate_id)
        .where(g.group_id == group)
    )
    return {GateId(row[0]): Order(*row[1:]) for row in found}


def standing(connection: Connection) -> dict[GateId, int]:
    """Return the numbers of all orders that stand."""
    t = key_roll.c
    return {
        GateId(row[0]): row[1] for row in connection.execute(select(t.gate_id, t.number).where(t.done_s == 0))
    }


def asked(keys: VenueKeys, gate: GateId, number: int) -> RollAsked:
    """Return an order as the gate is told it."""
    return RollAsked(number, challenge(keys, gate, number).public_key().public_bytes_raw())


def challenge(keys: VenueKeys, gate: GateId, number: int) -> X25519PrivateKey:
    """Return the private key of an order's challenge: every replica makes it alike, and nobody else does."""
    secret = sha256(_DOMAIN + keys.accounts).digest()
    return X25519PrivateKey.from_private_bytes(hmac.digest(secret, b"%d %d" % (gate, number), "sha256"))


def void(connection: Connection, gate: GateId) -> None:
    """Forget a gate's order: it is another box from now on, or none."""
    connection.execute(delete(key_roll).where(key_roll.c.gate_id == gate))


def offer(
    connection: Connection, keys: VenueKeys, gate: GateId, present: bytes, offered: KeyOffer, signed_s: int
) -> None:
    """Keep what a gate offers, in a writing transaction; the same again changes nothing. OfferRefused.

    `present`: the key that signed the request, at `signed_s` by the gate's clock.
    """
    queue(connection, "key_roll")
    t = key_roll.c
    row = connection.execute(select(key_roll).where(t.gate_id == gate)).first()
    if row is None or row.done_s or row.number != offered.number:
        raise OfferRefused("roll_not_asked", "Nobody asked this gate for these keys.")
    if not is_proved(offered, gate, present, challenge(keys, gate, offered.number)):
        raise OfferRefused("roll_not_proved", "The gate does not show that it holds the keys it offers.")
    had = {present, *(one.public for one in former_keys.of_gate(connection, gate))}
    if offered.public in had:
        raise OfferRefused("roll_not_new", "This gate had that key before; new keys are new.")
    if (row.public, row.sealing) == (offered.public, offered.sealing):
        return
    if row.public is not None and signed_s <= row.offered_s:
        raise OfferRefused("roll_offered", "Newer keys were offered for the same order.")
    connection.execute(
        update(key_roll)
        .where(t.gate_id == gate)
        .values(public=offered.public, sealing=offered.sealing, offered_s=signed_s)
    )


def keys_of(connection: Connection, gate: GateId) -> tuple[bytes, bytes]:
    """Return the key of an enrolled gate, and the one that it offered and has not signed with yet; empty where there is none.

    Of one state, so that a request is by one of both while another request has the offered key taken.
    """
    t, g = key_roll.c, tables.gate.c
    row = connection.execute(
        select(g.public, t.public)
        .select_from(tables.gate.outerjoin(key_roll, t.gate_id == g.id))
        .where(g.id == gate, g.public.is_not(None))
    ).first()
    return (b"", b"") if row is None else (bytes(row[0]), bytes(row[1] or b""))


def take(connection: Connection, gate: GateId, public: bytes, now_s: int) -> bool:
    """Make the key that a gate offered its own, since it signs with it now; whether it is, in a writing transaction.

    Once, whichever replica meets it first. The key of before is a former one from then on.
    """
    t, g = key_roll, tables.gate
    group = connection.execute(select(g.c.group_id).where(g.c.id == gate)).scalar_one()
    events = changes.events_of_group(connection, group)
    changes.take(
        connection, events
    )  # whoever shuts the gate out, or enrols it anew, is done, or waits for us
    queue(connection, "key_roll")
    row = connection.execute(select(t).where(t.c.gate_id == gate)).first()
    held = connection.execute(select(g.c.name, g.c.public).where(g.c.id == gate)).one()
    if not held.public or held.public == public:
        return bool(held.public)  # another replica was quicker
    if row is None or row.done_s or row.public != public:
        return False
    former_keys.retire(connection, gate, public, now_s)
    connection.execute(update(g).where(g.c.id == gate).values(public=public, sealing=row.sealing))
    connection.execute(update(t).where(t.c.gate_id == gate).values(public=None, sealing=None, done_s=now_s))
    owner = select(event_group.c.organization_id).where(event_group.c.id == group)
    note(
        connection,
        Actor("gate", gate, held.name),
        connection.execute(owner).scalar_one(),
        "gate.keys",
        str(gate),
        {"order": row.number, "key": fingerprint_of(public), "before": fingerprint_of(bytes(held.public))},
        now_s,
    )
    changes.stamp(connection, events, now_s)
    return True
