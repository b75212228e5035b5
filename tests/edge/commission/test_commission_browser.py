"""A box from nothing, commissioned by scanning and walking: in a real browser, real ptys, the real relay guard; then it admits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, async_playwright

from drivers.framing.layouts import LAYOUTS
from drivers.sims.keyboard_scanner import KeyboardScanner, KeyboardSetting
from drivers.sims.lcus_board import LcusBoard
from drivers.sims.modbus_board import ModbusBoard
from drivers.sims.serial_scanner import SerialScanner
from edge import config, enrolment
from edge.__main__ import _devices
from edge.commission.placing import Earlier
from edge.commission.process import Commission
from edge.compose import factories
from edge.daemon import Daemon
from edge.front.pin import new_pin
from edge.link import After
from edge.settings import (
    GateSettings,
    LayoutSetting,
    PageSettings,
    PeerSettings,
    Settings,
    UidForm,
    UidOrder,
    WedgeReader,
)
from tests.edge.commission.box import VENDOR_DESCRIPTOR, Box
from tests.edge.front.test_page_browser import CONTRAST, DESK, PHONE, SMALL, WIDE
from tests.edge.rig import NO_FRONT, code, prepare, row, tag_row
from tests.house import ROOT

pytestmark = pytest.mark.browser
WAIT_MS = 15_000
ENTRY_INPUT, EXIT_INPUT, READY_INPUT, FIRE_INPUT = 0, 1, 5, 7
WALK_S = 0.15
"""How long an arm keeps its contact (PERCo: 100 ms and more)."""
DRAWN = "(img) => img.decode().then(() => img.naturalWidth)"
PICTURES = ROOT / "build"
COUNTING = """for (const what of ["pointerdown", "change"]) addEventListener(what, (e) => {
  const isTyped = what === "change" && e.target.tagName === "INPUT" && e.target.type !== "checkbox";
  if (isTyped) sessionStorage.letters = e.target.value.length + Number(sessionStorage.letters ?? 0);
  const kind = isTyped ? "typed" : "taps", many = what === "pointerdown" || isTyped ? 1 : e.target.tagName === "SELECT" ? 2 : 0;
  sessionStorage[kind] = many + Number(sessionStorage[kind] ?? 0);
}, true)"""
"""Counts what a technician does: taps (two for a choice of several, which a browser by script makes without any), and fields that are typed into."""
VISITORS = (
    "TRMUSB130.",
    "$P,HA47,P",
    "https://centre.example#0123456789abcdef ABCD-EFGH",
    "GATEZYAQWBCDEFGHIJKLN",
)
"""Programming codes, an enrolment code, and a test code of another day."""
CARD = "04:A1:B2:C3:D4:E5:F6"
"""Of the tag that `tag_row` lists."""


class Plugged:
    """What the technician brought: a scanner, one that types in Swiss German, a tag reader, relays, contacts, one in a wrong mode."""

    def __init__(self, folder: Path) -> None:
        ports = folder / "ports"
        ports.mkdir(parents=True)
        self.entry = SerialScanner(ports / "entry")
        self.exit = KeyboardScanner(ports / "exit", KeyboardSetting(layout=LAYOUTS["de-ch"]))
        self.tags = KeyboardScanner(ports / "tags")
        for scanner in (self.entry, self.exit, self.tags):
            scanner.port.plug()
        self.relays = LcusBoard(4, ports / "relays", lambda _change: self.switched.set())
        self.relays.attach(asyncio.get_running_loop())
        self.switched = asyncio.Event()
        self.contacts = ModbusBoard(8, 0, ports / "contacts")
        self.contacts.attach(asyncio.get_running_loop())
        # As PERCo's: the outward contact is closed at rest, and opens on a passage. The turnstile says ready.
        self.contacts.drive(EXIT_INPUT, active=True)
        self.at_rest = {line: line in {EXIT_INPUT, READY_INPUT} for line in range(8)}
        self.contacts.drive(READY_INPUT, active=True)
        self.root = folder / "box"
        box = self.box = Box(self.root)
        box.usb("1-1.1", "1eab:1306", "NLS-FM430", maker="Newland Auto-ID")
        box.serial("1-1.1", "ttyACM0", ports / "entry")
        box.usb("1-1.2", "05e0:1200", "Symbol Bar Code Scanner", maker="Symbol Technologies")
        box.keyboard("1-1.2", 3, "Symbol Bar Code Scanner", ports / "exit")
        box.usb("1-1.3", "09d8:0410", "TWN4/B1.06/KCF3.02/PRS1.04")
        box.keyboard("1-1.3", 5, "TWN4", ports / "tags")
        box.usb("1-1.4", "1a86:7523", "USB Serial")
        box.serial("1-1.4", "ttyUSB0", ports / "relays")
        box.usb("1-1.5", "0403:6001", "FT232R USB UART", maker="FTDI")
        box.serial("1-1.5", "ttyUSB1", ports / "contacts")
        box.usb("1-2", "05f9:1206", "Gryphon", maker="Datalogic ADC, Inc.")
        box.hid("1-2", 0, "Gryphon", VENDOR_DESCRIPTOR)
        for place in ("1-1.1", "1-1.4", "1-1.5"):
            box.mark(place)

    async def move(self, *lines: int) -> None:
        """Contacts leave their rest for as long as an arm takes, and come back."""
        for moved in (True, False):
            for line in lines:
                self.contacts.drive(line, active=moved is not self.at_rest[line])
            await asyncio.sleep(WALK_S)

    def close(self) -> None:
        for scanner in (self.entry, self.exit, self.tags):
            scanner.port.unplug()
        self.relays.close()
        self.contacts.unplug()


@dataclass
class Seat:
    page: Page
    plugged: Plugged
    data: Path
    path: Path
    ended: "asyncio.Task[bool]"
    pin: str = ""
    trouble: list[str] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def seat(self, name: str) -> str:
        return f"[data-seat='{name}']"

    async def work(self, what: str) -> None:
        """Say how much was done until there is nothing left but to press "Write"."""
        await self.page.wait_for_selector("#write:enabled")
        took_s = time.monotonic() - self.began_s
        taps, typed = await self.page.evaluate(
            "['taps', 'typed'].map((kind) => Number(sessionStorage[kind] ?? 0))"
        )
        print(
            f"{what}: {taps + 1} taps, {typed} fields typed, {took_s:.1f} s by a browser that does not read"
        )

    async def test_code(self) -> str:
        """What the page shows, as its picture says: a browser has no scanner, so the box is asked for the text."""
        await self.page.wait_for_selector("#shown[src]")
        assert await self.page.locator("#shown").evaluate(DRAWN) > 40
        told = await self.page.evaluate("fetch('/api/commission').then((a) => a.json())")
        return str(told["asked"]["code"])

    async def chosen(self, name: str, called: str) -> None:
        await self.page.wait_for_selector(f"{self.seat(name)} b:has-text('{called}')", timeout=WAIT_MS)


@contextlib.asynccontextmanager
async def commissioning(folder: Path, *, is_joined: bool = True) -> AsyncIterator[Seat]:
    """A box that is being commissioned, and a technician's phone. `is_joined`: it belongs to a centre already."""
    data, path = folder / "data", folder / "gate.toml"
    if is_joined:
        prepare(data, [row(1), tag_row(2)])
    else:
        data.mkdir(parents=True)
    pin, said = new_pin(data), asyncio.Queue[str]()
    plugged = Plugged(folder)
    base = Settings(
        lanes=(),
        gate=GateSettings(data=str(data)),
        page=PageSettings(port=0, tls=False),
        peers=PeerSettings(on=False),
    )
    commission = Commission(data, path, Earlier(base), plugged.root, _devices(), said.put_nowait)
    ended = asyncio.ensure_future(commission.run())
    address = (await asyncio.wait_for(said.get(), 20)).rpartition(" ")[2]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = await chromium.new_context(
            viewport=PHONE,  # type: ignore[arg-type]  # playwright's TypedDict is not exported
            locale="en-GB",
            reduced_motion="reduce",
        )
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        one = Seat(page, plugged, data, path, ended, pin)
        page.on("console", lambda told: one.trouble.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: one.trouble.append(str(error)))
        await page.add_init_script(COUNTING)
        await page.goto(address)
        await page.fill("#pin", pin)
        await page.press("#pin", "Enter")
        await page.wait_for_selector("#devices li >> nth=5")
        try:
            yield one
        finally:
            await context.close()
            await chromium.close()
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            plugged.close()


