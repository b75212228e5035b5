"""What a gate's TOML may say. Types, defaults and limits; `edge.config` reads the file and reports every error at once.

Lengths are milliseconds and end in `_ms`. Lines of relay and input boards count from 0, as the boards' software does.
"""

from enum import Enum, StrEnum
from typing import Annotated

import msgspec

from admission.reasons import Language

Millis = Annotated[int, msgspec.Meta(ge=0, le=600_000)]
Line = Annotated[int, msgspec.Meta(ge=0, le=63)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=511)]
"""A line of a GPIO chip; no chip of a board or an expander has more."""
Id16 = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
HexBytes = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A([0-9A-Fa-f]{2}){0,32}\Z", description="up to 32 bytes in hexadecimal, such as 07"
    ),
]
UsbId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A([0-9A-Fa-f]{4}:[0-9A-Fa-f]{4})?\Z",
        description="vvvv:pppp in hexadecimal, as lsusb shows it",
    ),
]

PeerAddress = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[\w.-]{1,253})"
        r"(:([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5]))?\Z",
        description="a host or an address, with or without :port; an IPv6 address in [ ]",
    ),
]


class Way(StrEnum):
    """Which way a reader faces; `both` infers an exit only for a ticket known inside."""

    ENTRY = "entry"
    EXIT = "exit"
    BOTH = "both"


class MediumSetting(Enum):
    """What a reader delivers."""

    BARCODE = "barcode"
    UID = "uid"


class LayoutSetting(Enum):
    """The country setting of a scanner that types."""

    US = "us"
    DE_CH = "de-ch"
    FR = "fr"


class LogFault(Enum):
    """What happens to visitors when the disk takes no more records."""

    ADMIT_IN_MEMORY = "admit_in_memory"
    DENY = "deny"


class UidOrder(Enum):
    """The order in which a reader types a UID's bytes."""

    BIG = "big"
    LITTLE = "little"


class UidForm(Enum):
    """How a reader types a UID: in hexadecimal, as a number of 4, 7 or 8 bytes, or as two numbers of 16 bits."""

    HEX = "hex"
    DEC4 = "dec4"
    DEC7 = "dec7"
    DEC8 = "dec8"
    HALVES = "halves"


