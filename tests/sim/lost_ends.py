"""The end of a log that was never signed and that its card lost: known to the neighbours whom its gate told, and to nobody else.

A head stands within a second, so it is what a gate recorded in its last second before its card was set back, or what only
its memory held then. A neighbour heard it from the gate itself: it counts there, and who went in on it is refused a second
time. Nobody else takes it from that neighbour, who might have made it up, so presence differs by exactly these records;
and every neighbour that holds such an end, and the gate whose it is, says on its page that a part of that log is missing.
"""

from collections.abc import Iterator
from dataclasses import replace

from tests.sim.accounts import Account
from tests.sim.evidence import Evidence, meaning_of
from tests.sim.history import Log

SIGNED_S = 3.0
"""A head is written a second after what it covers, and is on a slow card and at the neighbours a moment later."""
_HELD_UP = ("card hangs", "card fails")
"""What keeps a head from being written in time."""


def _ends_of(at: Evidence, account: Account) -> dict[Log, int]:
    """Return up to where each log counts at a gate: as far as all are told, and such ends as it holds."""
    ends = dict(at.forwarded)
    if at.history.near:
        for log, seq in account.held.items():
            if log[0] in at.history.tampered and seq > ends.get(log, 0) and log[0] not in at.history.shut_out:
                ends[log] = seq
    return ends


def known_alone(at: Evidence, account: Account) -> Evidence | None:
    """Return what a gate goes by that holds such ends; None for one that knows what all are told."""
    ends = _ends_of(at, account)
    further = {log for log, seq in ends.items() if seq > at.forwarded.get(log, 0)}
    if not further:
        return None
    here = {
        name: blob
        for name, blob in at.history.records.items()
        if name[:2] in further and name.seq <= ends[name.gate, name.epoch]
    }
    rows, resets = meaning_of(here)
    return replace(at, forwarded=ends, rows=at.rows | rows, resets=at.resets | resets)


def lost_ends(at: Evidence) -> Iterator[str]:
    """Look at every end that a gate holds and that is told to nobody."""
    for card, account in at.accounts.items():
        own = at.gates[card].id
        for log, end in _ends_of(at, account).items():
            told = at.forwarded.get(log, 0)
            if end <= told or own in at.history.shut_out:
                continue
            say = f"gate {log[0]}, epoch {log[1]:016x}, {told} to {end} at {card}"
            if log[0] == own:
                yield f"held by its own gate, and told to nobody: {say}"
            if account.signed.get(log, 0) > told:
                yield f"signed, and told to nobody: {say}"
            if not _is_young(at, log, told + 1):
                yield f"never signed, and older than a moment: {say}"
            if log[0] not in account.shows:
                yield f"a part of a log is here alone, and the page does not say so: {say}"


def _is_young(at: Evidence, log: Log, first: int) -> bool:
    """Whether the gate that recorded this had no time to sign it before it was switched off."""
    for boot in at.history.boots:
        if (boot.gate, boot.epoch) == log and boot.ended_s is not None:
            made_s = next(
                (at_s for name, at_s in at.history.made_s.items() if name[:2] == log and name.seq == first),
                0.0,
            )
            held_up = any(at.history.was(what, boot.card, made_s, boot.ended_s) for what in _HELD_UP)
            return held_up or boot.ended_s - made_s <= SIGNED_S
    return False


__all__ = ["known_alone", "lost_ends"]
