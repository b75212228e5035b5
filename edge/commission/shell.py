"""The hands of a commissioning: looks at the box every second, listens to every device that can be read, watches the contacts
of boards that a person named, pulses a relay.

No gate runs meanwhile: nobody is admitted, and no relay moves but by a technician's own press, through the same relay guard
that ends every pulse of a gate.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from drivers.base import (
    DeviceGone,
    DriverError,
    EmitInput,
    Garbled,
    InputChanged,
    InputsLost,
    Medium,
    Misconfigured,
    Opened,
    ReaderEvent,
    Scan,
)
from edge.barrier import Barrier
from edge.commission.buses import on_buses, place_of
from edge.commission.candidates import (
    GPIO_KEY,
    GPIO_LINES_MAX,
    Candidate,
    candidates,
    chip_of,
    gpio_inputs,
    header_lines,
    is_simulated,
    wired,
)
from edge.commission.inventory import Inventory, inventory
from edge.commission.kept import bind, kept
from edge.commission.known import Mode
from edge.commission.session import CODE_LETTERS, Commissioning, Heard
from edge.devices import Devices
from edge.parts import RelayEvents
from edge.settings import (
    GpioInputs,
    GpioRelay,
    InputSettings,
    ModbusRelay,
    RelayInputs,
    RelaySettings,
    Settings,
)
from edge.supervise import DeviceState, keep

LOOK_S: Final = 1.0
"""Pace of looking for devices: somebody plugs in and watches the page."""
PULSE_MS: Final = 300
"""As a lane's own default (PERCo: 100 ms and more)."""
PULSE_WAIT_S: Final = 10.0
"""A guard is up within 5 s, and a pulse takes less than one."""
BAD_FORM: Final = "bad_format"
"""`Garbled.why` of a card's bits that are none of what a reader on a bus is set to."""
log = logging.getLogger("edge.commission")


class PulseFailed(Exception):
    """A relay did not do what it was asked. `hint` is the driver's; `is_refused`: the board answered, and does not do it.

    `code`: the sentence that says so.
    """

    def __init__(self, error: DriverError) -> None:
        super().__init__(str(error))
        self.hint = error.hint
        self.is_refused = isinstance(error, Misconfigured)
        self.code = _code_of(error)


def _code_of(error: DriverError) -> str:
    match error:
        case DeviceGone():
            return "commission.pulse_silent"
        case Misconfigured():
            return "commission.pulse_refused"
        case _:
            return "commission.pulse_failed"


@dataclass(slots=True)
class Listening:
    """One device that is being read. `heard` counts what it delivered, whatever it was."""

    candidate: Candidate
    task: "asyncio.Task[None]"
    state: DeviceState | None = None
    heard: int = 0
    last: Heard | None = None


@dataclass(slots=True)
class Watching:
    """One board whose contacts are watched."""

    of: tuple[InputSettings, RelaySettings | None]
    """Its settings, and the relay board that it is a part of."""
    task: "asyncio.Task[None]"
    state: DeviceState | None = None


