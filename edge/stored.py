"""Scans that a batch handheld stored: judged as of when it read them, written down, and no arm moves.

Whoever showed these codes went in hours ago. So a `check` is a grant that staff should know of, and a time that cannot be,
before 1970 or after now, is taken as now and flagged: nothing that a device handed over is thrown away.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from admission.credentials import Malformed, Medium
from admission.entitlements import LanePlan
from admission.ids import ReaderId
from admission.lane import LaneEffect, LaneEvent, StoredJudged, Write
from admission.question import Verdict
from admission.reasons import Reason
from admission.records import Flag, Kind, Outcome, Trust
from admission.rules import mode_for
from drivers.base import Stored
from edge.clock import TrustedTime
from edge.judge import Answer, Judge
from edge.lane_rows import LaneRows, way_of
from edge.schedule import timezone_of
from edge.settings import BatchReader, ReaderSettings
from edge.store.faults import StoreFault

AHEAD_S: Final = 120
"""A device's clock that is so little ahead is a clock; what lies further in the future is flagged."""
REMEMBERED_MAX: Final = 20_000
"""Codes with their times: the largest memory of such a device, so that one told twice is written once."""
_MEDIA: Final = {one.value: one for one in Medium}

log = logging.getLogger("edge.stored")


class StoredScans:
    """One lane's. `drive` feeds the lane machine; `seq_of` tells the record that a token became."""

    def __init__(
        self,
        *,
        judge: Judge,
        time: TrustedTime,
        rows: LaneRows,
        drive: Callable[[LaneEvent], tuple[LaneEffect, ...]],
        seq_of: Callable[[int], int],
        on_fault: Callable[[StoreFault], None],
    ) -> None:
        self._judge = judge
        self._time = time
        self._rows = rows
        self._drive = drive
        self._seq_of = seq_of
        self._on_fault = on_fault
        self._remembered: OrderedDict[bytes, None] = OrderedDict()

    def take(self, reader: ReaderSettings, event: Stored, plan: LanePlan) -> None:
        """Judge and write down one code of a device's memory."""
        zone, read_s, is_odd = self._when(reader, event)
        code = event.scan.data
        key = _key(reader.id, event.read_at, code)
        if self._is_told(key):
            return
        identity = self._judge.identify(code, _MEDIA[event.scan.medium])
        if isinstance(identity, Malformed) and identity.why == "empty":
            return
        way = way_of(reader.way)
        try:
            answer = self._judge.answer_then(identity, way, plan, read_s, zone)
        except StoreFault as fault:
            self._on_fault(fault)
            # The device may forget it now. Told again, it is judged.
            self._remembered.pop(key, None)
            answer = self._judge.answer_then(identity, way, plan, read_s, zone, blind=True)
        answer = replace(answer, verdict=_over(answer.verdict, is_odd=is_odd))
        mode = mode_for(answer.verdict.candidate, plan)
        effects = self._drive(
            StoredJudged(
                ReaderId(reader.id), answer.verdict, answer.subject, answer.subject_flag, read_s, mode
            )
        )
        self._tell(reader.id, read_s, answer, effects)

    def _tell(self, reader: int, read_s: int, answer: Answer, effects: tuple[LaneEffect, ...]) -> None:
        for one in effects:
            if isinstance(one, Write) and one.kind is Kind.STORED and not one.flags & Flag.REPEATED:
                self._rows.stored(one, self._seq_of(one.token), reader, read_s, answer)

    def _when(self, reader: ReaderSettings, event: Stored) -> tuple[tzinfo, int, bool]:
        """Return the zone of the device's clock, when the code was read, and whether that is odd."""
        name = reader.time_zone if isinstance(reader, BatchReader) else ""
        zone = timezone_of(name or self._judge.timezone)
        now = self._time.facts()
        if event.read_at is None:
            return zone or UTC, now.now_s, True
        read_s = int(event.read_at.replace(tzinfo=zone or UTC).timestamp())
        if read_s < 0:  # a clock that lost its battery, and no date that a calendar can be asked for
            return zone or UTC, now.now_s, True
        if now.trust >= Trust.RTC and read_s > now.now_s:
            return zone or UTC, now.now_s, read_s > now.now_s + AHEAD_S
        return zone or UTC, read_s, zone is None

    def _is_told(self, key: bytes) -> bool:
        if key in self._remembered:
            return True
        self._remembered[key] = None
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return False


def _over(verdict: Verdict, *, is_odd: bool) -> Verdict:
    """Return what is written down of somebody who is through long since."""
    flags = verdict.flags | Flag.FLAGGED if is_odd else verdict.flags
    if verdict.outcome is not Outcome.CHECK:
        return replace(verdict, flags=flags)
    unlisted = Flag.UNLISTED if verdict.reason is Reason.UNLISTED else Flag.NONE
    return replace(
        verdict, outcome=Outcome.GRANT, reason=Reason.NONE, flags=flags | Flag.FLAGGED | unlisted, observed=()
    )


def _key(reader: int, read_at: datetime | None, code: bytes) -> bytes:
    """Return what a code of a memory is known by; one without a time is the same as any of it without."""
    return blake2b(b"%d\0%s\0%s" % (reader, str(read_at).encode(), code), digest_size=16).digest()
