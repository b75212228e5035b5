"""How long an organization keeps personal data and scans, and taking away by itself what is older.

Both count from the end of the last event: a customer's, and for scans that of the gates' group. An event without an end
keeps everything that belongs to it. Tickets, orders with their amounts and the audit log stay.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, text, update

from sync.accounts import audit
from sync.accounts.principal import SYSTEM, Actor
from sync.backup.tables import retention
from sync.customers import erasure
from sync.events import tables as programme
from sync.gates import arrivals
from sync.gates import tables as gates
from sync.store.database import Database

DAYS_MAX = 36_500
EVERY_S = 3600
"""An hour sooner or later is nothing to data that was kept for days."""
ROWS = 20_000
"""Taken away in one transaction: gates that push meanwhile wait for no more."""
STEPS_MAX = 100
"""Transactions of one run, of each kind: two million records; the rest goes an hour later."""

_TABLES = ("record", "record_fork")


class Terms(NamedTuple):
    """Days that an organization keeps what; 0: until somebody takes it away by hand."""

    customer_days: int = 0
    scan_days: int = 0


class Due(NamedTuple):
    """What terms take away now: people made anonymous, records of gates deleted."""

    customers: int
    records: int


def terms(connection: Connection, organization: int) -> Terms:
    """Return an organization's terms."""
    t = retention.c
    row = connection.execute(
        select(t.customer_days, t.scan_days).where(t.organization_id == organization)
    ).one_or_none()
    return Terms(*row) if row is not None else Terms()


def set_terms(connection: Connection, organization: int, wanted: Terms, actor: Actor, now_s: int) -> None:
    """Set the terms, in a writing transaction. ValueError for what are no days."""
    if not all(0 <= one <= DAYS_MAX for one in wanted):
        raise ValueError(f"a retention is 0 to {DAYS_MAX} days")
    before = terms(connection, organization)
    values = {**wanted._asdict(), "changed_s": now_s, "done_s": 0}
    mine = retention.c.organization_id == organization
    if connection.execute(update(retention).where(mine).values(**values)).rowcount == 0:
        connection.execute(insert(retention).values(organization_id=organization, **values))
    detail = {"from": before._asdict(), "to": wanted._asdict()}
    audit.note(
        connection, actor, organization, "retention.change", f"organization {organization}", detail, now_s
    )


def due(connection: Connection, organization: int, wanted: Terms, now_s: int) -> Due:
    """Return what these terms would take away now."""
    customers = records = 0
    if wanted.customer_days:
        customers = erasure.due(connection, organization, wanted.customer_days, now_s)
    for group in _ended(connection, organization, wanted.scan_days, now_s):
        r, g = gates.record.c, gates.gate.c
        counted = select(func.count()).select_from(gates.record).join(gates.gate, g.id == r.gate_id)
        records += connection.execute(counted.where(g.group_id == group)).scalar_one()
    return Due(customers, records)


def run_due(database: Database, now_s: int) -> int:
    """Take away what is over its time, for each organization at most every `EVERY_S`; returns how much. Blocks."""
    t = retention.c
    waits = ((t.customer_days > 0) | (t.scan_days > 0)) & (t.done_s <= now_s - EVERY_S)
    with database.reading() as connection:
        found = connection.execute(select(t.organization_id).where(waits)).scalars().all()
    done = 0
    for organization in found:
        if database.transact(partial(_take_turn, organization=organization, now_s=now_s)):
            done += _take_away(database, organization, now_s)
    return done


def _take_turn(connection: Connection, organization: int, now_s: int) -> bool:
    """Whether it is this replica's turn: the first that asks in an hour."""
    t = retention.c
    mine = update(retention).where(t.organization_id == organization, t.done_s <= now_s - EVERY_S)
    return bool(connection.execute(mine.values(done_s=now_s)).rowcount)


def _take_away(database: Database, organization: int, now_s: int) -> int:
    with database.reading() as connection:
        wanted = terms(connection, organization)
    customers = records = 0
    if wanted.customer_days:
        customers = _repeat(
            database,
            lambda connection: erasure.retain(connection, organization, wanted.customer_days, now_s),
        )
    with database.reading() as connection:
        groups = _ended(connection, organization, wanted.scan_days, now_s)
    for group in groups:
        records += _repeat(database, partial(_forget_records, group=group))
        _repeat(database, partial(_forget_presence, group=group))
        _repeat(database, partial(arrivals.forget, group=group))
    if customers or records:
        detail = {"customers": customers, "records": records, **wanted._asdict()}
        database.transact(
            lambda connection: audit.note(
                connection,
                SYSTEM,
                organization,
                "retention.run",
                f"organization {organization}",
                detail,
                now_s,
            )
        )
    return customers + records


def _repeat(database: Database, work: Callable[[Connection], int]) -> int:
    """Do a piece of work, each time in a transaction of its own, until there is none left."""
    total = 0
    for _ in range(STEPS_MAX):
        done = database.transact(work)
        total += done
        if not done:
            break
    return total


def _ended(connection: Connection, organization: int, days: int, now_s: int) -> list[int]:
    """Return the groups whose events all ended more than so many days ago; none for 0 days."""
    if not days:
        return []
    e, g = programme.event.c, programme.event_group.c
    last = select(func.max(e.ends_s)).where(e.group_id == g.id).scalar_subquery()
    open_end = select(e.id).where(e.group_id == g.id, e.ends_s == 0).exists()
    found = connection.execute(
        select(g.id).where(g.organization_id == organization, last <= now_s - days * erasure.DAY_S, ~open_end)
    )
    return list(found.scalars())


def _forget_records(connection: Connection, group: int) -> int:
    """Delete records of a group's gates, at most about `ROWS` of one log; returns how many.

    How far each log is held stays known, so that no gate sends its own again.
    """
    for table in _TABLES:
        found = connection.execute(
            text(
                f"SELECT r.gate_id, r.epoch, MIN(r.seq) AS least FROM {table} r JOIN gate g ON g.id = r.gate_id "  # noqa: S608 - fixed names
                "WHERE g.group_id = :group GROUP BY r.gate_id, r.epoch LIMIT 1"
            ),
            {"group": group},
        ).first()
        if found is not None:
            at = {"gate": found.gate_id, "epoch": found.epoch, "last": found.least + ROWS - 1}
            gone = text(f"DELETE FROM {table} WHERE gate_id = :gate AND epoch = :epoch AND seq <= :last")  # noqa: S608 - fixed names
            return connection.execute(gone, at).rowcount
    return 0


def _forget_presence(connection: Connection, group: int) -> int:
    """Delete what was derived from records of a group, at most about `ROWS`; returns how many."""
    p, e = gates.presence.c, programme.event.c
    events = connection.execute(select(e.id).where(e.group_id == group)).scalars().all()
    for event in events:
        cut = select(p.ticket).where(p.event == event).order_by(p.ticket).limit(1).offset(ROWS)
        last = connection.execute(cut).scalar()
        wanted: Any = gates.presence.delete().where(p.event == event)
        done = connection.execute(wanted if last is None else wanted.where(p.ticket <= last)).rowcount
        if done:
            return done
    r, g = gates.presence_reset.c, gates.gate.c
    mine = select(g.id).where(g.group_id == group)
    return connection.execute(gates.presence_reset.delete().where(r.gate.in_(mine))).rowcount