@dataclass(slots=True)
class Shell:
    """Everything with I/O. `devices` makes drivers (`edge.compose`)."""

    root: Path
    devices: Devices
    base: Settings = field(default_factory=lambda: Settings(lanes=()))
    """The gate before, of which everything stays that nobody touches."""
    session: Commissioning = field(init=False)
    found: Inventory = field(default_factory=Inventory)
    listening: dict[str, Listening] = field(default_factory=dict)
    watching: dict[str, Watching] = field(default_factory=dict)
    free: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """GPIO lines that nothing holds, by their chip's label."""
    pulses: int = 0
    rests: dict[tuple[str, int], bool] = field(default_factory=dict)
    """How a line of a GPIO chip stood before it was pulsed, by the chip's label: high or low."""
    has_kept: bool = False
    """What the page shows began with the gate before."""
    pn532: set[str] = field(default_factory=set)
    """Serial adapters that a person said a PN532 is behind: it must be asked, and speaks faster."""
    _boards_busy: set[str] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self, *, anew: bool = False) -> None:
        """Begin with the gate before, or `anew`: nothing was said or shown yet."""
        self.session = Commissioning(_letters) if anew else kept(self.base, _letters)
        self.has_kept = bool(self.session.lanes)
        self.rests.clear()
        self.pn532.clear()
        for one in self.listening.values():
            one.heard, one.last = 0, None

    async def run(self) -> NoReturn:
        """Look and listen until cancelled; then every device is given back."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            tasks = [
                *(one.task for one in self.listening.values()),
                *(one.task for one in self.watching.values()),
            ]
            self.listening.clear()
            self.watching.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Look once: listen to what is new, let go of what is gone or has become a relay board."""
        self.found = await asyncio.to_thread(inventory, self.root)
        bind(self.session, self.found)
        self.session.forget_buses({one.place for one in self.found.plugged})
        if self.found.gpio:
            free = await asyncio.to_thread(self.devices.free_gpio)
            self.free = {chip: tuple(sorted({*lines, *self._held(chip)})) for chip, lines in free.items()}
        await self._watch_all()
        plugged = candidates(self.found, self.pn532, simulated=is_simulated(self.root))
        now = {
            one.key: self.session.as_before(one)
            for one in (*plugged, *wired(self.session.wired), *on_buses(self.session.buses))
            if one.key not in self.session.boards
            and one.key not in self.session.inputs
            and not self.session.is_bus(one.key)
            and not self.session.is_modbus(one.key)
            and not {one.key, place_of(one.key)} & self._boards_busy
            # A keyboard of no maker of scanners may be the one that a person types on: it is taken only while one is asked for.
            and (one.what.listed or one.what.mode is not Mode.KEYBOARD or self.session.asked is not None)
        }
        for key, one in list(self.listening.items()):
            if now.get(key) != one.candidate:
                await self._stop(key)
        for key, candidate in now.items():
            if key not in self.listening:
                self._listen(candidate)

    def free_lines(self, chip: str) -> tuple[int, ...]:
        """Return the lines of a GPIO chip that may become something: those that nothing holds, and no wires of a reader."""
        wires = self.session.wires_of(chip)
        return tuple(one for one in header_lines(chip, self.free.get(chip, ())) if one not in wires)

    def pins_to_watch(self, key: str) -> InputSettings | None:
        """Return a GPIO chip as a board of contacts: its free lines, those watched already, and none that switches something."""
        chip = chip_of(key)
        before = self.session.inputs.get(key)
        had = before.offsets if isinstance(before, GpioInputs) else ()
        taken = self.session.outputs_of(chip) | self.session.wires_of(chip)
        lines = sorted({*self.free_lines(chip), *had} - taken)
        made = gpio_inputs(chip, tuple(lines[:GPIO_LINES_MAX]))
        if made is None or not isinstance(before, GpioInputs):
            return made
        return msgspec.structs.replace(before, offsets=tuple(lines[:GPIO_LINES_MAX]))

    @asynccontextmanager
    async def alone(self, place: str, *readers: str) -> AsyncIterator[None]:
        """Have a device for oneself: it, and the readers behind it, are let go of, and listened to again by the next look."""
        self._boards_busy.add(place)
        try:
            for key in (place, *readers):
                await self._stop(key)
            await self._unwatch(place)
            yield
        finally:
            self._boards_busy.discard(place)

    async def pulse(self, key: str, board: RelaySettings, line: int) -> None:
        """Pulse one line of a board once, and give the board back. PulseFailed with what to do."""
        session = self.session
        board = session.known_board(key, board)
        async with self._turn, self.alone(key):  # its guard has the port: a board has one owner
            try:
                await self._pulse(board, line)
            except PulseFailed as failed:
                plain = _without_timer(board)
                if not failed.is_refused or plain is None:
                    raise
                board = plain
                await self._pulse(board, line)
        session.use_board(key, board)
        self._pulsed(line)

    async def pulse_pin(self, chip: str, offset: int) -> None:
        """Pulse one line of a GPIO chip once: away from where it stands, and back. PulseFailed with what to do.

        It is taken as an output at the level that it has, so that whatever hangs on it stays as it is but for the pulse.
        """
        inputs = f"{GPIO_KEY}{chip}"
        async with self._turn:
            self._boards_busy.add(inputs)
            await self._unwatch(inputs)
            try:
                is_high = await asyncio.to_thread(self.devices.gpio_level, chip, offset)
                pin = GpioRelay(id="relays", chip=chip, offsets=(offset,), active_low=is_high)
                await self._pulse(pin, 0)
            except DriverError as error:
                raise PulseFailed(error) from None
            finally:
                self._boards_busy.discard(inputs)
        self.rests[chip, offset] = is_high
        self._pulsed(offset)

    def _pulsed(self, line: int) -> None:
        self.pulses += 1
        log.warning(
            "a relay was pulsed by the commissioning page",
            extra={"code": "commission.pulsed", "line": line, "count": self.pulses},
        )

    async def _pulse(self, board: RelaySettings, line: int) -> None:
        ready, ended = asyncio.Event(), asyncio.Event()
        faults: list[DriverError] = []

        def fault(error: DriverError) -> None:
            faults.append(error)

        events = RelayEvents(lambda _lines: ready.set(), lambda _id: None, lambda _id: ended.set(), fault)
        relay = self.devices.relay(board, events)
        running = asyncio.ensure_future(relay.run())
        try:
            async with asyncio.timeout(PULSE_WAIT_S):
                await _first(running, ready)
                relay.pulse(line, PULSE_MS)
                await _first(running, ended)
        except TimeoutError:
            error = (
                faults[-1] if faults else DeviceGone("the board does not answer", "Check cable and supply.")
            )
            raise PulseFailed(error) from None
        except DriverError as error:
            raise PulseFailed(error) from None
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _listen(self, candidate: Candidate) -> None:
        reader = self.devices.reader(candidate.reader)
        one = Listening(candidate, asyncio.ensure_future(asyncio.sleep(0)))

        async def run(opened: Callable[[str], None]) -> NoReturn:
            def emit(event: ReaderEvent) -> None:
                if isinstance(event, Opened):
                    opened(event.what)
                elif isinstance(event, Scan):
                    one.heard += 1
                    one.last = self.session.heard(candidate, _shown_by(event))
                elif isinstance(event, Garbled) and event.why == BAD_FORM and place_of(candidate.key):
                    one.heard += 1
                    one.last = Heard.OTHER_FORM

            await reader.run(emit)
            raise AssertionError("a reader never ends by itself")

        def on_state(state: DeviceState) -> None:
            one.state = state

        one.task = asyncio.ensure_future(keep(candidate.key, run, on_state))
        self.listening[candidate.key] = one

    def _held(self, chip: str) -> set[int]:
        """Return the lines of a chip that this page itself reads."""
        watched = (one.of[0] for one in self.watching.values())
        return {
            line
            for one in watched
            if isinstance(one, GpioInputs) and one.chip == chip
            for line in one.offsets
        }

    async def _watch_all(self) -> None:
        """Watch the contacts of each board that was named, and of no other."""
        present = {one.place for one in self.found.plugged}
        named = {
            key: (_without(settings, self.session), self.session.boards.get(key))
            for key, settings in self.session.inputs.items()
            if key not in self._boards_busy and (key in present or key.startswith(GPIO_KEY))
        }
        for key, one in list(self.watching.items()):
            if named.get(key) != one.of:
                await self._unwatch(key)
        for key, of in named.items():
            if key not in self.watching:
                await self._stop(key)
                self._watch(key, of)

    def _watch(self, key: str, of: tuple[InputSettings, RelaySettings | None]) -> None:
        one = Watching(of, asyncio.ensure_future(asyncio.sleep(0)))

        async def run(opened: Callable[[str], None]) -> NoReturn:
            def emit(event: InputChanged | Opened | InputsLost) -> None:
                if isinstance(event, Opened):
                    opened(event.what)
                elif isinstance(event, InputChanged):
                    self.session.changed(key, _line(of[0], event.line), active=event.active)

            try:
                await self._run_inputs(*of, emit, on_state)
            finally:
                self.session.lost(key)

        def on_state(state: DeviceState) -> None:
            one.state = state

        one.task = asyncio.ensure_future(keep(key, run, on_state))
        self.watching[key] = one

    async def _run_inputs(
        self,
        settings: InputSettings,
        board: RelaySettings | None,
        emit: EmitInput,
        on_state: Callable[[DeviceState], None],
    ) -> NoReturn:
        """Watch a board until it is gone; a relay board's contacts are its guard's to tell."""
        if not isinstance(settings, RelayInputs) or board is None:
            await self.devices.inputs(settings).run(emit)
        barrier = Barrier(board, self.devices.relay, on_state)
        guard = asyncio.ensure_future(barrier.run())
        try:
            await barrier.inputs.run(emit)
        finally:
            guard.cancel()
            await asyncio.gather(guard, return_exceptions=True)

    async def _unwatch(self, key: str) -> None:
        one = self.watching.pop(key, None)
        if one is not None:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)

    async def _stop(self, key: str) -> None:
        one = self.listening.pop(key, None)
        if one is not None:
            one.task.cancel()
            await asyncio.gather(one.task, return_exceptions=True)


