"""A card that takes nothing while the centre is away: what only memory held is at a neighbour, and comes back from there."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from admission.chain import Trouble
from admission.ids import Epoch, GateId
from admission.reasons import Reason
from admission.records import Kind, Outcome, Record, record_from_bytes
from edge import enrolment as enrolments
from edge.daemon import EX_TEMPFAIL
from edge.held_roster import ROSTER_FILE
from edge.link import Health, Part
from edge.parts import Factories
from edge.store.disk import LocalDisk
from edge.store.log_reader import LogReader
from edge.verify import known_keys, verify_log
from sync.wire.channel import knock_key
from tests.edge import rig
from tests.edge.front.peers.node import Node, enrolment_of, roster_of
from tests.edge.shaky_disk import shaky
from tests.sync.lan import peers_toml, with_front

NEAR = 9
BOTH = (rig.GATE, NEAR)
WAIT_S = 20.0


def on(disk: LocalDisk | None = None) -> Callable[[Factories], Factories]:
    """With its real front."""
    return lambda parts: replace(with_front(parts), disk=disk or parts.disk)


def held(reader: LogReader, epoch: Epoch) -> list[bytes]:
    """What is held of a run of the gate."""
    return [one.blob for one in reader.records(rig.GATE, epoch, 0, 10_000)]


def tells(blobs: list[bytes]) -> set[Kind]:
    """What kinds of records stand up to the last that a head covers: no more is believed of a neighbour."""
    signed = max((at for at, blob in enumerate(blobs) if blob[0] & 0x80), default=-1)
    bodies = (record_from_bytes(blob) for blob in blobs[: signed + 1])
    return {one.kind for one in bodies if isinstance(one, Record)}


async def test_what_a_worn_card_never_took_is_at_the_neighbour_and_comes_back_from_there(
    tmp_path: Path,
) -> None:
    data, roster = tmp_path / "data", roster_of(BOTH)
    rig.prepare(data, [rig.row(7)])
    enrolments.save(data, enrolment_of(rig.GATE))  # whose centre nobody reaches
    (data / ROSTER_FILE).write_bytes(roster)
    near = Node(tmp_path / "near", NEAR, roster)
    try:
        near.start(knock=knock_key(rig.DIGEST_KEY))
        await near.listens()
        told = peers_toml(0, [near.port])

        def adjust(text: str) -> str:
            return rig.quick(text) + told

        with shaky() as disk:
            async with rig.running(tmp_path, adjust=adjust, change=on(disk)) as gate:
                await gate.ready()
                await gate.until(
                    lambda: gate.daemon.others.is_heard(GateId(NEAR)), "the neighbour is heard", WAIT_S
                )
                disk.fail(errno.EROFS)
                await gate.hardware.second.scan(rig.code(7))
                await gate.walk(2)
                epoch = gate.daemon.journal.epoch
                await gate.until(
                    lambda: {Kind.SCAN, Kind.PASSAGE} <= tells(held(near.reader, epoch)),
                    "it is there",
                    WAIT_S,
                )
                assert (gate.health(Part.LOG, "log"), gate.code(Part.LOG, "log")) == (
                    Health.DEGRADED, "log.fault",
                )  # fmt: skip
            assert gate.exit_code == EX_TEMPFAIL
        with_neighbour = held(near.reader, epoch)
        reader = LogReader.open(data)
        assert Kind.SCAN not in tells(held(reader, epoch)), "the card never had it"
        reader.close()
        async with rig.running(tmp_path, adjust=adjust, change=on()) as gate:
            await gate.ready()
            reader = gate.reader()
            await gate.until(
                lambda: {Kind.SCAN, Kind.PASSAGE} <= tells(held(reader, epoch)), "it is back", WAIT_S
            )
            assert held(reader, epoch) == with_neighbour[: len(held(reader, epoch))]
            reader.close()
            await gate.hardware.second.scan(rig.code(7))
            seen = await gate.seen()
            assert (seen.outcome, seen.reason) == (Outcome.DENY, Reason.ALREADY_USED)
        verdict = verify_log(data, known_keys(data, enrolments.load(data)))
        (own,) = (one.report for one in verdict.gates if one.gate == rig.GATE)
        assert own is not None
        assert {one.trouble for one in own.problems} == {Trouble.REWIND}, (
            "the card had forgotten it, and that is told"
        )
    finally:
        await near.close()
