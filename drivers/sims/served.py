"""A simulated device served by a thread of its own: for drivers that wait for the answer to what they ask."""

import threading
from types import TracebackType
from typing import Protocol, Self

from drivers.sims.ports import readable

TURN_S = 0.005
"""A device looks at its own clock so often."""


class Served(Protocol):
    """What can be served."""

    def fileno(self) -> int:
        """Readable when something waits; -1 while unplugged."""
        ...

    def service(self, timeout_s: float = 0.0) -> None:
        """Answer what waits; waits for something up to `timeout_s`."""
        ...


class Service:
    """Serves a device until closed. Whoever changes the device meanwhile holds `lock`."""

    def __init__(self, device: Served) -> None:
        self.lock = threading.RLock()
        self._device = device
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._over.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            # Waited for without the lock, so that the test's own hand comes in between.
            handle = self._device.fileno()
            if handle < 0:
                self._over.wait(TURN_S)
            else:
                readable(handle, TURN_S)
            with self.lock:
                self._device.service()
