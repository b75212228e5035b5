"""The guest as tests see it: commands, files and the devices' outside, over the agent's port (`tests.lab.inside.agent`)."""

import base64
import concurrent.futures
import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LIMIT_S = 180.0
"""A start of the gate takes some seconds under emulation, minutes where many share the processor; this is a hang."""
CALL_S = 240.0
"""Whatever is called has a shorter limit of its own, and says more when it is over."""
UP_S = 1.0
SPARE_S = 15.0
"""Beyond the limit that the guest itself keeps."""


class GuestFault(AssertionError):
    """What was asked of the guest went wrong in there; `str` says how."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


class Guest:
    """One guest. Its methods may be called from any thread; `begin` does not wait."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()
        self._waiting: dict[int, concurrent.futures.Future[dict[str, Any]]] = {}
        self._hears = threading.Thread(target=self._hear, daemon=True)
        self._hears.start()

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._hears.join()
        self._sock.close()

    def until_up(self, limit_s: float, check: Callable[[], None]) -> None:
        """Wait until it does what it is told; `check` raises where its machine has ended."""
        deadline = time.monotonic() + limit_s
        while True:
            check()
            with contextlib.suppress(concurrent.futures.TimeoutError):
                # What is said before the agent listens may be lost: it is said again.
                self._send({"run": ["true"], "input": "", "limit_s": LIMIT_S}).result(UP_S)
                return
            if time.monotonic() > deadline:
                raise GuestFault(f"the guest is not up after {limit_s} s; its console is in build/lab/run")

    def run(self, *argv: str, stdin: str = "", limit_s: float = LIMIT_S) -> Done:
        """Run a command as root and wait for its end."""
        said = self._ask({"run": argv, "input": stdin, "limit_s": limit_s}, limit_s)
        return Done(said["code"], said["out"], said["err"])

    def do(self, *argv: str, stdin: str = "", limit_s: float = LIMIT_S) -> str:
        """Run a command that has to succeed; returns what it printed, without the last line end."""
        done = self.run(*argv, stdin=stdin, limit_s=limit_s)
        if done.code:
            raise GuestFault(f"{' '.join(argv)} ended with {done.code}:\n{done.out}{done.err}")
        return done.out.removesuffix("\n")

    def put(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """Write a file."""
        raw = data.encode() if isinstance(data, str) else data
        self._ask({"put": path, "data": base64.b64encode(raw).decode(), "mode": mode}, LIMIT_S)

    def call(self, name: str, limit_s: float = CALL_S, /, **arguments: object) -> Any:
        """Call a function of `tests.lab.inside`, such as `gadget.plug`."""
        return self.begin(name, **arguments).result(limit_s)

    def begin(self, name: str, /, **arguments: object) -> "Pending":
        """Start such a call, and go on."""
        return Pending(self._send({"call": name, "with": arguments}))

    def _ask(self, asked: dict[str, Any], limit_s: float) -> dict[str, Any]:
        return answer_of(self._send(asked), limit_s + SPARE_S)

    def _send(self, asked: dict[str, Any]) -> concurrent.futures.Future[dict[str, Any]]:
        number = next(self._numbers)
        future = self._waiting[number] = concurrent.futures.Future()
        with self._writing:
            self._sock.sendall(json.dumps({"id": number, **asked}).encode() + b"\n")
        return future

    def _hear(self) -> None:
        with contextlib.suppress(OSError), self._sock.makefile("rb") as lines:
            for line in lines:
                said = json.loads(line)
                future = self._waiting.pop(said["id"], None)
                if future is not None:
                    future.set_result(said)


class Pending:
    """A call that is under way in the guest."""

    def __init__(self, future: concurrent.futures.Future[dict[str, Any]]) -> None:
        self._future = future

    def result(self, limit_s: float = CALL_S) -> Any:
        """Wait for what it returned."""
        return answer_of(self._future, limit_s)["value"]


def answer_of(future: concurrent.futures.Future[dict[str, Any]], limit_s: float) -> dict[str, Any]:
    """Return an answer; GuestFault with the guest's trace where there is one instead."""
    try:
        said = future.result(limit_s)
    except concurrent.futures.TimeoutError:
        raise GuestFault(f"the guest did not answer within {limit_s} s") from None
    if "error" in said:
        raise GuestFault(said["error"])
    return said
