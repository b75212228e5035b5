"""Why a visitor is not simply let in, and how it is said.

One table: each reason has the display state it leads to, one short line for the visitor and one hint for the steward,
in German, French, Italian and English. Numbers are in records: never change one, never use one again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Final

from admission.records import Direction, Outcome


class Reason(IntEnum):
    """Reasons of checks and denials, in the order in which they are judged at an entry."""

    NONE = 0
    MALFORMED = 1
    NOT_READY = 2
    FORGED = 3
    UNKNOWN_ISSUER = 4
    UNKNOWN = 5
    BANNED_TAG = 6
    INACTIVE_TAG = 7
    CANCELLED = 8
    REPLACED = 9
    BANNED = 10
    REDEEMED = 11
    UNPAID = 12
    UNAPPROVED = 13
    WRONG_EVENT = 14
    WRONG_DATE = 15
    TOO_EARLY = 16
    EXPIRED = 17
    WRONG_ZONE = 18
    ALREADY_USED = 19
    ALREADY_INSIDE = 20
    LIMIT_REACHED = 21
    FULL = 22
    OFFLINE = 23
    AMBIGUOUS = 24
    # judged after `unknown_issuer`, and numbered later
    COPIED_TAG = 25
    REPLAYED_TAP = 26
    # of a check-in station
    TAG_TAKEN = 27
    RANDOM_TAG = 28
    # of a reader that lets only genuine chips count; judged after `copied_tag`
    NOT_GENUINE = 29
    # reasons of `check` and `wait`
    UNLISTED = 40
    AFTER_RESTART = 41
    CHECK_ID = 42
    CHECK_REDUCED_FARE = 43
    CHECK_NOTE = 44
    BUSY = 45
    EXIT_PENDING = 46
    SCANNER_LAYOUT = 47
    ASKING = 48


class DisplayState(Enum):
    """Six states, not two: what a person sees at a glance."""

    ADMIT = "admit"
    ALREADY_USED = "already_used"
    REFUSED = "refused"
    CHECK = "check"
    NOT_READY = "not_ready"
    WAIT = "wait"


class Language(Enum):
    """The languages a gate speaks."""

    DE = "de"
    FR = "fr"
    IT = "it"
    EN = "en"


class Line(StrEnum):
    """What is said where there is no reason: an open way, or something that concerns the whole lane."""

    ADMIT = "admit"
    EXIT = "exit"
    GROUP = "group"
    WELCOME = "welcome"
    CLOSED = "closed"
    LEAVE = "leave"
    TAP_TAG = "tap_tag"
    TICKET_FIRST = "ticket_first"
    BOUND = "bound"


VISITOR_CHARS_MAX = 40
"""Two rows of the smallest display in use (20 characters each)."""
STEWARD_CHARS_MAX = 90
"""Read at a glance, at arm's length, in the sun."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One answer, ready to show. `steward` is empty where there is nothing to do."""

    display: DisplayState
    visitor: str
    steward: str


_Texts = tuple[str, str, str, str]
_COLUMN: Final = {language: at for at, language in enumerate(Language)}


@dataclass(frozen=True, slots=True)
class _Row:
    """Texts in the order of `Language`. [Brackets] hold what is said only when its {gate} or {time} is known."""

    display: DisplayState
    visitor: _Texts
    steward: _Texts


_OPTIONAL: Final = re.compile(r"\[([^]]*)\]")
_PLACEHOLDER: Final = re.compile(r"\{gate\}|\{time\}|\{count\}")


def fill(text: str, *, gate: str = "", time: str = "", count: int = 0) -> str:
    """Put the known values into a text; a [part] whose value is unknown is left out. Values are never read as text."""
    values = {"{gate}": gate, "{time}": time, "{count}": str(count) if count else ""}

    def part(found: re.Match[str]) -> str:
        inner = found[1]
        return "" if any(name in inner and not value for name, value in values.items()) else inner

    kept = _OPTIONAL.sub(part, text)
    return _PLACEHOLDER.sub(lambda found: values[found[0]], kept)


