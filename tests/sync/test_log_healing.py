"""A log that lies damaged on the card: kept aside, salvaged, said; what is lost comes back from the centre, and no fork is seen."""

import asyncio
from pathlib import Path

import apsw
from sqlalchemy import text

from admission.chain import Trouble
from admission.ids import Epoch, GateId
from admission.lane import Write
from admission.records import Kind
from edge import enrolment
from edge.journal import Stamp
from edge.link import Health, Part
from edge.store.log_reader import LogReader, log_path
from edge.verify import known_keys, verify_log
from sync.store.schema import signed
from tests.edge.rig import running
from tests.sync.fronted import OFTEN, Fronted, front_of, fronted
from tests.sync.venue import Venue, query, venue_at

RECORDS = 400
"""Some pages of them, of which the last is lost."""


def at_centre(venue: Venue, gate: int, epoch: int) -> dict[int, bytes]:
    with venue.centre.database.reading() as connection:
        found = connection.execute(
            text("SELECT seq, blob FROM record WHERE gate_id = :gate AND epoch = :epoch"),
            {"gate": gate, "epoch": signed(epoch)},
        )
        return {row.seq: bytes(row.blob) for row in found}


def on_card(data: Path, gate: int, epoch: int) -> dict[int, bytes]:
    reader = LogReader.open(data)
    try:
        return {one.seq: one.blob for one in reader.records(GateId(gate), Epoch(epoch), 0, 10_000)}
    finally:
        reader.close()


def damage_the_end(data: Path) -> None:
    """Spoil the page that holds the newest records, and nothing else."""
    path = log_path(data)
    connection = apsw.Connection(str(path))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    leaves = "FROM dbstat WHERE name = 'record' AND pagetype = 'leaf'"
    pages: int = connection.execute(f"SELECT count(*) {leaves}").get
    last: int = connection.execute(f"SELECT pageno {leaves} ORDER BY path DESC LIMIT 1").get
    connection.close()
    assert pages > 3
    with path.open("r+b") as file:
        file.seek((last - 1) * 4096)
        file.write(b"\xff" * 4096)


async def fill(venue: Venue, one: Fronted) -> int:
    """Have so much recorded that it takes pages, and sent; return the epoch."""
    for _ in range(RECORDS // 100):
        one.gate.daemon.journal.append([Write(n, Kind.DEVICE) for n in range(1, 101)], Stamp())
        await asyncio.sleep(0)
    epoch = one.gate.daemon.journal.epoch
    gate = one.gate.daemon.enrolment.gate
    await one.until(lambda: len(at_centre(venue, gate, epoch)) > RECORDS, "all is sent")
    return epoch


async def test_a_damaged_log_goes_on_without_a_fork_and_gets_its_lost_end_back(tmp_path: Path) -> None:
    box = tmp_path / "box"
    async with venue_at(tmp_path / "centre") as venue:
        async with fronted(venue, box, OFTEN) as one:
            gate, epoch = one.gate.daemon.enrolment.gate, await fill(venue, one)
        before = at_centre(venue, gate, epoch)
        assert len(before) > RECORDS
        damage_the_end(box / "data")
        async with running(box) as running_gate, front_of(running_gate, OFTEN) as one:
            assert running_gate.code(Part.LOG, "log") == "log.salvaged"
            assert running_gate.health(Part.LOG, "log") is Health.DEGRADED
            assert (box / "data" / "log.aside-1").is_dir()
            await running_gate.recorded(Kind.CHAIN_BREAK)
            # What the card lost, the centre still has: it is all there again, bit by bit.
            await one.until(
                lambda: on_card(box / "data", gate, epoch).items() >= before.items(), "the end is back"
            )
            follows = running_gate.daemon.journal.epoch
            await one.until(lambda: len(at_centre(venue, gate, follows)) > 1, "it goes on")
            troubles = {str(what) for (what,) in query(venue, "SELECT what FROM trouble")}
            assert "fork" not in troubles
            assert troubles <= {"rewind"}  # said as what it is: the log was behind what the centre has
    found = verify_log(box / "data", known_keys(box / "data", enrolment.load(box / "data")))
    assert found.asides == ("log.aside-1",)
    # Where the centre had more than the salvaged log ended with, it was gone on with from an older state: said here as there.
    (own,) = (one.report for one in found.gates if one.gate == gate)
    assert own is not None
    assert {one.trouble for one in own.problems} <= {Trouble.REWIND}, list(found.lines())
    assert not any(one.forks for one in found.gates)
