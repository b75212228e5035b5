"""Replicas of the centre as processes of their own, on one PostgreSQL."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Replica:
    """A process that serves the database on a port of its own."""

    data: Path
    url: str
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "sync", "serve", "--data", str(self.data), "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "GATEHOUSE_DATABASE": self.url},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().strip().rpartition(":")[2])

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def replicas_of(first: Path, url: str) -> Iterator[list[Replica]]:
    """Two replicas that serve until the block ends. `first`: the folder of a centre that was made, and is closed."""
    second = first.parent / "second"
    second.mkdir()
    (second / "keys.json").write_bytes((first / "keys.json").read_bytes())
    replicas = [Replica(first, url), Replica(second, url)]
    try:
        for one in replicas:
            one.start()
        yield replicas
    finally:
        for one in replicas:
            if one.process is not None and one.process.poll() is None:
                one.kill()
