"""A tag that counts its taps, at whole gates: its message opens once, over a restart and at every gate that hears of it."""

import time
from pathlib import Path

from admission.codecs import sun
from admission.codecs.ndef import URI, WELL_KNOWN, Record, message_of
from admission.credentials import tag_data
from admission.digests import CredentialKind, digest
from admission.ids import GateId, LaneId
from admission.reasons import Reason
from admission.records import Outcome
from drivers.base import Medium, Scan
from drivers.sims.tag_reader import Pn532Chip, Type4Memory
from edge.front.slices import meaning_of
from edge.link import Foreign, Health, Part
from tests.admission.tags import TAG_UID, sun_tap, sun_url
from tests.edge.rig import DIGEST_KEY, Gate, quick, row, running

SUN_ROW = row(1)._replace(digest=digest(CredentialKind.SUN, TAG_UID, DIGEST_KEY))
OTHER = GateId(2)


async def tapped(gate: Gate, counter: int, lane: int = 2, reader: int = 4) -> tuple[int, int]:
    """Hold the tag to a reader; return outcome and reason."""
    await gate.ready()
    before, now_ns = len(gate.daemon.recent), time.monotonic_ns()
    data = sun_tap(counter, DIGEST_KEY)
    gate.daemon.lanes[LaneId(lane)].scanned(reader, Scan(data, Medium.TAG, "", now_ns, now_ns))
    seen = await gate.seen(before + 1)
    return seen.outcome, seen.reason


async def test_a_message_opens_once_wherever_it_was_heard(tmp_path: Path) -> None:
    replayed = (Outcome.DENY, Reason.REPLAYED_TAP)
    async with running(tmp_path / "north", [SUN_ROW]) as gate:
        assert await tapped(gate, 7) == (Outcome.GRANT, Reason.NONE)
        epoch = gate.daemon.journal.epoch
    async with running(tmp_path / "north") as gate:
        assert await tapped(gate, 7) == replayed
        reader = gate.reader()
        blobs = tuple(one.blob for one in reader.records(GateId(1), epoch, 0, 99))
        reader.close()
    rows, resets = meaning_of(OTHER, epoch, blobs)
    async with running(tmp_path / "south", [SUN_ROW]) as gate:
        await gate.ready()
        assert (await gate.do(Foreign(1, OTHER, epoch, 1, blobs, rows=tuple(rows), resets=tuple(resets)))).ok
        assert await tapped(gate, 7) == replayed
        assert await tapped(gate, 6, lane=1, reader=1) == replayed
        assert await gate.daemon.journal.saved(5)
        by_ticket = await tapped(gate, 8, lane=1, reader=3)
        assert by_ticket == (Outcome.DENY, Reason.ALREADY_INSIDE), "a new tap is judged by its ticket"
    async with running(tmp_path / "south") as gate:
        assert await tapped(gate, 7) == replayed, "what another gate told is kept over a start too"
        assert await tapped(gate, 8, lane=1, reader=1) == replayed


PN532 = """
[[lanes.readers]]
id = 5
way = "entry"
driver = "pn532"
port = "{port}"
"""


async def test_a_chip_at_a_turnstile_opens_it_once_and_its_uid_alone_does_not(tmp_path: Path) -> None:
    chip = Pn532Chip(tmp_path / "pn532")
    chip.port.plug()
    keys = sun.keys_of(DIGEST_KEY)

    def message(tap: int) -> bytes:
        return message_of(Record(WELL_KNOWN, URI, sun_url(TAG_UID, tap, keys)))

    tag = Type4Memory(message)
    reader = PN532.format(port=chip.port.link)
    async with running(tmp_path, [SUN_ROW], adjust=lambda text: quick(text) + reader) as gate:
        await gate.ready()
        await gate.until(lambda: gate.health(Part.READER, "2.5") is Health.OK, "the chip's reader is open")
        chip.memory, chip.tag = tag, TAG_UID
        seen = await gate.seen()
        assert (seen.outcome, seen.reason, tag.taps) == (Outcome.GRANT, Reason.NONE, 1)
        chip.tag = b""
        await gate.walk(2)
        # whoever heard its answer plays it to another reader
        now_ns = time.monotonic_ns()
        data = tag_data(TAG_UID, message(1))
        gate.daemon.lanes[LaneId(1)].scanned(1, Scan(data, Medium.TAG, "", now_ns, now_ns))
        assert (await gate.seen(2)).reason == Reason.REPLAYED_TAP
        chip.memory, chip.tag = None, TAG_UID
        assert (await gate.seen(3)).reason == Reason.UNKNOWN
    chip.port.unplug()