def say(
    outcome: Outcome,
    reason: Reason,
    language: Language,
    *,
    direction: Direction = Direction.ENTRY,
    gate: str = "",
    time: str = "",
) -> Saying:
    """Say a verdict. `gate`: name of the gate it names; `time`: of the last use, or when it opens or ended; "" unknown.

    A check or a wait without a reason is said like a note and a busy lane: nothing is ever shown blank.
    """
    if outcome is Outcome.GRANT:
        return say_line(Line.EXIT if direction is Direction.EXIT else Line.ADMIT, language)
    if reason is Reason.NONE:
        reason = {Outcome.CHECK: Reason.CHECK_NOTE, Outcome.WAIT: Reason.BUSY}.get(outcome, Reason.NOT_READY)
    return _saying(_REASONS[reason], language, gate=gate, time=time)


def say_line(line: Line, language: Language, *, count: int = 0) -> Saying:
    """Say what needs no reason. `count`: people of a group, or still to pass."""
    return _saying(_LINES.get(line) or _LINES_OF_DESK[line], language, count=count)


def _saying(row: _Row, language: Language, *, gate: str = "", time: str = "", count: int = 0) -> Saying:
    column = _COLUMN[language]
    return Saying(
        row.display,
        fill(row.visitor[column], gate=gate, time=time, count=count),
        fill(row.steward[column], gate=gate, time=time, count=count),
    )


# Swiss German spelling. The visitor is spoken to formally and told what to do; the steward gets the next action.
# A forged and an unknown ticket sound alike to the visitor: nothing is learnt by trying.
_LINES: Final[Mapping[Line, _Row]] = {
    Line.ADMIT: _Row(
        DisplayState.ADMIT,
        ("Bitte eintreten", "Entrez, je vous prie", "Prego, entri", "Please enter"),
        ("Gültig.", "Valable.", "Valido.", "Valid."),
    ),
    Line.EXIT: _Row(
        DisplayState.ADMIT,
        ("Auf Wiedersehen", "Au revoir", "Arrivederci", "Goodbye"),
        ("Ausgang frei.", "Sortie libre.", "Uscita libera.", "Exit is open."),
    ),
    Line.GROUP: _Row(
        DisplayState.ADMIT,
        (
            "Gruppe: bitte einzeln eintreten[ ({count})]",
            "Groupe: entrez un par un[ ({count})]",
            "Gruppo: entrate uno alla volta[ ({count})]",
            "Group: enter one at a time[ ({count})]",
        ),
        (
            "Gruppe einlassen[: noch {count}]. Bitte mitzählen.",
            "Laisser entrer le groupe[: encore {count}]. Compter les personnes.",
            "Far entrare il gruppo[: ancora {count}]. Contare le persone.",
            "Let the group in[: {count} to go]. Please count them.",
        ),
    ),
    Line.WELCOME: _Row(
        DisplayState.WAIT,
        (
            "Willkommen. Bitte Ticket zeigen",
            "Bienvenue. Présentez votre billet",
            "Benvenuti. Prego, mostrare il biglietto",
            "Welcome. Please show your ticket",
        ),
        ("Bereit.", "Prêt.", "Pronto.", "Ready."),
    ),
    Line.CLOSED: _Row(
        DisplayState.NOT_READY,
        (
            "Dieser Durchgang ist geschlossen",
            "Ce passage est fermé",
            "Questo passaggio è chiuso",
            "This lane is closed",
        ),
        (
            "Spur ist geschlossen. Anderen Durchgang zeigen.",
            "Passage fermé. Indiquer un autre passage.",
            "Passaggio chiuso. Indicare un altro passaggio.",
            "Lane is closed. Show people another lane.",
        ),
    ),
    Line.LEAVE: _Row(
        DisplayState.NOT_READY,
        (
            "Bitte verlassen Sie das Gelände",
            "Veuillez quitter les lieux",
            "Si prega di lasciare l'area",
            "Please leave the venue now",
        ),
        (
            "Alarm: niemanden einlassen, Ausgänge freihalten. Danach Alarm quittieren.",
            "Alarme: ne laisser entrer personne, dégager les sorties. Puis acquitter l'alarme.",
            "Allarme: non far entrare nessuno, uscite libere. Poi confermare l'allarme.",
            "Alarm: let nobody in, keep exits clear. Clear the alarm when it is over.",
        ),
    ),
}