PulseMs = Annotated[int, msgspec.Meta(ge=50, le=5000)]
"""Turnstiles take 100 to 1,000 ms; a door's strike is held while somebody pulls the door (`drivers.pulses`: 5 s at most)."""
Beep = Annotated[int, msgspec.Meta(ge=-1, le=26)]
Lights = Annotated[int, msgspec.Meta(ge=0, le=255)]
ModbusUnit = Annotated[int, msgspec.Meta(ge=1, le=247)]
Baud = Annotated[int, msgspec.Meta(ge=300, le=4_000_000)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are errors: a misspelt key must not be a silent default."""


class SerialReader(_Strict, frozen=True, tag_field="driver", tag="serial"):
    """A scanner on USB-CDC, USB-UART or RS-232."""

    id: Id16
    way: Way
    port: Path
    medium: MediumSetting = MediumSetting.BARCODE
    baud: Baud = 9600
    gap_ms: Millis = 60
    """Quiet time that ends a frame without a terminator (facts: 30-100 ms)."""
    gap_only: bool = False
    """Binary payloads: terminators are data."""
    stx_etx: bool = False
    """A code stands between STX and ETX; what is outside, or lacks either, is none."""
    accept_bytes: HexBytes = ""
    """Hex sent to the device on grant, for scanners that beep on command (`07` is BEL)."""
    reject_bytes: HexBytes = ""
    wait_bytes: HexBytes = ""
    """When staff are to look, or another person is passing."""
    next_bytes: HexBytes = ""
    """When the passage is over: lights out, or the next code asked for."""
    uid_order: UidOrder = UidOrder.BIG
    uid_form: UidForm = UidForm.HEX


class WedgeReader(_Strict, frozen=True, tag_field="driver", tag="wedge"):
    """A scanner or tag reader that types, read from the kernel's input device."""

    id: Id16
    way: Way
    device: Path = ""
    """`/dev/input/by-path/...-event-kbd`; empty: found by the three keys below."""
    usb: UsbId = ""
    """`vvvv:pppp`, hexadecimal."""
    usb_port: str = ""
    """`phys` of the device, the socket it is plugged into: tells two identical scanners apart."""
    model: str = ""
    medium: MediumSetting = MediumSetting.BARCODE
    layout: LayoutSetting = LayoutSetting.US
    gap_ms: Millis = 80
    """Quiet time that ends a scan without a suffix (facts: 50-100 ms; Bluetooth is slower)."""
    grab: bool = True
    """Keystrokes go to nobody else. False only for simulators."""
    uid_order: UidOrder = UidOrder.BIG
    uid_form: UidForm = UidForm.HEX


class SsiReader(_Strict, frozen=True, tag_field="driver", tag="ssi"):
    """A Zebra scanner that speaks SSI over RS-232 or USB-CDC."""

    id: Id16
    way: Way
    port: Path
    baud: Baud = 9600
    rts_cts: bool = False
    """The cable has the two lines: a scanner that sleeps then loses nothing."""
    accept_beep: Beep = 1
    """SSI beep codes; -1 for none. 0 to 4 are one to five short high beeps, 5 to 9 short low ones, 15 a long low one."""
    reject_beep: Beep = 15
    wait_beep: Beep = -1
    accept_light: Lights = 1
    """A mask of the scanner's LEDs; 0 for none. Which bit is which light differs from model to model."""
    reject_light: Lights = 0
    pause: bool = False
    """The scanner is off from a grant until the passage is over, 10 s at most."""
    set_up: bool = True
    """Tell it for as long as it has power: packets, ACK and NAK, and to ignore programming codes."""
    gap_only: bool = False
    """Binary payloads: line ends at a code's end belong to it."""
    gap_ms: Millis = 60
    """Quiet time after which a packet that is not whole is asked for again."""


class TcpReader(_Strict, frozen=True, tag_field="driver", tag="tcp"):
    """Handhelds on the LAN that send each code as a line over TCP. Nothing listens unless such a reader is configured."""

    id: Id16
    way: Way
    sources: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=64)]
    """Addresses and networks that may send; nothing else proves who does."""
    listen: str = "0.0.0.0"  # noqa: S104 - addresses of a box change; who may send is said by `sources`
    port: Annotated[int, msgspec.Meta(ge=1024, le=65_535)] = 9100
    medium: MediumSetting = MediumSetting.BARCODE
    rate_max: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5
    """Codes a second, over all handhelds of this reader; what is beyond is dropped and counted."""
    uid_order: UidOrder = UidOrder.BIG
    uid_form: UidForm = UidForm.HEX


class BatchReader(_Strict, frozen=True, tag_field="driver", tag="batch"):
    """The cradle of handhelds that store what they read, and send it as lines of text when they are docked."""

    id: Id16
    way: Way
    port: Path
    baud: Baud = 9600
    line: Name = "{code},{date},{time}"
    """A line as the device sends it; `{any}` is a field that nobody needs."""
    date: Name = "DD/MM/YY"
    time: Name = "HH:MM:SS"
    time_zone: str = ""
    """Of the device's clock; empty: the event's."""
    gap_ms: Millis = 200
    medium: MediumSetting = MediumSetting.BARCODE
    uid_order: UidOrder = UidOrder.BIG
    uid_form: UidForm = UidForm.HEX


