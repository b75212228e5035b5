"""`make lab`: the image and the guest, made or fetched back, then the tests of this folder in it."""

import os
import signal
import sys
import time

import pytest

from tests.house import ROOT
from tests.lab import box, image

EX_UNAVAILABLE = 69
"""Not run here, as sysexits.h has it: none of pytest's own codes."""
HUNG_S = 1200
"""For one test: the other tests' limit is shorter than what an emulated gate may need on a busy machine."""
FOLDER = ROOT / "build" / "lab"


def main(arguments: list[str]) -> int:
    """Prepare the guest, then run the tests; `arguments` are pytest's. EX_UNAVAILABLE where it cannot be built."""
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"lab: {time.monotonic() - began:5.0f} s  {line}\n")
        sys.stdout.flush()

    # Whoever ends us early has the guest ended, what is mounted let go of, and no check called failed for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        machine, guest = box.machine_with_gate(FOLDER, say)
    except image.CannotBuild as why:
        sys.stdout.write(f"The lab was not run: {why}\n")
        return EX_UNAVAILABLE
    guest.close()
    machine.stop()
    os.environ["GATEHOUSE_LAB"] = "1"
    # One guest, one after the other: what one test leaves broken shows in the next.
    options = [
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "--durations=0",
        "-o",
        f"faulthandler_timeout={HUNG_S}",
    ]
    return int(pytest.main(["tests/lab", *options, *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
