"""When each relay line has to go off. Pure: time comes in as monotonic nanoseconds.

A pulse sent while its line is still on extends that line's time, it makes no second edge. However many are sent, the line is
never on for longer than the cap, counted from the edge that switched it on. All pulses of a line end together, at its off edge.
"""

NS_PER_MS = 1_000_000

PULSE_MS_LONGEST = 5_000
"""No configured cap goes beyond this: turnstiles take 100-1,000 ms, potential mode holds for the 5 s passage window."""

PULSE_MS_MAX_DEFAULT = 1_000
"""Cap where none is configured: the longest pulse that the turnstile manuals ask for."""

PULSES_PER_LINE_MAX = 32
"""Pulses that may share one line's on time; a sane lane has one or two. More is a fault of the sender."""


class TooManyPulses(Exception):
    """More pulses on one line than any lane would send before the first of them ended."""


class Pulses:
    """The running pulses of all lines."""

    def __init__(self, cap_ms: int) -> None:
        if not 0 < cap_ms <= PULSE_MS_LONGEST:
            raise ValueError(f"a pulse cap of {cap_ms} ms is outside 1..{PULSE_MS_LONGEST}")
        self._cap_ns = cap_ms * NS_PER_MS
        self._on_since: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._ids: dict[int, list[int]] = {}

    def start(self, line: int, duration_ms: int, ident: int, asked_ns: int, taken_ns: int) -> None:
        """A pulse was switched on: `asked_ns` before the device's write began, `taken_ns` when it was taken.

        The pulse counts from `taken_ns` so that a slow write does not shorten it, the cap from `asked_ns` so that it
        cannot lengthen it.
        """
        ids = self._ids.setdefault(line, [])
        if len(ids) >= PULSES_PER_LINE_MAX:
            raise TooManyPulses(f"line {line}")
        ids.append(ident)
        on_since = self._on_since.setdefault(line, asked_ns)
        wanted = max(taken_ns + duration_ms * NS_PER_MS, self._ends.get(line, 0))
        self._ends[line] = min(wanted, on_since + self._cap_ns)

    def room_ms(self, line: int, now_ns: int) -> int:
        """How long a line may be on from now, whole milliseconds: a device's own timer must not end it later."""
        room_ns = self._cap_ns - (now_ns - self._on_since.get(line, now_ns))
        return max(0, room_ns // NS_PER_MS)

    def next_ns(self) -> int | None:
        """When the next line has to go off."""
        return min(self._ends.values(), default=None)

    def due(self, now_ns: int) -> list[int]:
        """The lines that have to be off by now, longest overdue first. They stay due until `end`."""
        if not self._ends:
            return []
        return sorted((line for line, end in self._ends.items() if end <= now_ns), key=self._ends.__getitem__)

    def end(self, line: int) -> list[int]:
        """The line is off: the ids of the pulses that ended with it."""
        self._on_since.pop(line, None)
        self._ends.pop(line, None)
        return self._ids.pop(line, [])

    def lines_on(self) -> list[int]:
        """The lines that are on."""
        return sorted(self._ends)
