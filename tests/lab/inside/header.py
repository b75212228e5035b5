"""The pin header that is not there: the kernel's gpio-sim, a GPIO chip whose other side is in sysfs.

Physical levels, as a voltmeter would show them. Kernel documentation: `admin-guide/gpio/gpio-sim`.
"""

import subprocess
import time
from pathlib import Path

CONFIG = Path("/sys/kernel/config/gpio-sim/lab")
LINES = 28
"""As many as a Pi's header has."""
LOOK_S = 0.0005


def make(label: str) -> str:
    """Make the chip; returns its name."""
    subprocess.run(["modprobe", "gpio-sim-lab"], check=True)
    bank = CONFIG / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text(str(LINES))
    (bank / "label").write_text(label)
    (CONFIG / "live").write_text("1")
    subprocess.run(["udevadm", "settle"], check=True)
    return (bank / "chip_name").read_text().strip()


def line_of(offset: int) -> Path:
    """Return where a line is seen and pulled from outside."""
    device, chip = (CONFIG / "dev_name").read_text().strip(), (CONFIG / "bank0/chip_name").read_text().strip()
    return Path(f"/sys/devices/platform/{device}/{chip}/sim_gpio{offset}")


def pull(offset: int, high: bool) -> None:
    """Pull a line up or down from outside: an input reads it; an output that nobody drives has it."""
    (line_of(offset) / "pull").write_text("pull-up" if high else "pull-down")


def level(offset: int) -> int:
    """Return 1 where a line is high, 0 where it is low."""
    return int((line_of(offset) / "value").read_text())


def swing(offset: int, idle: int, limit_s: float) -> list[list[float]]:
    """Wait for a line to leave its idle level and to come back; returns both turns, fewer where it did not.

    Each as two monotonic times: when it had not turned yet, and when it had. An emulated machine looks seldom at times.
    """
    path = line_of(offset) / "value"
    turns: list[list[float]] = []
    before = time.monotonic()
    deadline = before + limit_s
    with path.open() as value:
        while len(turns) < 2 and before < deadline:
            value.seek(0)
            looked = time.monotonic()
            if (int(value.read()) != idle) == (not turns):
                turns.append([before, time.monotonic()])
            before = looked
            time.sleep(LOOK_S)
    return turns


def contact(offset: int, for_s: float) -> float:
    """Close a contact to ground for a time; returns the monotonic time at which it closed."""
    pull(offset, high=False)
    closed = time.monotonic()
    time.sleep(for_s)
    pull(offset, high=True)
    return closed
