"""`gatehouse-edge check`: would this gate work? Tries what the daemon would open, and says what to do about the rest."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from admission.records import Trust
from drivers.base import DriverError, Inputs, Opened, Reader
from edge.clock import SystemClock, TrustedTime
from edge.devices import Devices
from edge.enrolment import NotEnrolled
from edge.enrolment import load as load_enrolment
from edge.lists import FILE as LIST_FILE
from edge.settings import InputSettings, ReaderSettings, RelayInputs, RelaySettings, Settings
from edge.store.disk import LocalDisk, hold
from edge.store.faults import FaultKind, StoreFault
from edge.store.list import ListStore
from edge.store.log import RESERVE_NEEDS_BYTES
from edge.store.log_reader import LogReader, log_path

Settings_ = TypeVar("Settings_", ReaderSettings, InputSettings)

OPEN_S: Final = 5.0
"""Longest wait for a device: a Modbus board counts as gone after 1 s, a relay after 2 s."""
NAME_CHARS: Final = 16
_OURS: Final = "This is a defect of Gatehouse: please report it with the type named here."


class Level(Enum):
    """How it is. Only FAIL makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report, with the next action where there is one."""

    level: Level
    what: str
    said: str
    hint: str = ""

    def __str__(self) -> str:
        line = f"{self.level.value:<4}  {self.what:<{NAME_CHARS}}  {self.said}"
        return f"{line}\n{'':<{NAME_CHARS + 8}}{self.hint}" if self.hint else line


def findings(settings: Settings, devices: Devices) -> Iterator[Finding]:
    """Try everything a gate needs; yields as it goes. Devices are left alone while a daemon runs on the same data."""
    readers = sum(len(lane.readers) for lane in settings.lanes)
    yield Finding(Level.OK, "configuration", f"{len(settings.lanes)} lanes, {readers} readers")
    data = Path(settings.gate.data)
    holder = _holder(data)
    if holder:
        hint = "Look at the gate's page for its devices, or stop it first: systemctl stop gatehouse-edge"
        yield Finding(Level.WARN, "devices", f"a gate is running: {holder}", hint)
    else:
        yield from asyncio.run(_devices(settings, devices))
    yield _folder(data)
    yield _enrolment(data)
    yield _list(data)
    yield _log(data)
    yield _clock(rtc=settings.gate.rtc)


def _holder(data: Path) -> str:
    """Return who runs a gate on this data; "" for nobody."""
    lock = data / "log.lock"
    if not lock.exists():  # never made here: it would belong to whoever runs the check
        return ""
    try:
        os.close(hold(LocalDisk(), lock))
    except StoreFault as fault:
        return str(fault) if fault.kind is FaultKind.HELD else ""
    return ""


async def _devices(settings: Settings, devices: Devices) -> list[Finding]:
    """Try all devices at once, so that the slowest sets the time."""
    readers = [reader for lane in settings.lanes for reader in lane.readers]
    trials = [
        *(_trial(f"reader {one.id}", _opens(devices.reader, one)) for one in readers),
        # A relay board's own contacts are on its port: they are there if it is.
        *(
            _trial(f"inputs {one.id}", _opens(devices.inputs, one))
            for one in settings.inputs
            if not isinstance(one, RelayInputs)
        ),
        *(_trial(f"relay {one.id}", _all_off(devices.relay_off, one)) for one in settings.relays),
    ]
    return list(await asyncio.gather(*trials))


async def _opens(factory: Callable[[Settings_], Reader | Inputs], settings: Settings_) -> str:
    """Return what a device says of itself once it is open; DriverError where it does not open."""
    opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def emit(event: object) -> None:
        if isinstance(event, Opened) and not opened.done():
            opened.set_result(event.what)

    running = asyncio.ensure_future(_run(factory(settings), emit))
    try:
        await asyncio.wait((running, opened), return_when=asyncio.FIRST_COMPLETED)
        return opened.result() if opened.done() else await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run(device: Reader | Inputs, emit: Callable[[object], None]) -> str:
    await device.run(emit)


async def _all_off(relay_off: Callable[[RelaySettings], str], settings: RelaySettings) -> str:
    return f"{await asyncio.to_thread(relay_off, settings)}, every line off"


async def _within(limit_s: float, trial: Awaitable[str]) -> str:
    async with asyncio.timeout(limit_s):
        return await trial


async def _trial(name: str, trial: Awaitable[str]) -> Finding:
    (result,) = await asyncio.gather(_within(OPEN_S, trial), return_exceptions=True)
    if isinstance(result, str):
        return Finding(Level.OK, name, result)
    if isinstance(result, DriverError):
        return Finding(Level.FAIL, name, str(result), result.hint)
    if isinstance(result, TimeoutError):
        said = f"it does not answer within {OPEN_S:g} s"
        return Finding(Level.FAIL, name, said, "Check its cable and supply, then plug it in again.")
    return Finding(Level.FAIL, name, f"{type(result).__name__} while opening it", _OURS)


def _folder(data: Path) -> Finding:
    """Write to the data folder as the log would."""
    probe = data / f".check-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"gatehouse")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            probe.unlink()
        free = LocalDisk().free_bytes(data)
    except OSError as error:
        hint = f"Make {data} and give it to the gate's user, or set gate.data to another folder."
        return Finding(Level.FAIL, "data folder", f"{data} takes no files: {error.strerror}", hint)
    said = f"{data}, {free // 1024**2} MiB free"
    if free < RESERVE_NEEDS_BYTES:
        return Finding(Level.WARN, "data folder", said, "Make room: the log keeps a reserve of 8 MiB.")
    return Finding(Level.OK, "data folder", said)


def _enrolment(data: Path) -> Finding:
    try:
        enrolment = load_enrolment(data)
    except NotEnrolled:
        hint = "Make a code at the centre, then: gatehouse-edge enrol URL CODE"
        return Finding(Level.FAIL, "enrolment", "this box belongs to no centre yet", hint)
    except (ValueError, OSError) as error:
        return Finding(
            Level.FAIL, "enrolment", str(error), "Enrol this box again: gatehouse-edge enrol URL CODE"
        )
    return Finding(Level.OK, "enrolment", f"gate {enrolment.gate} of {enrolment.centre_url}")


def _list(data: Path) -> Finding:
    """Read the whole list, every row of it."""
    try:
        store = ListStore.open(data / LIST_FILE)
        try:
            store.check()
            ends = [event.sealed_at_s for event in store.head.events]
            rows = store.row_count
        finally:
            store.close()
    except StoreFault as fault:
        level = Level.WARN if fault.kind is FaultKind.MISSING else Level.FAIL
        said = "none yet" if fault.kind is FaultKind.MISSING else str(fault)
        return Finding(level, "list", said, "The gate fetches it from its centre when it runs.")
    sealed = datetime.fromtimestamp(min(ends, default=0), UTC).isoformat(" ", "minutes")
    return Finding(Level.OK, "list", f"{rows} credentials, sealed {sealed}")


def _log(data: Path) -> Finding:
    if not log_path(data).exists():
        return Finding(Level.OK, "log", "none yet: it is made at the first start")
    try:
        reader = LogReader.open(data)
        try:
            epochs = reader.epochs()
        finally:
            reader.close()
    except StoreFault as fault:
        return Finding(Level.FAIL, "log", str(fault), fault.hint)
    records = sum(max(0, one.last_seq - one.pruned_seq) for one in epochs)
    return Finding(Level.OK, "log", f"{records} records")


def _clock(*, rtc: bool) -> Finding:
    clock = SystemClock()
    said = datetime.fromtimestamp(clock.now_us() // 1_000_000, UTC).isoformat(" ", "seconds")
    trust = TrustedTime(clock, rtc=rtc).trust
    if trust is Trust.UNKNOWN:
        hint = "Set it: timedatectl set-time, or connect the box to a network with a time server."
        return Finding(Level.FAIL, "clock", f"{said} is before this program was made", hint)
    if trust is Trust.SYNCED:
        return Finding(Level.OK, "clock", f"{said}, set by a time server")
    hint = "No time server has set it; the centre vouches for it once it is heard."
    return Finding(Level.WARN, "clock", said, hint)
