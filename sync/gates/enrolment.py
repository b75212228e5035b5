"""How a box becomes a gate: a one-time code, a proof that it holds its keys, the venue's keys in return."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, delete, insert, select, update

from admission.ids import GateId
from sync.events import tables as events
from sync.gates import former_keys, key_rolls, tables
from sync.keys import KEY_BYTES, VenueKeys
from sync.store.database import CentreFault
from sync.tickets import changes
from sync.wire.messages import (
    CODE_ALPHABET,
    CODE_CHARS,
    CODE_MINUTES,
    CODE_TRIES,
    Enrol,
    Enrolled,
    is_signed,
    plain_code,
)

OPEN_CODES_MAX = 100
"""Open at a time; each is one more chance for a guess."""


def named(connection: Connection, name: str) -> GateId:
    """Return the gate of a name, in the whole centre; of several the one whose number is given. CentreFault for none, or several."""
    g, e, o = tables.gate.c, events.event_group.c, events.organization.c
    known = connection.execute(
        select(g.id, g.name, e.name.label("group"), o.name.label("organization"))
        .join(events.event_group, e.id == g.group_id)
        .join(events.organization, o.id == e.organization_id)
        .order_by(g.id)
    ).all()
    found = [one for one in known if one.name == name] or [one for one in known if str(one.id) == name]
    if len(found) == 1:
        return GateId(found[0].id)
    if found:
        told = ", ".join(f"{one.id} ({one.group}, {one.organization})" for one in found)
        raise CentreFault(f"{len(found)} gates are named {name!r}", f"Give the number of one: {told}.")
    raise CentreFault(
        f"there is no gate named {name!r}",
        f"Take one of: {', '.join(dict.fromkeys(one.name for one in known))}."
        if known
        else "Make an event first (gatehouse-sync event demo).",
    )


def new_code(connection: Connection, keys: VenueKeys, gate: GateId, now_s: int, random: bytes) -> str:
    """Open a one-time code for a gate and return it; an older one of the same gate is void. `random`: 5 bytes."""
    number = int.from_bytes(random[:5], "big")
    code = "".join(CODE_ALPHABET[number >> 5 * place & 31] for place in range(CODE_CHARS))
    t = tables.enrolment_code
    connection.execute(delete(t).where((t.c.gate_id == gate) | (t.c.expires_s <= now_s)))
    if len(connection.execute(select(t.c.gate_id)).all()) >= OPEN_CODES_MAX:
        raise CentreFault(
            "too many enrolment codes are open", f"Wait {CODE_MINUTES} minutes, then try again."
        )
    connection.execute(
        insert(t).values(
            digest=keys.code_digest(code),
            gate_id=gate,
            expires_s=now_s + CODE_MINUTES * 60,
            tries_left=CODE_TRIES,
        )
    )
    return code


def is_formed(asked: Enrol) -> bool:
    """Whether an enrolment is of the form that a box sends."""
    code = plain_code(asked.code)
    return (
        len(code) == CODE_CHARS
        and all(char in CODE_ALPHABET for char in code)
        and len(asked.public) == len(asked.sealing) == KEY_BYTES
    )


def is_proved(asked: Enrol) -> bool:
    """Whether the box holds the signing key it shows. For one that `is_formed`."""
    return is_signed(Ed25519PublicKey.from_public_bytes(asked.public), asked.proof, asked.text())


def is_open(connection: Connection, keys: VenueKeys, asked: Enrol) -> bool:
    """Whether there is such a code, though it may have expired. Reads only: guesses never wait for the writer."""
    t = tables.enrolment_code
    mine = t.c.digest == keys.code_digest(plain_code(asked.code))
    return connection.execute(select(t.c.gate_id).where(mine)).scalar() is not None


def tried(connection: Connection, keys: VenueKeys, asked: Enrol) -> None:
    """Take a try off the code that was used without a proof; no other code suffers for it."""
    t = tables.enrolment_code
    mine = t.c.digest == keys.code_digest(plain_code(asked.code))
    connection.execute(update(t).where(mine).values(tries_left=t.c.tries_left - 1))


def enrol(connection: Connection, keys: VenueKeys, asked: Enrol, now_s: int) -> Enrolled | None:
    """Make the box the gate its code is for, once: the code is gone with it. None where the box may not join.

    For one that `is_proved`. The caller commits in both cases.
    """
    t = tables.enrolment_code
    connection.execute(delete(t).where((t.c.expires_s <= now_s) | (t.c.tries_left <= 0)))
    mine = t.c.digest == keys.code_digest(plain_code(asked.code))
    gate = connection.execute(
        delete(t).where(mine).returning(t.c.gate_id)
    ).scalar()  # once, whoever else asks
    if gate is None:
        return None
    join(connection, GateId(gate), asked.public, asked.sealing, now_s)
    known = tables.gate.c
    name, group = connection.execute(select(known.name, known.group_id).where(known.id == gate)).one()
    changes.stamp(connection, changes.events_of_group(connection, group), now_s)
    signed = keys.document(now_s)
    return Enrolled(
        gate=gate,
        name=name,
        group=group,
        identity=signed.identity,
        document=signed.document,
        signature=signed.signature,
    )


def join(connection: Connection, gate: GateId, public: bytes, sealing: bytes, now_s: int) -> None:
    """Make the box with these keys the gate, within `changes.change` of its group's events.

    Place and plans are the gate's; the key of the box before is a former one, and a revocation is undone for what begins now.
    """
    former_keys.retire(connection, gate, public, now_s)
    key_rolls.void(connection, gate)
    r = tables.revocation
    connection.execute(update(r).where(r.c.gate_id == gate, r.c.undone_s == 0).values(undone_s=now_s))
    connection.execute(
        update(tables.gate)
        .where(tables.gate.c.id == gate)
        .values(public=public, sealing=sealing, enrolled_at_s=now_s)
    )


WRONG_CODE = "The code is wrong, used or expired. Print a new one: gatehouse-sync gate code NAME."
"""One text for all three: a guesser learns nothing."""
