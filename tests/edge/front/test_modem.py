"""The modem as ModemManager tells of it: on a real bus, with a ModemManager of dbusmock, and the table of what it may say."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from hypothesis import given
from hypothesis import strategies as st

from admission.reasons import Language
from edge.front.modem import GPP, MODEM, ROOT, SERVICE, Modem, Objects, said_of
from edge.link import Health, ModemSaid
from edge.words import WORDS, placeholders, sentence

PYTHON = "/usr/bin/python3"
"""Debian's, which has python3-dbusmock."""
WAIT_S = 20.0
"""Only reached where something is broken."""
PATH = f"{ROOT}/Modem/0"
MOCK = "org.freedesktop.DBus.Mock"

GOOD_MODEM = {
    "State": Variant("i", 11),
    "StateFailedReason": Variant("u", 0),
    "SignalQuality": Variant("(ub)", [73, True]),
    "AccessTechnologies": Variant("u", 1 << 14),
    "UnlockRequired": Variant("u", 1),
    "UnlockRetries": Variant("a{uu}", {}),
    "Model": Variant("s", "EC25"),
}
GOOD_GPP = {"OperatorName": Variant("s", "Swisscom"), "RegistrationState": Variant("u", 1)}


@asynccontextmanager
async def bus_at(folder: Path) -> AsyncIterator[str]:
    """A bus of its own, for as long as the block runs."""
    process = await asyncio.create_subprocess_exec(
        "dbus-daemon", "--session", "--nofork", "--print-address", f"--address=unix:path={folder}/bus",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().strip()
    try:
        yield address
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Manager:
    """A ModemManager of dbusmock, and the hands that move it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._process: asyncio.subprocess.Process | None = None
        self._bus: MessageBus | None = None

    async def start(self) -> None:
        self._bus = await MessageBus(bus_address=self._address).connect()
        self._process = await asyncio.create_subprocess_exec(
            PYTHON, "-m", "dbusmock", "-m", SERVICE, ROOT, f"{SERVICE}.Unused",
            env={"DBUS_SESSION_BUS_ADDRESS": self._address, "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            while not (await self._ask("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                       "NameHasOwner", "s", [SERVICE]))[0]:  # fmt: skip
                await asyncio.sleep(0.02)  # no process tells when it took its name

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._bus is not None:
            self._bus.disconnect()

    async def _ask(
        self, service: str, path: str, interface: str, member: str, signature: str, body: list[object]
    ) -> list[object]:
        assert self._bus is not None
        answer = await self._bus.call(
            Message(
                destination=service,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )
        assert answer is not None
        assert answer.message_type is MessageType.METHOD_RETURN, answer.body
        return list(answer.body)

    async def plug(self) -> None:
        """A modem appears, and is connected."""
        body: list[object] = [PATH, MODEM, GOOD_MODEM, []]
        await self._ask(SERVICE, ROOT, MOCK, "AddObject", "ssa{sv}a(ssss)", body)
        await self._ask(SERVICE, PATH, MOCK, "AddProperties", "sa{sv}", [GPP, GOOD_GPP])

    async def unplug(self) -> None:
        await self._ask(SERVICE, ROOT, MOCK, "RemoveObject", "s", [PATH])

    async def set(self, interface: str, **properties: Variant) -> None:
        """One by one: what dbusmock offers for several at once fails at a struct, which the signal is."""
        for name, value in properties.items():
            body: list[object] = [interface, name, value]
            await self._ask(SERVICE, PATH, "org.freedesktop.DBus.Properties", "Set", "ssv", body)


class Told:
    """What was said of the modem, waited for."""

    def __init__(self) -> None:
        self.said: list[ModemSaid] = []
        self._moved = asyncio.Event()

    def say(self, said: ModemSaid) -> None:
        self.said.append(said)
        self._moved.set()

    async def until(self, code: str, true: Callable[[ModemSaid], bool] = lambda _: True) -> ModemSaid:
        async with asyncio.timeout(WAIT_S):
            while not (self.said and self.said[-1].code == code and true(self.said[-1])):
                self._moved.clear()
                await self._moved.wait()
        return self.said[-1]


@asynccontextmanager
async def watched(address: str) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(Modem(told.say, address).run())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_modem_appears_loses_its_sim_and_goes(tmp_path: Path) -> None:
    async with bus_at(tmp_path) as address, watched(address) as told:
        await told.until("modem.no_manager")
        manager = Manager(address)
        await manager.start()
        try:
            await told.until("modem.none")
            await manager.plug()
            said = await told.until("modem.ok", lambda one: "operator" in one.args)
            assert said.health is Health.OK
            assert said.args == {"signal": 73, "technology": "LTE", "operator": "Swisscom", "modem": "EC25"}

            await manager.set(MODEM, SignalQuality=Variant("(ub)", [9, True]))
            assert (await told.until("modem.weak")).args["signal"] == 9
            await manager.set(MODEM, State=Variant("i", 8), SignalQuality=Variant("(ub)", [60, True]))
            await told.until("modem.not_connected")
            await manager.set(MODEM, State=Variant("i", -1), StateFailedReason=Variant("u", 2))
            assert (await told.until("modem.sim_missing")).health is Health.DEGRADED
            await manager.set(
                MODEM, State=Variant("i", 2), StateFailedReason=Variant("u", 0), UnlockRequired=Variant("u", 2),
                UnlockRetries=Variant("a{uu}", {2: 3}),
            )  # fmt: skip
            await told.until("modem.sim_locked", lambda one: one.args.get("tries") == 3)
            await manager.set(MODEM, UnlockRetries=Variant("a{uu}", {2: 1}))
            assert (await told.until("modem.sim_wrong_pin")).args["tries"] == 1
            await manager.set(MODEM, UnlockRequired=Variant("u", 4), UnlockRetries=Variant("a{uu}", {4: 10}))
            await told.until("modem.sim_puk")
            await manager.unplug()
            await told.until("modem.none")
        finally:
            await manager.stop()
        await told.until("modem.no_manager")


async def test_a_gate_without_a_bus_says_so(tmp_path: Path) -> None:
    async with watched(f"unix:path={tmp_path}/none") as told:
        said = await told.until("modem.no_bus")
    assert said.health is Health.DEGRADED
    assert "D-Bus" in sentence(said.code, said.args, Language.EN).cause


async def test_a_bus_that_goes_is_said(tmp_path: Path) -> None:
    async with bus_at(tmp_path) as address, watched(address) as told:
        await told.until("modem.no_manager")
        bus = await MessageBus(bus_address=address).connect()
        answer = await bus.call(
            Message(destination="org.freedesktop.DBus", path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus", member="GetConnectionUnixProcessID", signature="s",
                    body=["org.freedesktop.DBus"])
        )  # fmt: skip
        assert answer is not None
        pid = answer.body[0]
        bus.disconnect()
        await asyncio.create_subprocess_exec("kill", "-9", str(pid))
        await told.until("modem.no_bus")


TABLE = [
    ({"State": 11, "SignalQuality": [80, True]}, {}, "modem.ok"),
    ({"State": 11, "SignalQuality": [19, True]}, {}, "modem.weak"),
    ({"State": 11, "SignalQuality": [80, True]}, {"RegistrationState": 5}, "modem.roaming"),
    ({"State": 7}, {"RegistrationState": 3}, "modem.denied"),
    ({"State": 7}, {"RegistrationState": 2}, "modem.searching"),
    ({"State": 3}, {}, "modem.disabled"),
    ({"State": 1}, {}, "modem.starting"),
    ({"State": 99}, {}, "modem.starting"),
    ({"State": -1, "StateFailedReason": 3}, {}, "modem.sim_error"),
    ({"State": -1, "StateFailedReason": 1}, {}, "modem.failed"),
    ({"State": 2, "UnlockRequired": 17}, {}, "modem.sim_locked"),
]


@pytest.mark.parametrize(("modem", "gpp", "code"), TABLE)
def test_what_modemmanager_says_is_put_into_words(
    modem: dict[str, object], gpp: dict[str, object], code: str
) -> None:
    said = said_of({PATH: {MODEM: modem, GPP: gpp}})
    assert said.code == code
    assert (said.health is Health.OK) == (code in {"modem.ok", "modem.roaming"})


def test_of_two_modems_the_one_that_is_connected_is_shown() -> None:
    objects: Objects = {"/a": {MODEM: {"State": -1}}, "/b": {MODEM: {"State": 11, "Model": "B"}}}
    assert said_of(objects).args["modem"] == "B"


ANYTHING = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.lists(st.integers()),
    st.dictionaries(st.integers(), st.integers()),
)
NAMES = st.sampled_from([*GOOD_MODEM, *GOOD_GPP])


@given(st.dictionaries(NAMES, ANYTHING), st.dictionaries(NAMES, ANYTHING))
def test_whatever_is_told_has_words_and_is_bounded(modem: dict[str, object], gpp: dict[str, object]) -> None:
    said = said_of({PATH: {MODEM: modem, GPP: gpp}})
    needed, _ = placeholders(said.code)
    assert said.code in WORDS
    assert needed <= said.args.keys()
    assert all(len(str(one)) <= 400 for one in said.args.values())
    assert all(str(one).isprintable() for one in said.args.values())
