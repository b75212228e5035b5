"""The keys of the gates that a list names: by them a gate is believed of which the roster does not speak."""

from collections.abc import Mapping
from pathlib import Path

from admission.ids import GateId
from edge.store.faults import StoreFault
from edge.store.list import ListStore


class KeysOfList:
    """The keys of the gates in the list in place; read again only when another list took its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._keys: Mapping[GateId, bytes] = {}

    def __call__(self) -> Mapping[GateId, bytes]:
        """Return the keys; of no gate where there is no list."""
        try:
            status = self._path.stat()
        except OSError:
            return {}
        seen = (status.st_ino, status.st_mtime_ns)
        if seen != self._seen:
            self._keys, self._seen = self._read(), seen
        return self._keys

    def _read(self) -> Mapping[GateId, bytes]:
        try:
            store = ListStore.open(self._path)
        except StoreFault:
            return {}
        try:
            return {one.id: one.public for one in store.head.gates if one.public}
        finally:
            store.close()


__all__ = ["KeysOfList"]
