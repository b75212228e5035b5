"""The modem, as ModemManager tells of it over D-Bus: SIM, operator, signal, technology, and what to do about it.

Read only, and for people only: whether the gate is online is never the modem's word but our own last answer of the centre.
Loaded only where `[modem] driver = "modemmanager"` is configured. Names and numbers are those of ModemManager's D-Bus
reference (1.20), enumerations `MMModemState`, `MMModemStateFailedReason`, `MMModemLock`, `MMModemAccessTechnology` and
`MMModem3gppRegistrationState`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, NoReturn

from dbus_fast import AuthError, DBusError, InvalidAddressError, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType

from edge.link import Health, ModemSaid

SERVICE: Final = "org.freedesktop.ModemManager1"
ROOT: Final = "/org/freedesktop/ModemManager1"
MODEM: Final = "org.freedesktop.ModemManager1.Modem"
GPP: Final = "org.freedesktop.ModemManager1.Modem.Modem3gpp"
LOOK_EVERY_S = 30.0
"""The net under signals that were lost; a read of some kilobytes over a Unix socket."""
SETTLE_S = 0.2
"""A modem that changes tells of ten properties at once: they are read together."""
AGAIN_S = 10.0
"""Until a bus that was not there is tried again."""
ANSWER_S = 10.0
"""ModemManager answers within milliseconds; one that hangs is said to be away."""
WEAK_PERCENT = 20
"""Below, batches take many times as long and calls drop: an antenna in another place helps."""
NAME_CHARS_MAX = 40
"""Of an operator's or modem's name: they come off the air."""

_MATCHES: Final = (
    f"type='signal',sender='{SERVICE}'",
    f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SERVICE}'",
)
_TECHNOLOGIES: Final = (
    (1 << 15, "5G"), (1 << 14, "LTE"), (1 << 16, "LTE-M"), (1 << 17, "NB-IoT"), (1 << 9, "HSPA+"), (1 << 8, "HSPA"),
    (1 << 7, "HSUPA"), (1 << 6, "HSDPA"), (1 << 5, "UMTS"), (1 << 4, "EDGE"), (1 << 3, "GPRS"), (1 << 1, "GSM"),
)  # fmt: skip
"""Of `MMModemAccessTechnology`, the best first."""

log = logging.getLogger("edge.front.modem")

Properties = Mapping[str, object]
Objects = Mapping[str, Mapping[str, Properties]]
"""By path, by interface: what `GetManagedObjects` answers, without variants."""


class State(IntEnum):
    """`MMModemState`."""

    FAILED = -1
    UNKNOWN = 0
    INITIALIZING = 1
    LOCKED = 2
    DISABLED = 3
    DISABLING = 4
    ENABLING = 5
    ENABLED = 6
    SEARCHING = 7
    REGISTERED = 8
    DISCONNECTING = 9
    CONNECTING = 10
    CONNECTED = 11


SIM_MISSING, SIM_ERROR = 2, 3
"""Of `MMModemStateFailedReason`."""
LOCK_PIN, LOCK_PUK = 2, 4
"""Of `MMModemLock`."""
PIN_TRIES = 3
"""What a SIM gives (3GPP TS 51.011); fewer left: a wrong PIN was given."""
REGISTRATION_DENIED = 3
ROAMING = 5
"""Of `MMModem3gppRegistrationState`."""

_BY_STATE: Final = {
    State.UNKNOWN: "modem.starting",
    State.INITIALIZING: "modem.starting",
    State.LOCKED: "modem.sim_locked",
    State.DISABLED: "modem.disabled",
    State.DISABLING: "modem.disabled",
    State.ENABLING: "modem.starting",
    State.ENABLED: "modem.searching",
    State.SEARCHING: "modem.searching",
    State.REGISTERED: "modem.not_connected",
    State.DISCONNECTING: "modem.not_connected",
    State.CONNECTING: "modem.not_connected",
    State.CONNECTED: "modem.ok",
}


def said_of(objects: Objects) -> ModemSaid:
    """Say how the modem is; of several, the one that is furthest."""
    modems = [found for found in objects.values() if MODEM in found]
    if not modems:
        return ModemSaid(Health.DEGRADED, "modem.none")
    return _said(max(modems, key=lambda one: _number(one[MODEM].get("State"))))


def _said(found: Mapping[str, Properties]) -> ModemSaid:
    modem, gpp = found[MODEM], found.get(GPP, {})
    args = _args(modem, gpp)
    number = _number(modem.get("State"))
    if number == State.FAILED:
        reason = _number(modem.get("StateFailedReason"))
        code = {SIM_MISSING: "modem.sim_missing", SIM_ERROR: "modem.sim_error"}.get(reason, "modem.failed")
        return ModemSaid(Health.DEGRADED, code, args)
    lock = _number(modem.get("UnlockRequired"))
    if number == State.LOCKED:
        return _locked(lock, modem.get("UnlockRetries"), args)
    if _number(gpp.get("RegistrationState")) == REGISTRATION_DENIED:
        return ModemSaid(Health.DEGRADED, "modem.denied", args)
    code = _BY_STATE.get(State(number), "modem.starting") if number in set(State) else "modem.starting"
    if code != "modem.ok":
        return ModemSaid(Health.DEGRADED, code, args)
    signal = args.get("signal", WEAK_PERCENT)
    if isinstance(signal, int) and signal < WEAK_PERCENT:
        return ModemSaid(Health.DEGRADED, "modem.weak", args)
    if _number(gpp.get("RegistrationState")) == ROAMING:
        return ModemSaid(Health.OK, "modem.roaming", args)
    return ModemSaid(Health.OK, code, args)


def _locked(lock: int, retries: object, args: dict[str, str | int]) -> ModemSaid:
    left = retries.get(lock) if isinstance(retries, Mapping) else None
    if isinstance(left, int):
        args = {**args, "tries": left}
    if lock == LOCK_PUK:
        return ModemSaid(Health.DEGRADED, "modem.sim_puk", args)
    if lock == LOCK_PIN and isinstance(left, int) and left < PIN_TRIES:
        return ModemSaid(Health.DEGRADED, "modem.sim_wrong_pin", args)
    return ModemSaid(Health.DEGRADED, "modem.sim_locked", args)


def _args(modem: Properties, gpp: Properties) -> dict[str, str | int]:
    args: dict[str, str | int] = {}
    signal = modem.get("SignalQuality")
    if isinstance(signal, list | tuple) and signal and isinstance(signal[0], int):
        args["signal"] = signal[0]
    bits = _number(modem.get("AccessTechnologies"))
    if technology := next((name for bit, name in _TECHNOLOGIES if bits & bit), ""):
        args["technology"] = technology
    for name, value in (("operator", gpp.get("OperatorName")), ("modem", modem.get("Model"))):
        if isinstance(value, str) and value.strip():
            args[name] = "".join(one for one in value.strip() if one.isprintable())[:NAME_CHARS_MAX]
    return args


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


class Modem:
    """Watches until cancelled, and tells `say` whenever something is other than it was. Raises nothing.

    `address`: of the bus; the system's without one.
    """

    def __init__(self, say: Callable[[ModemSaid], None], address: str = "") -> None:
        self._say = say
        self._address = address
        self._said: ModemSaid | None = None
        self._moved = asyncio.Event()

    async def run(self) -> NoReturn:
        """Connect, look, look again whenever something moved; connect again when the bus is gone."""
        while True:
            try:
                await self._watch()
            except (OSError, EOFError, AuthError, InvalidAddressError, TimeoutError) as error:
                if self._said is None or self._said.code != "modem.no_bus":
                    log.warning("the system bus does not answer", extra={"why": type(error).__name__})
                self._tell(ModemSaid(Health.DEGRADED, "modem.no_bus"))
            await asyncio.sleep(AGAIN_S if self._said and self._said.code == "modem.no_bus" else 0)

    async def _watch(self) -> None:
        bus = MessageBus(bus_address=self._address or None, bus_type=BusType.SYSTEM)
        async with asyncio.timeout(ANSWER_S):
            await bus.connect()
        gone = asyncio.create_task(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]  # dbus-fast leaves it out
        gone.add_done_callback(lambda _: self._moved.set())
        try:
            bus.add_message_handler(self._heard)
            for rule in _MATCHES:
                await _call(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "AddMatch", "s", [rule])
            while not gone.done():
                self._moved.clear()
                self._tell(await _look(bus))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._moved.wait()
                await asyncio.sleep(SETTLE_S)
            raise ConnectionResetError("the bus is gone")
        finally:
            bus.disconnect()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _heard(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL:
            self._moved.set()

    def _tell(self, said: ModemSaid) -> None:
        if said != self._said:
            if self._said is None or self._said.code != said.code:
                log.info("the modem", extra={"code": said.code})
            self._said = said
            self._say(said)


async def _look(bus: MessageBus) -> ModemSaid:
    try:
        body = await _call(bus, SERVICE, ROOT, "GetManagedObjects")
    except DBusError:
        return ModemSaid(Health.DEGRADED, "modem.no_manager")
    return said_of(_plain(body[0]) if body else {})


async def _call(
    bus: MessageBus,
    service: str,
    path: str,
    member: str,
    signature: str = "",
    body: list[object] | None = None,
) -> list[object]:
    """Ask somebody on the bus; TimeoutError where nobody answers, DBusError where it says no."""
    interface = service if service == "org.freedesktop.DBus" else "org.freedesktop.DBus.ObjectManager"
    message = Message(
        destination=service,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=body or [],
    )
    async with asyncio.timeout(ANSWER_S):
        answer = await bus.call(message)
    if answer is None or answer.message_type is MessageType.ERROR:
        raise DBusError(answer.error_name if answer and answer.error_name else "unknown", "no answer")
    return list(answer.body)


def _plain(value: object) -> dict[str, dict[str, dict[str, object]]]:
    """Return managed objects without their variants; what is shaped otherwise is left out."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for path, interfaces in value.items() if isinstance(value, dict) else ():
        found[str(path)] = {
            str(name): {str(key): getattr(one, "value", one) for key, one in properties.items()}
            for name, properties in interfaces.items()
        }
    return found


__all__ = ["Modem", "Objects", "said_of"]
