"""How the uplink is, for the page: what each of its loops met last, put into one tile.

"Online" is only what the centre answered: no modem and no cable has a say in it.
"""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from edge.clock import Clock
from edge.front.centre import CutOff
from edge.front.meter import MEGABYTE, Level
from edge.link import Health, UplinkSaid
from sync.wire.seals import RENEW_S, REST_RENEW_S

SAY_EVERY_S = 30.0
"""A tile that only counts seconds is renewed this often."""
STALE_S = 60.0
STALE_POLLS = 10
"""No proved answer on the list for so long, or for so many polls: somebody may be keeping news from this gate."""
SEALS_STALE_S, REST_STALE_S = 3 * RENEW_S + 5.0, 2 * REST_RENEW_S + 5.0
"""While only the seals prove it: three were missed; at rest, two."""

log = logging.getLogger("edge.front.uplink")

Args = dict[str, str | int]


class Facts(NamedTuple):
    """What the tile shows beside the loops."""

    queued: int | None
    """Records that the centre lacks; None while that is not known."""
    scans: int | None
    """Scans among them, where they were counted."""
    roster_over_s: int
    """When the roster ran out; 0: it is in force, or there is none."""
    own_is_forked: bool
    is_told: bool
    """Whether the stream tells what is new of the list, so that its seals are proof enough."""
    over_s: int
    """A time that is certainly over."""
    today: int
    """Bytes that the link carried today."""
    cap: int
    """What it may carry, in bytes; 0: no cap."""
    level: Level
    list_waits: bool
    """A whole list waits for the cap, and changes with it."""
    rests: bool = False
    """Nobody came for long: what the stream does not tell is asked for in rounds."""


