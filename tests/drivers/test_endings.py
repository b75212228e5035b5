"""Half a code of a scanner that ends its codes itself is none: its cable was pulled, and nothing else may tell of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.base import Garbled, Reader, Scan
from drivers.framing.endings import AGAIN_NS, BARE_MAX, DOUBT_LESS, REST_GAPS, WHOLE_MIN, Endings
from drivers.framing.frame import Framed
from drivers.framing.keyboard import KeyboardFramer
from drivers.framing.keys import EV_KEY, InputEvent
from drivers.framing.layouts import LAYOUTS
from drivers.framing.lines import LineFramer
from drivers.readers.serial_scanner import SerialReader, SerialReaderConfig
from drivers.readers.wedge import WedgeConfig, WedgeReader
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting, strokes
from drivers.sims.serial_scanner import SerialScanner
from tests.drivers.reader_rig import running, scanned

MS = 1_000_000
GAP_NS = 50 * MS


class Line:
    """A serial line's framer and its clock."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.heard: list[Framed] = []
        self.framer: LineFramer | KeyboardFramer = LineFramer(gap_ns=GAP_NS, endings=Endings(GAP_NS))

    def send(self, text: str, then_ns: int = 20 * GAP_NS) -> None:
        """What comes in one go; then the line is quiet for so long."""
        self.now_ns += MS
        self._feed(text)
        deadline_ns = self.framer.deadline_ns
        self.now_ns += then_ns
        if deadline_ns is not None and deadline_ns <= self.now_ns:
            self.heard += self.framer.quiet(deadline_ns)

    def _feed(self, text: str) -> None:
        assert isinstance(self.framer, LineFramer)
        self.heard += self.framer.feed(text.encode(), self.now_ns)

    def codes(self) -> list[str]:
        heard, self.heard = self.heard, []
        return [one.data.decode() if isinstance(one, Scan) else one.why for one in heard]


class Keys(Line):
    """The same of a scanner that types."""

    def __init__(self) -> None:
        super().__init__()
        self.framer = KeyboardFramer(layout=LAYOUTS["us"], gap_ns=GAP_NS)

    def _feed(self, text: str) -> None:
        assert isinstance(self.framer, KeyboardFramer)
        typed = strokes(text, KeyboardSetting(suffix=""))
        self.heard += self.framer.feed(
            [InputEvent(EV_KEY, code, value, self.now_ns) for code, value in typed], self.now_ns
        )


KINDS = pytest.mark.parametrize("kind", [Line, Keys])


def learned(kind: Callable[[], Line]) -> Line:
    line = kind()
    for _ in range(WHOLE_MIN):
        line.send("123456\r")
    assert line.codes() == ["123456"] * WHOLE_MIN
    return line


@KINDS
def test_half_a_code_is_none_and_the_next_whole_one_is(kind: Callable[[], Line]) -> None:
    line = learned(kind)
    line.send("1234")
    line.send("789012\r")
    assert line.codes() == ["cut", "789012"]


@KINDS
def test_the_rest_of_a_code_that_was_cut_is_none_either(kind: Callable[[], Line]) -> None:
    line = learned(kind)
    line.send("1234", then_ns=2 * GAP_NS)
    line.send("56\r")
    line.send("1234", then_ns=2 * GAP_NS)
    line.send("\r")  # its end alone
    line.send("789012\r")
    assert line.codes() == ["cut", "cut", "789012"]


@KINDS
def test_a_line_that_stalls_in_each_code_makes_none_of_the_halves(kind: Callable[[], Line]) -> None:
    line = learned(kind)
    for at in (1, 2, 3, 4, 4):
        line.send("123456"[:at], then_ns=2 * GAP_NS)
        line.send("123456"[at:] + "\r")
    assert line.codes() == ["cut"] * 5


@KINDS
def test_a_scanner_without_ends_is_believed(kind: Callable[[], Line]) -> None:
    line = kind()
    for _ in range(5):
        line.send("123456")
    assert line.codes() == ["123456"] * 5