async def relay(s: Seat, output: int, turned: str) -> None:
    """Pulse one output, see it switch, and say which arm turned."""
    s.plugged.switched.clear()
    button = s.page.locator(f".pulses button >> nth={output}")
    await button.click()
    assert not s.plugged.switched.is_set()
    await button.click()
    await s.page.locator(f".turned button:has-text('{turned}')").click()
    assert [change.on for change in s.plugged.relays.changes if change.line == output] == [True, False]


async def contact(s: Seat, name: str, line: int, wired: str, *, others: tuple[int, ...] = ()) -> None:
    """Have the page learn a contact by moving it once. `others`: inputs that move with it the first time, which teaches nothing."""
    await s.page.click(f"[data-contact='1-{name}'] button")
    await s.page.wait_for_selector("#asked:visible")
    if others:
        await s.plugged.move(line, *others)
        await s.page.wait_for_selector("#asked p:has-text('More than one input moved')")
    await s.plugged.move(line)
    await s.page.wait_for_selector(f"[data-contact='1-{name}'] b:has-text('{wired}')")


async def test_a_box_is_commissioned_from_nothing_by_scanning_and_then_admits(tmp_path: Path) -> None:
    async with commissioning(tmp_path) as s:
        page, plugged = s.page, s.plugged
        assert "programming code for USB serial" in await page.inner_text(
            "#devices li:has-text('Datalogic') .trouble"
        )
        assert await page.locator("#devices .order").evaluate(DRAWN)
        await page.wait_for_selector("#devices .badge.ok >> nth=3")
        await page.fill("#gate-name", "North gate")
        await page.fill(".plan input >> nth=0", "Tripod")
        await page.check(".plan input[type=checkbox]")
        await page.click("#plan button[type=submit]")
        # Whatever a visitor brings to a reader, before and while it is asked: nothing changes.
        for asks in (False, True):
            if asks:
                await page.click(f"{s.seat('1-entry-barcode')} button")
                shown = await s.test_code()
            for text in VISITORS:
                await plugged.entry.scan(text.encode())
        await page.wait_for_selector("#devices li:has-text('Newland') >> text=read: 8")
        assert await page.locator(".seat b").count() == 0
        assert not s.path.exists()
        await page.screenshot(path=PICTURES / "commission-phone.png")
        await plugged.entry.scan(shown.encode())
        await s.chosen("1-entry-barcode", "NLS-FM430")
        await page.click(f"{s.seat('1-exit-barcode')} button")
        await plugged.exit.scan(await s.test_code())
        await s.chosen("1-exit-barcode", "Symbol Bar Code Scanner")
        await page.click(f"{s.seat('1-entry-uid')} button")
        await page.fill(f"{s.seat('1-entry-uid')} input", CARD)
        await page.press(f"{s.seat('1-entry-uid')} input", "Enter")
        await page.wait_for_selector("#asked h3:has-text('tag reader')")
        # The reader is set to decimal, its bytes the other way round.
        await plugged.tags.scan(str(int.from_bytes(bytes.fromhex(CARD.replace(":", ""))[::-1])))
        await s.chosen("1-entry-uid", "TWN4")
        await relay(s, 0, "Tripod: inwards")
        await page.wait_for_selector("#write:disabled")  # the way out has no relay yet
        await relay(s, 2, "Tripod: outwards")
        await page.click("#inputs article:has-text('FTDI') button")
        await page.wait_for_selector("#inputs article:has-text('Active: 2, 6')")
        await contact(s, "ready_contact", READY_INPUT, "input 6, closes")
        await contact(s, "entry_contact", ENTRY_INPUT, "input 1, closes", others=(EXIT_INPUT,))
        await contact(s, "exit_contact", EXIT_INPUT, "input 2, opens")
        await contact(s, "fire_contact", FIRE_INPUT, "input 8, closes")
        locks = await page.inner_text("#locks")
        assert "Disable Parameter Scanning" in locks  # the Zebra's; a tag reader obeys no code
        assert "TWN4" not in locks
        await s.work("a two-way tripod, two scanners, a tag reader, two relays, four contacts")
        for language, word in (("it", "In allestimento"), ("fr", "En cours d'installation")):
            await page.goto(f"{page.url.partition('?')[0]}?lang={language}")
            await page.wait_for_selector(".seat b >> nth=2")
            assert word in await page.inner_text("#verdict")
            assert await page.evaluate(SMALL) == []
            assert await page.evaluate(WIDE) == []
        await can_be_read(page)
        await page.click("#write:enabled")
        assert await asyncio.wait_for(s.ended, 10) is True
        assert s.trouble == []
        settings = config.load(s.path)
        await admits(settings, plugged)
    entry, tags, leave = settings.lanes[0].readers
    assert isinstance(tags, WedgeReader)
    assert isinstance(leave, WedgeReader)
    assert (settings.gate.name, settings.lanes[0].name) == ("North gate", "Tripod")
    assert (settings.lanes[0].entry_line, settings.lanes[0].exit_line) == (0, 2)
    lane = settings.lanes[0]
    assert (lane.entry_contact, lane.exit_contact) == (ENTRY_INPUT, EXIT_INPUT)
    assert (lane.ready_contact, lane.fire_contact) == (READY_INPUT, FIRE_INPUT)
    assert settings.inputs[0].active_low == (EXIT_INPUT,)
    assert (entry.id, tags.uid_form, tags.uid_order) == (1, UidForm.DEC7, UidOrder.LITTLE)
    assert leave.layout is LayoutSetting.DE_CH