class HidPosReader(_Strict, frozen=True, tag_field="driver", tag="hidpos"):
    """A scanner in HID-POS mode (USB HID, usage page 0x8C), read from its hidraw node."""

    id: Id16
    way: Way
    device: Path = ""
    """`/dev/hidraw0`, which changes with the order of plugging; empty: found by the three keys below."""
    usb: UsbId = ""
    usb_port: str = ""
    """`HID_PHYS` of the device, the socket it is plugged into."""
    model: str = ""
    gap_only: bool = False
    """Binary payloads: line ends at a code's end belong to it."""
    accept_bytes: HexBytes = ""
    """An output report sent on grant, its id first; `FD0316070D` beeps on a Honeywell."""
    reject_bytes: HexBytes = ""


class Pn532Reader(_Strict, frozen=True, tag_field="driver", tag="pn532"):
    """A PN532 board on a serial line (HSU): tags of ISO/IEC 14443 type A."""

    id: Id16
    way: Way
    port: Path
    baud: Baud = 115_200
    genuine_only: bool = False
    """Only chips count whose UID their maker signed (NXP); a weak filter, since signatures can be copied."""


class Twn4Reader(_Strict, frozen=True, tag_field="driver", tag="twn4"):
    """An Elatec TWN4 with the Simple Protocol application."""

    id: Id16
    way: Way
    port: Path
    baud: Baud = 9600
    hf: Annotated[int, msgspec.Meta(ge=1, le=0x7FFF_FFFF)] = 1
    """Mask of the 13.56 MHz tag types that are looked for: 1 is ISO/IEC 14443 A, 4 ISO/IEC 15693."""
    beep: bool = True
    """A short high beep on a grant, a long low one on a refusal."""
    uid_order: UidOrder = UidOrder.BIG


class WiegandBits(Enum):
    """Bits of a frame, with its two parity bits."""

    W26 = 26
    W34 = 34
    W37 = 37


class WiegandCarries(Enum):
    """What a frame holds: a facility and a card number, or the four bytes of a tag's UID."""

    CARD = "card"
    UID = "uid"


class PinBias(Enum):
    """The pull resistor of a pin."""

    PULL_UP = "pull_up"
    AS_IS = "as_is"


class WiegandReader(_Strict, frozen=True, tag_field="driver", tag="wiegand"):
    """A reader with two wires, D0 and D1, on lines of a GPIO chip."""

    id: Id16
    way: Way
    chip: Name
    """The chip's label, such as `pinctrl-rp1`."""
    d0: Offset
    d1: Offset
    bits: WiegandBits
    carries: WiegandCarries = WiegandCarries.CARD
    """`uid`: of 34 bits only."""
    uid_order: UidOrder = UidOrder.BIG
    gap_ms: Annotated[int, msgspec.Meta(ge=21, le=200)] = 30
    """Silence that ends a frame; bits come up to 20 ms apart."""
    bias: PinBias = PinBias.PULL_UP


class PcscReader(_Strict, frozen=True, tag_field="driver", tag="pcsc"):
    """A contactless reader behind the PC/SC service (`pcscd`)."""

    id: Id16
    way: Way
    reader: str = ""
    """So much of its name, as `pcsc_scan -r` lists it, that no other one fits; empty: the only one."""
    shows: bool = True
    """A verdict is seen and heard, on an ACR122U; it does not beep for each card then."""
    genuine_only: bool = False
    """As at a PN532; the reader has to pass commands on to a tag."""


class OsdpReader(_Strict, frozen=True, tag_field="driver", tag="osdp"):
    """An OSDP reader on an RS-485 bus, in a secure channel. Several may share a port, each with an address of its own."""

    id: Id16
    way: Way
    port: Path
    key_file: Path
    """The reader's SCBK: 32 hexadecimal digits, readable by the gate alone."""
    address: Annotated[int, msgspec.Meta(ge=0, le=126)] = 0
    baud: Baud = 9600
    carries: WiegandCarries = WiegandCarries.CARD
    uid_order: UidOrder = UidOrder.BIG
    beep: bool = True


ReaderSettings = (
    SerialReader
    | WedgeReader
    | SsiReader
    | TcpReader
    | BatchReader
    | HidPosReader
    | Pn532Reader
    | Twn4Reader
    | PcscReader
    | OsdpReader
    | WiegandReader
)


