"""Zebra scanners that speak SSI over RS-232 or USB-CDC: acknowledged codes, and a beeper and lights that show the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.base import Misconfigured, Signal
from drivers.framing.frame import Framed
from drivers.framing.ssi_host import SsiHost, SsiSetting
from drivers.readers.asked import AskedReader
from drivers.readers.pump import gap_ns
from drivers.transport.serial_port import Line

BEEP_MAX = 0x1A
"""The highest beep code that any model knows."""
ANSWER_MS_MAX = 10_000
"""A scanner's own response time-out ends at 9.9 s."""


@dataclass(frozen=True, slots=True)
class SsiReaderConfig:
    """Where an SSI scanner is and how it is used; see `SsiSetting`.

    `line`: 9600 8N1 by default; `rts_cts` where the cable has the lines: without them a sleeping scanner may lose the
    first byte, and the second try finds it awake.
    """

    path: str
    line: Line = field(default_factory=Line)
    beeps: Mapping[Signal, int] = field(default_factory=dict)
    lights: Mapping[Signal, int] = field(default_factory=dict)
    pause: bool = False
    set_up: bool = True
    binary: bool = False
    aim: bool = True
    answer_ms: int = 1000
    gap_ms: int = 60


class SsiReader(AskedReader[Framed]):
    """A scanner that speaks SSI. Raises Misconfigured at once for settings that cannot be."""

    def __init__(self, config: SsiReaderConfig) -> None:
        if not 1 <= config.answer_ms <= ANSWER_MS_MAX:
            raise Misconfigured(f"answer_ms is {config.answer_ms}", f"Set it between 1 and {ANSWER_MS_MAX}.")
        if any(not 0 <= one <= BEEP_MAX for one in config.beeps.values()):
            raise Misconfigured("there is no such beep code", f"Set beep codes between 0 and {BEEP_MAX}.")
        if any(not 0 <= one <= 0xFF for one in config.lights.values()):
            raise Misconfigured("there is no such light", "Set a mask of lights between 0 and 255.")
        setting = SsiSetting(
            beeps=config.beeps,
            lights=config.lights,
            pause=config.pause,
            set_up=config.set_up,
            binary=config.binary,
            aim=config.aim,
            answer_ns=config.answer_ms * 1_000_000,
            gap_ns=gap_ns(config.gap_ms),
        )
        super().__init__(
            config.path,
            config.line,
            lambda now_ns: SsiHost(setting, now_ns),
            "SSI scanner",
            reports_removal=False,
        )