async def admits(settings: Settings, plugged: Plugged) -> None:
    """Run the gate that was written: a ticket opens the way in, and the walk through it is seen."""
    data = Path(settings.gate.data)
    parts = replace(factories(), front_argv=lambda _settings: NO_FRONT)
    daemon = Daemon(settings, enrolment.load(data), parts)
    task = asyncio.create_task(daemon.run())
    try:
        while not all(shell.ready for shell in daemon.lanes.values()):
            await asyncio.sleep(0.01)
        before = len(plugged.relays.changes)
        while len(plugged.relays.changes) < before + 2:
            if not daemon.recent:
                await plugged.entry.scan(code(1))
            await asyncio.sleep(0.05)
        assert plugged.relays.changes[before].line == 0
        await plugged.move(ENTRY_INPUT)
        while not any(one.after is After.PASSED for one in daemon.recent):
            await asyncio.sleep(0.01)
    finally:
        daemon.stop()
        await task


async def can_be_read(page: Page) -> None:
    """On a desk in the dark, in German: what stands there has contrast, is large enough to press, and fits."""
    await page.emulate_media(color_scheme="dark")
    await page.set_viewport_size({"width": DESK["width"], "height": DESK["height"]})
    await page.goto(page.url.replace("lang=fr", "lang=de"))
    await page.wait_for_selector(".seat b >> nth=2")
    await page.click(".pulses button")
    assert "Wird eingerichtet" in await page.inner_text("#verdict")
    assert await page.evaluate(CONTRAST) == []
    assert await page.evaluate(SMALL) == []
    assert await page.evaluate(WIDE) == []
    await page.emulate_media(color_scheme="light")
    await page.goto(page.url.replace("lang=de", "lang=en"))
    await page.wait_for_selector(".seat b >> nth=2")
    # Where the file lies is this test's own affair.
    await page.locator("#path").evaluate("(path) => { path.hidden = true; }")
    await page.screenshot(path=PICTURES / "commission-desktop.png", full_page=True)