class _Relay(_Strict, frozen=True, kw_only=True):
    """What every relay board has."""

    id: Name
    pulse_max_ms: PulseMs = 1000


class _SerialRelay(_Relay, frozen=True, kw_only=True):
    """A board on a serial port."""

    port: Path


class _ReadingRelay(_SerialRelay, frozen=True, kw_only=True):
    """A board on a serial port with contacts of its own, which its guard reads."""

    poll_ms: Annotated[int, msgspec.Meta(ge=5, le=1000)] = 20
    debounce_ms: Millis = 20


class LcusRelay(_SerialRelay, frozen=True, tag_field="driver", tag="lcus"):
    """An LCUS-1/2/4/8 board on a CH340."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1


class KmtronicRelay(_SerialRelay, frozen=True, tag_field="driver", tag="kmtronic"):
    """A KMTronic USB relay board."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1


class ModbusRelay(_ReadingRelay, frozen=True, tag_field="driver", tag="modbus"):
    """Relays of a Modbus RTU board on RS-485, and its inputs; or several such boards on one bus, numbered through."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=32)] = 8
    baud: Baud = 9600
    unit: ModbusUnit = 1
    units: Annotated[tuple[ModbusUnit, ...], msgspec.Meta(min_length=1, max_length=4)] = ()
    """Instead of `unit`: the boards of one kind on this bus. `lines` and `inputs` are each board's, the first board's come first."""
    flash: bool = True
    """The board ends pulses by itself (flash-on); false: the relay guard does."""
    flash_unit_ms: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    inputs: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0
    """Inputs of the same board that are read, from 0 on; named by an input board with `driver = "relay"`."""


class NumatoRelay(_ReadingRelay, frozen=True, tag_field="driver", tag="numato"):
    """A Numato relay module on USB, and its GPIO pins as inputs."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=32)] = 1
    inputs: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    """Pins that are read, from 0 on; named by an input board with `driver = "relay"`."""


class GpioRelay(_Relay, frozen=True, tag_field="driver", tag="gpio"):
    """Relays on the box's own header or an expander, by libgpiod."""

    chip: Name
    """The chip's label, such as `pinctrl-rp1`: numbers change with kernels."""
    offsets: Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=16)]
    active_low: bool = True


class HidRelay(_Relay, frozen=True, tag_field="driver", tag="hid"):
    """A HID relay board "USBRelay1" to "USBRelay8", driven over hidraw."""

    lines: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    device: Path = ""
    """`/dev/hidraw0`, which changes with the order of plugging; empty: found by the two keys below."""
    usb_port: str = ""
    """`HID_PHYS` of the board, the socket it is plugged into."""
    name: Annotated[
        str, msgspec.Meta(pattern=r"\A([!-~]{5})?\Z", description="the five characters it calls itself")
    ] = ""


class _Strip(_Relay, frozen=True, kw_only=True):
    """An LED strip: its lines are pictures (`drivers.relays.led_strip`), and no arm hangs on it."""

    pixels: Annotated[int, msgspec.Meta(ge=5, le=300)]
    brightness: Annotated[int, msgspec.Meta(ge=1, le=255)] = 64
    """Of 255. A strip in the sun wants more, and a power supply to match: 60 mA a pixel at most."""


class AdalightStrip(_Strip, frozen=True, tag_field="driver", tag="adalight"):
    """A strip behind a controller on a serial port that speaks Adalight (WLED, and many sketches)."""

    port: Path
    baud: Baud = 115_200


class PixelOrder(Enum):
    """In which order a kind of pixel takes its colours."""

    GRB = "GRB"
    RGB = "RGB"
    GRBW = "GRBW"


class Ws2812Strip(_Strip, frozen=True, tag_field="driver", tag="ws2812"):
    """WS2812 or SK6812 pixels, their data line on an SPI line of the box."""

    device: Path = "/dev/spidev0.0"
    order: PixelOrder = PixelOrder.GRB


