"""Scanners, relays and contacts as a kernel has them: found, opened, heard, pulled, swapped; nobody else hears a scanner."""

from pathlib import Path

from drivers.sims.hid_pos_scanner import HidPosScanner
from tests.lab.box import (
    EDGE,
    HIDPOS,
    PASS_IN,
    PASS_OUT,
    PULSE_MAX_MS,
    PULSE_MS,
    READY,
    REFUSED_S,
    RELAY_OUT,
    SERIAL,
    SOCKETS,
    SPARE,
    UNIT,
    WEDGE,
    Box,
    Swing,
)

CLOCKS_MS = 5
"""Between the turn of a timer and what is seen of it."""
LATE_MS = 1000
"""What emulation on a busy machine may add to an off edge, and to our seeing it; a line that nobody ends stays on for ever."""
SOON_S = 24.0
"""The shortest pause after which a gate tries again what only a person can mend; a scanner that is plugged in must not wait for it."""
PROBED_S = 30.0
"""ModemManager asks a port some seconds after it came."""
BACK_S = 120.0
"""From a plug to a reader that reads: a limit for hangs; how long it took is said at the end of the run."""


def is_pulse(swing: Swing) -> bool:
    """Whether a line was on for as long as the turnstile wants, and never for longer than it may."""
    return swing.longest_ms >= PULSE_MS - CLOCKS_MS and swing.shortest_ms <= PULSE_MAX_MS + LATE_MS


def test_a_scanner_that_types_opens_the_arm_and_the_log_says_who_passed(box: Box) -> None:
    began = len(box.records())
    swing = box.swing(lambda: box.type(box.code("day")))
    assert is_pulse(swing), swing
    box.walk(PASS_IN)
    fresh = box.until_recorded("passage", began)
    scan = next(one for one in fresh if one["kind"] == "scan")
    assert (scan["outcome"], scan["direction"], scan["reader"]) == ("grant", "entry", 1)
    passage = next(one for one in fresh if one["kind"] == "passage")
    assert passage["ticket"] == scan["ticket"]


def test_a_serial_scanner_at_the_exit_opens_the_other_line(box: Box) -> None:
    code = box.code("day")
    swing = box.swing(lambda: box.guest.call("gadget.send", name=SERIAL, data=f"{code}\r"), RELAY_OUT)
    assert is_pulse(swing), swing
    box.walk(PASS_OUT)


def test_a_hid_pos_scanner_opens_the_arm(box: Box, tmp_path: Path) -> None:
    reports = [one.hex() for one in HidPosScanner(tmp_path / "x").reports_of(box.code("season").encode())]
    assert len(reports) > 1  # longer than one report
    swing = box.swing(lambda: box.guest.call("gadget.report", name=HIDPOS, reports=reports))
    assert is_pulse(swing), swing
    box.walk(PASS_IN)


def test_the_log_of_it_all_verifies(box: Box) -> None:
    done = box.guest.run(EDGE, "verify")
    assert done.code == 0, done.out + done.err
    assert "altered" not in done.err


def test_who_is_refused_moves_no_line(box: Box) -> None:
    seen = box.refused(lambda: box.type(box.code("cancelled")))
    assert seen["display"] == "refused", seen


def test_while_the_turnstile_is_not_ready_nobody_is_let_in(box: Box) -> None:
    box.guest.call("header.pull", offset=READY, high=False)
    try:
        box.guest.call("page.until_unready", lane=1, limit_s=BACK_S)
        seen = box.refused(lambda: box.type(box.code("day_2")))
        assert seen["display"] == "not_ready", seen
    finally:
        box.guest.call("header.pull", offset=READY, high=True)
    box.until_well()


def test_udev_names_the_scanners_and_gives_them_to_the_gate_alone(box: Box) -> None:
    serial = box.guest.call("gadget.links", folder="/dev/serial/by-id")
    assert [name for name in serial if "Symbol_CDC_S1" in name], serial
    typing = box.guest.call("gadget.links", folder="/dev/input/by-id")
    keyboard = next(path for name, path in typing.items() if "W1" in name and name.endswith("event-kbd"))
    header = box.guest.call("gadget.hidraw_of", name=HIDPOS)
    nodes = (next(iter(serial.values())), keyboard, "/dev/gpiochip0", header)
    rights = box.guest.do("stat", "-L", "-c", "%G %a", *nodes).splitlines()
    assert rights == ["dialout 660", "input 660", "gpio 660", "gatehouse 660"]


def test_what_a_strangers_keyboard_types_is_not_the_gates_to_read_raw(box: Box) -> None:
    box.guest.call("gadget.make", name="keys", usb="046d:c31c", serial="K1", product="Keyboard")
    try:
        box.plug("keys", SPARE)
        node = box.guest.call("gadget.hidraw_of", name="keys")
        assert box.guest.do("stat", "-c", "%U %G %a", node) == "root root 600"
    finally:
        box.guest.call("gadget.remove", name="keys")