async def test_whoever_wrote_waits_for_the_gate_on_the_page(tmp_path: Path) -> None:
    """It takes seconds to come up: nobody is sent to an address where nobody answers, which a phone shows as an error for good."""
    async with commissioning(tmp_path) as s:
        page, asked = s.page, asyncio.Event()

        async def nobody(route: Route) -> None:
            asked.set()
            await route.abort("connectionrefused")

        await page.route("**/api/commission/write", lambda route: route.fulfill(json={"ok": True}))
        await page.evaluate("document.getElementById('write').onclick()")
        await page.wait_for_selector("#said:has-text('gate')")
        address = page.url
        await page.route("**/api/commission", nobody)
        await asyncio.wait_for(asked.wait(), 10)
        asked.clear()
        await asyncio.wait_for(asked.wait(), 10)
        assert page.url == address
        assert not await page.is_visible("#lost")
        async with page.expect_navigation():
            await page.unroute("**/api/commission")
            await page.route("**/api/commission", lambda route: route.fulfill(status=404))


async def test_a_name_that_is_taken_out_stays_out_while_another_is_typed(tmp_path: Path) -> None:
    async with commissioning(tmp_path) as s:
        assert await s.page.input_value("#gate-name")
        await s.page.fill("#gate-name", "")
        for _ in range(2):
            async with s.page.expect_response("**/api/commission"):
                pass
        await s.page.keyboard.type("South")
        assert await s.page.input_value("#gate-name") == "South"
