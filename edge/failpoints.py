"""Named places between a scan and its passage at which a test may kill this process, as a power cut would.

Armed only where GATEHOUSE_FAILPOINT names one when the process starts; otherwise each costs a call and one comparison
with None, some 30 ns. Whoever can set a daemon's environment can kill it anyway.
"""

import os
import signal
from typing import Final

ENVIRONMENT: Final = "GATEHOUSE_FAILPOINT"

NAMES: Final = (
    "after_read",  # a frame is in, nothing was decided
    "after_decide",  # the verdict stands, nothing was written
    "after_record",  # the record is on its way to the disk
    "after_durable",  # it is on the disk, the lane was not told
    "before_pulse",  # the lane opens, the guard was not told
    "after_pulse",  # the guard was told
    "after_answer",  # the guard switched the relay, the lane does not count it yet
    "before_passage",  # the contact closed, nothing was written
    "after_passage",  # the passage is on its way to the disk
)
"""All of them, in the order in which a visitor meets them."""

_armed: Final = os.environ.get(ENVIRONMENT)


def failpoint(name: str) -> None:
    """End this process at once, without any cleaning up, if it was started to fail here."""
    if _armed is None:
        return
    if name == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
