"""A lane process for the front's tests: the real hub and its protocol, with a status that the test sets."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.hub import Hub
from edge.link import Answer, Asked, Done, Health, LaneView, Part, Said, Seen, Status, Tile

NOW_S = 1_795_339_800.0
TICKET = "4711007"
EPOCH = 0x00A1_B2C3_D4E5_F607


def seen(seq: int, **changes: object) -> Seen:
    one = Seen(
        seq=seq,
        time_s=NOW_S - seq,
        lane=1,
        reader=1,
        direction=1,
        kind="tk1",
        outcome=1,
        reason=0,
        ticket=TICKET,
        epoch=EPOCH,
        row=seq,
    )
    return msgspec.structs.replace(one, **changes)


def tile(part: Part, name: str, health: Health = Health.OK, code: str = "device.ok", **more: object) -> Tile:
    return Tile(part, name, health, code, **more)  # type: ignore[arg-type]  # fields by name, as the test gives them


WELL = (
    tile(Part.LOG, "log", code="log.ok", args={"records": 1234}, stops=True),
    tile(Part.LIST, "list", code="list.ok", args={"rows": 100_000, "version": 17}, stops=True),
    tile(Part.LANE, "1", code="lane.ok", args={"name": "Nord"}, lane=1, stops=True),
    tile(Part.LANE, "2", code="lane.ok", args={"name": "VIP"}, lane=2, stops=True),
    tile(Part.RELAY, "board", args={"what": "4 lines"}, stops=True),
    tile(Part.READER, "1.1", args={"what": "/dev/ttyACM0"}, lane=1),
    tile(Part.READER, "1.2", args={"what": "/dev/ttyACM1"}, lane=1),
    tile(Part.READER, "2.1", args={"what": "/dev/ttyACM2"}, lane=2),
    tile(Part.SENSOR, "contacts", args={"what": "8 inputs"}),
    tile(Part.UPLINK, "centre", code="uplink.ok", args={"queued": 0}),
    tile(Part.CLOCK, "clock", code="clock.synced"),
)
RECENT = (
    seen(6),
    seen(5, outcome=4, reason=19, last_s=NOW_S - 3600, gate=2),
    seen(4, outcome=1, direction=2, reader=2),
    seen(3, outcome=4, reason=3, ticket=""),
    seen(2, outcome=2, reason=43),
    seen(1, outcome=3, reason=45),
)


def status(tiles: tuple[Tile, ...] = WELL, **changes: object) -> Status:
    one = Status(
        gate=7,
        name="Arena Nord",
        epoch=f"{EPOCH:016x}",
        version="0.1.0",
        tiles=tiles,
        lanes=(
            LaneView(1, "Nord", "controlled", True, False, False, 412, 37, True, True),
            LaneView(2, "VIP", "closed", True, False, False, 0, 0, True, False),
        ),
        list_version=17,
        list_rows=100_000,
        records=1234,
        inside={1: (375, 381)},
        zones={1: "Arena"},
        gates={2: "Süd"},
        time_s=NOW_S,
        started_s=NOW_S - 7200,
        admit_max=20,
        counters={'scans_total{outcome="grant"}': 412.0, "records_total": 1234.0},
    )
    return msgspec.structs.replace(one, **changes)


def with_tile(changed: Tile) -> tuple[Tile, ...]:
    return tuple(changed if (one.part, one.name) == (changed.part, changed.name) else one for one in WELL)


class FakeLane:
    """Answers every command with `answer`; what was commanded lies in `commands`."""

    def __init__(self, path: Path) -> None:
        self.status = status()
        self.commands: asyncio.Queue[Asked] = asyncio.Queue()
        self.said: asyncio.Queue[Said] = asyncio.Queue()
        self.answer: Callable[[Asked], Answer] = lambda command: Done(command.number, ok=True)
        self.hub = Hub(path, self._welcome, self._command, self.said.put_nowait)

    def _welcome(self) -> Status:
        return msgspec.structs.replace(self.status, recent=RECENT)

    async def _command(self, command: Asked) -> Answer:
        self.commands.put_nowait(command)
        return self.answer(command)

    def push(self, now: Status) -> None:
        self.status = now
        self.hub.push(now)