class UplinkTile:
    """Keeps what the loops met. `back` is called when the centre answers one of them again: with its name, and those of the
    others that it left without an answer, which are to ask now.
    """

    def __init__(
        self,
        say: Callable[[UplinkSaid], None],
        facts: Callable[[], Facts],
        back: Callable[[str, frozenset[str]], None],
        clock: Clock,
        poll_s: float,
    ) -> None:
        self._say, self._facts, self._back = say, facts, back
        self._clock, self._poll_s = clock, poll_s
        self._refused: dict[str, str] = {}
        """By loop, why the centre or the list was refused; empty when all is well."""
        self._cut_off_s: dict[str, float] = {}
        """By loop, since when the centre does not answer: monotonic seconds, since the box's clock may be set meanwhile."""
        self._asks: set[str] = set()
        """Those of them that ask again since another was answered: no sign that the centre is away, until they have failed."""
        self._stays: set[str] = set()
        """Those that failed then, too: no other's answer says anything of them."""
        self.anew: set[str] = set()
        """Loops that began anew, because they failed the same way again and again."""
        self._defects: set[str] = set()
        """Loops that met a defect of ours since they were last answered."""
        self._answered_s, self._answered_mono_s = 0, self._mono_s()
        self._has_answered = False
        self._list_said_s, self._list_said_mono_s = 0, self._mono_s()
        """When the centre last proved what it said of the list."""
        self._said: tuple[Health, str, Args] | None = None
        self._said_mono_s = 0.0

    def _mono_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000

    @property
    def is_up(self) -> bool:
        """Whether the centre answers, by our own last exchange with it."""
        return self._has_answered and not self.is_cut_off

    @property
    def is_cut_off(self) -> bool:
        """Whether the centre left some loop without an answer."""
        return bool(self._cut_off_s.keys() - self._asks)

    def answered(self, name: str) -> None:
        """A loop was answered, in order."""
        self._has_answered = True
        self._answered_s, self._answered_mono_s = self._now_s(), self._mono_s()
        self._asks.discard(name)
        self._stays.discard(name)
        if self._cut_off_s.pop(name, None) is not None:
            self._asks |= self._cut_off_s.keys() - self._stays
            self._back(name, frozenset(self._asks))
        self._refused.pop(name, None)
        self._defects.discard(name)
        self.tell()

    def defect(self, name: str) -> None:
        """A loop met a defect of ours."""
        self._defects.add(name)
        self.tell()

    def list_answered(self) -> None:
        """The centre proved what it says of the list, by whichever way."""
        if "stream" in self._cut_off_s or "stream" in self._refused:
            self.answered("stream")
        self._list_said_s, self._list_said_mono_s = self._now_s(), self._mono_s()

    def cut_off(self, name: str, error: CutOff) -> None:
        """A loop got no answer."""
        if not self._cut_off_s:
            cause = error.__cause__ or error
            log.warning("cut off from the centre", extra={"kind": name, "why": type(cause).__name__})
        self._cut_off_s.setdefault(name, self._answered_mono_s)
        if name in self._asks:
            self._asks.discard(name)
            self._stays.add(name)
        self.tell()

    def refuse(self, name: str, why: str, code: str, facts: Mapping[str, int] | None = None) -> None:
        """A loop was refused, or refuses what came."""
        if self._refused.get(name) != why:
            log.error("refused", extra={"kind": name, "code": code, "why": why, **(facts or {})})
        self._refused[name] = why
        self._cut_off_s.pop(name, None)
        self._asks.discard(name)
        self._stays.discard(name)
        self.tell()

    def state(self) -> tuple[Health, str, Args]:
        """Return health, code and arguments; the worst that there is."""
        facts = self._facts()
        data = _data(facts)
        queued: Args = {} if facts.queued is None else {"queued": facts.queued}
        refused = self._refused.get("records") or self._refused.get("time")
        if facts.roster_over_s:
            return Health.DEGRADED, "uplink.roster_over_age", {"over_s": facts.roster_over_s, **queued}
        if cut_off := self._cut_off_s.keys() - self._asks:
            cut_s = int(self._mono_s() - min(self._cut_off_s[one] for one in cut_off))
            scans: Args = {} if facts.scans is None else {"scans": facts.scans}
            return Health.DEGRADED, "uplink.cut_off", {"cut_s": cut_s, **queued, **scans}
        if refused in {"fork", "rewind"} or facts.own_is_forked:
            code = "rewind" if refused == "rewind" and not facts.own_is_forked else "fork"
            return Health.DEGRADED, f"uplink.{code}", {"why": code}
        if self._defects:
            return Health.DEGRADED, "uplink.defect", {"what": ", ".join(sorted(self._defects)), **queued}
        if refused:
            return Health.DEGRADED, "uplink.refused", {"why": refused}
        proofs_s = REST_STALE_S if facts.rests else SEALS_STALE_S if facts.is_told else STALE_S
        silence_s = max(proofs_s, STALE_POLLS * self._poll_s)
        if self._mono_s() - self._list_said_mono_s > silence_s:
            since: Args = {"since_s": self._list_said_s} if self._list_said_s else {}
            why: Args = {"why": self._refused["list"]} if "list" in self._refused else {}
            return Health.DEGRADED, "uplink.list_stale", {**since, **why}
        if self.anew:
            return Health.DEGRADED, "uplink.anew", {"what": ", ".join(sorted(self.anew)), **queued}
        if why_not := self._refused.get("list") or self._refused.get("changes"):
            return Health.DEGRADED, "uplink.list_refused", {"why": why_not}
        if facts.list_waits:
            return Health.DEGRADED, "uplink.cap_list", {**data, **queued}
        if facts.level is Level.OVER:
            return Health.DEGRADED, "uplink.cap_over", {**data, **queued}
        if facts.rests and facts.level is Level.FREE:
            return Health.OK, "uplink.rests", {**queued, **data, "last_s": self._answered_s}
        code = "uplink.cap_near" if facts.level is Level.NEAR else "uplink.ok"
        return Health.OK, code, {**queued, **data, "last_s": self._answered_s}

    def tell(self, *, centre_time_s: int = 0) -> None:
        """Say how it is, when that is news. The time goes apart: said again later it would be wrong."""
        state, facts = self.state(), self._facts()
        if centre_time_s:
            self._say(UplinkSaid(*state, centre_time_s, facts.over_s, self._list_age_s(), facts.rests))
        before, now_s = self._said, self._mono_s()
        news = before is None or before[:2] != state[:2] or _lasting(before[2]) != _lasting(state[2])
        if news or centre_time_s or now_s - self._said_mono_s > SAY_EVERY_S:
            self._said, self._said_mono_s = state, now_s
            self._say(UplinkSaid(*state, 0, facts.over_s, self._list_age_s(), facts.rests))

    def _list_age_s(self) -> int | None:
        """Say how long ago the list was proved to be what it was; None where news of it is refused, or waits."""
        if not self._list_said_s or self._refused.keys() & {"list", "changes"} or self._facts().list_waits:
            return None
        return int(self._mono_s() - self._list_said_mono_s)


def _data(facts: Facts) -> Args:
    """Say what the link carried, in megabytes."""
    cap: Args = {"cap_mb": facts.cap // MEGABYTE} if facts.cap else {}
    return {"today_mb": f"{facts.today / MEGABYTE:.1f}", **cap}


def _lasting(args: Args) -> Args:
    """Return what of a tile's arguments is news when it changes; what only goes on is not."""
    return {name: value for name, value in args.items() if name not in {"last_s", "cut_s", "today_mb"}}


__all__ = ["SEALS_STALE_S", "STALE_S", "Facts", "UplinkTile"]