_LINES_OF_DESK: Final[Mapping[Line, _Row]] = {
    Line.TAP_TAG: _Row(
        DisplayState.WAIT,
        (
            "Ticket gültig. Jetzt Band hinhalten",
            "Billet valable. Approchez le bracelet",
            "Valido. Ora avvicini il braccialetto",
            "Ticket valid. Now tap the wristband",
        ),
        (
            "Ticket geprüft: jetzt ein neues Band an den Leser halten.",
            "Billet contrôlé: approcher un bracelet neuf du lecteur.",
            "Biglietto controllato: avvicinare un braccialetto nuovo al lettore.",
            "Ticket checked: hold a new wristband to the reader.",
        ),
    ),
    Line.TICKET_FIRST: _Row(
        DisplayState.WAIT,
        (
            "Bitte zuerst das Ticket zeigen",
            "Montrez d'abord votre billet",
            "Mostri prima il biglietto",
            "Please show your ticket first",
        ),
        (
            "Dieses Band ist frei. Zuerst das Ticket scannen, dann das Band hinhalten.",
            "Ce bracelet est libre. D'abord scanner le billet, puis approcher le bracelet.",
            "Questo braccialetto è libero. Prima il biglietto, poi il braccialetto.",
            "This wristband is free. Scan the ticket first, then tap it.",
        ),
    ),
    Line.BOUND: _Row(
        DisplayState.ADMIT,
        (
            "Ihr Band gilt jetzt als Ticket",
            "Votre bracelet sert de billet",
            "Il braccialetto vale come biglietto",
            "Your wristband is your ticket now",
        ),
        (
            "Verbunden. Der Code auf Papier gilt nicht mehr.",
            "Lié. Le code sur papier n'est plus valable.",
            "Collegato. Il codice su carta non vale più.",
            "Bound. The paper code is no longer valid.",
        ),
    ),
}

