"""The board of tiles: how every part of the gate is, and the one verdict that follows."""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from edge.link import Health, Part, Tile
from edge.supervise import DeviceState


class VerdictWord(Enum):
    """The page's one line."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not_ready"


class BoardVerdict(NamedTuple):
    """The verdict and the tile that it is for; None when all is well."""

    word: VerdictWord
    cause: Tile | None


_ORDER = (Part.LOG, Part.LIST, Part.LANE, Part.RELAY, Part.READER, Part.SENSOR, Part.UPLINK, Part.CLOCK)
"""Which cause is named first when several hold: what stops most people comes first."""


def verdict(tiles: Iterable[Tile]) -> BoardVerdict:
    """Sum the tiles up."""
    ordered = sorted(tiles, key=lambda tile: _ORDER.index(tile.part))
    stopping = [tile for tile in ordered if tile.stops and tile.health is Health.BAD]
    if stopping:
        return BoardVerdict(VerdictWord.NOT_READY, stopping[0])
    unwell = [tile for tile in ordered if tile.health in {Health.BAD, Health.DEGRADED}]
    unwell.sort(key=lambda tile: tile.health is not Health.BAD)
    if unwell:
        return BoardVerdict(VerdictWord.DEGRADED, unwell[0])
    return BoardVerdict(VerdictWord.READY, None)


class Board:
    """Holds the tiles and calls `changed` when one changes. Times are unix seconds."""

    def __init__(self, now_s: Callable[[], int], changed: Callable[[], None]) -> None:
        self._now_s = now_s
        self._changed = changed
        self._tiles: dict[tuple[Part, str], Tile] = {}

    def put(
        self,
        part: Part,
        name: str,
        health: Health,
        code: str,
        args: dict[str, str | int] | None = None,
        *,
        lane: int = 0,
        stops: bool = False,
    ) -> None:
        """Set a tile. The time since which it is so is kept while health and code stay."""
        before = self._tiles.get((part, name))
        same = before is not None and before.health is health and before.code == code
        since_s = before.since_s if same and before is not None else self._now_s()
        tile = Tile(part, name, health, code, args or {}, lane, since_s, stops)
        if tile != before:
            self._tiles[part, name] = tile
            self._changed()

    def device(
        self, part: Part, name: str, state: DeviceState, *, lane: int = 0, stops: bool = False
    ) -> None:
        """Set the tile of a supervised device."""
        args: dict[str, str | int] = {"what": state.what, "hint": state.hint, "failures": state.failures}
        self.put(part, name, state.health, state.code, args, lane=lane, stops=stops)

    def remove(self, part: Part, name: str) -> None:
        """Take a tile away: what it told of is over."""
        if self._tiles.pop((part, name), None) is not None:
            self._changed()

    def has(self, part: Part, name: str, code: str) -> bool:
        """Whether a part's tile says `code` now."""
        tile = self._tiles.get((part, name))
        return tile is not None and tile.code == code

    def health(self, part: Part, name: str) -> Health:
        """How a part is; OFF where it has no tile."""
        tile = self._tiles.get((part, name))
        return Health.OFF if tile is None else tile.health

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, in the order in which a technician looks: verdict's causes first, then by name."""
        return tuple(
            sorted(self._tiles.values(), key=lambda tile: (_ORDER.index(tile.part), tile.lane, tile.name))
        )
