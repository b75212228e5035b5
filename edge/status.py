"""What the page is told: one `Status` put together from every part of the gate."""

import asyncio
from collections.abc import Callable

from admission.lane import LaneState
from admission.records import Direction, Trust
from edge.gate import Gate
from edge.link import Health, LaneView, Part, Rung, Status, UplinkSaid
from edge.others import Reach
from edge.settings import LaneSettings, Way
from edge.version import VERSION
from sync.wire.roster import Ways

_CLOCK = {
    Trust.SYNCED: (Health.OK, "clock.synced"),
    Trust.RTC: (Health.OK, "clock.rtc"),
    Trust.FLOOR: (Health.DEGRADED, "clock.floor"),
    Trust.UNKNOWN: (Health.DEGRADED, "clock.unknown"),
}
_TELLS_OF_OTHERS = frozenset(("uplink.ok", "uplink.cut_off"))
OFF_SHOWN_MAX_S = 999_999_999
"""Longer lengths of time would be taken for a date (`edge.words`)."""
_LANE = {
    LaneState.CLOSED: (Health.DEGRADED, "lane.closed"),
    LaneState.OUT_OF_SERVICE: (Health.DEGRADED, "lane.out_of_service"),
    LaneState.EMERGENCY: (Health.BAD, "lane.emergency"),
    LaneState.REHEARSAL: (Health.DEGRADED, "lane.rehearsal"),
    LaneState.FREE_EXIT: (Health.OK, "lane.free_exit"),
    LaneState.FREE_BOTH: (Health.DEGRADED, "lane.free_both"),
}


