"""LED strips: what is sent, literally; five pictures that are apart; and strips that are dark once nobody drives them."""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import DeviceGone, Misconfigured, Outputs, Sensing
from drivers.framing.guard import Frame, Kind, encode
from drivers.framing.led_strip import adalight, spi
from drivers.guard import GuardSettings, make_outputs
from drivers.relays.led_strip import PICTURES, PIXELS_MAX, PIXELS_MIN, drawn
from drivers.sims.led_strip import AdalightStrip, SpiStrip
from drivers.sims.served import Service

PIXELS = 12
WAIT_S = 5.0
DARK = bytes(3 * PIXELS)


@pytest.mark.parametrize(
    ("pixels", "frame"),
    [
        (bytes((255, 128, 1)), "41 64 61 00 00 55 FF 80 01"),
        (bytes(3 * 25), "41 64 61 00 18 4D" + " 00" * 75),
        (bytes(3 * 300), "41 64 61 01 2B 7F" + " 00" * 900),
    ],
)
def test_adalight_frames(pixels: bytes, frame: str) -> None:
    assert adalight(pixels) == bytes.fromhex(frame)


@pytest.mark.parametrize(
    ("order", "bits"),
    [
        ("GRB", "92 49 24  DB 6D B6  92 49 26"),  # green 00, red FF, blue 01
        ("RGB", "DB 6D B6  92 49 24  92 49 26"),
        ("GRBW", "92 49 24  DB 6D B6  92 49 26  92 49 24"),
    ],
)
def test_what_an_spi_line_sends(order: str, bits: str) -> None:
    assert spi(bytes((255, 0, 1)), order) == bytes(96) + bytes.fromhex(bits) + bytes(96)


@given(
    st.binary(min_size=15, max_size=3 * PIXELS).filter(lambda one: len(one) % 3 == 0),
    st.sampled_from(("GRB", "RGB", "GRBW")),
)
def test_pixels_read_off_the_line_what_was_drawn(pixels: bytes, order: str) -> None:
    from drivers.sims.led_strip import _streams  # noqa: PLC0415 - the simulator's ear alone

    (stream,) = _streams(spi(pixels, order))
    size = len(order)
    read = [dict(zip(order, stream[at : at + size], strict=True)) for at in range(0, len(stream), size)]
    assert bytes(one[colour] for one in read for colour in "RGB") == pixels


@pytest.mark.parametrize("feed", [100_000, 1, 7])
def test_a_controller_finds_frames_in_whatever_comes(tmp_path: Path, feed: int) -> None:
    strip = AdalightStrip(2, tmp_path / "strip")
    wanted = [bytes(range(6)), bytes(range(6, 12))]
    stream = b"Ad" + adalight(wanted[0]) + b"Ada\x00\x01\x00AdaAda" + adalight(wanted[1] + b"\1\2\3") + b"Ada"
    handle = (tmp_path / "strip").open("wb", buffering=0)
    for at in range(0, len(stream), feed):
        handle.write(stream[at : at + feed])
        strip.service(1)
    while len(strip.frames) < 2:
        strip.service(1)
    assert [pixels for _, pixels in strip.frames] == wanted
    handle.close()
    strip.close()


@pytest.mark.parametrize("pixels", [PIXELS_MIN, 8, 10, 31, 60, PIXELS_MAX])
def test_pictures_are_told_apart_by_which_pixels_are_lit(pixels: int) -> None:
    shapes = [
        tuple(any(drawn(one, pixels, 255)[at : at + 3]) for at in range(0, 3 * pixels, 3))
        for one in range(len(PICTURES))
    ]
    for one, other in itertools.combinations(shapes, 2):
        assert one != other
    assert all(any(shape) for shape in shapes)
    assert len({colour for colour, _ in PICTURES}) == len(PICTURES)
    assert max(drawn(0, pixels, 64)) == 64, "brightness"


Strip = AdalightStrip | SpiStrip
Rig = tuple[GuardSettings, Strip, Service]


def until(holds: Callable[[], object]) -> None:
    """Wait for a device that another thread serves."""
    end_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def is_gone(outputs: Outputs) -> bool:
    try:
        outputs.set(0, True)
    except DeviceGone:
        return True
    return False


def shows(strip: Strip, pixels: bytes) -> bool:
    return strip.shown == pixels


