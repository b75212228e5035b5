"""The numbers things go by. Big-endian wherever they meet bytes (DESIGN.md, Words)."""

from typing import NamedTuple, NewType

GateId = NewType("GateId", int)
"""u32; 0 is no gate."""
EventId = NewType("EventId", int)
"""u32; 0 is no event."""
TicketId = NewType("TicketId", int)
"""u64, dense per event; 0 is no ticket."""
HolderId = NewType("HolderId", int)
"""u64; to a gate a holder is a number; 0 is nobody known."""
ProductId = NewType("ProductId", int)
"""u16; 0 is none."""
ZoneId = NewType("ZoneId", int)
"""u16; 0 is none."""
SessionId = NewType("SessionId", int)
"""u16; 0 is any session of the event."""
LaneId = NewType("LaneId", int)
"""u16."""
ReaderId = NewType("ReaderId", int)
"""u16; 0 is none (staff, the page, the lane itself)."""
Epoch = NewType("Epoch", int)
"""u64, random at each daemon start."""

TicketKey = tuple[EventId, TicketId]
"""A ticket id means something only within its event."""


class RecordId(NamedTuple):
    """Where a record stands, in all the world; it is the scan id too. 16 bytes on the wire: u32, u64, u32."""

    gate: GateId
    epoch: Epoch
    seq: int
