"""NXP PN532 boards on a serial line: tags of ISO/IEC 14443 type A, their UIDs and what those of NFC Forum type 2 and 4 carry."""

from dataclasses import dataclass, field

from drivers.framing.pn532_dialect import Pn532
from drivers.framing.presence import TagEvent
from drivers.framing.tag_content import ToWrite
from drivers.framing.tag_host import USUAL, Patience, TagHost
from drivers.readers.asked import AskedReader
from drivers.readers.pump import gap_ns
from drivers.transport.serial_port import Line


@dataclass(frozen=True, slots=True)
class Pn532Config:
    """Where a PN532 is. 115200 8N1; `gap_ms`: quiet that ends what is not whole.

    `answer_ms`: from a question to the next try. The chip acknowledges within 15 ms and looks twice for a tag, which takes
    it some tens of milliseconds.
    """

    path: str
    line: Line = field(default_factory=lambda: Line(baud=115200))
    gap_ms: int = 50
    answer_ms: int = 100
    patience: Patience = USUAL
    writes: ToWrite | None = None
    """A tag that is written when it is held to the reader: its event says what it carries then."""
    signature: bool = False
    """Each tag is asked for its maker's signature, one exchange more."""


class Pn532Reader(AskedReader[TagEvent]):
    """A PN532. Raises Misconfigured at once for settings that cannot be."""

    def __init__(self, config: Pn532Config) -> None:
        gap = gap_ns(config.gap_ms)

        def make(now_ns: int) -> TagHost:
            answer_ns = config.answer_ms * 1_000_000
            dialect = Pn532(gap_ns=gap, answer_ns=answer_ns, writes=config.writes, signature=config.signature)
            return TagHost(dialect, now_ns, config.patience)

        super().__init__(config.path, config.line, make, "tag reader", reports_removal=True)
