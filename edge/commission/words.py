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
    "pcsc.missing": (
        Sentence(
            "{what} wird über den PC/SC-Dienst gelesen, der hier nicht läuft.",
            "Einrichten: apt install pcscd libccid. Ist er da: systemctl start pcscd.socket",
        ),
        Sentence(
            "{what} is read through the PC/SC service, which does not run here.",
            "Install it: apt install pcscd libccid. If it is there: systemctl start pcscd.socket",
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
    "commission.under_way": (
        Sentence("Dieses Tor wird eingerichtet.", "Auf der Seite der Box fertig einrichten."),
        Sentence("This gate is being commissioned.", "Finish it on the box's page."),
    ),
    "commission.nothing_asked": (
        Sentence("Danach wird gerade nicht gefragt.", "Oben neu beginnen."),
        Sentence("That is not being asked for now.", "Begin anew above."),
    ),
    "commission.no_uid": (
        Sentence(
            "Das ist keine Kartennummer.",
            "Die Nummer hexadezimal eingeben, wie auf der Karte oder im Telefon: 04:A2:2B:1C:9D:80:00. Nummern, die mit 08 beginnen und vier Byte haben, wechseln bei jedem Mal.",
        ),
        Sentence(
            "This is no card number.",
            "Type it in hexadecimal, as on the card or shown by a phone: 04:A2:2B:1C:9D:80:00. Numbers of four bytes that begin with 08 change each time.",
        ),
    ),
    "commission.no_board": (
        Sentence("Dieses Gerät lässt sich so nicht als Relais schalten.", "Anschluss und Bauart prüfen."),
        Sentence(
            "This device cannot be switched as a relay board of this kind.", "Check its plug and its kind."
        ),
    ),
    "commission.no_inputs": (
        Sentence("Hier gibt es keine Kontakte zu lesen.", "Zuerst wählen, woran die Kontakte hängen."),
        Sentence("There are no contacts to be read here.", "Choose first where the contacts are wired."),
    ),
    "commission.is_reader": (
        Sentence("Dieses Gerät ist schon ein Leser.", "Den Leser zuerst entfernen."),
        Sentence("This device is a reader already.", "Take the reader away first."),
    ),
    "commission.pulse_failed": (
        Sentence("Das Relais hat nicht geschaltet: {what}", "{hint}"),
        Sentence("The relay did not switch: {what}", "{hint}"),
    ),
    "commission.no_lane": (
        Sentence("Diese Spur gibt es nicht.", "Die Spuren festlegen."),
        Sentence("There is no such lane.", "Set the lanes first."),
    ),
    "commission.not_enrolled": (
        Sentence("Die Box wurde nicht angemeldet: {what}", "{hint}"),
        Sentence("The box did not join: {what}", "{hint}"),
    ),
    "commission.incomplete": (
        Sentence("Es fehlt noch etwas.", "Unter «Los» steht, was."),
        Sentence("Something is still missing.", "It is named under “Go”."),
    ),
    "commission.not_written": (
        Sentence("Die Konfiguration wurde nicht geschrieben: {what}", "Das dem Hersteller melden."),
        Sentence("The configuration was not written: {what}", "Please report this."),
    ),
}

# Keys with `js_` are for the script; the others stand in commission.html or in what is sent.
LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Tor einrichten", "Set up this gate"),
    "switch_language": ("Sprache", "Language"),
    "no_script": ("Diese Seite braucht JavaScript.", "This page needs JavaScript."),
    "state": ("Wird eingerichtet", "Being set up"),
    "state_why": (
        "Solange lässt diese Box niemanden ein, und kein Relais schaltet von selbst.",
        "Meanwhile this box lets nobody in, and no relay moves by itself.",
    ),
    "pin": ("PIN dieser Box", "PIN of this box"),
    "pin_why": (
        "8 Ziffern, von der Anmeldung. Eine neue macht: gatehouse-edge pin",
        "8 digits, from enrolment. A new one: gatehouse-edge pin",
    ),
    "open": ("Öffnen", "Open"),
    "enrol": ("Bei der Zentrale anmelden", "Join the centre"),
    "enrol_why": ("Adresse und Code zeigt die Zentrale.", "The centre shows address and code."),
    "url": ("Adresse", "Address"),
    "code": ("Code", "Code"),
    "devices": ("Gefundene Geräte", "Devices found"),
    "devices_none": (
        "Nichts gefunden. Scanner und Relais einstecken.",
        "Nothing found. Plug in scanners and relays.",
    ),
    "lanes": ("Spuren", "Lanes"),
    "gate_name": ("Name des Tors", "Name of the gate"),
    "add_lane": ("Spur dazu", "Add a lane"),
    "drop_lane": ("Letzte weg", "Remove the last"),
    "set_lanes": ("So festlegen", "Use these"),
    "readers": ("Leser", "Readers"),
    "readers_why": (
        "Den Testcode am gewünschten Leser scannen: der Leser, der ihn liest, bekommt den Platz.",
        "Scan the test code at the reader you want: the reader that reads it gets the place.",
    ),
    "outputs": ("Relais", "Relays"),
    "outputs_why": (
        "Jeder Druck öffnet einmal wirklich. Vorher schauen, dass niemand im Drehkreuz steht.",
        "Each press really opens once. See first that nobody stands in the turnstile.",
    ),
    "outputs_none": (
        "Kein Relais gefunden. Ohne Relais zeigt die Box nur an, ob jemand hinein darf.",
        "No relay found. Without one the box only shows who may pass.",
    ),
    "contacts": ("Kontakte", "Contacts"),
    "contacts_why": (
        "Sagen, woran die Kontakte des Drehkreuzes hängen. Dann jeden einmal bewegen: die Box merkt, welcher Anschluss es ist und ob er schliesst oder öffnet. «Bereit» zuerst, wenn er beim Durchgehen mitschaltet.",
        "Say where the turnstile's contacts are wired. Then move each of them once: the box sees which input it is, and whether it closes or opens. Ready first, if it moves along with a passage.",
    ),
    "contacts_none": (
        "Ohne Kontakte zählt jede Freigabe als Durchgang, auch wenn niemand ging.",
        "Without contacts each release counts as a passage, also where nobody walked.",
    ),
    "has_contacts": ("Kontakte", "contacts"),
    "ready_contact": ("bereit", "ready"),
    "entry_contact": ("Durchgang hinein", "passage inwards"),
    "exit_contact": ("Durchgang hinaus", "passage outwards"),
    "fire_contact": ("Brandalarm", "fire alarm"),
    "input": ("Anschluss {line}, schliesst", "input {line}, closes"),
    "input_open": ("Anschluss {line}, öffnet", "input {line}, opens"),
    "move_ready_contact": (
        "Das Drehkreuz aus- und wieder einschalten, oder STOP drücken und lösen.",
        "Switch the turnstile off and on again, or press and release STOP.",
    ),
    "move_entry_contact": (
        "Jetzt einmal hineingehen, oder den Arm von Hand hineindrehen.",
        "Walk in once now, or turn the arm inwards by hand.",
    ),
    "move_exit_contact": (
        "Jetzt einmal hinausgehen, oder den Arm von Hand hinausdrehen.",
        "Walk out once now, or turn the arm outwards by hand.",
    ),
    "move_fire_contact": (
        "Den Kontakt der Brandmeldeanlage auslösen und wieder zurückstellen lassen.",
        "Have the fire panel's contact set off, and put back again.",
    ),
    "move_unclear": (
        "Mehr als ein Anschluss hat geschaltet. Warten, bis alles ruht, dann diesen allein bewegen; oder den anderen zuerst festlegen.",
        "More than one input moved. Wait until all are at rest, then move this one alone; or settle the other one first.",
    ),
    "anew_why": (
        "Vergisst Spuren, Leser, Relais und Kontakte dieser Seite. Geschrieben wird dabei nichts.",
        "Forgets this page's lanes, readers, relays and contacts. Nothing is written by it.",
    ),
    "locks": ("Scanner sperren", "Lock the scanners"),
    "locks_why": (
        "Ein Scanner gehorcht jedem Programmiercode, auch dem eines Besuchers. Scannen Sie zuletzt den Code, der hier genannt ist: dann nimmt er keinen mehr an.",
        "A scanner obeys any programming code, a visitor's too. Scan the code named here last: then it takes none any more.",
    ),
    "go": ("Los", "Go"),
    "go_why": (
        "Schreibt die Konfiguration (die alte bleibt als .bak) und startet das Tor.",
        "Writes the configuration (the old one is kept as .bak) and starts the gate.",
    ),
    "write": ("Schreiben und starten", "Write and start"),
    "barcode_entry": ("Eingang, Scanner", "entry, scanner"),
    "barcode_exit": ("Ausgang, Scanner", "exit, scanner"),
    "uid_entry": ("Eingang, Tag-Leser", "entry, tag reader"),
    "uid_exit": ("Ausgang, Tag-Leser", "exit, tag reader"),
    "entry": ("Eingang", "entry"),
    "exit": ("Ausgang", "exit"),
    "turned_entry": ("hinein", "inwards"),
    "turned_exit": ("hinaus", "outwards"),
    "line": ("Relais {line}", "relay {line}"),
    "is_board": ("ist ein Relais", "is a relay board"),
    "not_read": ("wird nicht gelesen", "is not read"),
    "listening": ("hört zu", "listening"),
    "hold_code": ("Diesen Code vor den Leser halten.", "Hold this code to the reader."),
    "hold_card": (
        "Die Karte mit dieser Nummer an den Leser halten.",
        "Hold the card with this number to the reader.",
    ),
    "unclear": (
        "Diese Karte liest sich vorwärts und rückwärts gleich: eine andere nehmen.",
        "This card reads alike forwards and backwards: take another one.",
    ),
    "not_enrolled": ("Die Box gehört noch zu keiner Zentrale.", "The box belongs to no centre yet."),
    "no_lanes": ("Es ist keine Spur festgelegt.", "No lane is set."),
    "no_reader": ("{seat}: kein Leser.", "{seat}: no reader."),
    "no_output": (
        "{seat}: kein Relais, die andere Richtung hat eines.",
        "{seat}: no relay, the other way has one.",
    ),
    "js_lane": ("Spur", "Lane"),
    "js_name": ("Name", "Name"),
    "js_two_way": ("auch Ausgang", "exit too"),
    "js_scan": ("Testcode zeigen", "Show test code"),
    "js_again": ("Ändern", "Change"),
    "js_remove": ("Entfernen", "Remove"),
    "js_tags": ("Karte lesen", "Read a card"),
    "js_uid": ("Nummer einer Karte, hexadezimal", "Number of a card, hexadecimal"),
    "js_stop": ("Abbrechen", "Cancel"),
    "js_chosen": ("Gefunden", "Found"),
    "js_kind": ("Bauart", "Kind"),
    "js_lines": ("Relais darauf", "Relays on it"),
    "js_pulse": ("Relais {line} schalten", "Pulse relay {line}"),
    "js_pulse_sure": ("Öffnet wirklich. Nochmals tippen", "It really opens. Tap again"),
    "js_turned": ("Was hat sich gedreht?", "What turned?"),
    "js_nothing": ("Nichts davon", "None of these"),
    "js_move": ("Festlegen", "Learn"),
    "js_moved": ("geschaltet: {n}", "moved: {n}"),
    "js_active": ("jetzt aktiv", "active now"),
    "js_here": ("Kontakte hängen hier", "Contacts are here"),
    "js_not_here": ("Doch nicht", "Not here after all"),
    "js_sizes": ("Anschlüsse", "Inputs"),
    "js_gpio_sure": (
        "Nur, wenn kein Relais an diesen Stiften hängt. Nochmals tippen",
        "Only if no relay hangs on these pins. Tap again",
    ),
    "js_watched": ("Aktiv: {lines}", "Active: {lines}"),
    "js_quiet": ("Alle in Ruhe.", "All at rest."),
    "js_pulses": ("Impulse bisher: {n}", "Pulses so far: {n}"),
    "js_anew": ("Neu beginnen", "Begin anew"),
    "js_anew_sure": ("Alles hier wird vergessen. Nochmals tippen", "All of this is forgotten. Tap again"),
    "js_heard": ("gelesen: {n}", "read: {n}"),
    "js_pn532": ("PN532 dahinter", "PN532 behind it"),
    "js_no_board": ("Ist kein Relais", "No relay board"),
    "js_order": ("Programmiercode", "Programming code"),
    "js_guide": ("Im Handbuch des Herstellers:", "In the maker's guide:"),
    "js_untried": (
        "Nicht an einem echten Scanner erprobt: piepst er nicht, den Code aus dem Handbuch nehmen.",
        "Not tried on a real scanner: if it does not beep, take the code from its guide.",
    ),
    "js_complete": ("Alles da.", "Nothing is missing."),
    "js_started": (
        "Geschrieben. Das Tor startet, die Seite öffnet sich gleich neu.",
        "Written. The gate starts, this page opens again in a moment.",
    ),
    "js_failed": ("Keine Verbindung zur Box.", "No connection to the box."),
}

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "scanner": ("Scanner", "scanner"),
    "tag_reader": ("Tag-Leser", "tag reader"),
    "adapter": ("Serieller Adapter", "serial adapter"),
    "relay": ("Relais", "relay board"),
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


def label(key: str, language: Language) -> str:
    """Return a word of the page."""
    return LABELS[key][0 if language is Language.DE else 1]
