"""Which column holds what: headings of shops in German, French, Italian and English."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from sync.imports.faults import BadFile, FileFault, listed, shown


class Column(StrEnum):
    """What a column may hold; the value is the name a person gives it by."""

    CODE = "code"
    UID = "uid"
    EXTERNAL = "external"
    ORDER = "order"
    PRODUCT = "product"
    SESSION = "session"
    ZONES = "zones"
    VALID_FROM = "valid_from"
    VALID_UNTIL = "valid_until"
    ADMITS = "admits"
    STATUS = "status"
    NAME = "name"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    EMAIL = "email"
    PHONE = "phone"


# Letters and digits alone, in lower case, accents off, as `plain` makes them.
HEADINGS: Mapping[Column, str] = {
    Column.CODE: """code barcode barcodes qr qrcode ticketcode ticketbarcode secret ticketsecret scancode eticketcode
        strichcode strichkode billettcode eintrittscode
        codebarre codebarres codeabarres codedubillet codebillet codeqr
        codiceabarre codice codicebiglietto codiceqr""",
    Column.UID: """uid taguid nfcuid nfc rfid chip chipid cardid cardnumber tag tagid wristband wristbandid
        kartennummer chipnummer nfcid bandnummer
        numerodecarte puce idpuce bracelet
        numerocarta numerochip braccialetto""",
    Column.EXTERNAL: """id externalid ticketid ticketnumber ticketno positionid attendeeid
        ticketnr ticketnummer billettnummer billettnr
        numerodubillet nobillet idbillet numerobillet
        numerobiglietto idbiglietto""",
    Column.ORDER: """order ordercode orderid ordernumber orderno orderreference booking bookingid bookingreference
        bestellung bestellnummer bestellnr bestellcode auftrag auftragsnummer buchung buchungsnummer
        commande numerodecommande nocommande numerocommande reservation
        ordine numeroordine codiceordine prenotazione""",
    Column.PRODUCT: """product productname item tickettype type category ticketcategory ticket pricecategory tariff
        produkt artikel ticketart tickettyp kategorie billettart preiskategorie tarif
        produit typedebillet categorie typebillet billet
        prodotto tipo tipobiglietto tipodibiglietto categoria biglietto tariffa""",
    Column.SESSION: """session sessionname performance show showtime date eventdate day slot timeslot subevent
        vorstellung termin datum veranstaltungsdatum tag1 spieltag zeitfenster
        seance representation dateevenement jour creneau
        sessione spettacolo data dataevento giorno fascia""",
    Column.ZONES: """zone zones area areas access accesszone block sector
        bereich bereiche zonen zutritt sektor
        secteur acces
        zona area aree settore accesso""",
    Column.VALID_FROM: """validfrom notbefore start startdate from
        gueltigab gultigab gueltigvon gultigvon ab von
        valableapartirdu valabledes valablede debut du
        validodal validoda inizio dal""",
    Column.VALID_UNTIL: """validuntil validto notafter end enddate until expires expiry to
        gueltigbis gultigbis bis ablauf
        valablejusquau valablejusqua fin au expiration
        validofinoal validofino fine scadenza al""",
    Column.ADMITS: """admits persons people quantity qty count pax
        personen anzahl menge anzahlpersonen
        personnes quantite nombre nombredepersonnes
        persone quantita numeropersone""",
    Column.STATUS: """status state orderstatus ticketstatus paymentstatus
        zustand zahlungsstatus bestellstatus
        statut etat
        stato""",
    Column.NAME: """name fullname attendee attendeename holder guest guestname customer customername
        gast besucher teilnehmer inhaber kunde vorundnachname
        nomcomplet participant titulaire client invite
        nomecompleto partecipante titolare cliente ospite nominativo""",
    Column.FIRST_NAME: "firstname givenname vorname prenom nome attendeefirstname",
    Column.LAST_NAME: "lastname surname familyname nachname familienname nom nomdefamille cognome attendeelastname",
    Column.EMAIL: """email mail emailaddress attendeeemail customeremail
        mailadresse emailadresse kundenemail
        courriel adresseemail adressemail couriel
        indirizzoemail postaelettronica""",
    Column.PHONE: """phone telephone phonenumber mobile
        telefon telefonnummer handy mobil natel
        telephoneportable portable
        telefono cellulare""",
}  # fmt: skip

_BY_HEADING = {heading: column for column, headings in HEADINGS.items() for heading in headings.split()}


class Layout(NamedTuple):
    """Where each column stands, counted from 0; `ignored`: headings nothing is taken from."""

    places: Mapping[Column, int]
    ignored: tuple[str, ...]
    headings: tuple[str, ...]
    has_heading: bool = True

    def title(self, column: Column) -> str:
        """Return the file's own heading of a column."""
        place = self.places.get(column, -1)
        return self.headings[place] if 0 <= place < len(self.headings) else column.value


def named(lines: Iterable[str]) -> dict[Column, str]:
    """Return which heading each column has, of texts such as `code=Barcode`. BadFile for a column there is none of."""
    found = {}
    for one in lines:
        name, _, heading = one.partition("=")
        try:
            found[Column(name.strip())] = heading.strip()
        except ValueError:
            raise BadFile(
                FileFault.NO_SUCH_COLUMN, of=shown(name), columns=", ".join(column.value for column in Column)
            ) from None
    return found


def plain(heading: str) -> str:
    """Return a heading, or a name, in the form that it is looked up in: letters and digits, accents off."""
    letters = unicodedata.normalize("NFKD", heading.casefold())
    return "".join(char for char in letters if char.isalnum())


def layout(heading: Sequence[str], chosen: Mapping[Column, str]) -> Layout:
    """Find the columns by a file's first row; `chosen` says which heading a column has where names do not tell.

    A file of one column without a known heading is a plain list of codes. BadFile where no column holds codes, or
    two hold the same thing.
    """
    found = {column: _place(heading, name) for column, name in chosen.items()}
    taken = set(found.values())
    for place, text in enumerate(heading):
        named = _BY_HEADING.get(plain(text))
        if named is None or place in taken or named in chosen:
            continue
        if named in found:
            raise BadFile(
                FileFault.COLUMN_TWICE, of=named.value, first=shown(heading[found[named]]), second=shown(text)
            )
        found[named] = place
    if Column.CODE not in found and Column.UID not in found:
        if len(heading) == 1 and not chosen:
            return Layout({Column.CODE: 0}, (), ("code",), has_heading=False)
        raise BadFile(FileFault.NO_CODE_COLUMN, of=Column.CODE.value, headings=listed(heading))
    used = set(found.values())
    ignored = tuple(shown(text) for place, text in enumerate(heading) if place not in used and text.strip())
    return Layout(found, ignored, tuple(shown(text) for text in heading))


def _place(heading: Sequence[str], name: str) -> int:
    """Return where the heading stands that a person named: as it is written, else as it is looked up."""
    for form in (str.strip, plain):
        wanted = form(name)
        places = [place for place, text in enumerate(heading) if wanted and form(text) == wanted]
        if len(places) > 1:
            raise BadFile(FileFault.HEADING_TWICE, heading=shown(name))
        if places:
            return places[0]
    raise BadFile(FileFault.NO_SUCH_HEADING, heading=shown(name), headings=listed(heading))
