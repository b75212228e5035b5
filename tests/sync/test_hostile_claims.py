"""A neighbour of the roster that says that every ticket was used: a real gate, over real sockets."""

from pathlib import Path

from admission.ids import Epoch, GateId, LaneId, ReaderId, TicketId
from admission.reasons import Reason
from admission.records import Direction, Flag, Kind, Outcome, Record, Trust, ticket_subject
from edge import enrolment as enrolments
from edge.claims import BURST
from edge.held_roster import ROSTER_FILE
from edge.link import Health, Part
from sync.wire.channel import knock_key
from sync.wire.roster import LastHead, Revoked
from tests.edge import rig
from tests.edge.front.peers.node import NOW_S, Node, enrolment_of, log_of, roster_of
from tests.sync.lan import peers_toml, with_front
from tests.sync.logs import EpochLog

LIAR, GOOD = 9, 8
ALL = (rig.GATE, LIAR, GOOD)
TICKETS = BURST * 3
WAIT_S = 20.0
HOUR_US = 3_600_000_000


def claim(log: EpochLog, ticket: int, at_us: int, way: Direction = Direction.ENTRY) -> None:
    """Say that somebody came, and passed."""
    subject = ticket_subject(rig.EVENT, TicketId(ticket), rig.PRODUCT)
    seq = len(log.blobs) + 1
    for kind, ref, outcome in ((Kind.SCAN, 0, Outcome.GRANT), (Kind.PASSAGE, seq, Outcome.NONE)):
        body = Record(
            kind, len(log.blobs) + 1, at_us, at_us // 1000 & 2**32 - 1, LaneId(1), ReaderId(1), rig.ARENA, rig.SESSION,
            outcome, direction=way, trust=Trust.SYNCED, flags=Flag.TICKET, subject=subject, ref=ref,
        )  # fmt: skip
        log.add(body.to_bytes())


def made_up(log: EpochLog, end_us: int) -> None:
    """Every ticket used, at such times as a few lanes would need; and who is inside has left."""
    claim(log, 1, end_us, Direction.EXIT)
    for ticket in range(2, TICKETS):
        claim(log, ticket, end_us - (TICKETS - ticket) * 4_000_000)
        if ticket % 100 == 0:
            log.sign()
    log.sign()


async def test_a_neighbour_that_marks_every_ticket_used_is_named_and_keeps_nobody_out(tmp_path: Path) -> None:
    data, end_us = tmp_path / "data", NOW_S * 1_000_000
    rig.prepare(data, [rig.row(ticket) for ticket in range(1, 8)])
    enrolments.save(data, enrolment_of(rig.GATE))
    (data / ROSTER_FILE).write_bytes(roster_of(ALL))
    liar, good = (Node(tmp_path / str(one), one, roster_of(ALL)) for one in (LIAR, GOOD))
    log = log_of(LIAR)
    claim(log, 1, end_us - 2 * HOUR_US)
    log.sign()
    honest = len(log.blobs)
    try:
        liar.box.append(log)
        for one in (liar, good):
            one.start(knock=knock_key(rig.DIGEST_KEY))
            await one.listens()
        told = peers_toml(0, [liar.port, good.port])
        async with rig.running(tmp_path, adjust=lambda text: text + told, change=with_front) as gate:
            await gate.ready()
            await gate.until(
                lambda: gate.daemon.others.is_heard(GateId(LIAR)), "the neighbour is heard", WAIT_S
            )
            made_up(log, end_us)
            liar.append(log, honest + 1)
            await gate.until(lambda: gate.daemon.memory.doubts.gates == {LIAR}, "it is in doubt", WAIT_S)
            tile = next(one for one in gate.daemon.board.tiles if one.code == "others.doubted")
            assert (tile.part, tile.health, tile.args) == (
                Part.LOG, Health.DEGRADED, {"gate": str(LIAR), "number": LIAR},
            )  # fmt: skip

            await gate.hardware.second.scan(rig.code(5))
            seen = await gate.seen()
            assert (seen.outcome, seen.flags & (Flag.UNSURE | Flag.FLAGGED)) == (
                Outcome.GRANT, Flag.UNSURE | Flag.FLAGGED,
            ), "unsure: the product's policy lets in, and says so"  # fmt: skip
            await gate.walk(2)
            await gate.hardware.entry.scan(rig.code(1))  # a lane that lets in again who left
            seen = await gate.seen(2)
            assert (seen.outcome, seen.reason, seen.gate) == (Outcome.DENY, Reason.ALREADY_INSIDE, LIAR), (
                "what it said while it was believed stands, and the exit it made up frees nobody's place"
            )
            reader = gate.reader()
            await gate.until(
                lambda: any((one.gate, one.last_seq) == (LIAR, len(log.blobs)) for one in reader.epochs()),
                "all that it signed is kept", WAIT_S,
            )  # fmt: skip

            heads = (LastHead(Epoch(log.epoch), honest - 1),)
            shut_out = roster_of((rig.GATE, GOOD), 2, revoked=(Revoked(GateId(LIAR), NOW_S, heads),))
            assert good.uplink.shared().offered(shut_out)
            await gate.until(lambda: not gate.daemon.memory.doubts, "the centre has spoken", WAIT_S)
            assert gate.code(Part.LOG, f"gate {LIAR}") == "others.revoked"
            assert all(one.code != "others.doubted" for one in gate.daemon.board.tiles)
            await gate.hardware.second.scan(rig.code(6))
            seen = await gate.seen(3)
            assert (seen.outcome, seen.flags & Flag.UNSURE) == (Outcome.GRANT, 0), (
                "in quarantine: no doubt any more"
            )
            kept = [one.blob for one in reader.records(GateId(LIAR), Epoch(log.epoch), 0, 10_000)]
            assert kept == log.blobs, "kept, signed, attributable"
            reader.close()
    finally:
        for one in (liar, good):
            await one.close()
