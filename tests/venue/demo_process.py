"""The demo as tests start it: `python -m tests.venue` as a user does, and what it prints."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

WAIT_S = 60.0
"""The demo is up within three seconds; a machine busy with other tests takes its time."""
READY_LINE = "Ctrl-C stops everything."


class DemoProcess:
    """A running demo. Use `started`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.venue", "--data", str(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, text: str) -> str:
        """Read on until a line holds `text`; return that line."""
        while True:
            line = self._lines.get(timeout=WAIT_S)
            assert line is not None, f"the demo ended before it said {text!r}:\n" + "\n".join(self.said)
            self.said.append(line)
            if text in line:
                return line

    def end(self, number: int | None = None) -> int:
        """Send a signal, if any, wait for the end and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            self.said.append(line)
        return code

    def address(self, what: str) -> str:
        """Return the address printed for a page."""
        line = next(one for one in self.said if one.strip().startswith(what))
        return next(word for word in line.split() if word.startswith("http"))

    def children(self, holds: str = "") -> list[int]:
        """Return every process that names this demo's folder, ourselves and the demo aside."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) not in {os.getpid(), self.process.pid}:
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if str(self.folder) in command and holds in command:
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Make an end of it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[DemoProcess]:
    """Run a demo until the block ends."""
    demo = DemoProcess(folder, *arguments)
    try:
        yield demo
    finally:
        demo.close()


def gone(demo: DemoProcess, within_s: float = 5.0) -> bool:
    """Whether no process of a demo is left, or soon none is."""
    deadline = time.monotonic() + within_s
    while demo.children():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