@KINDS
def test_a_code_with_line_ends_in_it_makes_no_scanner_deaf(kind: Callable[[], Line]) -> None:
    """A visitor shows it at a scanner without a suffix, again and again; everybody else is read."""
    line = kind()
    for _ in range(WHOLE_MIN - 1):
        line.send("a\rb\rc\rd\r")
    line.send("123456")
    line.send("a\r")
    line.send("123456")
    assert line.codes() == [*"abcd" * (WHOLE_MIN - 1), "123456", "a", "123456"]


@KINDS
def test_a_scanner_that_was_set_to_another_suffix_is_believed_soon(kind: Callable[[], Line]) -> None:
    line = learned(kind)
    for visitor in range(BARE_MAX + 1):
        line.send(f"12345{visitor}")
    assert line.codes() == ["cut"] * (BARE_MAX - 1) + ["123452", "123453"]


@KINDS
def test_a_scanner_that_ends_only_some_of_its_codes_costs_one_of_the_others_a_second_try(
    kind: Callable[[], Line],
) -> None:
    """One symbology has a suffix and another has none; who is not read shows his code again."""
    line = learned(kind)
    line.send("0001")
    line.send("0001")
    for visitor in range(2, 9):
        line.send("123456\r")
        line.send(f"000{visitor}")
    assert line.codes() == [
        "cut",
        "0001",
        *(code for visitor in range(2, 9) for code in ("123456", f"000{visitor}")),
    ]


@KINDS
def test_a_scanner_that_sent_a_code_without_an_end_is_doubted_again_later(kind: Callable[[], Line]) -> None:
    line = learned(kind)
    line.send("0001")
    line.send("0001")
    for _ in range(WHOLE_MIN * DOUBT_LESS):
        line.send("123456\r")
    line.send("1234")
    assert line.codes()[-2:] == ["123456", "cut"]


@KINDS
def test_half_a_code_is_none_though_the_same_half_came_long_ago(kind: Callable[[], Line]) -> None:
    line = learned(kind)
    line.send("1234", then_ns=AGAIN_NS)
    line.send("123456\r")
    line.send("1234")
    assert line.codes() == ["cut", "123456", "cut"]


def test_nobody_shows_another_code_while_the_rest_may_come() -> None:
    assert REST_GAPS * 0.08 < 0.5  # seconds, at the longest usual gap


@pytest.mark.parametrize("typed", [False, True])
async def test_a_cable_that_is_pulled_in_the_middle_makes_no_code(typed: bool, tmp_path: Path) -> None:
    """Behind an adapter the port stays, and nothing tells of it but the end that does not come."""
    path = str(tmp_path / "scanner")
    sim: KeyboardScanner | SerialScanner
    reader: Reader
    if typed:
        sim, reader = KeyboardScanner(Path(path)), WedgeReader(WedgeConfig(path=path, grab=False, gap_ms=20))
    else:
        sim, reader = SerialScanner(Path(path)), SerialReader(SerialReaderConfig(path, gap_ms=20))
    sim.port.plug()

    async def scan(text: str, stop_after: int | None = None) -> None:
        if isinstance(sim, KeyboardScanner):
            await sim.scan(text, stop_after=stop_after)
        else:
            await sim.scan(text.encode(), stop_after=stop_after)

    async with running(reader) as (listener, _):
        for _ in range(WHOLE_MIN):
            await scan("123456")
            assert scanned(await listener.next())[1] == b"123456"
            await asyncio.sleep(0.05)  # silence is what is measured here
        await scan("123456", stop_after=4)
        cut = await listener.next()
        assert isinstance(cut, Garbled)
        assert cut.why == "cut"
    # As it ends codes itself after it was plugged in again: a cable that is loose is pulled more than once.
    sim.port.unplug()
    await asyncio.sleep(REST_GAPS * 0.02)  # until then it would be taken for the rest
    sim.port.plug()
    async with running(reader) as (listener, _):
        await scan("654321", stop_after=5)
        assert isinstance(await listener.next(), Garbled)
    sim.port.unplug()
