"""What a real evening is judged by, without one: who knew what by when, and devices that are not late where the machine is."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from admission.ids import Epoch, GateId, LaneId, RecordId
from admission.records import Direction, Kind, Outcome, Record
from drivers.sims.keyboard_scanner import KeyboardScanner
from edge.store.log_reader import LogReader
from edge.store.log_schema import StoredRecord
from tests.real.devices import BUFFER_BYTES, KeyboardPort
from tests.real.diary import STAMPS_S, Diary, RealHistory
from tests.real.said import said
from tests.sim.checker import _released_once
from tests.sim.history import Release, Shown
from tests.sim.premises import code_of

HERE, THERE = GateId(1), GateId(2)
RUN, OTHER = Epoch(7), Epoch(8)


class Card:
    """A log with as much of one run of each gate as was said."""

    def __init__(self, *stamps_ms: int) -> None:
        self.stamps_ms = stamps_ms
        self.ends = {(HERE, RUN): 0, (THERE, OTHER): 0}

    def epochs(self) -> list[Any]:
        return [
            SimpleNamespace(gate=gate, epoch=epoch, last_seq=end) for (gate, epoch), end in self.ends.items()
        ]

    def records(self, gate: GateId, epoch: Epoch, after: int, count: int) -> tuple[StoredRecord, ...]:
        return tuple(
            StoredRecord(gate, epoch, seq, grant(seq, self.stamps_ms[seq - 1]).to_bytes())
            for seq in range(after + 1, after + count + 1)
        )


class Evening:
    """A card that somebody looks at, at times that are set by hand."""

    def __init__(self, *stamps_ms: int) -> None:
        self.card, self.now_s = Card(*stamps_ms), 0.0
        self.history = RealHistory()
        self.history.now_s = lambda: self.now_s
        self.diary = Diary(self.history, "card", HERE, {})

    def look(self, at_s: float, own: int, theirs: int = 0) -> None:
        """Look, when the card holds so many records of both gates."""
        self.now_s = at_s
        self.card.ends = {(HERE, RUN): own, (THERE, OTHER): theirs}
        self.diary.look(cast(LogReader, self.card))


def grant(seq: int, mono_ms: int) -> Record:
    return Record(
        kind=Kind.SCAN, seq=seq, time_us=0, mono_ms=mono_ms, outcome=Outcome.GRANT, direction=Direction.ENTRY
    )


def own(seq: int) -> RecordId:
    return RecordId(HERE, RUN, seq)


def test_a_decision_was_made_when_its_stamp_says_however_late_the_disk_was() -> None:
    evening = Evening(100, 2_000)
    evening.look(10.1, own=1)  # the run began at 10.0
    for at_s in (11.0, 12.5, 13.0):
        evening.look(at_s, own=1, theirs=1)
    evening.look(16.0, own=2, theirs=1)  # the disk took four seconds
    evening.diary.settle()
    assert evening.diary.made_s(own(2)) == 12.0 - STAMPS_S
    theirs = RecordId(THERE, OTHER, 1)
    assert evening.history.went_by("card", own(2), theirs), "it was on the card by 11.0"
    assert not evening.history.went_by("card", own(1), theirs)


def test_what_is_on_the_card_after_a_decision_may_have_been_heard_and_need_not() -> None:
    evening = Evening(100, 2_000)
    evening.look(10.1, own=1)
    theirs = RecordId(THERE, OTHER, 1)
    evening.history.made[theirs] = evening.history.order
    evening.look(11.9, own=1)
    evening.look(12.1, own=2, theirs=1)
    evening.diary.settle()
    assert not evening.history.went_by("card", own(2), theirs)
    assert evening.history.may_have_gone_by("card", own(2), theirs)
    assert not evening.history.may_have_gone_by("card", own(1), theirs), "nobody knows what was not made yet"


def test_what_a_gate_made_itself_it_knows_at_once() -> None:
    evening = Evening(100, 101)
    evening.look(10.2, own=2)
    evening.diary.settle()
    assert evening.history.went_by("card", own(2), own(1))
    assert not evening.history.may_have_gone_by("card", own(1), own(2))


def test_an_exit_that_waited_for_the_arm_is_no_second_one_of_who_stands_there_now() -> None:
    history = RealHistory()
    shown = Shown(1.0, 0, HERE, "card", 1, 1, 2, Direction.EXIT, 283)
    history.shown.append(shown)
    at = cast(Any, SimpleNamespace(history=history))
    shown.releases += [released(89), released(283)]
    assert list(_released_once(at)) == []
    shown.releases.append(released(283))
    assert len(list(_released_once(at))) == 1


def test_an_arm_is_the_next_ones_whose_exit_was_given_back_in_that_moment() -> None:
    """The log says so only after the arm moved: of the exit that waited, then."""
    evening = Evening(100, 2_000, 10_000, 14_010)
    first, second, given_back = (
        Record(Kind.SCAN, seq, 0, ms, outcome=Outcome.GRANT, direction=Direction.EXIT, lane=LaneId(1))
        if kind is Kind.SCAN
        else Record(kind, seq, 0, ms, direction=Direction.EXIT, lane=LaneId(1), ref=2)
        for seq, ms, kind in ((2, 2_000, Kind.SCAN), (3, 10_000, Kind.SCAN), (4, 14_010, Kind.GIVE_BACK))
    )
    said = {1: grant(1, 100), 2: first, 3: second, 4: given_back}
    evening.card.records = lambda gate, epoch, after, count: tuple(  # type: ignore[method-assign]
        StoredRecord(gate, epoch, seq, said[seq].to_bytes()) for seq in range(after + 1, after + count + 1)
    )
    evening.look(10.1, own=1)  # the run began at 10.0
    evening.look(12.1, own=2)
    evening.look(20.1, own=3)
    claimed = evening.diary.claim(1, Direction.EXIT, RUN, 24.1)
    assert claimed is not None
    assert claimed[0] == own(2), "the oldest that is not over, as far as is known then"
    release = Release(24.1, "card", *claimed[:2], 1, True, claimed[2])
    evening.look(25.0, own=4)
    evening.diary.settle()
    evening.diary.settle_exits([release])
    assert (release.record, release.body.seq) == (own(3), 3)


def released(ticket: int) -> Release:
    body = cast(Any, SimpleNamespace(ticket=(1, ticket), direction=Direction.EXIT))
    return Release(1.0, "card", own(1), body, 1, True, 1.0)


async def test_a_keyboard_types_a_code_whole_or_not_at_all(tmp_path: Path) -> None:
    scanner = KeyboardScanner(tmp_path / "keys")
    scanner.port = KeyboardPort(tmp_path / "keys")
    scanner.port.plug()
    end = os.open(tmp_path / "keys", os.O_RDONLY | os.O_NONBLOCK)
    try:
        code = code_of(1).decode()
        for _ in range(3):
            await scanner.scan(code)  # nobody reads meanwhile: there is room for one
        assert len(os.read(end, BUFFER_BYTES)) == len(b"".join(scanner.encode(code)))
        scanner.port.unplug()
        assert os.read(end, 1) == b"", "a pulled plug is an end"
    finally:
        os.close(end)


def test_lines_that_somebody_would_look_at_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "gate1").mkdir()
    cut_off = '{"level": "warning", "logger": "edge.front.uplink", "message": "cut off", "kind": "feed"}'
    lines = ['{"level": "info", "message": "page is up"}', cut_off, cut_off.replace("feed", "list"), cut_off]
    (tmp_path / "gate1" / "gate.log").write_text("\n".join(lines))
    (tmp_path / "centre.log").write_text(
        "INFO sync: well\nERROR sync.web: a defect: 5\nTraceback (most recent call last):"
    )
    assert said(tmp_path) == {
        "warning edge.front.uplink cut off feed": 2,
        "warning edge.front.uplink cut off list": 1,
        "ERROR sync.web": 1,
        "Traceback (most recent call last)": 1,
    }
