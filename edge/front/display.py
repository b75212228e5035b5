"""The display at a lane: the words of its states in four languages, and the page that shows them.

What is shown of one scan is `edge.front.view.scan_view`, as on the technician's page, without the PIN: no ticket, and a name only of
who asked to be greeted, where the display may show it (`edge.front.shown_names`).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from admission.reasons import Language
from edge.front.template import filled

BEAT_S = 2.0
"""A display hears at least this often that the box lives; it says NOT READY after three beats were missed."""
OLD_S = 2.0
"""A display that took nothing for so long is told of no scan from before: somebody else stands in front of it."""
PACE_S = 0.03
"""A person waits in front of it: two frames of a screen, where a phone's list may be a little late."""

# Order of `Language`: de, fr, it, en. Swiss German spelling. Keys are `ScanView.display`, and what the page itself says.
WORDS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "admit": ("EINTRETEN", "ENTREZ", "ENTRI", "ADMIT"),
    "exit": ("AUSGANG", "SORTIE", "USCITA", "EXIT"),
    "already_used": ("SCHON BENUTZT", "DÉJÀ UTILISÉ", "GIÀ USATO", "ALREADY USED"),
    "refused": ("KEIN ZUTRITT", "REFUSÉ", "RIFIUTATO", "REFUSED"),
    "check": ("PRÜFEN", "CONTRÔLE", "CONTROLLO", "CHECK"),
    "not_ready": ("NICHT BEREIT", "PAS PRÊT", "NON PRONTO", "NOT READY"),
    "wait": ("WARTEN", "ATTENDEZ", "ATTENDA", "WAIT"),
    "tap_tag": ("BAND HINHALTEN", "APPROCHEZ LE BRACELET", "AVVICINI IL BRACCIALETTO", "TAP WRISTBAND"),
    "ticket_first": ("ZUERST TICKET", "D’ABORD LE BILLET", "PRIMA IL BIGLIETTO", "TICKET FIRST"),
    "bound": ("VERBUNDEN", "BRACELET LIÉ", "COLLEGATO", "BOUND"),
    "other_tag": ("ANDERES BAND", "AUTRE BRACELET", "ALTRO BRACCIALETTO", "ANOTHER BAND"),
    "idle": ("Bitte Ticket zeigen", "Présentez votre billet", "Mostri il biglietto", "Show your ticket"),
    "leave": ("VERLASSEN", "ÉVACUEZ", "USCIRE", "LEAVE"),
    "closed": ("Durchgang geschlossen", "Passage fermé", "Passaggio chiuso", "Lane closed"),
    "staff": ("Personal rufen", "Appelez le personnel", "Chiamare il personale", "Call staff"),
    "lost": (
        "Keine Verbindung zur Box",
        "Pas de liaison avec le boîtier",
        "Nessun collegamento al box",
        "No connection to the box",
    ),
    "no_lane": (
        "Diesen Durchgang gibt es nicht",
        "Ce passage n’existe pas",
        "Questo passaggio non esiste",
        "There is no such lane",
    ),
    "sound": ("Ton einschalten", "Activer le son", "Attivare il suono", "Turn sound on"),
    "quiet": ("Ton aus", "Couper le son", "Togliere il suono", "Sound off"),
    "language": ("Sprache", "Langue", "Lingua", "Language"),
}


def words(language: Language) -> dict[str, str]:
    """Return everything the display says by itself."""
    column = tuple(Language).index(language)
    return {key: texts[column] for key, texts in WORDS.items()}


def display_page(source: str, lane: int, language: Language) -> str:
    """Fill display.html in. The words of all languages go with it: a key changes them without asking the box."""
    spoken = {one.value: words(one) for one in Language}
    values = {
        **words(language),
        "lang": language.value,
        "lane": str(lane),
        "words": msgspec.json.encode(spoken).decode(),
    }
    return filled(source, values)