def test_nobody_else_hears_what_a_scanner_types(box: Box) -> None:
    typing = box.guest.call("gadget.links", folder="/dev/input/by-id")
    keyboard = next(path for name, path in typing.items() if "W1" in name and name.endswith("event-kbd"))
    heard = box.guest.begin("gadget.overheard", path=keyboard, for_s=REFUSED_S)
    box.refused(lambda: box.type("DEMO-0000"))  # the gate hears it
    assert heard.result() == 0


def test_a_pulled_scanner_is_named_and_reads_again_when_it_is_plugged_in(box: Box) -> None:
    for name, tile in ((WEDGE, "reader/1.1"), (SERIAL, "reader/1.2"), (HIDPOS, "reader/1.3")):
        box.guest.call("gadget.unplug", name=name)
        said = box.guest.call("page.until_ill", key=tile, limit_s=BACK_S)
        assert said["found"]["fix"], said
        plugged = box.plug(name)
        back_s = box.until_well(limit_s=BACK_S) - plugged
        box.note(f"{name} reads again {back_s:.1f} s after it is there")
        assert back_s < SOON_S
    assert is_pulse(box.swing(lambda: box.type(box.code("staff"))))
    box.walk()


def test_a_swapped_scanner_reads_without_anybody_touching_the_configuration(box: Box) -> None:
    """One that types, in another socket; a serial one, in the same."""
    box.guest.call(
        "gadget.make", name="wedge2", usb="05e0:1200", serial="W2", product="Symbol Bar Code Scanner"
    )
    box.guest.call(
        "gadget.make", name="serial2", usb="05e0:1701", serial="S2", product="Symbol CDC", report=""
    )
    try:
        for old, new, socket in ((WEDGE, "wedge2", SPARE), (SERIAL, "serial2", SOCKETS[SERIAL])):
            box.guest.call("gadget.unplug", name=old)
            plugged = box.plug(new, socket)
            back_s = box.until_well(limit_s=BACK_S) - plugged
            box.note(f"{new} reads {back_s:.1f} s after it is there")
            assert back_s < SOON_S
        assert is_pulse(box.swing(lambda: box.type(box.code("staff"), "wedge2")))
        box.walk()
        leaving = box.code("staff") + "\r"
        assert is_pulse(
            box.swing(lambda: box.guest.call("gadget.send", name="serial2", data=leaving), RELAY_OUT)
        )
        box.walk(PASS_OUT)
    finally:
        for name, old in (("wedge2", WEDGE), ("serial2", SERIAL)):
            box.guest.call("gadget.remove", name=name)
            box.plug(old)


def test_modem_manager_asks_a_modem_and_leaves_the_scanner_alone(box: Box) -> None:
    """Asked in the language of Qualcomm's chips, then by AT commands: bytes that no scanner and no relay board understands."""
    box.guest.do("systemctl", "stop", UNIT)  # it would keep everybody out of the port itself
    box.guest.call("gadget.make", name="modem", usb="2c7c:0125", serial="M1", product="Modem", report="")
    try:
        box.guest.call("gadget.unplug", name=SERIAL)
        box.guest.do("systemctl", "start", "ModemManager")
        # The scanner first, and ModemManager takes ports in turn: once the modem is asked, the scanner would have been.
        box.plug(SERIAL)
        scanner = box.guest.begin("gadget.heard", name=SERIAL, for_s=PROBED_S)
        box.plug("modem", SPARE)
        asked = box.guest.call("gadget.heard", PROBED_S + 30, name="modem", for_s=PROBED_S, enough=1)
        assert asked, "ModemManager asked the modem nothing"
        assert scanner.result() == ""
        box.note(f"ModemManager asked the modem {asked}, the scanner nothing")
    finally:
        box.guest.do("systemctl", "stop", "ModemManager")
        box.guest.call("gadget.remove", name="modem")
        box.guest.do("systemctl", "start", UNIT)


def test_a_code_that_types_ctrl_alt_del_or_sysrq_reboots_nothing(box: Box) -> None:
    """Also while the gate, which takes the keys for itself, is down."""
    before = box.guest.do("cat", "/proc/sys/kernel/random/boot_id")
    box.guest.do("systemctl", "stop", UNIT)
    try:
        alt_sysrq_b = [[4, 0x46], [4, 0x05]]
        box.guest.call("gadget.press", name=WEDGE, strokes=[[5, 0x4C]] * 8)
        box.guest.call("gadget.press", name=WEDGE, strokes=alt_sysrq_b)
        box.guest.call("gadget.hold", name=WEDGE, keys=[0x46, 0x05], modifier=4)
    finally:
        box.guest.do("systemctl", "start", UNIT)
    assert box.guest.do("cat", "/proc/sys/kernel/random/boot_id") == before
    said = box.guest.do(
        "journalctl", "-b", "--no-pager", "-q", "-g", "sysrq|ctrl-alt-del|Rebooting", "--case-sensitive=no"
    )
    box.note(f"the journal of it: {said!r}")
