"""What is done to the gate's processes, at the very moment when a line moves."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .header import LOOK_S, line_of

UNIT = "gatehouse-edge"


def lane() -> int:
    """Return the lane's process: the unit's main one."""
    said = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", UNIT],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(said.stdout)


def processes() -> dict[int, str]:
    """Return the unit's processes and their command lines."""
    found = {}
    for pid in Path(f"/sys/fs/cgroup/system.slice/{UNIT}.service/cgroup.procs").read_text().split():
        found[int(pid)] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def victims(whom: str) -> list[int]:
    """Return whom to hit: the "lane", the "guard", or "all"."""
    if whom == "lane":
        return [lane()]
    return [pid for pid, command in processes().items() if whom == "all" or "drivers.guard" in command]


def hit(whom: str, number: int) -> float:
    """Send them a signal; returns the monotonic time."""
    found = victims(whom)
    at = time.monotonic()
    for pid in found:
        os.kill(pid, number)
    return at


def hit_when(offset: int, idle: int, whom: str, number: int, limit_s: float) -> dict[str, Any]:
    """Send them a signal as soon as a line leaves its idle level, and wait for it to come back.

    Returns when it moved, when they were hit, and when it was back: all monotonic, 0.0 where it did not.
    """
    found, path = victims(whom), line_of(offset) / "value"
    times = {"moved": 0.0, "hit": 0.0, "back": 0.0}
    deadline = time.monotonic() + limit_s
    with path.open() as value:
        while time.monotonic() < deadline and not times["back"]:
            value.seek(0)
            moved = int(value.read()) != idle
            if moved and not times["moved"]:
                times["moved"] = time.monotonic()
                for pid in found:
                    os.kill(pid, number)
                times["hit"] = time.monotonic()
            elif times["moved"] and not moved:
                times["back"] = time.monotonic()
            time.sleep(LOOK_S)
    return times


def freeze(whom: str) -> float:
    """Stop them, as a defect would that waits for ever."""
    return hit(whom, signal.SIGSTOP)


def until_down(limit_s: float) -> None:
    """Wait until no process of the unit is left."""
    deadline = time.monotonic() + limit_s
    while Path(f"/sys/fs/cgroup/system.slice/{UNIT}.service").exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{UNIT} is not down after {limit_s} s: {processes()}")
        time.sleep(0.05)


def until_another(than: int, limit_s: float) -> float:
    """Wait until the unit's main process is another and has said that it is ready; returns the monotonic time."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        said = subprocess.run(
            ["systemctl", "show", "--property=MainPID,ActiveState", "--value", UNIT],
            check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        if "active" in said and str(than) not in said and "0" not in said:
            return time.monotonic()
        time.sleep(0.05)
    raise TimeoutError(f"{UNIT} did not start again within {limit_s} s")
