"""The page's own words, German and English: headings, buttons, states. What parts say of themselves is `edge.words`."""

from collections.abc import Mapping
from typing import Final

from admission.reasons import Language

PAGE_LANGUAGES: Final = (Language.DE, Language.EN)
"""The page speaks these; reasons speak all four."""


def labels(language: Language) -> dict[str, str]:
    """Return every label in a language of the page."""
    column = 0 if language is Language.DE else 1
    return {key: both[column] for key, both in LABELS.items()}


def page_language(language: Language) -> Language:
    """Return the page's language for a reader of any of the four."""
    return language if language in PAGE_LANGUAGES else Language.EN


# Swiss German spelling. Keys with `js_` are for the script; the others stand in index.html or in what is sent.
LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("Tor", "Gate"),
    "lang": ("de", "en"),
    "switch_language": ("Sprache", "Language"),
    "verdict_ready": ("Bereit", "Ready"),
    "verdict_degraded": ("Eingeschränkt", "Degraded"),
    "verdict_not_ready": ("Nicht bereit", "Not ready"),
    "all_well": ("Alle Geräte arbeiten, die Liste ist da.", "All devices work, the list is here."),
    "waiting": ("Verbindet …", "Connecting …"),
    "lanes": ("Spuren", "Lanes"),
    "parts": ("Geräte und Dienste", "Devices and services"),
    "scans": ("Letzte Scans", "Last scans"),
    "scans_none": ("Noch nichts gescannt.", "Nothing scanned yet."),
    "reasons_in": ("Gründe auf", "Reasons in"),
    "entries": ("Eintritte", "Entries"),
    "exits": ("Austritte", "Exits"),
    "inside": ("drinnen", "inside"),
    "about": ("Über diese Box", "About this box"),
    "version": ("Version", "Version"),
    "gate_number": ("Tor Nummer", "Gate number"),
    "run": ("Lauf", "Run"),
    "running_since": ("Läuft seit", "Running since"),
    "list": ("Liste", "List"),
    "records": ("Gespeicherte Einträge", "Records stored"),
    "fingerprint": ("Fingerabdruck des Zertifikats (SHA-256)", "Certificate fingerprint (SHA-256)"),
    "fingerprint_why": (
        "Vergleichen Sie ihn einmal mit dem, was Ihr Browser zum Zertifikat anzeigt. Der QR-Code führt zu dieser Seite.",
        "Compare it once with what your browser shows of the certificate. The QR code leads to this page.",
    ),
    "no_script": ("Diese Seite braucht JavaScript.", "This page needs JavaScript."),
    "unlock": ("Entsperren", "Unlock"),
    "unlock_why": ("Zum Umschalten und Testen.", "To switch lanes and to test."),
    "pin": ("PIN, 8 Ziffern", "PIN, 8 digits"),
    "open": ("Entsperren", "Unlock"),
    "cancel": ("Abbrechen", "Cancel"),
    "lock": ("Sperren", "Lock"),
    "steward": ("Ihre Nummer", "Your number"),
    "steward_why": ("Steht im Protokoll bei allem, was Sie tun.", "Recorded with all that you do."),
    "box": ("Diese Box", "This box"),
    "sync": ("Jetzt abgleichen", "Sync now"),
    "identify": ("Piepsen und blinken", "Beep and blink"),
    "go": ("Öffnen?", "Go or no-go"),
    "go_since": ("Geprobt seit", "Rehearsed since"),
    "bundle": ("Für den Support herunterladen", "Download for support"),
    "bundle_why": (
        "Ohne Tickets, Codes, Schlüssel und Nummern von Personen.",
        "Without tickets, codes, keys and people's numbers.",
    ),
    "restart": ("Neu starten", "Restart"),
    "js_restart_sure": ("Kurz kommt niemand durch. Nochmals tippen", "Nobody passes for a moment. Tap again"),
    "js_lost": ("Keine Verbindung zur Box seit", "No connection to the box since"),
    "js_tap_again": ("Nochmals tippen", "Tap again"),
    "js_pulse_entry": ("Test: Eingang öffnen", "Test: open entry"),
    "js_pulse_exit": ("Test: Ausgang öffnen", "Test: open exit"),
    "js_admit": ("Von Hand einlassen", "Let in by hand"),
    "js_why": ("Grund", "Reason"),
    "js_persons": ("Personen", "People"),
    "js_clear_fire": ("Brandalarm quittieren", "Clear fire alarm"),
    "js_number": ("Dazu braucht es Ihre Nummer", "This needs your number"),
    "js_annul": ("Zurücknehmen", "Annul"),
    "js_cancel": ("Abbrechen", "Cancel"),
    "js_seen": ("Gesehen", "Acknowledge"),
    "js_reset": ("{zone}: alle draussen", "{zone}: everybody out"),
    "js_reset_sure": (
        "{people} zählen als draussen. Nochmals tippen",
        "{people} will count as outside. Tap again",
    ),
    "js_person": ("1 Person", "1 person"),
    "js_people": ("{n} Personen", "{n} people"),
    "js_code": ("Ticketcode, wenn vorhanden", "Ticket code, if there is one"),
    "js_done": ("Erledigt", "Done"),
    "js_failed": ("Nicht erreichbar, nochmals versuchen.", "Not reachable, try again."),
    "js_since": ("seit", "since"),
    "js_ticket": ("Ticket", "Ticket"),
    "js_fire": ("Brandalarm", "Fire alarm"),
    "js_busy": ("jemand geht durch", "somebody is passing"),
    "js_tests": ("Testen und von Hand", "Tests and by hand"),
    "alerts": ("Personal gerufen", "Staff called"),
    "count_anew": ("Anwesenheit zurücksetzen", "Reset presence"),
    "count_anew_why": (
        "Wer drinnen ist, zählt danach als draussen. Benutzte Tickets bleiben benutzt.",
        "Whoever is inside counts as outside afterwards. Used tickets stay used.",
    ),
    "by_hand": ("von Hand", "by hand"),
    "use_free": ("Das Ticket ist wieder frei.", "The ticket is free again."),
    "still_inside": ("Zählt weiter als drinnen.", "Still counts as inside."),
    "after_given_back": ("Freigegeben, nicht durchgegangen", "Released, did not pass"),
    "after_passed": ("durchgegangen", "passed"),
    "after_assumed": ("wohl durchgegangen", "passed, assumed"),
    "after_late": ("spät durchgegangen", "passed late"),
    "after_annulled": ("Eintritt zurückgenommen", "Admission annulled"),
    "health_ok": ("gut", "good"),
    "health_degraded": ("eingeschränkt", "degraded"),
    "health_bad": ("Fehler", "fault"),
    "health_off": ("aus", "off"),
    "part_reader": ("Leser", "Reader"),
    "part_relay": ("Relais", "Relay"),
    "part_sensor": ("Kontakte", "Contacts"),
    "part_list": ("Liste", "List"),
    "part_log": ("Protokoll", "Log"),
    "part_uplink": ("Zentrale", "Centre"),
    "part_peers": ("Andere Tore", "Other gates"),
    "part_clock": ("Uhr", "Clock"),
    "part_lane": ("Spur", "Lane"),
    "state_closed": ("Geschlossen", "Closed"),
    "state_controlled": ("Kontrolliert", "Controlled"),
    "state_free_exit": ("Ausgang frei", "Free exit"),
    "state_free_both": ("Alles frei", "Free both"),
    "state_out_of_service": ("Ausser Betrieb", "Out of service"),
    "state_emergency": ("Notfall", "Emergency"),
    "state_rehearsal": ("Probe", "Rehearsal"),
    "display_admit": ("Eingelassen", "Admitted"),
    "display_exit": ("Ausgang", "Exit"),
    "display_already_used": ("Schon benutzt", "Already used"),
    "display_refused": ("Abgewiesen", "Refused"),
    "display_check": ("Prüfen", "Check"),
    "display_not_ready": ("Nicht bereit", "Not ready"),
    "display_wait": ("Warten", "Wait"),
    "flag_flagged": ("gemeldet", "flagged"),
    "flag_rehearsal": ("Probe", "rehearsal"),
    "flag_unsure": ("unsicher: Tore getrennt", "unsure: gates cut off"),
    "flag_before_durable": ("nicht gespeichert", "not stored"),
}
