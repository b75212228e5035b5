"""The gate under measure: `gatehouse-edge run` as a process of its own, with its guard and front."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.slow_disk import Speed

END_S = 15.0
PAGE = 4096
UNIT = Path(__file__).parents[2] / "systemd" / "gatehouse-edge.service"


@dataclass(slots=True)
class GateProcess:
    """A running gate; `began_ns` is when it was started."""

    process: "subprocess.Popen[bytes]"
    began_ns: int

    def pids(self) -> dict[int, str]:
        """The gate's processes and their command lines, itself first."""
        found = {self.process.pid: _command(self.process.pid)}
        parents = dict(_parents())
        for pid in parents:
            at = pid
            while at in parents and at not in found:
                at = parents[at]
                if at == self.process.pid:
                    found[pid] = _command(pid)
        return found

    def guards(self) -> list[int]:
        """The relay guards among them."""
        return [pid for pid, command in self.pids().items() if "drivers.guard" in command]


@contextmanager
def running(config: Path, speed: Speed | None = None, trace: Path | None = None) -> Iterator[GateProcess]:
    """Run a gate until the block ends; on a slow disk where `speed` says so. Its log goes beside the config."""
    module = ["edge"] if speed is None else ["tests.bench.slow_disk", str(speed), str(trace)]
    with config.with_suffix(".log").open("ab") as out:
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(
            [sys.executable, "-m", *module, "run", "--config", str(config)],
            env={**os.environ, **unit_environment()},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        try:
            yield GateProcess(process, began_ns)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def unit_environment() -> dict[str, str]:
    """What the gate's unit sets for it: it is measured as it is run."""
    lines = (
        line.removeprefix("Environment=")
        for line in UNIT.read_text().splitlines()
        if line.startswith("Environment=")
    )
    return dict(word.split("=", 1) for line in lines for word in line.split())


def pss_mb(pids: list[int]) -> float:
    """Memory of processes in MB (10^6 bytes), pages shared with others counted by their share."""
    total_kib = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        total_kib += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total_kib * 1024 / 1e6


def cool(*paths: Path) -> None:
    """Have the kernel forget what it holds of these files, so that they are read from the medium."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # The name in brackets may hold spaces; the parent is the second field after it.
                yield int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
