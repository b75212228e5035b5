"""What each code of a tile, an answer or an event means, and what to do about it: for a technician, in German and English
(`edge.french_italian` has what stewards read).

Every code used in `edge` has its row here (a test holds that). {names} are filled from the tile's `args`; a [part] is
left out where one of its values is not known. A value whose name ends in `_s` is a time, in `_names` a list of names,
one a line. A driver's own words ({what}, {hint}) are technical English.
"""

import re
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from admission.reasons import Language

VALUE_CHARS_MAX = 200
"""Longer values (an exception's text) are cut: a tile is not a log."""
NAMES_MAX = 4
"""More names than these are counted: a tile is read at a glance."""
_UNIX_MIN = 1_000_000_000
"""A number of seconds from here on is a time of day, not a length."""
UNIX_END = 32_503_680_000
"""Year 3000: what a clock says beyond is no time, and the C library may refuse to write it."""


_DAYS: Final = {Language.DE: "Tg.", Language.FR: "j", Language.IT: "g", Language.EN: "d"}
_MORE: Final = {Language.DE: "weitere", Language.FR: "autres", Language.IT: "altri", Language.EN: "more"}
_AND: Final = {Language.DE: "und", Language.FR: "et", Language.IT: "e", Language.EN: "and"}


class Sentence(NamedTuple):
    """Cause, and the next action; `fix` is "" where there is nothing to do."""

    cause: str
    fix: str


class _Row(NamedTuple):
    de: Sentence
    en: Sentence


def sentence(code: str, args: Mapping[str, str | int], language: Language) -> Sentence:
    """Say a code. An unknown one is shown as it is, never as nothing. French and Italian get English where they have no words."""
    row = WORDS.get(code)
    if row is None:
        return Sentence(code, "")
    own = row.de if language is Language.DE else row.en
    if language in {Language.FR, Language.IT}:
        from edge.french_italian import FRENCH_ITALIAN  # noqa: PLC0415 - a gate where nobody reads them need not hold them

        if texts := FRENCH_ITALIAN.get(code):
            own = Sentence(*(texts[:2] if language is Language.FR else texts[2:]))
    return Sentence(fill(own.cause, args, language), fill(own.fix, args, language))


