"""A gate's disk that fails, or hangs, for as long as a test wants."""

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edge.parts import Factories
from edge.store.disk import LocalDisk
from tests.edge.power_cut import FailingDisk, Operation

EVER = 1 << 40
"""Operations of a disk; more than there will be."""


class ShakyDisk(FailingDisk):
    """A disk that fails from `fail` to `heal`, or hangs from `hang` to `go_on`."""

    def __init__(self, *, reads: bool = False) -> None:
        super().__init__(errno.EIO, 0, 0, reads=reads)
        self._flows = threading.Event()
        self._flows.set()

    def fail(self, number: int) -> None:
        self._code, self._failing = number, range(EVER)

    def hang(self) -> None:
        self._flows.clear()

    def go_on(self) -> None:
        self._flows.set()

    def record(self, operation: Operation) -> None:
        self._flows.wait()
        super().record(operation)


@contextmanager
def shaky(*, reads: bool = False) -> Iterator[ShakyDisk]:
    disk = ShakyDisk(reads=reads)
    try:
        yield disk
    finally:
        disk.go_on()
        disk.close()


def on(disk: LocalDisk) -> Callable[[Factories], Factories]:
    return lambda parts: replace(parts, disk=disk)