_R: Final = DisplayState.REFUSED
_REASONS: Final[Mapping[Reason, _Row]] = {
    Reason.MALFORMED: _Row(
        _R,
        (
            "Code nicht lesbar. Bitte nochmals",
            "Code illisible. Veuillez réessayer",
            "Codice illeggibile. Riprovi",
            "Code not readable. Please try again",
        ),
        (
            "Kein Ticketcode. Bildschirm heller stellen, sonst Nummer von Hand eingeben.",
            "Ce n'est pas un code de billet. Augmenter la luminosité ou saisir le numéro.",
            "Non è un codice di biglietto. Aumentare la luminosità o digitare il numero.",
            "Not a ticket code. Turn up the screen's brightness or type the number.",
        ),
    ),
    Reason.NOT_READY: _Row(
        DisplayState.NOT_READY,
        (
            "Durchgang nicht bereit. Bitte warten",
            "Passage pas prêt. Veuillez patienter",
            "Passaggio non pronto. Attendere, prego",
            "Lane not ready. Please wait",
        ),
        (
            "Spur ist nicht bereit. Ursache auf der Seite der Box ansehen.",
            "Le passage n'est pas prêt. Voir la cause sur la page du boîtier.",
            "Il passaggio non è pronto. Vedere la causa sulla pagina del box.",
            "The lane is not ready. See the cause on the box's own page.",
        ),
    ),
    Reason.FORGED: _Row(
        _R,
        (
            "Ticket ungültig. Bitte zum Schalter",
            "Billet non valable. Allez au guichet",
            "Biglietto non valido. Vada alla cassa",
            "Ticket not valid. Go to the box office",
        ),
        (
            "Signatur falsch: gefälscht oder verändert. Nicht einlassen, Vorgesetzte rufen.",
            "Signature fausse: falsifié ou modifié. Ne pas laisser entrer, appeler le responsable.",
            "Firma errata: falso o alterato. Non far entrare, chiamare il responsabile.",
            "Bad signature: forged or altered. Do not let in, call your supervisor.",
        ),
    ),
    Reason.UNKNOWN_ISSUER: _Row(
        _R,
        (
            "Ticket ungültig. Bitte zum Schalter",
            "Billet non valable. Allez au guichet",
            "Biglietto non valido. Vada alla cassa",
            "Ticket not valid. Go to the box office",
        ),
        (
            "Aussteller hier nicht zugelassen. Anderer Anlass? Sonst zum Schalter schicken.",
            "Émetteur non admis ici. Autre événement? Sinon envoyer au guichet.",
            "Emittente non ammesso qui. Altro evento? Altrimenti mandare alla cassa.",
            "Issuer not accepted here. Another event? Else send to the box office.",
        ),
    ),
    Reason.UNKNOWN: _Row(
        _R,
        (
            "Ticket ungültig. Bitte zum Schalter",
            "Billet non valable. Allez au guichet",
            "Biglietto non valido. Vada alla cassa",
            "Ticket not valid. Go to the box office",
        ),
        (
            "Nicht in der Liste. Nach dem richtigen Ticket fragen, sonst zum Schalter schicken.",
            "Pas dans la liste. Demander le bon billet, sinon envoyer au guichet.",
            "Non è nella lista. Chiedere il biglietto giusto, altrimenti alla cassa.",
            "Not on the list. Ask for the right ticket, else send to the box office.",
        ),
    ),
    Reason.COPIED_TAG: _Row(
        _R,
        (
            "Ticket ungültig. Bitte zum Schalter",
            "Billet non valable. Allez au guichet",
            "Biglietto non valido. Vada alla cassa",
            "Ticket not valid. Go to the box office",
        ),
        (
            "Kopie: der Inhalt gehört zu einem anderen Chip. Nicht einlassen, Vorgesetzte rufen.",
            "Copie: contenu d'une autre puce. Ne pas laisser entrer, appeler le responsable.",
            "Copia: il contenuto è di un altro chip. Non far entrare, chiamare il responsabile.",
            "A copy: this content is another tag's. Do not let in, call your supervisor.",
        ),
    ),
    Reason.TAG_TAKEN: _Row(
        _R,
        (
            "Dieses Band gehört schon jemandem",
            "Ce bracelet est déjà attribué",
            "Braccialetto già assegnato",
            "This wristband is already taken",
        ),
        (
            "Anderes Band nehmen. Wem dieses gehört, steht in der Zentrale.",
            "Prendre un autre bracelet. La centrale sait à qui est celui-ci.",
            "Prendere un altro braccialetto. La centrale sa di chi è questo.",
            "Take another wristband. The centre knows whose this one is.",
        ),
    ),
    Reason.RANDOM_TAG: _Row(
        _R,
        (
            "Das geht nicht als Ticket",
            "Ceci ne peut servir de billet",
            "Questo non può valere come biglietto",
            "This cannot be your ticket",
        ),
        (
            "Nummer wechselt bei jedem Hinhalten, etwa Handy oder Bankkarte. Ein Band nehmen.",
            "Son numéro change à chaque fois: téléphone ou carte bancaire. Prendre un bracelet.",
            "Il numero cambia ogni volta: telefono o carta bancaria. Prendere un braccialetto.",
            "Its number changes with each tap: a phone or bank card. Take a wristband.",
        ),
    ),
    Reason.NOT_GENUINE: _Row(
        _R,
        (
            "Band nicht gültig. Nochmals hinhalten",
            "Bracelet refusé. Approchez-le encore",
            "Braccialetto non accettato. Riprovi",
            "Wristband not accepted. Tap it again",
        ),
        (
            "Keine gültige Herstellersignatur auf dem Chip. Ruhig halten, sonst anderes Band.",
            "Pas de signature valable du fabricant sur la puce. Tenir immobile, sinon autre bracelet.",
            "Il chip non ha una firma valida del produttore. Tenerlo fermo, altrimenti cambiarlo.",
            "The chip has no valid signature of its maker. Hold it still, else take another band.",
        ),
    ),
    Reason.REPLAYED_TAP: _Row(
        _R,
        (
            "Bitte Chip nochmals hinhalten",
            "Présentez votre puce encore une fois",
            "Avvicini di nuovo il chip",
            "Please hold your tag here again",
        ),
        (
            "Diese Antwort des Chips kam schon einmal. Bleibt es dabei, ist es eine Kopie.",
            "Cette réponse de la puce a déjà servi. Si cela se répète, c'est une copie.",
            "Questa risposta del chip è già stata usata. Se si ripete, è una copia.",
            "The tag gave this answer before. If it happens again, it is a copy.",
        ),
    ),
    Reason.BANNED_TAG: _Row(
        _R,
        (
            "Karte gesperrt. Bitte zum Schalter",
            "Carte bloquée. Allez au guichet",
            "Tessera bloccata. Vada alla cassa",
            "Tag blocked. Go to the box office",
        ),
        (
            "Dieser Chip ist gesperrt (verloren, gestohlen). Einziehen, zum Schalter schicken.",
            "Cette puce est bloquée (perdue, volée). La retenir, envoyer au guichet.",
            "Questo chip è bloccato (perso, rubato). Ritirarlo, mandare alla cassa.",
            "This tag is blocked (lost, stolen). Keep it, send to the box office.",
        ),
    ),
    Reason.INACTIVE_TAG: _Row(
        _R,
        (
            "Bitte Ihre aktuelle Karte zeigen",
            "Présentez votre carte actuelle",
            "Mostri la Sua tessera attuale",
            "Please show your current tag",
        ),
        (
            "Nicht der aktive Chip dieser Person. Nach dem neuen Chip oder dem Ticket fragen.",
            "Pas la puce active de cette personne. Demander la nouvelle puce ou le billet.",
            "Non è il chip attivo della persona. Chiedere quello nuovo o il biglietto.",
            "Not this person's active tag. Ask for the new tag or the ticket.",
        ),
    ),
    Reason.CANCELLED: _Row(
        _R,
        (
            "Ticket storniert. Bitte zum Schalter",
            "Billet annulé. Allez au guichet",
            "Biglietto annullato. Vada alla cassa",
            "Ticket cancelled. Go to the box office",
        ),
        (
            "Storniert. Nicht einlassen, zum Schalter schicken.",
            "Annulé. Ne pas laisser entrer, envoyer au guichet.",
            "Annullato. Non far entrare, mandare alla cassa.",
            "Cancelled. Do not let in, send to the box office.",
        ),
    ),
    Reason.REPLACED: _Row(
        _R,
        (
            "Ersetzt. Bitte neues Ticket zeigen",
            "Remplacé. Présentez le nouveau billet",
            "Sostituito. Mostri il nuovo biglietto",
            "Replaced. Please show the new ticket",
        ),
        (
            "Umgetauscht, weiterverkauft oder neu gedruckt. Nach dem neuen Ticket fragen.",
            "Échangé, revendu ou réimprimé. Demander le nouveau billet.",
            "Cambiato, rivenduto o ristampato. Chiedere il nuovo biglietto.",
            "Exchanged, resold or reissued. Ask for the new ticket.",
        ),
    ),
    Reason.BANNED: _Row(
        _R,
        (
            "Kein Einlass. Bitte warten",
            "Entrée refusée. Veuillez patienter",
            "Ingresso negato. Attendere, prego",
            "No admission. Please wait",
        ),
        (
            "Gesperrt. Nicht einlassen, Sicherheitsdienst rufen.",
            "Interdit d'entrée. Ne pas laisser entrer, appeler la sécurité.",
            "Escluso. Non far entrare, chiamare la sicurezza.",
            "Banned. Do not let in, call security.",
        ),
    ),
    Reason.REDEEMED: _Row(
        DisplayState.ALREADY_USED,
        (
            "Ticket bereits eingelöst",
            "Billet déjà validé",
            "Biglietto già convalidato",
            "Ticket already redeemed",
        ),
        (
            "Von Hand als eingelöst vermerkt. Am Schalter klären.",
            "Marqué validé à la main. À régler au guichet.",
            "Segnato a mano come convalidato. Chiarire alla cassa.",
            "Marked as redeemed by hand. Sort it out at the box office.",
        ),
    ),
    Reason.UNPAID: _Row(
        _R,
        (
            "Noch nicht bezahlt. Bitte zum Schalter",
            "Pas encore payé. Allez au guichet",
            "Non ancora pagato. Vada alla cassa",
            "Not paid yet. Go to the box office",
        ),
        (
            "Zahlung offen. Zum Bezahlen an den Schalter schicken.",
            "Paiement en attente. Envoyer payer au guichet.",
            "Pagamento in sospeso. Mandare a pagare alla cassa.",
            "Payment is outstanding. Send to the box office to pay.",
        ),
    ),
    Reason.UNAPPROVED: _Row(
        _R,
        (
            "Noch nicht bestätigt. Bitte melden",
            "Pas encore validé. Adressez-vous à nous",
            "Non ancora approvato. Si rivolga a noi",
            "Not approved yet. Please ask our staff",
        ),
        (
            "Akkreditierung wartet auf Freigabe. An die Akkreditierungsstelle verweisen.",
            "Accréditation en attente. Envoyer au bureau des accréditations.",
            "Accredito in attesa. Mandare all'ufficio accrediti.",
            "Accreditation awaits approval. Send to the accreditation desk.",
        ),
    ),
    Reason.WRONG_EVENT: _Row(
        _R,
        (
            "Ticket für einen anderen Anlass",
            "Billet pour un autre événement",
            "Biglietto per un altro evento",
            "Ticket for another event",
        ),
        (
            "Gilt für einen anderen Anlass. Nach dem richtigen Ticket fragen.",
            "Valable pour un autre événement. Demander le bon billet.",
            "Vale per un altro evento. Chiedere il biglietto giusto.",
            "Valid for another event. Ask for the right ticket.",
        ),
    ),
    Reason.WRONG_DATE: _Row(
        _R,
        (
            "Ticket für ein anderes Datum",
            "Billet pour une autre date",
            "Biglietto per un'altra data",
            "Ticket for another date",
        ),
        (
            "Gilt für ein anderes Datum oder eine andere Vorstellung. Datum auf dem Ticket zeigen.",
            "Valable pour une autre date ou séance. Montrer la date sur le billet.",
            "Vale per un'altra data o rappresentazione. Mostrare la data sul biglietto.",
            "Valid on another date or for another show. Point out the date on the ticket.",
        ),
    ),
    Reason.TOO_EARLY: _Row(
        _R,
        (
            "Noch kein Einlass[: ab {time}]",
            "Trop tôt[: entrée dès {time}]",
            "Troppo presto[: ingresso dalle {time}]",
            "Too early[: entry from {time}]",
        ),
        (
            "Noch nicht gültig[, erst ab {time}]. Später wiederkommen lassen.",
            "Pas encore valable[, dès {time}]. Faire revenir plus tard.",
            "Non ancora valido[, dalle {time}]. Far tornare più tardi.",
            "Not valid yet[, from {time}]. Ask to come back later.",
        ),
    ),
    Reason.EXPIRED: _Row(
        _R,
        (
            "Ticket abgelaufen[ ({time})]",
            "Billet expiré[ ({time})]",
            "Biglietto scaduto[ ({time})]",
            "Ticket expired[ ({time})]",
        ),
        (
            "Gültigkeit vorbei[ seit {time}]. Zum Schalter schicken.",
            "Validité passée[ depuis {time}]. Envoyer au guichet.",
            "Validità scaduta[: {time}]. Mandare alla cassa.",
            "No longer valid[ since {time}]. Send to the box office.",
        ),
    ),
    Reason.WRONG_ZONE: _Row(
        _R,
        (
            "Falscher Eingang[. Zu: {gate}]",
            "Mauvaise entrée[. Allez à: {gate}]",
            "Ingresso sbagliato[. Vada a: {gate}]",
            "Wrong entrance[. Go to: {gate}]",
        ),
        (
            "Gilt nicht für diesen Bereich.[ Weg zeigen zu: {gate}.]",
            "Pas valable pour ce secteur.[ Indiquer le chemin: {gate}.]",
            "Non vale per questo settore.[ Indicare la strada: {gate}.]",
            "Not valid for this zone.[ Show the way to: {gate}.]",
        ),
    ),
    Reason.ALREADY_USED: _Row(
        DisplayState.ALREADY_USED,
        (
            "Ticket bereits benutzt[ ({time})]",
            "Billet déjà utilisé[ ({time})]",
            "Biglietto già usato[ ({time})]",
            "Ticket already used[ ({time})]",
        ),
        (
            "Bereits benutzt[ um {time}][, {gate}]. Kopie? Ausweis und Kaufbeleg ansehen.",
            "Déjà utilisé[ à {time}][, {gate}]. Copie? Voir pièce d'identité et achat.",
            "Già usato[ alle {time}][, {gate}]. Copia? Vedere documento e acquisto.",
            "Already used[ at {time}][, {gate}]. A copy? Look at ID and receipt.",
        ),
    ),
    Reason.ALREADY_INSIDE: _Row(
        DisplayState.ALREADY_USED,
        (
            "Ticket ist bereits drin[ ({time})]",
            "Billet déjà à l'intérieur[ ({time})]",
            "Biglietto già dentro[ ({time})]",
            "Ticket is already inside[ ({time})]",
        ),
        (
            "Schon drin[ seit {time}][, {gate}]. Ohne Ausgangsscan gegangen? Ausweis ansehen.",
            "Déjà entré[ à {time}][, {gate}]. Sorti sans scan? Voir la pièce d'identité.",
            "Già dentro[ dalle {time}][, {gate}]. Uscito senza scansione? Vedere documento.",
            "Already inside[ since {time}][, {gate}]. Left without a scan? Look at ID.",
        ),
    ),
    Reason.LIMIT_REACHED: _Row(
        DisplayState.ALREADY_USED,
        (
            "Alle Eintritte sind aufgebraucht",
            "Toutes les entrées sont utilisées",
            "Tutti gli ingressi sono esauriti",
            "All entries have been used",
        ),
        (
            "Höchstzahl der Eintritte erreicht[, zuletzt {time}][, {gate}]. Zum Schalter schicken.",
            "Nombre d'entrées épuisé[, dernière {time}][, {gate}]. Envoyer au guichet.",
            "Numero di ingressi esaurito[, ultimo {time}][, {gate}]. Mandare alla cassa.",
            "No entries left[, last {time}][, {gate}]. Send to the box office.",
        ),
    ),
    Reason.FULL: _Row(
        _R,
        (
            "Bereich ist voll. Bitte warten",
            "Secteur complet. Veuillez patienter",
            "Settore pieno. Attendere, prego",
            "Area is full. Please wait",
        ),
        (
            "Bereich voll. Einlass erst, wenn jemand hinausgeht. Ticket bleibt gültig.",
            "Secteur complet. Entrée quand quelqu'un sort. Le billet reste valable.",
            "Settore pieno. Entrata quando qualcuno esce. Il biglietto resta valido.",
            "Zone is full. Let in when somebody leaves. The ticket stays valid.",
        ),
    ),
    Reason.OFFLINE: _Row(
        _R,
        (
            "Keine Verbindung. Bitte zum Personal",
            "Hors ligne. Adressez-vous au personnel",
            "Nessuna rete. Si rivolga al personale",
            "No connection. Please ask our staff",
        ),
        (
            "Kann ohne Verbindung nicht geprüft werden. Zum eigenen Eingang oder Schalter schicken.",
            "Impossible à vérifier hors ligne. Envoyer à son entrée ou au guichet.",
            "Non verificabile senza rete. Mandare al suo ingresso o alla cassa.",
            "Cannot be checked while offline. Send to its home gate or the box office.",
        ),
    ),
    Reason.AMBIGUOUS: _Row(
        _R,
        (
            "Mehrere Tickets. Bitte eines zeigen",
            "Plusieurs billets. Montrez-en un seul",
            "Più biglietti. Ne mostri uno solo",
            "Several tickets. Please show just one",
        ),
        (
            "Code passt zu Tickets verschiedener Personen. Das einzelne Ticket verlangen.",
            "Le code vaut pour plusieurs personnes. Demander le billet individuel.",
            "Il codice vale per più persone. Chiedere il biglietto singolo.",
            "Code matches tickets of different people. Ask for the single ticket.",
        ),
    ),
    Reason.UNLISTED: _Row(
        DisplayState.CHECK,
        (
            "Bitte warten: Ticket wird geprüft",
            "Veuillez patienter: contrôle du billet",
            "Attendere: controllo del biglietto",
            "Please wait: checking your ticket",
        ),
        (
            "Echt, aber nicht in der Liste. Kaufbestätigung ansehen, dann von Hand einlassen.",
            "Authentique, mais pas dans la liste. Voir la confirmation, puis laisser entrer.",
            "Autentico, ma non in lista. Vedere la conferma, poi far entrare a mano.",
            "Genuine, but not on the list. See the order confirmation, then let in by hand.",
        ),
    ),
    Reason.AFTER_RESTART: _Row(
        DisplayState.CHECK,
        (
            "Bitte warten: Personal kommt",
            "Veuillez patienter: le personnel arrive",
            "Attendere: arriva il personale",
            "Please wait: staff are coming",
        ),
        (
            "Vor dem Neustart freigegeben, Durchgang nicht gesehen. Noch draussen? Einlassen.",
            "Autorisé avant le redémarrage, passage non vu. Encore dehors? Laisser entrer.",
            "Ammesso prima del riavvio, passaggio non visto. Ancora fuori? Far entrare.",
            "Granted before the restart, no passage seen. Still outside? Let in.",
        ),
    ),
    Reason.CHECK_ID: _Row(
        DisplayState.CHECK,
        (
            "Bitte Ausweis zeigen",
            "Présentez une pièce d'identité",
            "Mostri un documento d'identità",
            "Please show your ID",
        ),
        (
            "Ausweis mit dem Ticket vergleichen, dann einlassen.",
            "Comparer la pièce d'identité au billet, puis laisser entrer.",
            "Confrontare il documento con il biglietto, poi far entrare.",
            "Compare the ID with the ticket, then let in.",
        ),
    ),
    Reason.CHECK_REDUCED_FARE: _Row(
        DisplayState.CHECK,
        (
            "Bitte Ermässigungsausweis zeigen",
            "Présentez votre carte de réduction",
            "Mostri la tessera di riduzione",
            "Please show proof of your reduction",
        ),
        (
            "Ermässigung: Berechtigung ansehen, sonst am Schalter aufzahlen lassen.",
            "Tarif réduit: voir le justificatif, sinon supplément au guichet.",
            "Tariffa ridotta: vedere il giustificativo, altrimenti supplemento alla cassa.",
            "Reduced fare: see the proof, else send to pay the difference.",
        ),
    ),
    Reason.CHECK_NOTE: _Row(
        DisplayState.CHECK,
        (
            "Bitte warten: Personal kommt",
            "Veuillez patienter: le personnel arrive",
            "Attendere: arriva il personale",
            "Please wait: staff are coming",
        ),
        (
            "Zu diesem Ticket gibt es einen Hinweis. Lesen, dann entscheiden.",
            "Ce billet porte une remarque. La lire, puis décider.",
            "Questo biglietto ha una nota. Leggerla, poi decidere.",
            "There is a note on this ticket. Read it, then decide.",
        ),
    ),
    Reason.BUSY: _Row(
        DisplayState.WAIT,
        (
            "Einen Moment bitte",
            "Un instant, s'il vous plaît",
            "Un momento, prego",
            "One moment, please",
        ),
        (
            "Es geht noch jemand durch. Ticket bleibt gültig, gleich nochmals zeigen.",
            "Quelqu'un passe encore. Le billet reste valable, réessayer.",
            "Qualcuno sta ancora passando. Il biglietto resta valido, riprovare.",
            "Somebody is still passing. The ticket stays valid, try again shortly.",
        ),
    ),
    Reason.EXIT_PENDING: _Row(
        DisplayState.WAIT,
        (
            "Einen Moment bitte",
            "Un instant, s'il vous plaît",
            "Un momento, prego",
            "One moment, please",
        ),
        (
            "Mit diesem Ticket geht gerade jemand hinaus. Danach nochmals zeigen.",
            "Quelqu'un sort avec ce billet. Le présenter de nouveau ensuite.",
            "Qualcuno sta uscendo con questo biglietto. Mostrarlo di nuovo dopo.",
            "Somebody is leaving with this ticket. Show it again afterwards.",
        ),
    ),
    Reason.ASKING: _Row(
        DisplayState.WAIT,
        (
            "Einen Moment bitte",
            "Un instant, s'il vous plaît",
            "Un momento, prego",
            "One moment, please",
        ),
        (
            "Die anderen Tore werden gefragt. Gleich steht die Antwort hier.",
            "Les autres portes sont interrogées. La réponse vient tout de suite.",
            "Si interrogano gli altri varchi. La risposta arriva subito.",
            "The other gates are being asked. The answer comes in a moment.",
        ),
    ),
    Reason.SCANNER_LAYOUT: _Row(
        DisplayState.NOT_READY,
        (
            "Scanner gestört. Bitte zum Personal",
            "Scanner en panne. Voyez le personnel",
            "Scanner guasto. Si rivolga al personale",
            "Scanner fault. Please ask our staff",
        ),
        (
            "Zehn falsche Codes in Folge: Tastatur des Scanners einstellen, es sind keine Fälschungen.",
            "Dix codes faux de suite: régler le clavier du scanner, ce ne sont pas des faux.",
            "Dieci codici errati di fila: impostare la tastiera dello scanner, non sono falsi.",
            "Ten bad codes in a row: set the scanner's keyboard layout; these are no forgeries.",
        ),
    ),
}