def placeholders(code: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names a code's sentences need, and those they can do without."""
    needed: set[str] = set()
    optional: set[str] = set()
    for one in WORDS[code]:
        for text in one:
            optional |= {name for part in _OPTIONAL.findall(text) for name in _NAME.findall(part)}
            needed |= set(_NAME.findall(_OPTIONAL.sub("", text)))
    return frozenset(needed), frozenset(optional - needed)


def length_of(seconds: float, language: Language) -> str:
    """Write a length of time with one unit: `40 s`, `12 min`, `3 h`, `2 d`."""
    for size, unit in ((86_400, _DAYS[language]), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


_OPTIONAL: Final = re.compile(r"\[([^\[\]]*)\]")
_NAME: Final = re.compile(r"\{(\w+)\}")


def fill(text: str, args: Mapping[str, str | int], language: Language) -> str:
    """Fill in what is known; a part in [brackets] is left out where something of it is not."""
    known = {name: _value(name, value, language) for name, value in args.items() if value not in ("", None)}

    def part(found: re.Match[str]) -> str:
        return found[1] if all(name in known for name in _NAME.findall(found[1])) else ""

    return _NAME.sub(lambda found: known.get(found[1], "?"), _OPTIONAL.sub(part, text)).strip()


def _value(name: str, value: str | int, language: Language) -> str:
    if name.endswith("_names"):
        return _listed(str(value).split("\n"), language)
    if isinstance(value, str):
        return value[:VALUE_CHARS_MAX]
    if name.endswith("_s"):
        if _UNIX_MIN <= value < UNIX_END:
            return time.strftime("%d.%m. %H:%M", time.localtime(value))
        return length_of(value, language)
    return f"{value:,}" if language is Language.EN else f"{value:,}".replace(",", "’")


def _listed(names: list[str], language: Language) -> str:
    """Write names as people say them: `North, East and West`; beyond `NAMES_MAX` how many more there are."""
    shown = [name[:VALUE_CHARS_MAX] for name in names]
    if len(shown) > NAMES_MAX:
        more = len(shown) - NAMES_MAX + 1
        shown = [*shown[: NAMES_MAX - 1], f"{more} {_MORE[language]}"]
    *first, last = shown
    joint = f" {_AND[language]} "
    return f"{', '.join(first)}{joint}{last}" if first else last


def _row(de: str, de_fix: str, en: str, en_fix: str) -> _Row:
    return _Row(Sentence(de, de_fix), Sentence(en, en_fix))


# Swiss German spelling.
WORDS: Final[Mapping[str, _Row]] = {
    # --- readers, relay boards, contacts -------------------------------------------------------------------------
    "device.ok": _row("In Ordnung[: {what}]", "", "Working[: {what}]", ""),
    "device.opening": _row("Wird geöffnet", "Kurz warten.", "Opening", "Wait a moment."),
    "device.gone": _row(
        "Nicht gefunden oder ausgesteckt[: {what}]",
        "Kabel und Stromversorgung prüfen; danach geht es von selbst weiter.[ {hint}]",
        "Not found or unplugged[: {what}]",
        "Check cable and power; it carries on by itself afterwards.[ {hint}]",
    ),
    "device.misbehaved": _row(
        "Antwortet falsch oder gar nicht[: {what}]",
        "Gerät kurz vom Strom trennen; bleibt es so, Kabel oder Gerät tauschen.[ {hint}]",
        "Answers wrongly or not at all[: {what}]",
        "Power-cycle the device; if it stays so, change cable or device.[ {hint}]",
    ),
    "device.misconfigured": _row(
        "Falsch eingerichtet[: {what}]",
        "Konfiguration berichtigen, dann `gatehouse-edge check`.[ {hint}]",
        "Wrongly configured[: {what}]",
        "Correct the configuration, then run `gatehouse-edge check`.[ {hint}]",
    ),
    "device.defect": _row(
        "Fehler im Programm[ ({what})], Treiber startet neu",
        "Mit dem Journal von gatehouse-edge melden; die anderen Geräte laufen weiter.",
        "Defect in the program[ ({what})], the driver starts again",
        "Report it with the journal of gatehouse-edge; the other devices carry on.",
    ),
    "reader.layout": _row(
        "Zehn falsche Codes in Folge: Tastaturlayout des Scanners",
        "Layout des Scanners auf US stellen, oder `layout` in der Konfiguration anpassen.",
        "Ten bad codes in a row: the scanner's keyboard layout",
        "Set the scanner to US layout, or change `layout` in the configuration.",
    ),
    "reader.genuine": _row(
        "Nur Chips mit Signatur des Herstellers. Ein schwacher Filter: auch eine Kopie kann sie tragen",
        "",
        "Only chips that their maker signed. A weak filter: a copy may carry the signature too",
        "",
    ),
    # --- list ----------------------------------------------------------------------------------------------------
    "list.ok": _row(
        "Aktuell[: Version {version}][, {rows} Einträge]",
        "",
        "Up to date[: version {version}][, {rows} entries]",
        "",
    ),
    "list.old": _row(
        "Nicht erneuert[ seit {since_s}][ (Stand {sealed_s})]",
        "Verbindung zur Zentrale prüfen. Es wird weiter eingelassen.",
        "Not renewed[ for {since_s}][ (as of {sealed_s})]",
        "Check the connection to the centre. People are still let in.",
    ),
    "list.none": _row(
        "Keine Liste: niemand kann eingelassen werden",
        "Box einmal mit der Zentrale verbinden, oder eine Liste laden.",
        "No list: nobody can be let in",
        "Connect the box to its centre once, or load a list file.",
    ),
    "list.corrupt": _row(
        "Listendatei ist beschädigt[: {what}]",
        "Box mit der Zentrale verbinden: die Liste wird neu geholt.",
        "The list file is damaged[: {what}]",
        "Connect the box to its centre: the list is fetched again.",
    ),
    "list.rolled_back": _row(
        "Ältere Liste abgelehnt[: Version {version}]; die bisherige gilt weiter",
        "Zentrale prüfen: wurde sie aus einer Sicherung zurückgeholt?",
        "Older list refused[: version {version}]; the present one stays in use",
        "Check the centre: was it restored from a backup?",
    ),
    # --- log -----------------------------------------------------------------------------------------------------
    "log.ok": _row("Speichert[: {records} Einträge]", "", "Storing[: {records} records]", ""),
    "log.full": _row(
        "Speicher voll[; {waiting} Einträge im Arbeitsspeicher][: {kind}]",
        "Platz schaffen oder grössere Karte einsetzen; Box eingeschaltet lassen.",
        "Disk full[; {waiting} records in memory][: {kind}]",
        "Free some room or fit a larger card; keep the box powered.",
    ),
    "log.fault": _row(
        "Speicher nimmt nichts an[; {waiting} Einträge im Arbeitsspeicher][: {kind}]",
        "Karte bald ersetzen; Box bis dahin eingeschaltet lassen.",
        "The disk takes nothing[; {waiting} records in memory][: {kind}]",
        "Change the card soon; keep the box powered until then.",
    ),
    "log.salvaged": _row(
        "Protokoll war beschädigt[: {kept} Einträge gerettet, {missing} fehlen]",
        "Karte ersetzen, wenn es wieder vorkommt. Die alte Datei bleibt daneben liegen.",
        "The log was damaged[: {kept} records saved, {missing} missing]",
        "Change the card if this happens again. The old file is kept beside it.",
    ),
    "log.read_only": _row(
        "Datenordner ist schreibgeschützt[: {what}]",
        "Ordner für den Benutzer des Tors beschreibbar machen; sonst Karte ersetzen.",
        "The data folder is read-only[: {what}]",
        "Make the folder writable for the gate's user; else change the card.",
    ),
    # --- uplink --------------------------------------------------------------------------------------------------
    "others.fork": _row(
        "Das Protokoll von {gate} gibt es zweimal, oder es fehlt ein Stück davon",
        "Beide Fassungen sind aufbewahrt. In der Zentrale nachsehen, ob eine Speicherkarte kopiert wurde.",
        "There are two logs of {gate}, or a part of its log is missing",
        "Both versions are kept. See at the centre whether a memory card was copied.",
    ),
    "others.refused": _row(
        "Aufzeichnungen von {gate} sind nicht echt oder unlesbar und zählen nicht",
        "In der Zentrale nachsehen, ob {gate} getauscht oder neu angemeldet wurde.",
        "Records of {gate} are not genuine or cannot be read, and do not count",
        "See at the centre whether {gate} was swapped or enrolled anew.",
    ),
    "others.unsigned": _row(
        "Was {gate} zuletzt aufzeichnete, ist nicht signiert und zählt hier noch nicht",
        "{gate} einschalten: mit dem nächsten Start zählt es. Ist die Box verloren, in der Zentrale nachsehen.",
        "What {gate} recorded last is not signed, and does not count here yet",
        "Turn {gate} on: it counts with its next start. If the box is lost, see at the centre.",
    ),
    "others.doubted": _row(
        "{gate} will mehr Personen durchgelassen haben, als seine Spuren können: was es sagt, gilt als unsicher",
        "Bei {gate} nachsehen. Stimmt es, ihm hier mit der PIN wieder glauben; sonst in der Zentrale ausschliessen und neu anmelden.",
        "{gate} claims to have let more people through than its lanes can: what it says is taken as unsure",
        "Look at {gate}. If it is true, believe it again here with the PIN; else shut it out at the centre and enrol it anew.",
    ),
    "others.revoked": _row(
        "{gate} ist ausgeschlossen: was dort danach aufgezeichnet wurde, zählt nicht",
        "In der Zentrale nachsehen, weshalb; nach einer neuen Anmeldung zählt {gate} wieder.",
        "{gate} is shut out: what it recorded afterwards does not count",
        "See at the centre why; once it is enrolled anew, {gate} counts again.",
    ),
    "uplink.ok": _row(
        "Verbunden[; {queued} zu senden][; heute {today_mb} MB][; {silent_names} seit {silent_s} nicht gehört]"
        "[; {unheard_names} noch nie gehört]",
        "",
        "Connected[; {queued} to send][; {today_mb} MB today][; {silent_names} not heard for {silent_s}]"
        "[; {unheard_names} not heard yet]",
        "",
    ),
    "uplink.rests": _row(
        "Verbunden; ruht, bis jemand kommt[; heute {today_mb} MB]",
        "",
        "Connected; at rest until somebody comes[; {today_mb} MB today]",
        "",
    ),
    # --- modem ---------------------------------------------------------------------------------------------------
    "modem.ok": _row(
        "Verbunden[ mit {operator}][, {technology}][, Signal {signal} %]",
        "",
        "Connected[ to {operator}][, {technology}][, signal {signal} %]",
        "",
    ),
    "modem.roaming": _row(
        "Verbunden in fremdem Netz[: {operator}][, {technology}][, Signal {signal} %]",
        "Fremde Netze können teuer sein: `cap_mb_per_day` begrenzt, was die Box braucht.",
        "Connected while roaming[: {operator}][, {technology}][, signal {signal} %]",
        "Roaming may be expensive: `cap_mb_per_day` limits what the box uses.",
    ),
    "modem.weak": _row(
        "Schwacher Empfang[: {signal} %][, {operator}][, {technology}]",
        "Antenne versetzen oder eine äussere anschliessen. Alles geht weiter, nur langsamer.",
        "Weak signal[: {signal} %][, {operator}][, {technology}]",
        "Move the antenna or connect an external one. Everything goes on, only slower.",
    ),
    "modem.no_bus": _row(
        "Modem unbekannt: der Systembus (D-Bus) antwortet nicht",
        "`systemctl status dbus` prüfen. Die Verbindung zur Zentrale hängt nicht davon ab.",
        "Modem unknown: the system bus (D-Bus) does not answer",
        "Check `systemctl status dbus`. The connection to the centre does not depend on it.",
    ),
    "modem.no_manager": _row(
        "Modem unbekannt: ModemManager läuft nicht",
        "`systemctl enable --now ModemManager`, oder `[modem]` aus der Konfiguration nehmen.",
        "Modem unknown: ModemManager does not run",
        "`systemctl enable --now ModemManager`, or take `[modem]` out of the configuration.",
    ),
    "modem.none": _row(
        "Kein Modem gefunden",
        "USB-Stecker und Stromversorgung des Modems prüfen; es braucht bis zu einer Minute.",
        "No modem found",
        "Check the modem's USB plug and power; it takes up to a minute.",
    ),
    "modem.starting": _row("Modem startet", "Kurz warten.", "Modem is starting", "Wait a moment."),
    "modem.disabled": _row(
        "Modem ist ausgeschaltet",
        "`mmcli -m any --enable`, oder die Verbindung im NetworkManager einschalten.",
        "Modem is switched off",
        "`mmcli -m any --enable`, or switch the connection on in NetworkManager.",
    ),
    "modem.sim_missing": _row(
        "Keine SIM-Karte",
        "SIM einlegen, Kontakte nach unten; danach das Modem kurz vom Strom trennen.",
        "No SIM card",
        "Insert the SIM, contacts down; then power-cycle the modem.",
    ),
    "modem.sim_error": _row(
        "SIM-Karte wird nicht gelesen",
        "SIM herausnehmen, Kontakte reinigen, wieder einlegen; sonst andere SIM.",
        "The SIM card cannot be read",
        "Take the SIM out, clean its contacts, put it back; else use another SIM.",
    ),
    "modem.sim_locked": _row(
        "SIM-Karte verlangt eine PIN[ ({tries} Versuche)]",
        "PIN in der Verbindung eintragen (`nmcli connection modify … gsm.pin`), oder die PIN der SIM ausschalten.",
        "The SIM card asks for a PIN[ ({tries} tries)]",
        "Enter the PIN in the connection (`nmcli connection modify … gsm.pin`), or switch the SIM's PIN off.",
    ),
    "modem.sim_wrong_pin": _row(
        "Falsche PIN für die SIM-Karte[, noch {tries} Versuche]",
        "PIN in der Verbindung berichtigen, bevor die SIM sperrt.",
        "Wrong PIN for the SIM card[, {tries} tries left]",
        "Correct the PIN in the connection before the SIM locks.",
    ),
    "modem.sim_puk": _row(
        "SIM-Karte ist gesperrt: sie verlangt die PUK",
        "PUK vom Anbieter holen: `mmcli -i any --puk=… --pin=…`.",
        "The SIM card is blocked: it asks for its PUK",
        "Get the PUK from the operator: `mmcli -i any --puk=… --pin=…`.",
    ),
    "modem.denied": _row(
        "Das Netz weist die SIM-Karte ab[: {operator}]",
        "Beim Anbieter fragen: Vertrag, Guthaben, Sperre.",
        "The network turns the SIM card away[: {operator}]",
        "Ask the operator: contract, credit, block.",
    ),
    "modem.searching": _row(
        "Sucht ein Netz",
        "Antenne prüfen; in einem Keller oder Container eine äussere anschliessen.",
        "Searching for a network",
        "Check the antenna; in a cellar or a container connect an external one.",
    ),
    "modem.not_connected": _row(
        "Im Netz[ von {operator}], aber ohne Datenverbindung",
        "Zugangspunkt (APN) in der Verbindung prüfen.",
        "Registered[ with {operator}], but without a data connection",
        "Check the access point (APN) in the connection.",
    ),
    "modem.failed": _row(
        "Modem gestört",
        "Modem vom Strom trennen; bleibt es so, tauschen.",
        "The modem failed",
        "Power-cycle the modem; if it stays so, replace it.",
    ),
    "peers.ok": _row(
        "{here} von {of} Toren im Netz[, {carried} Einträge für sie an die Zentrale gebracht]",
        "",
        "{here} of {of} gates on this network[, {carried} records brought to the centre for them]",
        "",
    ),
    "peers.refused": _row(
        "Ein Gerät im Netz wurde abgewiesen ({why})",
        "Es gibt sich als Tor aus. Gesperrte oder fremde Box suchen und abstecken.",
        "A device on this network was turned away ({why})",
        "It claims to be a gate. Look for a revoked or unknown box and unplug it.",
    ),
    "uplink.cap_near": _row(
        "Verbunden; heute {today_mb} von {cap_mb} MB gebraucht[; {queued} zu senden]",
        "Ganze Listen kommen nur noch stündlich. Eigene Aufzeichnungen und Sperren gehen weiter. Grenze: `cap_mb_per_day`.",
        "Connected; {today_mb} of {cap_mb} MB used today[; {queued} to send]",
        "Whole lists come only once an hour. Own records and cancels go on. The limit is `cap_mb_per_day`.",
    ),
    "uplink.cap_over": _row(
        "Datengrenze erreicht: heute {today_mb} von {cap_mb} MB[; {queued} zu senden]",
        "Was andere Tore einlassen, kommt nur alle 20 min: derselbe Code kann inzwischen an zwei Toren eingelassen werden. "
        "Eigene Aufzeichnungen und Sperren gehen weiter. `cap_mb_per_day` erhöhen, oder bis morgen warten.",
        "Data limit reached: {today_mb} of {cap_mb} MB today[; {queued} to send]",
        "What other gates let in comes only every 20 min: one code may enter at two gates meanwhile. Own records and cancels "
        "go on. Raise `cap_mb_per_day`, or wait until tomorrow.",
    ),
    "uplink.cap_list": _row(
        "Datengrenze: eine neue Liste wartet, und mit ihr Sperren; heute {today_mb}[ von {cap_mb}] MB[; {queued} zu senden]",
        "Sie kommt spätestens in sechs Stunden. Sofort: `cap_mb_per_day` erhöhen und die Box neu starten.",
        "Data limit: a new list waits, and cancels with it; {today_mb}[ of {cap_mb}] MB today[; {queued} to send]",
        "It comes within six hours. At once: raise `cap_mb_per_day` and restart the box.",
    ),
    "uplink.cut_off": _row(
        "Von der Zentrale getrennt[ seit {cut_s}][, {scan} Scan wartet][, {scans} Scans warten]"
        "[, im Austausch mit {near_names}][, {silent_names} seit {silent_s} nicht gehört]"
        "[, {unheard_names} noch nie gehört]",
        "Netzwerk prüfen. Das Tor arbeitet allein weiter.",
        "Cut off from the centre[ for {cut_s}][, {scan} scan waiting][, {scans} scans waiting]"
        "[, sharing with {near_names}][, {silent_names} not heard for {silent_s}]"
        "[, {unheard_names} not heard yet]",
        "Check the network. The gate carries on by itself.",
    ),
    "uplink.refused": _row(
        "Zentrale weist diese Box ab[: {why}]",
        "Box in der Zentrale freigeben oder neu anmelden (`gatehouse-edge enrol`).",
        "The centre refuses this box[: {why}]",
        "Admit the box at the centre or enrol it again (`gatehouse-edge enrol`).",
    ),
    "uplink.list_refused": _row(
        "Neue Liste abgelehnt[: {why}]; die bisherige gilt weiter",
        "Zentrale prüfen: falscher Schlüssel oder ältere Liste.",
        "New list refused[: {why}]; the present one stays in use",
        "Check the centre: wrong key, or an older list.",
    ),
    "uplink.fork": _row(
        "Das Protokoll dieses Tors geht an zwei Orten weiter: die Speicherkarte wurde kopiert oder zurückgesetzt",
        "Nur eine der Boxen weiter betreiben, die andere neu anmelden. Beide Fassungen sind aufbewahrt; die Zentrale "
        "zeigt, wer zweimal eingelassen wurde.",
        "This gate's log goes on in two places: its memory card was copied or put back to an older state",
        "Keep one of the boxes, enrol the other anew. Both versions are kept; the centre shows who was let in twice.",
    ),
    "uplink.rewind": _row(
        "Die Karte weiss weniger, als die Zentrale von dieser Box schon hat: das Fehlende wird geholt",
        "Wurde ein älteres Abbild eingespielt? Sonst Karte ersetzen: sie verliert, was sie schon gespeichert hatte.",
        "The card knows less than the centre already has of this box: what is missing is fetched",
        "Was an older image put back? Else change the card: it loses what it had stored already.",
    ),
    "uplink.anew": _row(
        "Abgleich blieb stecken ({what}): Liste und Aufzeichnungen anderer Tore werden neu geholt[; {queued} zu senden]",
        "Bleibt es so: mit dem Journal von gatehouse-edge melden. Eigene Aufzeichnungen sind nicht betroffen.",
        "Synchronising was stuck ({what}): list and other gates' records are fetched anew[; {queued} to send]",
        "If it stays so, report it with the journal of gatehouse-edge. The gate's own records are not touched.",
    ),
    "uplink.defect": _row(
        "Ein Fehler im Programm hält {what} auf[; {queued} zu senden]; alles andere läuft weiter, es wird wieder versucht",
        "Mit dem Journal von gatehouse-edge melden. Eingelassen wird weiter.",
        "A defect of the program holds {what} up[; {queued} to send]; all else goes on, and it is tried again",
        "Report it with the journal of gatehouse-edge. It goes on letting people in.",
    ),
    "uplink.list_stale": _row(
        "Keine bestätigte Auskunft zur Liste[ seit {since_s}][: {why}]; die bisherige gilt weiter",
        "Netzwerk zur Zentrale prüfen: etwas dazwischen hält Neues zurück. Zentrale aktualisieren.",
        "No proved word on the list[ since {since_s}][: {why}]; the present one stays in use",
        "Check the network to the centre: something between holds news back. Update the centre.",
    ),
    "uplink.roster_over_age": _row(
        "Verzeichnis der Tore abgelaufen[ seit {over_s}]: neue Aufzeichnungen anderer Tore zählen hier nicht"
        "[; {queued} zu senden]",
        "Mit der Zentrale verbinden: die Box holt sich selbst ein neues. Eingelassen wird weiter.",
        "The roster of gates ran out[ {over_s}]: new records of other gates do not count here[; {queued} to send]",
        "Connect the box to its centre: it fetches a new one by itself. It goes on letting people in.",
    ),
    "uplink.starting": _row("Verbindet", "Kurz warten.", "Connecting", "Wait a moment."),
    "uplink.unenrolled": _row(
        "Diese Box gehört noch zu keiner Zentrale",
        "In der Zentrale einen Code holen, dann `gatehouse-edge enrol URL CODE`.",
        "This box belongs to no centre yet",
        "Get a code at the centre, then run `gatehouse-edge enrol URL CODE`.",
    ),
    # --- clock ---------------------------------------------------------------------------------------------------
    "clock.synced": _row("Genau", "", "Accurate", ""),
    "clock.rtc": _row(
        "Aus der Batterieuhr, nicht abgeglichen",
        "Netzwerk oder Zeitserver verbinden, sobald möglich.",
        "From the battery clock, not synchronised",
        "Connect a network or time server when you can.",
    ),
    "clock.floor": _row(
        "Nicht abgeglichen: Zeitfenster werden nur grob geprüft",
        "Netzwerk oder Zeitserver verbinden.",
        "Not synchronised: hours are judged only roughly",
        "Connect a network or time server.",
    ),
    "clock.unknown": _row(
        "Uhr geht sicher falsch: Zeitfenster werden nicht geprüft",
        "Netzwerk oder Zeitserver verbinden; Batterie der Uhr prüfen.",
        "The clock is certainly wrong: hours are not judged",
        "Connect a network or time server; check the clock's battery.",
    ),
    "clock.ahead": _row(
        "Uhr der Box geht {off_s} vor: es gilt die Zeit der Zentrale",
        "Zeitserver verbinden, Batterie der Uhr prüfen. Bis dahin nach einem Neustart zuerst verbinden.",
        "The box's clock is {off_s} ahead: the centre's time is used",
        "Connect a time server, check the clock's battery. Until then connect first after a restart.",
    ),
    "clock.behind": _row(
        "Uhr der Box geht {off_s} nach: es gilt die Zeit der Zentrale",
        "Zeitserver verbinden, Batterie der Uhr prüfen. Bis dahin nach einem Neustart zuerst verbinden.",
        "The box's clock is {off_s} behind: the centre's time is used",
        "Connect a time server, check the clock's battery. Until then connect first after a restart.",
    ),
    "clock.no_chip": _row(
        "Batterieuhr fehlt oder zeigt ein unmögliches Datum: Zeitfenster werden nur grob geprüft",
        "Batterie der Uhr wechseln; Netzwerk oder Zeitserver verbinden. Ohne Batterieuhr `rtc = false` einstellen.",
        "The battery clock is missing or shows an impossible date: hours are judged only roughly",
        "Change the clock's battery; connect a network or time server. Without such a clock set `rtc = false`.",
    ),
    "clock.timezone": _row(
        "Zeitzone {timezone} unbekannt: nachts wird nicht zurückgesetzt",
        "Zeitzone in der Zentrale berichtigen, oder das Paket tzdata installieren.",
        "Time zone {timezone} is not known: nothing is reset at night",
        "Correct the time zone at the centre, or install the package tzdata.",
    ),
    "clock.stepped": _row(
        "Uhr wurde verstellt[ um {stepped_s}]",
        "Wenn es sich wiederholt: Zeitserver und Batterie prüfen.",
        "The clock was moved[ by {stepped_s}]",
        "If it happens again: check time server and battery.",
    ),
    # --- lanes ---------------------------------------------------------------------------------------------------
    "lane.ok": _row("Bereit", "", "Ready", ""),
    "lane.closed": _row(
        "Geschlossen", "Unten auf «Kontrolliert» stellen.", "Closed", "Set it to “Controlled” below."
    ),
    "lane.out_of_service": _row(
        "Ausser Betrieb",
        "Unten auf «Kontrolliert» stellen.",
        "Out of service",
        "Set it to “Controlled” below.",
    ),
    "lane.free_exit": _row("Ausgang frei, Eingang mit Ticket", "", "Exit free, entrance by ticket", ""),
    "lane.free_both": _row(
        "Offen ohne Kontrolle",
        "Unten auf «Kontrolliert» stellen, wenn wieder geprüft werden soll.",
        "Open without control",
        "Set it to “Controlled” below when tickets are to be checked again.",
    ),
    "lane.not_ready": _row(
        "Drehkreuz meldet nicht bereit[: {what}]",
        "Strom, Not-Halt und Verkabelung des Kontakts READY prüfen.",
        "The turnstile says not ready[: {what}]",
        "Check its power, its emergency stop and the wiring of READY.",
    ),
    "lane.fault": _row(
        "Drehkreuz meldet eine Störung",
        "Hindernis im Durchgang entfernen, dann das Drehkreuz aus- und einschalten; bleibt sie, den Hersteller rufen.",
        "The turnstile reports a fault",
        "Clear the way, then switch the turnstile off and on; if it stays, call its maker.",
    ),
    "lane.no_power": _row(
        "Drehkreuz ohne Strom: beide Durchgangskontakte sind offen",
        "Netzteil, Sicherung und Not-Halt des Drehkreuzes prüfen.",
        "The turnstile has no power: both its passage contacts are open",
        "Check its supply, its fuse and its emergency stop.",
    ),
    "lane.fire": _row(
        "Brandalarm: niemand wird eingelassen",
        "Nach dem Ende des Alarms unten quittieren.",
        "Fire alarm: nobody is let in",
        "Clear it below once the alarm is over.",
    ),
    "lane.emergency": _row(
        "Notfall: Durchgang offen",
        "Nach dem Ende auf «Kontrolliert» stellen.",
        "Emergency: the way is open",
        "Set it to “Controlled” when it is over.",
    ),
    "lane.rehearsal": _row(
        "Probebetrieb: nichts zählt",
        "Vor dem Einlass auf «Kontrolliert» stellen.",
        "Rehearsal: nothing counts",
        "Set it to “Controlled” before doors open.",
    ),
    "lane.no_plan": _row(
        "Kein Plan: die Liste nennt diese Spur nicht",
        "In der Zentrale der Spur eine Zone und Vorstellung zuweisen.",
        "No plan: the list does not name this lane",
        "Give the lane a zone and a session at the centre.",
    ),
    # --- front and page ------------------------------------------------------------------------------------------
    "front.ok": _row("Seite läuft[: {url}]", "", "The page is up[: {url}]", ""),
    "front.starting": _row("Das Tor startet", "Kurz warten.", "The gate is starting", "Wait a moment."),
    "front.no_lane": _row(
        "Das Programm des Tors antwortet nicht",
        "Kurz warten; bleibt es so, Box neu starten (`systemctl restart gatehouse-edge`).",
        "The gate's program does not answer",
        "Wait a moment; if it stays so, restart the box (`systemctl restart gatehouse-edge`).",
    ),
    "front.slow": _row(
        "Die Seite kam nicht nach und wurde getrennt", "", "The page did not keep up; cut off", ""
    ),
    "front.gone": _row(
        "Seite und Verbindung zur Zentrale starten neu",
        "Kurz warten; bleibt es so, Journal von gatehouse-edge ansehen.",
        "Page and uplink are starting again",
        "Wait a moment; if it stays so, see the journal of gatehouse-edge.",
    ),
    "page.pin_wrong": _row("Falsche PIN", "Nochmals versuchen.", "Wrong PIN", "Try again."),
    "page.pin_locked": _row(
        "Zu oft eine falsche PIN[; warten: {wait_s}]",
        "Warten, oder an der Konsole eine neue erzeugen: `gatehouse-edge pin`.",
        "Too many wrong PINs[; wait {wait_s}]",
        "Wait, or make a new one on the console: `gatehouse-edge pin`.",
    ),
    "page.no_pin": _row(
        "Diese Box hat noch keine PIN",
        "An der Konsole eine erzeugen: `gatehouse-edge pin`.",
        "This box has no PIN yet",
        "Make one on the console: `gatehouse-edge pin`.",
    ),
    "page.no_session": _row(
        "Dazu braucht es die PIN", "PIN eingeben.", "This needs the PIN", "Enter the PIN."
    ),
    "page.not_secure": _row(
        "Die PIN reist nur verschlüsselt",
        "Die Seite mit https:// öffnen, oder auf der Box selbst.",
        "The PIN travels encrypted only",
        "Open the page with https://, or on the box itself.",
    ),
    "page.bad_request": _row(
        "Unverständliche Anfrage[: {what}]",
        "Seite neu laden.",
        "Request not understood[: {what}]",
        "Reload the page.",
    ),
    # --- what staff are called for -------------------------------------------------------------------------------
    "alert.intrusion": _row(
        "Durchgang ohne Ticket",
        "Person ansprechen und Ticket prüfen.",
        "Somebody passed without a ticket",
        "Speak to them and check their ticket.",
    ),
    "alert.tailgate": _row(
        "Zwei auf ein Ticket",
        "Die zweite Person ansprechen und ihr Ticket prüfen.",
        "Two passed on one ticket",
        "Speak to the second one and check their ticket.",
    ),
    "alert.forced": _row(
        "Tür ohne Freigabe geöffnet",
        "Zur Tür gehen; nachsehen, wer hereinkam, und ob das Schloss hält.",
        "The door was opened by force",
        "Go there; see who came in, and whether the lock holds.",
    ),
    "alert.held": _row(
        "Tür steht zu lange offen",
        "Tür zumachen; nachsehen, ob etwas im Weg ist.",
        "The door is held open",
        "Close it; see whether something is in its way.",
    ),
    "alert.detector": _row(
        "Drehkreuz meldet einen Eindringling",
        "Nachsehen, wer durchkroch, überstieg oder dicht folgte.",
        "The turnstile detects an intruder",
        "See who crawled under, climbed over or followed closely.",
    ),
    "alert.fault": _row(
        "Drehkreuz meldet eine Störung",
        "Hindernis entfernen; Leute an den nächsten Eingang schicken.",
        "The turnstile reports a fault",
        "Clear the way; send people to the next entrance.",
    ),
    "alert.fire": _row(
        "Brandalarm",
        "Eingang räumen, Ausgänge frei halten.",
        "Fire alarm",
        "Clear the entry, keep exits free.",
    ),
    "alert.emergency": _row(
        "Notfall eingeschaltet", "Durchgang frei halten.", "Emergency was set", "Keep the way free."
    ),
    "alert.relay": _row(
        "Die Sperre hat nicht geöffnet",
        "Person von Hand einlassen; Relais und Kabel prüfen.",
        "The barrier did not open",
        "Let the person in by hand; check relay and cable.",
    ),
    "alert.attention": _row(
        "Personal gebraucht", "Zur Spur gehen und nachsehen.", "Staff needed", "Go to the lane and look."
    ),
    # --- one ticket's timeline -----------------------------------------------------------------------------------
    "timeline.entry": _row("eingelassen", "", "let in", ""),
    "timeline.again": _row("wieder eingelassen", "", "let in again", ""),
    "timeline.exit": _row("Ausgang freigegeben", "", "exit opened", ""),
    "timeline.passed": _row("durchgegangen", "", "passed", ""),
    "timeline.left": _row("hinausgegangen", "", "left", ""),
    "timeline.given_back": _row("nicht durchgegangen", "", "did not pass", ""),
    "timeline.bound": _row("Band verbunden, Code ersetzt", "", "wristband bound, code replaced", ""),
    "timeline.annulled": _row("Eintritt zurückgenommen", "", "admission annulled", ""),
    "timeline.none": _row(
        "Von diesem Ticket ist hier noch kein Eintritt und kein Austritt bekannt",
        "Was abgewiesen wurde, steht in der Liste der Scans.",
        "Neither an entry nor an exit of this ticket is known here",
        "What was refused stands in the list of scans.",
    ),
    # --- go or no-go ---------------------------------------------------------------------------------------------
    "go.go": _row(
        "Bereit zum Öffnen: jede Spur ist seit {asked} geprobt",
        "",
        "Go: every lane was rehearsed since {asked}",
        "",
    ),
    "go.no_go": _row("Noch nicht öffnen", "", "No-go", ""),
    "go.rehearsed": _row("geprobt[ {at_s}]", "", "rehearsed[ {at_s}]", ""),
    "go.not_rehearsed": _row(
        "seit {asked} nicht geprobt: auf «Probe» stellen und mit einem Ticket durchgehen",
        "",
        "not rehearsed since {asked}: set it to “Rehearsal” and walk through with a ticket",
        "",
    ),
    "go.still_rehearsal": _row(
        "steht noch auf Probe: auf «Kontrolliert» stellen",
        "",
        "still in rehearsal: set it to “Controlled”",
        "",
    ),
    # --- answers to commands -------------------------------------------------------------------------------------
    "command.done": _row("Erledigt", "", "Done", ""),
    "command.no_lane": _row(
        "Diese Spur gibt es nicht", "Seite neu laden.", "No such lane", "Reload the page."
    ),
    "command.no_state": _row(
        "Diesen Zustand gibt es nicht", "Seite neu laden.", "No such state", "Reload the page."
    ),
    "command.no_way": _row(
        "Diese Richtung hat die Spur nicht", "", "The lane does not have this direction", ""
    ),
    "command.refused": _row(
        "Jetzt nicht möglich[: {what}]",
        "Zustand der Spur ansehen und nochmals versuchen.",
        "Not possible now[: {what}]",
        "See the state of the lane and try again.",
    ),
    "command.no_ticket": _row(
        "Dieses Ticket ist nicht in der Liste",
        "Nummer prüfen, oder ohne Ticket von Hand einlassen.",
        "This ticket is not on the list",
        "Check the number, or let in by hand without a ticket.",
    ),
    "command.no_admission": _row(
        "Das ist kein Eintritt mit Ticket: da ist nichts zurückzunehmen",
        "",
        "This is no admission of a ticket: there is nothing to take back",
        "",
    ),
    "command.no_zone": _row(
        "Diese Zone gibt es nicht", "Seite neu laden.", "No such zone", "Reload the page."
    ),
    "command.no_steward": _row(
        "Dazu braucht es Ihre Nummer",
        "Oben die Nummer eingeben.",
        "This needs your number",
        "Enter your number above.",
    ),
    "command.no_reason": _row(
        "Dazu braucht es einen Grund", "Grund eingeben.", "This needs a reason", "Enter a reason."
    ),
    "command.too_many": _row(
        "Höchstens {most} Personen auf einmal",
        "Kleinere Zahl eingeben, oder `admit_max` in der Konfiguration ändern.",
        "At most {most} people at once",
        "Enter a smaller number, or change `admit_max` in the configuration.",
    ),
    "command.overrides_done": _row(
        "Nummer {steward} hat in der letzten Stunde {done} Personen von Hand eingelassen, erlaubt sind {most}",
        "Warten, oder die Einsatzleitung rufen; die Grenze ist `overrides_per_hour` in der Konfiguration.",
        "Number {steward} let {done} people in by hand within the last hour; {most} are allowed",
        "Wait, or call the supervisor; the limit is `overrides_per_hour` in the configuration.",
    ),
    "command.annuls_done": _row(
        "Nummer {steward} hat in der letzten Stunde {done} Eintritte zurückgenommen, erlaubt sind {most}",
        "Warten, oder die Einsatzleitung rufen; die Grenze ist `annuls_per_hour` in der Konfiguration.",
        "Number {steward} took {done} admissions back within the last hour; {most} are allowed",
        "Wait, or call the supervisor; the limit is `annuls_per_hour` in the configuration.",
    ),
    "command.tags_done": _row(
        "Nummer {steward} hat in der letzten Stunde {done} Bänder beschrieben, erlaubt sind {most}",
        "Warten, oder die Einsatzleitung rufen; die Grenze ist `tags_per_hour` in der Konfiguration.",
        "Number {steward} wrote {done} wristbands within the last hour; {most} are allowed",
        "Wait, or call the supervisor; the limit is `tags_per_hour` in the configuration.",
    ),
    "command.annulled": _row(
        "Dieser Eintritt ist schon zurückgenommen", "", "This admission was taken back already", ""
    ),
    "command.fire_still_on": _row(
        "Der Brandkontakt meldet noch Alarm",
        "Erst die Brandmeldeanlage zurückstellen.",
        "The fire contact still says alarm",
        "Reset the fire alarm system first.",
    ),
    "command.fire_first": _row(
        "An einer Spur ist der Brandalarm noch nicht quittiert",
        "Zuerst dort quittieren.",
        "A lane's fire alarm is not cleared yet",
        "Clear it there first.",
    ),
    "command.no_alarm": _row(
        "In dieser Zone war kein Brandalarm", "", "There was no fire alarm in this zone", ""
    ),
    "command.fire_on": _row(
        "Brandalarm: jetzt kein Neustart",
        "Erst den Alarm quittieren.",
        "Fire alarm: no restart now",
        "Clear the alarm first.",
    ),
    "command.busy": _row(
        "Gerade geht jemand durch",
        "Gleich nochmals versuchen.",
        "Somebody is passing",
        "Try again in a moment.",
    ),
    "command.by_hand": _row(
        "Diese Konfiguration wurde von Hand geschrieben",
        "Die Datei gate.toml von Hand wegräumen und neu starten.",
        "This configuration was written by hand",
        "Move gate.toml away by hand, then restart.",
    ),
    "command.unsaved": _row(
        "Einträge sind erst im Arbeitsspeicher: ein Neustart verlöre sie",
        "Kachel Protokoll ansehen; erst muss der Speicher wieder annehmen.",
        "Records are in memory only: a restart would lose them",
        "See the log tile; the disk must take them first.",
    ),
    "command.not_saved": _row(
        "Ausgeführt, aber noch nicht gespeichert",
        "Kachel Protokoll ansehen; nach einem Stromausfall gilt es vielleicht nicht.",
        "Carried out, but not yet stored",
        "See the log tile; after a power cut it may not hold.",
    ),
    "command.not_done": _row(
        "Nicht ausgeführt",
        "Journal von gatehouse-edge ansehen.",
        "Not carried out",
        "See the gatehouse-edge journal.",
    ),
}
