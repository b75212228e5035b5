"""A card whose power can be cut: a file system on the kernel's dm-flakey, which then takes writes and forgets them.

Kernel documentation: `admin-guide/device-mapper/dm-flakey`, `drop_writes`.
"""

import subprocess
import time
from pathlib import Path

from .header import line_of

IMAGE, NAME, MIB = "/srv/card.img", "card", 256
NODE = f"/dev/mapper/{NAME}"


def make(mount: str, owner: str) -> None:
    """Move a folder onto such a card."""
    _run("modprobe", "-a", "loop", "dm-flakey")
    _run("truncate", "-s", f"{MIB}M", IMAGE)
    loop = _run("losetup", "-f", "--show", IMAGE)
    _run("dmsetup", "create", NAME, "--table", f"0 {_sectors(loop)} linear {loop} 0")
    _run("mkfs.ext4", "-q", "-F", NODE)
    _run("mount", NODE, "/mnt")
    _run("cp", "-a", f"{mount}/.", "/mnt/")
    _run("umount", "/mnt")
    _run("mount", NODE, mount)
    _run("chown", f"{owner}:{owner}", mount)
    _run("chmod", "0700", mount)


def cut_when(offset: int, idle: int, unit: str, limit_s: float) -> dict[str, float]:
    """Cut the power the moment a line leaves its idle level: `unit` is killed, and nothing that is written is kept any more.

    In this order, since one that lived on for a moment would tell the centre what its card forgets. Returns when the line moved,
    when nobody lived and when nothing was taken any more, all monotonic.
    """
    loop = _run("losetup", "-j", IMAGE).partition(":")[0]
    table = f"0 {_sectors(loop)} flakey {loop} 0 0 3600 1 drop_writes"
    _run("dmsetup", "load", NAME, "--table", table)
    path, deadline = line_of(offset) / "value", time.monotonic() + limit_s
    group = Path("/sys/fs/cgroup", _run("systemctl", "show", "-P", "ControlGroup", unit).lstrip("/"))
    with path.open() as value, (group / "cgroup.kill").open("w") as kill:
        while True:
            value.seek(0)
            if int(value.read()) != idle:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"line {offset} did not move within {limit_s} s")
        moved = time.monotonic()
        kill.write("1")
        kill.flush()
        killed = time.monotonic()
    # Neither what waits in memory is written nor the file system tidied up: the power is gone.
    _run("dmsetup", "suspend", "--noflush", "--nolockfs", NAME)
    _run("dmsetup", "resume", NAME)
    return {"moved": moved, "killed": killed, "cut": time.monotonic()}


def power(mount: str) -> None:
    """Give it its power back: what was kept is read anew."""
    loop = _run("losetup", "-j", IMAGE).partition(":")[0]
    _run("umount", mount)
    _run("dmsetup", "suspend", NAME)
    _run("dmsetup", "load", NAME, "--table", f"0 {_sectors(loop)} linear {loop} 0")
    _run("dmsetup", "resume", NAME)
    Path("/proc/sys/vm/drop_caches").write_text("3")
    _run("mount", NODE, mount)


def _sectors(device: str) -> str:
    return _run("blockdev", "--getsz", device)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