def _without_timer(board: RelaySettings) -> RelaySettings | None:
    """Return a Modbus board as one that knows no flash-on; None for any other, and for several on a bus, which have to know it."""
    if not isinstance(board, ModbusRelay) or not board.flash or len(board.units) > 1:
        return None
    return msgspec.structs.replace(board, flash=False)


def _without(settings: InputSettings, session: Commissioning) -> InputSettings:
    """Return a board of contacts without the lines on which something is switched or a reader speaks: those are not ours to pull."""
    if not isinstance(settings, GpioInputs):
        return settings
    others = session.outputs_of(settings.chip) | session.wires_of(settings.chip)
    offsets = tuple(one for one in settings.offsets if one not in others)
    return msgspec.structs.replace(settings, offsets=offsets)


def _letters(count: int) -> str:
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(count))


def _line(settings: InputSettings, number: int) -> int:
    """Return an input as people name it: of a GPIO chip the chip's own number."""
    return settings.offsets[number] if isinstance(settings, GpioInputs) else number


def _shown_by(scan: Scan) -> bytes:
    """Return a code, or the UID alone of a tag that was read too."""
    return scan.data[1 : 1 + scan.data[0]] if scan.medium is Medium.TAG else scan.data


async def _first(running: "asyncio.Future[NoReturn]", event: asyncio.Event) -> None:
    """Wait for an event, or for the driver's error."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        waiting.cancel()