class StatusView:
    """Reads the daemon's parts; changes nothing but the tiles of clock, uplink and lanes."""

    def __init__(self, gate: Gate, reach: Callable[[float], Reach]) -> None:
        self._gate = gate
        self._reach = reach
        self._started_s = float(gate.now_s())
        self.garbled = 0
        self._sorted_at_s = -1
        self._percentiles: dict[str, float] = {}
        self._mono_s = asyncio.get_running_loop().time
        self._uplink: UplinkSaid | None = None
        self._cut_since_s = 0.0

    def clock_tile(self) -> None:
        """Show how far the clock is believed."""
        time = self._gate.time
        trust = time.trust
        health, code = _CLOCK[trust]
        args: dict[str, str | int] = {}
        if time.off_s:
            ahead, off_s = time.off_s > 0, abs(time.off_s)
            health, code = Health.DEGRADED, "clock.ahead" if ahead else "clock.behind"
            args = {"off_s": min(off_s, OFF_SHOWN_MAX_S)}
        elif self._gate.settings.gate.rtc and trust < Trust.RTC:
            code = "clock.no_chip"
        self._gate.board.put(Part.CLOCK, "clock", health, code, args)

    def uplink_said(self, said: UplinkSaid) -> None:
        """The front says how the uplink is. A length of time in it goes on from now."""
        cut_s = said.args.get("cut_s")
        self._uplink = said
        self._cut_since_s = self._mono_s() - cut_s if isinstance(cut_s, int) else float("inf")
        self.uplink_tile()

    def uplink_tile(self) -> None:
        """Show how the uplink is, and while it is cut off who is heard all the same."""
        said = self._uplink
        if said is None:
            return
        args = dict(said.args)
        if said.code in _TELLS_OF_OTHERS:
            args |= _told_of(self._reach(self._cut_since_s))
        if "cut_s" in args:
            args["cut_s"] = _shown_s(int(self._mono_s() - self._cut_since_s))
        if args.get("scans") == 1:
            args["scan"] = args.pop("scans")
        self._gate.board.put(Part.UPLINK, "centre", said.health, said.code, args)

    def _lane_tiles(self) -> None:
        for shell in self._gate.lanes.values():
            own, machine = shell.settings, shell.machine
            stops = False
            if machine.fire:
                health, code, stops = Health.BAD, "lane.fire", True
            elif self._gate.judge.has_list and not shell.planned:
                health, code, stops = Health.BAD, "lane.no_plan", True
            elif machine.state in _LANE and (shell.ready or not machine.facts()[0]):
                # Who is let in by a scan in this state is kept out all the same where the lane is not ready.
                health, code = _LANE[machine.state]
            elif not shell.ready:
                health, code, stops = Health.BAD, shell.trouble or "lane.not_ready", True
            else:
                health, code = Health.OK, "lane.ok"
            self._gate.board.put(
                Part.LANE, str(own.id), health, code, {"name": own.name}, lane=own.id, stops=stops
            )

    def now(self) -> Status:
        """Put the present status together."""
        return self._status(recent=False)

    def full(self) -> Status:
        """Put the status together for a new listener, with the last scans."""
        return self._status(recent=True)

    def _status(self, *, recent: bool) -> Status:
        gate = self._gate
        self._lane_tiles()
        zones = gate.judge.venue.zones.by_id
        resets = gate.memory.resets()
        inside = {
            int(zone): (bounds.low, bounds.high)
            for zone in zones
            if (bounds := gate.memory.bounds(zone)) is not None
        }
        return Status(
            gate=gate.enrolment.gate,
            name=gate.settings.gate.name,
            epoch=f"{gate.journal.epoch:016x}",
            version=VERSION,
            tiles=gate.board.tiles,
            lanes=tuple(self._lane_view(lane.id) for lane in gate.settings.lanes),
            list_version=gate.lists.version,
            list_rows=gate.lists.rows,
            records=gate.journal.durable_seq,
            inside=inside,
            uncounted=tuple(int(zone) for zone in zones if gate.memory.is_unsettled(zone)),
            alarms={
                int(zone): Rung.AGAIN if resets.is_readmitting(zone) else Rung.OUT
                for zone in zones
                if resets.has_rung(zone)
            },
            zones={int(zone.id): zone.name for zone in zones.values()},
            gates={int(one): name for one, name in gate.judge.gate_names.items()},
            time_s=gate.now_s(),
            started_s=self._started_s,
            recent=gate.scans.rows if recent else (),
            alerts=gate.alerts.open,
            names=gate.lists.names,
            timezone=gate.judge.timezone,
            admit_max=gate.settings.staff.admit_max,
            in_memory=gate.in_memory_seq,
            counters=self._counters(),
        )

    def _lane_view(self, number: int) -> LaneView:
        shell = self._gate.lanes[number]
        own, machine = shell.settings, shell.machine
        _, _, busy = machine.facts()
        return LaneView(
            id=own.id,
            name=own.name,
            state=machine.state.name.lower(),
            ready=shell.ready,
            fire=machine.fire,
            busy=busy,
            entries=machine.counters[Direction.ENTRY].passages,
            exits=machine.counters[Direction.EXIT].passages,
            has_entry=own.entry_line is not None,
            has_exit=own.exit_line is not None,
            ways=_ways(own),
        )

    def _counters(self) -> dict[str, float]:
        """Figures for /metrics."""
        gate = self._gate
        counters: dict[str, float] = {
            "records_total": gate.journal.last_seq,
            "records_durable": gate.journal.durable_seq,
            "garbled_total": self.garbled,
            "list_rows": gate.lists.rows,
        }
        return counters | self._scan_to_relay()

    def _scan_to_relay(self) -> dict[str, float]:
        """Return the percentiles; sorted once a second at most, since thousands of values take a millisecond."""
        now_s = self._gate.now_s()
        if now_s != self._sorted_at_s:
            self._sorted_at_s = now_s
            latencies = sorted(us for shell in self._gate.lanes.values() for us in shell.latencies_us)
            self._percentiles = (
                {
                    "scan_to_relay_p50_seconds": latencies[len(latencies) // 2] / 1e6,
                    "scan_to_relay_p99_seconds": latencies[len(latencies) * 99 // 100] / 1e6,
                }
                if latencies
                else {}
            )
        return self._percentiles


def _told_of(reach: Reach) -> dict[str, str | int]:
    """Return what a sentence says of other gates; nothing of those of whom there are none."""
    names = {"near_names": reach.near, "silent_names": reach.silent, "unheard_names": reach.unheard}
    told: dict[str, str | int] = {key: "\n".join(map(_line, found)) for key, found in names.items() if found}
    return told | ({"silent_s": _shown_s(reach.silent_s)} if reach.silent else {})


def _line(name: str) -> str:
    return " ".join(name.split())


def _shown_s(length_s: int) -> int:
    """Round a length of time down to what the page shows of it, so that it is not told anew every second."""
    step_s = 60 if length_s >= 120 else 10
    return min(length_s - length_s % step_s, OFF_SHOWN_MAX_S)


def _ways(lane: LaneSettings) -> int:
    """Return which ways a lane is passed: where a reader faces, and where an arm can be opened by hand."""
    entry = lane.entry_line is not None or any(one.way is not Way.EXIT for one in lane.readers)
    leaving = lane.exit_line is not None or any(one.way is not Way.ENTRY for one in lane.readers)
    return int((Ways.ENTRY if entry else Ways(0)) | (Ways.EXIT if leaving else Ways(0)))
