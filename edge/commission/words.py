"""The sentences of commissioning, German and English: what is wrong with a device, and the next action."""

from collections.abc import Mapping
from typing import Final

from admission.reasons import Language
from edge.words import Sentence

# Swiss German spelling. {names} are filled from what is told with the code.
SENTENCES: Final[Mapping[str, tuple[Sentence, Sentence]]] = {
    "thief.modem_manager": (
        Sentence(
            "{what}: ModemManager sucht hier ein Modem und stört dabei.",
            "Die udev-Regeln einspielen: sudo systemd/install.sh edge. Bleibt es dabei, fehlt dort {vendor}.",
        ),
        Sentence(
            "{what}: ModemManager looks for a modem here, and disturbs it.",
            "Install the udev rules: sudo systemd/install.sh edge. If it stays, {vendor} is missing there.",
        ),
    ),
    "thief.pn533": (
        Sentence(
            "{what}: der Kernel hat den Tag-Leser für sich (pn533_usb).",
            "sudo systemd/install.sh edge verbietet den Treiber; dann den Leser neu einstecken.",
        ),
        Sentence(
            "{what}: the kernel keeps the tag reader to itself (pn533_usb).",
            "sudo systemd/install.sh edge forbids that driver; then plug the reader in again.",
        ),
    ),
    "thief.autosuspend": (
        Sentence(
            "{what}: der Kernel darf das Gerät schlafen legen, und Scanner wachen schlecht auf.",
            "Die udev-Regeln einspielen: sudo systemd/install.sh edge. TLP und powertop entfernen.",
        ),
        Sentence(
            "{what}: the kernel may put it to sleep, and scanners wake up badly.",
            "Install the udev rules: sudo systemd/install.sh edge. Remove TLP and powertop.",
        ),
    ),
    "mode.keyboard": (
        Sentence(
            "{what} schreibt wie eine Tastatur. Das geht, hängt aber am Tastaturland.",
            "Besser ist USB seriell: den Programmiercode dafür scannen.",
        ),
        Sentence(
            "{what} types like a keyboard. It works, but depends on the keyboard's country.",
            "USB serial is better: scan its programming code.",
        ),
    ),
    "mode.snapi": (
        Sentence(
            "{what} spricht SNAPI, das kein Tor versteht.", "Den Programmiercode für USB seriell scannen."
        ),
        Sentence("{what} speaks SNAPI, which no gate reads.", "Scan the programming code for USB serial."),
    ),
    "mode.ibm": (
        Sentence(
            "{what} spricht IBM (auch «USB OPOS»), das kein Tor versteht.",
            "Den Programmiercode für USB seriell scannen.",
        ),
        Sentence(
            "{what} speaks IBM (also called “USB OPOS”), which no gate reads.",
            "Scan the programming code for USB serial.",
        ),
    ),
    "mode.com_hid": (
        Sentence(
            "{what} ahmt eine Schnittstelle nur nach («Simple COM Port Emulation»): unter Linux ist es keine.",
            "Den Programmiercode für USB seriell scannen.",
        ),
        Sentence(
            "{what} only imitates a port (“Simple COM Port Emulation”): on Linux it is none.",
            "Scan the programming code for USB serial.",
        ),
    ),
    "mode.ccid": (
        Sentence(
            "{what} spricht CCID, das diese Version nicht liest.",
            "Den Leser auf Tastatur oder seriell stellen, wenn er das kann, sonst einen anderen nehmen.",
        ),
        Sentence(
            "{what} speaks CCID, which this version does not read.",
            "Set the reader to keyboard or serial if it can, else take another one.",
        ),
    ),
    "mode.none": (
        Sentence(
            "{what} ist eingesteckt und zeigt keinen Weg, es zu lesen.",
            "Neu einstecken. Bleibt es so, den Programmiercode für USB seriell scannen.",
        ),
        Sentence(
            "{what} is plugged in and shows no way to read it.",
            "Plug it in again. If it stays so, scan the programming code for USB serial.",
        ),
    ),
}

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "scanner": ("Scanner", "scanner"),
    "tag_reader": ("Tag-Leser", "tag reader"),
    "adapter": ("Serieller Adapter", "serial adapter"),
    "printer": ("Drucker", "printer"),
    "modem": ("Modem", "modem"),
    "unknown": ("Unbekannt", "unknown"),
    "keyboard": ("Tastatur", "keyboard"),
    "serial": ("seriell", "serial"),
    "hid_pos": ("HID-POS", "HID-POS"),
    "com_hid": ("COM-Nachahmung", "COM emulation"),
    "snapi": ("SNAPI", "SNAPI"),
    "ibm": ("IBM", "IBM"),
    "ccid": ("CCID", "CCID"),
    "none": ("nicht lesbar", "not readable"),
}


def say(code: str, args: Mapping[str, str], language: Language) -> Sentence:
    """Say a code; French and Italian get English."""
    said = SENTENCES[code][0 if language is Language.DE else 1]
    return Sentence(said.cause.format_map(args), said.fix.format_map(args))


def name(word: str, language: Language) -> str:
    """Name a role or a mode."""
    return NAMES[word][0 if language is Language.DE else 1]
