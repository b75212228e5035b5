"""Guessing is slow: each try is counted before it is checked, by account and by address, and survives a restart.

Doubling waits, not a lock for good: whoever knows an organizer's e-mail must not be able to keep them out of the
evening, and 288 guesses a day are none.
"""

import hashlib

from sqlalchemy import Connection, delete, insert, select, update

from sync.accounts.tables import sign_in_failure
from sync.store.schema import queue

FREE = {"account": 5, "address": 20}
"""Wrong tries without a wait. Many people share one address."""
WAIT_S_MAX = {"account": 300, "address": 3600}
FORGOTTEN_S = 86_400


def attempt(connection: Connection, email: str, address: str, now_s: int) -> int:
    """Count a try; return 0 where it may be made, else how many seconds it must wait (and is not counted).

    `address`: of whoever tries, "" where that is not known. `succeeded` takes the count back.
    """
    queue(connection, "sign_in")
    t = sign_in_failure
    connection.execute(delete(t).where(t.c.last_s < now_s - FORGOTTEN_S))
    counted = [("account", _digest(email)), *([("address", _digest(address))] if address else [])]
    found = {}
    for kind, subject in counted:
        row = connection.execute(
            select(t.c.failures, t.c.until_s).where(t.c.kind == kind, t.c.subject == subject)
        ).one_or_none()
        if row is not None and row.until_s > now_s:
            return int(row.until_s - now_s)
        found[kind] = None if row is None else row.failures
    for kind, subject in counted:
        before = found[kind]
        failures = (before or 0) + 1
        over = failures - FREE[kind]
        wait_s = min(WAIT_S_MAX[kind], 2 ** min(over, 20)) if over >= 0 else 0
        values = {"failures": failures, "last_s": now_s, "until_s": now_s + wait_s}
        if before is None:
            connection.execute(insert(t).values(kind=kind, subject=subject, **values))
        else:
            connection.execute(update(t).where(t.c.kind == kind, t.c.subject == subject).values(**values))
    return 0


def succeeded(connection: Connection, email: str, address: str) -> None:
    """Forget the account's failures; of the address only this try, as others there may still be guessing."""
    t = sign_in_failure
    connection.execute(delete(t).where(t.c.kind == "account", t.c.subject == _digest(email)))
    _less(connection, "address", address)


def took_back(connection: Connection, email: str, address: str) -> None:
    """Forget one try, which was not wrong."""
    _less(connection, "account", email)
    _less(connection, "address", address)


def _less(connection: Connection, kind: str, subject: str) -> None:
    t = sign_in_failure
    if subject:
        connection.execute(
            update(t)
            .where(t.c.kind == kind, t.c.subject == _digest(subject), t.c.failures > 0)
            .values(failures=t.c.failures - 1, until_s=0)
        )


def _digest(subject: str) -> bytes:
    return hashlib.sha256(b"gatehouse sign-in 0\n" + subject.encode("utf-8", "replace")).digest()