RelaySettings = (
    LcusRelay | GpioRelay | ModbusRelay | KmtronicRelay | NumatoRelay | HidRelay | AdalightStrip | Ws2812Strip
)


class GpioInputs(_Strict, frozen=True, tag_field="driver", tag="gpio"):
    """Contacts on the box's own header, by libgpiod."""

    id: Name
    chip: Name
    offsets: Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=32)]
    active_low: tuple[int, ...] = ()
    """Lines (not offsets) that are active when low; a PASS contact that opens on passage is one."""
    debounce_ms: Millis = 10


class ModbusInputs(_Strict, frozen=True, tag_field="driver", tag="modbus"):
    """Discrete inputs of a Modbus RTU board, or of several on one bus, polled with function 02."""

    id: Name
    port: Path
    baud: Baud = 9600
    unit: ModbusUnit = 1
    units: Annotated[tuple[ModbusUnit, ...], msgspec.Meta(min_length=1, max_length=4)] = ()
    """Instead of `unit`: boards with inputs alone on this bus. `lines` is each board's, the first board's come first."""
    lines: Annotated[int, msgspec.Meta(ge=1, le=32)] = 8
    active_low: tuple[int, ...] = ()
    poll_ms: Annotated[int, msgspec.Meta(ge=5, le=1000)] = 20
    debounce_ms: Millis = 10


class RelayInputs(_Strict, frozen=True, tag_field="driver", tag="relay"):
    """Inputs of one of this gate's relay boards: its guard owns the port, and tells of them."""

    id: Name
    relay: Name
    active_low: tuple[int, ...] = ()


InputSettings = GpioInputs | ModbusInputs | RelayInputs


class Barrier(StrEnum):
    """What kind of barrier a lane has; its lengths where they are not set (`edge.barrier_kinds`)."""

    TRIPOD = "tripod"
    SPEED_GATE = "speed_gate"
    SWING_GATE = "swing_gate"
    DOOR = "door"


class LaneSettings(_Strict, frozen=True):
    """One lane: its readers, its barrier, its contacts."""

    id: Id16
    name: Name
    readers: Annotated[tuple[ReaderSettings, ...], msgspec.Meta(min_length=1, max_length=8)]
    barrier: Barrier = Barrier.TRIPOD
    relay: str = ""
    entry_line: Line | None = None
    exit_line: Line | None = None
    lamp_relay: str = ""
    """The relay board that a traffic light and a buzzer hang on; empty: the lane's own."""
    green_line: Line | None = None
    """Lines of that board (`edge.annunciator`)."""
    red_line: Line | None = None
    buzzer_line: Line | None = None
    strip: str = ""
    """The LED strip of this lane, one of the relay boards."""
    inputs: str = ""
    entry_contact: Line | None = None
    """Input line that is active while somebody passes inwards; without one, passage is assumed."""
    exit_contact: Line | None = None
    ready_contact: Line | None = None
    fire_contact: Line | None = None
    fault_contact: Line | None = None
    """Active while the turnstile reports a fault: nobody is let in, and staff are called."""
    detector_contact: Line | None = None
    """The turnstile's own detector: somebody crawls under, climbs over, follows closely or comes the wrong way."""
    door_contact: Line | None = None
    """Active while the door is open. Without passage contacts it tells of passages too."""
    exit_button: Line | None = None
    """A request to exit: a button, a push bar, a motion sensor on the inside."""
    contacts_show_power: bool = False
    """Both passage contacts active at once: the turnstile has no power, nobody passed (PERCo TTR-10A)."""
    companions: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    """People who walk through with the first on the same opening, as far as the ticket admits more than one."""
    shared_path: bool = True
    attended: bool | None = None
    """Overrides the lane plan where set."""
    hold_ms: Millis = 5000
    hold_margin_ms: Millis = 1500
    pulse_ms: PulseMs = 300
    grace_ms: Millis = 3000
    absent_ms: Millis = 2000
    held_ms: Millis = 20_000
    """A door that is open for longer is told."""
    let_in_after_restart: bool = True
    check_in_s: Annotated[int, msgspec.Meta(ge=0, le=120)] = 0
    """Not 0: a check-in station, where a ticket waits so long for the tag that is to stand for it."""