@contextmanager
def plugged(kind: str, folder: Path) -> Iterator[Rig]:
    strip: Strip
    options: dict[str, object] = {"pixels": PIXELS, "brightness": 64}
    if kind == "adalight":
        strip = AdalightStrip(PIXELS, folder / "strip")
        options |= {"path": strip.path, "baud": 115_200}
    else:
        strip = SpiStrip(PIXELS, folder / "strip", "GRBW")
        options |= {"path": strip.path, "order": "GRBW"}
    with Service(strip) as service:
        yield GuardSettings(kind, options), strip, service
    strip.close()


@pytest.fixture(params=["adalight", "ws2812"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with plugged(request.param, tmp_path) as made:
        yield made


def test_a_strip_shows_the_picture_that_is_on_and_is_dark_when_it_ends(
    rig: Rig,
) -> None:
    settings, strip, _ = rig
    outputs = make_outputs(settings)
    assert isinstance(outputs, Outputs)
    assert isinstance(outputs, Sensing)
    assert str(PIXELS) in outputs.open()
    until(lambda: strip.frames)
    assert strip.shown == DARK
    for line in range(outputs.lines):
        outputs.set(line, True)
        until(partial(shows, strip, drawn(line, PIXELS, 64)))
    outputs.set(0, False)  # not the one that is shown
    before = len(strip.frames)
    outputs.look()
    until(lambda: len(strip.frames) > before)
    assert strip.shown == drawn(4, PIXELS, 64), "sent again, and not another"
    outputs.set(4, False)
    until(lambda: strip.shown == DARK)
    outputs.set(1, True)
    outputs.close()
    outputs.close()
    until(lambda: strip.shown == DARK)
    with pytest.raises(DeviceGone):
        outputs.set(1, True)


def test_a_strip_has_one_owner_and_is_gone_while_it_is_pulled(rig: Rig) -> None:
    settings, strip, service = rig
    outputs, second = make_outputs(settings), make_outputs(settings)
    outputs.open()
    with pytest.raises(DeviceGone) as held:
        second.open()
    assert held.value.hint
    with pytest.raises(Misconfigured):
        outputs.set(5, True)
    with pytest.raises(Misconfigured):
        outputs.pulse(0, 300)
    with service.lock:
        strip.unplug()
    until(partial(is_gone, outputs))  # a poll that waits in the kernel keeps a pty for a moment
    outputs.close()
    with pytest.raises(DeviceGone):
        outputs.open()
    with service.lock:
        strip.plug()
    outputs.open()
    outputs.set(2, True)
    until(lambda: strip.shown == drawn(2, PIXELS, 64))
    outputs.close()


def test_no_picture_outlives_whoever_showed_it(rig: Rig) -> None:
    """The lane dies: its end of the pipe closes, and an admission stands on no strip for the next visitor."""
    settings, strip, _ = rig
    guard = subprocess.Popen(
        [sys.executable, "-m", "drivers.guard", settings.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert guard.stdin is not None
    guard.stdin.write(encode(Frame(Kind.PULSE, line=0, ms=1000, id=1)))
    guard.stdin.flush()
    until(lambda: strip.shown == drawn(0, PIXELS, 64))
    guard.stdin.close()
    until(lambda: strip.shown == DARK)
    assert guard.wait(WAIT_S) == 0
    assert guard.stdout is not None
    guard.stdout.close()


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("adalight", {}),
        ("adalight", {"path": "/dev/null", "pixels": 4, "brightness": 64, "baud": 115_200}),
        ("adalight", {"path": "/dev/null", "pixels": 30, "brightness": 64, "baud": 12}),
        ("ws2812", {}),
        ("ws2812", {"path": "/dev/null", "pixels": 301, "brightness": 64, "order": "GRB"}),
        ("ws2812", {"path": "/dev/null", "pixels": 30, "brightness": 0, "order": "GRB"}),
        ("ws2812", {"path": "/dev/null", "pixels": 30, "brightness": 64, "order": "BGR"}),
    ],
)
def test_wrong_settings_are_told_with_a_hint(driver: str, options: dict[str, object]) -> None:
    with pytest.raises(Misconfigured) as failure:
        make_outputs(GuardSettings(driver, options))
    assert failure.value.hint


@pytest.mark.parametrize("path", ["/dev/null", "/etc/hostname", "/"])
def test_a_path_that_is_no_spi_line(path: str) -> None:
    options = {"path": path, "pixels": 30, "brightness": 64, "order": "GRB"}
    with pytest.raises(Misconfigured):
        make_outputs(GuardSettings("ws2812", options)).open()
