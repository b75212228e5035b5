"""Elatec TWN4 with the Simple Protocol application, over USB-CDC or a serial line."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.base import Signal
from drivers.framing.presence import TagEvent
from drivers.framing.tag_host import USUAL, Patience, TagHost
from drivers.framing.twn4_dialect import Twn4
from drivers.framing.uid import ByteOrder
from drivers.readers.asked import AskedReader
from drivers.readers.pump import gap_ns
from drivers.transport.serial_port import Line

BEEP_VOLUME = 100
HIGH_HZ, LOW_HZ = 2400, 800
"""A person hears that these differ without having heard both."""
SHORT_MS, LONG_MS = 80, 500


@dataclass(frozen=True, slots=True)
class Twn4Config:
    """Where a TWN4 is and what it looks for. `hf`: see `drivers.framing.twn4_dialect.Twn4`. `beep`: verdicts are heard.

    `answer_ms`: from a question to the next try; it looks for one kind of tag after the other.
    """

    path: str
    line: Line = field(default_factory=Line)
    hf: int = 1
    uid_order: ByteOrder = ByteOrder.UID0_FIRST
    beep: bool = True
    gap_ms: int = 100
    answer_ms: int = 250
    patience: Patience = USUAL


class Twn4Reader(AskedReader[TagEvent]):
    """A TWN4. Raises Misconfigured at once for settings that cannot be."""

    def __init__(self, config: Twn4Config) -> None:
        gap = gap_ns(config.gap_ms)
        shows: dict[Signal, Sequence[bytes]] = {}
        if config.beep:
            shows = {Signal.ACCEPT: [beep(HIGH_HZ, SHORT_MS)], Signal.REJECT: [beep(LOW_HZ, LONG_MS)]}

        def make(now_ns: int) -> TagHost:
            dialect = Twn4(
                gap_ns=gap,
                answer_ns=config.answer_ms * 1_000_000,
                hf=config.hf,
                uid0_last=config.uid_order is ByteOrder.UID0_LAST,
                shows=shows,
            )
            return TagHost(dialect, now_ns, config.patience)

        super().__init__(config.path, config.line, make, "tag reader", reports_removal=True)


def beep(frequency_hz: int, on_ms: int) -> bytes:
    """`04 07`, volume in percent, then frequency, time on and time off, each little-endian."""
    numbers = b"".join(one.to_bytes(2, "little") for one in (frequency_hz, on_ms, 0))
    return bytes.fromhex("0407") + bytes([BEEP_VOLUME]) + numbers
