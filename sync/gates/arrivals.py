"""What readers are done with: old pieces of the merged log are joined, and those whose records were taken away go.

Each push and each commit of scanners is a piece of its own, so that gates hear of it at once. Whoever comes later reads
the same records in fewer, larger pieces. A piece only ever moves behind where it was, into the next one of its own log:
whoever reads on misses nothing, and is told some of it again at most, which changes nothing.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, Table, text

from admission.ids import GateId
from sync.gates import feed
from sync.store.database import Database
from sync.store.keyed import Keyed
from sync.store.schema import METADATA, queue

arrival_joined = Table(
    "arrival_joined",
    METADATA,
    Column("group_id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
)
"""Up to which piece those of a group were looked at."""

KEPT = 10_000
"""The newest stay as they are: gates in touch stand there, and their cursors hold."""
STEP = 5_000
"""Looked at in one transaction, some 100 ms; gates that push meanwhile wait for no more on SQLite."""
STEPS_MAX = 20
"""Of one run: 100,000 pieces a minute, 1,600 a second."""
ROWS = 20_000
"""Pieces, or heads, taken away in one transaction."""

_DUE = text("""
SELECT c.group_id FROM arrival_count c LEFT JOIN arrival_joined j ON j.group_id = c.group_id
WHERE c.n - coalesce(j.n, 0) >= :least ORDER BY c.group_id
""")
_JOINED = text("SELECT n FROM arrival_joined WHERE group_id = :group")
_SET = text("""
INSERT INTO arrival_joined (group_id, n) VALUES (:group, :n) ON CONFLICT (group_id) DO UPDATE SET n = excluded.n
""")
_PIECES = text("""
SELECT n, gate_id, epoch, first_seq, last_seq FROM arrival WHERE group_id = :group AND n > :after AND n <= :upto ORDER BY n
""")
_CURSORS = text("SELECT r.n FROM reading r JOIN gate g ON g.id = r.gate_id WHERE g.group_id = :group")
_HEADS = Keyed("SELECT seq FROM head WHERE gate_id = :gate AND epoch = :epoch AND seq IN (:keys)", "seq")
_LONGER = text("UPDATE arrival SET first_seq = :first WHERE group_id = :group AND n = :n")
_GONE = text("DELETE FROM arrival WHERE group_id = :group AND n = :n")
_FORGOTTEN = text("""
SELECT n FROM arrival a WHERE group_id = :group AND last_seq < (
  SELECT max(last_seq) FROM arrival b WHERE b.gate_id = a.gate_id AND b.epoch = a.epoch) LIMIT :most
""")
_LOGS = text("""
SELECT h.gate_id, h.epoch, max(h.seq) AS last FROM head h JOIN gate g ON g.id = h.gate_id
WHERE g.group_id = :group GROUP BY h.gate_id, h.epoch HAVING count(*) > 1
""")
_HEADS_GONE = text("DELETE FROM head WHERE gate_id = :gate AND epoch = :epoch AND seq < :last")


def join_old(database: Database, kept: int = KEPT, step: int = STEP) -> int:
    """Join old pieces of every group, at most `STEPS_MAX` transactions; returns how many pieces are gone. Blocks."""
    with database.reading() as connection:
        groups = connection.execute(_DUE, {"least": kept + step}).scalars().all()
    gone = steps = 0
    for group in groups:
        more = True
        while more and steps < STEPS_MAX:
            steps += 1
            more, fewer = database.transact(partial(_join, group=group, kept=kept, step=step))
            gone += fewer
    return gone


def _join(connection: Connection, group: int, kept: int, step: int) -> tuple[bool, int]:
    """Join the pieces of the next step; returns whether there are more, and how many are gone."""
    queue(connection, f"arrivals {group}")
    after = connection.execute(_JOINED, {"group": group}).scalar() or 0
    upto = after + step
    if upto > feed.newest(connection, group) - kept:
        return False, 0
    pieces = connection.execute(_PIECES, {"group": group, "after": after, "upto": upto}).all()
    stand = {*connection.execute(_CURSORS, {"group": group}).scalars()}
    by_log: dict[tuple[GateId, int], list[Any]] = {}
    for one in pieces:
        by_log.setdefault((GateId(one.gate_id), one.epoch), []).append(one)
    longer: list[dict[str, int]] = []
    gone: list[dict[str, int]] = []
    for (gate, epoch), of in by_log.items():
        ends = {
            row.seq + 1
            for row in _HEADS.rows(connection, [one.last_seq - 1 for one in of], gate=gate, epoch=epoch)
        }
        for run in _runs(of, ends, stand):
            longer.append({"group": group, "n": run[-1].n, "first": run[0].first_seq})
            gone += [{"group": group, "n": one.n} for one in run[:-1]]
    if gone:
        connection.execute(_LONGER, longer)
        connection.execute(_GONE, gone)
    connection.execute(_SET, {"group": group, "n": upto})
    return True, len(gone)


def _runs(pieces: Sequence[Any], ends: set[int], stand: set[int]) -> list[list[Any]]:
    """Return which pieces of one log become one: adjacent, each ending with a head, small enough together.

    Where somebody stands, a piece stays the last of its run: the cursor that names it goes on to hold.
    """
    runs: list[list[Any]] = []
    run: list[Any] = []
    for one in pieces:
        fits = (
            run
            and run[-1].n not in stand
            and run[-1].last_seq in ends
            and one.last_seq in ends
            and run[-1].last_seq + 1 == one.first_seq
            and one.last_seq - run[0].first_seq < feed.PIECE_RECORDS
        )
        if not fits:
            if len(run) > 1:
                runs.append(run)
            run = []
        run.append(one)
    if len(run) > 1:
        runs.append(run)
    return runs


def forget(connection: Connection, group: int) -> int:
    """Take away pieces and heads of a group whose records were, at most about `ROWS`; returns how many.

    The newest of each log stays: it says how far the log was forwarded, and by which key it was signed.
    """
    found = connection.execute(_FORGOTTEN, {"group": group, "most": ROWS}).scalars().all()
    if found:
        connection.execute(_GONE, [{"group": group, "n": n} for n in found])
        return len(found)
    for row in connection.execute(_LOGS, {"group": group}).all():
        at = {"gate": row.gate_id, "epoch": row.epoch, "last": row.last}
        done = connection.execute(_HEADS_GONE, at).rowcount
        if done:
            return done
    return 0
