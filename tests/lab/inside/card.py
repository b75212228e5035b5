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
    """Cut the power the moment a line leaves its idle level: nothing that is written is kept any more, and `unit` is killed.

    At once, since one that lived on would tell the centre what its card forgets. Returns when the line moved and when nothing
    was taken any more, both monotonic.
    """
    loop = _run("losetup", "-j", IMAGE).partition(":")[0]
    table = f"0 {_sectors(loop)} flakey {loop} 0 0 3600 1 drop_writes"
    _run("dmsetup", "load", NAME, "--table", table)
    path, deadline = line_of(offset) / "value", time.monotonic() + limit_s
    with path.open() as value:
        while True:
            value.seek(0)
            if int(value.read()) != idle:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"line {offset} did not move within {limit_s} s")
    moved = time.monotonic()
    # Neither what waits in memory is written nor the file system tidied up: the power is gone.
    _run("dmsetup", "suspend", "--noflush", "--nolockfs", NAME)
    _run("dmsetup", "resume", NAME)
    cut = time.monotonic()
    _run("systemctl", "kill", "-s", "KILL", unit)
    return {"moved": moved, "cut": cut}


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
