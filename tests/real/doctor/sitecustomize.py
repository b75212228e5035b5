"""Comes first in a gate's processes, through PYTHONPATH: moves the wall clock, and plants defects.

The clock: `time.time` and `time.time_ns` are ahead by the nanoseconds in the file that GATEHOUSE_CLOCK names, at each call;
monotonic clocks, timers, `datetime.now` and OpenSSL's look at dates stay the kernel's. The defect: GATEHOUSE_DEFECT.
"""

import mmap
import os
import struct
import sys
import time


def _move_clock(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    page = mmap.mmap(handle, 8, prot=mmap.PROT_READ)
    os.close(handle)
    true_ns, true_s, ahead = time.time_ns, time.time, struct.Struct("<q").unpack_from

    def time_ns() -> int:
        return true_ns() + int(ahead(page)[0])

    def time_s() -> float:
        return true_s() + float(ahead(page)[0]) / 1e9

    time.time_ns, time.time = time_ns, time_s


if "drivers.guard" not in sys.orig_argv:
    if "GATEHOUSE_CLOCK" in os.environ:
        _move_clock(os.environ["GATEHOUSE_CLOCK"])
    if "GATEHOUSE_DEFECT" in os.environ:
        from tests.real.defects import plant

        plant(os.environ["GATEHOUSE_DEFECT"])