def is_genuine_only(reader: ReaderSettings) -> bool:
    """Whether a tag counts at a reader only with its maker's signature."""
    return isinstance(reader, Pn532Reader | PcscReader) and reader.genuine_only


class GateSettings(_Strict, frozen=True):
    """The box itself."""

    name: Name = "gate"
    data: Path = "/var/lib/gatehouse"
    language: Language | None = None
    """Of its pages, where their reader has chosen none; None: as the browser asks."""
    rtc: bool = False
    """A battery-backed clock is fitted (a Pi 4 has none)."""


class PageSettings(_Strict, frozen=True):
    """The box's own pages."""

    listen: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8443
    """0 takes a free one and prints it."""
    tls: bool = True
    names: tuple[Name, ...] = ()
    """Host names the page answers to, besides loopback and the box's own addresses."""


class CentreSettings(_Strict, frozen=True):
    """How often to talk; where and as whom comes from enrolment."""

    poll_s: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 5.0
    push_s: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 0.1
    cap_mb_per_day: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """Megabytes a day, both ways; near it what can wait does (`edge.front.meter`). 0: no cap."""


class ModemDriver(StrEnum):
    """Who is asked how the modem is."""

    NONE = "none"
    MODEMMANAGER = "modemmanager"


class ModemSettings(_Strict, frozen=True):
    """The mobile modem of this box; it is only watched, never commanded."""

    driver: ModemDriver = ModemDriver.NONE


class PeerSettings(_Strict, frozen=True):
    """The other gates of the event group on the same LAN."""

    on: bool = True
    """They are talked to, once the roster names any."""
    listen: str = "0.0.0.0"  # noqa: S104 - addresses of a box change; who is not near is turned away (`near_only`)
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 7342
    """0 takes a free one; neighbours learn it by the way."""
    addresses: Annotated[tuple[PeerAddress, ...], msgspec.Meta(max_length=64)] = ()
    """Where neighbours are, as `host` or `host:port`; the others are found by themselves."""
    discover: bool = True
    """Look for them by multicast (mDNS)."""
    near_only: bool = True
    """Only addresses of private networks may knock."""


class LogSettings(_Strict, frozen=True):
    """The precious file."""

    fault: LogFault = LogFault.ADMIT_IN_MEMORY


class StaffSettings(_Strict, frozen=True):
    """What a steward may do by hand at this gate."""

    admit_max: Annotated[int, msgspec.Meta(ge=1, le=50)] = 20
    """People let in by one act; no more than the lane machine's largest group."""
    overrides_per_hour: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 60
    """People one steward lets in by hand within an hour; 0: nobody is let in by hand."""
    annuls_per_hour: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 60
    """Admissions one steward takes back within an hour; 0: none."""
    tags_per_hour: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 120
    """Wristbands one steward writes within an hour (`gatehouse-edge write-tag`); 0: none. Two a minute is a fast desk."""


class Settings(_Strict, frozen=True):
    """A whole gate."""

    lanes: Annotated[tuple[LaneSettings, ...], msgspec.Meta(min_length=1, max_length=16)]
    gate: GateSettings = GateSettings()
    page: PageSettings = PageSettings()
    centre: CentreSettings = CentreSettings()
    modem: ModemSettings = ModemSettings()
    peers: PeerSettings = PeerSettings()
    log: LogSettings = LogSettings()
    staff: StaffSettings = StaffSettings()
    relays: Annotated[tuple[RelaySettings, ...], msgspec.Meta(max_length=8)] = ()
    inputs: Annotated[tuple[InputSettings, ...], msgspec.Meta(max_length=8)] = ()
