"""Files as shops write them: encodings, delimiters, headings, and every bad row named."""

import codecs
import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.credentials import Medium, identify
from admission.digests import CredentialKind, digest
from admission.keys import KeyRing
from sync.imports.catalogue import Catalogue, by_name
from sync.imports.choices import CACHED_MAX
from sync.imports.columns import HEADINGS, Column, layout, plain
from sync.imports.entries import Entry, RowReader
from sync.imports.export import csv_pieces
from sync.imports.faults import BadCell, BadFile, CellFault, FileFault
from sync.imports.files import How, read_file
from sync.imports.texts import Row, delimiter_of, sheet
from tests.sync.imports.house import EVENT, KEY

CATALOGUE = Catalogue(
    event=EVENT,
    timezone="Europe/Zurich",
    digest_key=KEY,
    products=by_name([("Tageskarte", 1), ("VIP", 2)]),
    zones=by_name([("Arena", 1), ("Tribüne Süd", 2)]),
    sessions=by_name([("Freitag", 1), ("Matinée", 2), ("Soirée", 3)]),
    days={20261127: 1},
    defaults={1: (0, 0, 0, 1), 2: (3, 100, 200, 2)},
    product_numbers=frozenset({1, 2}),
    zone_numbers=frozenset({1, 2}),
    session_numbers=frozenset({1, 2, 3}),
)
TEXT = "Strichcode;Ticketart;Name\r\nA-1;Tageskarte;Zoë Müller\r\n"


def read(text: str | bytes, **how: object) -> tuple[list[Entry], list[BadCell]]:
    data = text.encode() if isinstance(text, str) else text
    slabs = list(read_file(data, CATALOGUE, How(**how)).slabs)  # type: ignore[arg-type]  # as each test writes them
    return [entry for slab in slabs for entry in slab.entries], [one for slab in slabs for one in slab.bad]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("cp1252"), "windows-1252"),
    ],
)
def test_encodings(data: bytes, encoding: str) -> None:
    assert sheet(data).encoding == encoding
    entries, bad = read(data)
    assert [(one.first_name, one.last_name) for one in entries] == [("Zoë", "Müller")]
    assert bad == []


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        ("code,product", ","), ("code;product", ";"), ("code\tproduct", "\t"), ("code|product", "|"), ("code", ","),
        ('"a,b";code;c', ";"), ("a,b;c,d\n;;;;", ","), ('"a\n;;;",b', ","),
    ],
)  # fmt: skip
def test_delimiters(head: str, delimiter: str) -> None:
    assert delimiter_of(head) == delimiter


def test_a_spreadsheets_own_hint_names_the_delimiter_and_rows_keep_their_numbers() -> None:
    rows = list(sheet(b"sep=;\r\ncode;product\r\n\r\nA,1;VIP\r\n").rows)
    assert rows == [Row(2, ["code", "product"]), Row(4, ["A,1", "VIP"])]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("hint", ["sep=\t", "SEP=\t", '"sep=\t"', "sep=\t "])
def test_the_hint_may_name_a_tab_and_lines_may_end_in_any_way(hint: str, end: str) -> None:
    rows = list(sheet(end.join([hint, "code\tproduct", "A;1\tVIP", ""]).encode("utf-16")).rows)
    assert [row.cells for row in rows] == [["code", "product"], ["A;1", "VIP"]]


@pytest.mark.parametrize("column", Column)
def test_every_heading_is_in_the_form_it_is_looked_up_in_and_means_one_thing(column: Column) -> None:
    others = {word for other, text in HEADINGS.items() if other is not column for word in text.split()}
    words = HEADINGS[column].split()
    assert words == [plain(word) for word in words]
    assert not others & set(words)


@pytest.mark.parametrize(
    ("heading", "column"),
    [
        ("Strich-Code", Column.CODE), ("Code-barres", Column.CODE), ("Codice a barre", Column.CODE),
        ("BARCODE", Column.CODE), ("E-Mail-Adresse", Column.EMAIL), ("Gültig ab", Column.VALID_FROM),
        ("Valable jusqu’au", Column.VALID_UNTIL), ("Prénom", Column.FIRST_NAME), ("Cognome", Column.LAST_NAME),
        ("Numéro de commande", Column.ORDER), ("Bestell-Nr.", Column.ORDER), ("Tag UID", Column.UID),
        ("Séance", Column.SESSION), ("Settore", Column.ZONES), ("Anzahl Personen", Column.ADMITS),
    ],
)  # fmt: skip
def test_headings_of_four_languages(heading: str, column: Column) -> None:
    heads = [heading] if column is Column.CODE else ["code", heading]
    found = layout([*heads, "Lieblingsfarbe"], {})
    assert found.places[column] == len(heads) - 1
    assert found.ignored == ("Lieblingsfarbe",)


@pytest.mark.parametrize(
    ("heading", "chosen", "fault"),
    [
        (["product", "name"], {}, FileFault.NO_CODE_COLUMN),
        (["code", "barcode"], {}, FileFault.COLUMN_TWICE),
        (["code", "Code"], {}, FileFault.COLUMN_TWICE),
        (["code", "product"], {Column.NAME: "wer"}, FileFault.NO_SUCH_HEADING),
        (["code", "日付", ""], {Column.SESSION: "会場"}, FileFault.NO_SUCH_HEADING),
        (["code", "wer", "Wer"], {Column.NAME: "WER"}, FileFault.HEADING_TWICE),
        (["id", "name"], {}, FileFault.NO_CODE_COLUMN),
    ],
)
def test_headings_that_do_not_tell_are_refused(
    heading: list[str], chosen: dict[Column, str], fault: FileFault
) -> None:
    with pytest.raises(BadFile) as found:
        layout(heading, chosen)
    assert found.value.fault is fault


def test_a_person_may_say_what_a_column_holds() -> None:
    found = layout(["code", "barcode", "wer"], {Column.CODE: "Barcode", Column.NAME: "WER"})
    assert dict(found.places) == {Column.CODE: 1, Column.NAME: 2}
    found = layout(["code", "会場", "日付"], {Column.SESSION: "日付"})
    assert dict(found.places) == {Column.CODE: 0, Column.SESSION: 2}
    found = layout(["code", "wer", "Wer"], {Column.NAME: "Wer"})
    assert dict(found.places) == {Column.CODE: 0, Column.NAME: 2}, "as it is written comes first"


def test_a_plain_list_of_codes_needs_no_heading() -> None:
    entries, bad = read("A-1\nA-2\n\nA-3\n", product=1)
    assert [one.row for one in entries] == [1, 2, 4]
    assert bad == []


def test_all_that_a_row_may_say() -> None:
    entries, bad = read(
        "code;uid;ticket id;order;product;session;zones;valid from;valid until;persons;status;name;email;phone\n"
        "A 1;04:a1:b2:c3:d4:e5:80;77;O-9;vip;28.11.2026;Arena + Tribüne Süd;27.11.2026 18:30;2026-11-28;4;bezahlt;"
        "Müller, Zoë;z@example.org;+41 79\n",
        keeps_text=True,
    )
    assert [one.column for one in bad] == ["session"], "two sessions are that day"
    entries, bad = read(
        "code;uid;ticket id;order;product;session;zones;valid from;valid until;persons;status;name;email;phone\n"
        "A 1;04:a1:b2:c3:d4:e5:80;77;O-9;vip;27.11.2026;Arena + Tribüne Süd;27.11.2026 18:30;2026-11-28;4;bezahlt;"
        "Müller, Zoë;z@example.org;+41 79\n",
        keeps_text=True,
    )
    assert bad == []
    (one,) = entries
    assert [(code.kind, code.text) for code in one.codes] == [("opaque", "A 1"), ("uid", "04A1B2C3D4E580")]
    assert one.codes[1].digest == digest(CredentialKind.UID, bytes.fromhex("04a1b2c3d4e580"), KEY)
    assert (one.order, one.product, one.session, one.zones, one.admits, one.standing) == (
        "O-9",
        2,
        1,
        "[1,2]",
        4,
        0,
    )
    # 18:30 in Zurich is 17:30 UTC; the last second of the 28th there is 22:59:59 UTC
    assert (one.valid_from, one.valid_until) == (1795800600, 1795906799)
    assert (one.first_name, one.last_name, one.email, one.phone) == (
        "Zoë",
        "Müller",
        "z@example.org",
        "+41 79",
    )


def test_what_a_row_does_not_say_comes_from_its_product() -> None:
    (one,), _ = read("code,product\nA-1,VIP\n")
    assert (one.session, one.valid_from, one.valid_until, one.admits, one.standing) == (3, 100, 200, 2, -1)
    assert [code.text for code in one.codes] == [None], "readable only where somebody asked for it"


BAD = [
    ("code,product\n,VIP\n", "code", CellFault.NO_CODE),
    ("code,product\nA,Loge\n", "product", CellFault.PRODUCT_UNKNOWN),
    ("code,product\nA,\n", "product", CellFault.PRODUCT_MISSING),
    ("code,product\nA\x00B,VIP\n", "code", CellFault.UNREADABLE),
    ("code,product,name\nA,VIP,Z\x1b[31mo\n", "name", CellFault.UNREADABLE),
    ("code,product,name\nA,VIP,\u202eevil\n", "name", CellFault.UNREADABLE),
    ("code,product\n1.23457E+12,VIP\n", "code", CellFault.ROUNDED),
    ("code,product\n" + "\u00e9" * 2049 + ",VIP\n", "code", CellFault.CODE_SIZE),
    ("uid,product\n0412,VIP\n", "uid", CellFault.UID_SIZE),
    ("uid,product\n08A1B2C3,VIP\n", "uid", CellFault.RANDOM_UID),
    ("uid,product\n88A1B2C3,VIP\n", "uid", CellFault.CUT_UID),
    ("uid,product\n00000000,VIP\n", "uid", CellFault.BLANK_UID),
    ("uid,product\nxyz,VIP\n", "uid", CellFault.UID_SIZE),
    ("code,product,email\nA,VIP,nobody\n", "email", CellFault.BAD_EMAIL),
    ("code,product,from\nA,VIP,morgen\n", "from", CellFault.BAD_TIME),
    ("code,product,from\nA,VIP,31.02.2026\n", "from", CellFault.BAD_TIME),
    ("code,product,from\nA,VIP,2026-02-01 10:00+99:99\n", "from", CellFault.BAD_TIME),
    ("code,product,from,until\nA,VIP,2026-02-02,2026-02-01\n", "until", CellFault.ENDS_FIRST),
    ("code,product,persons\nA,VIP,0\n", "persons", CellFault.BAD_ADMITS),
    ("code,product,persons\nA,VIP,12.50\n", "persons", CellFault.BAD_ADMITS),
    ("code,product,persons\nA,VIP,0000000019999999\n", "persons", CellFault.BAD_ADMITS),
    ("code,product,status\nA,VIP,vielleicht\n", "status", CellFault.STATUS_UNKNOWN),
    ("code,product,zone\nA,VIP,Keller\n", "zone", CellFault.ZONE_UNKNOWN),
    ("code,product,date\nA,VIP,1.1.2027\n", "date", CellFault.SESSION_UNKNOWN),
    ("code,product\nA,VIP,more\n", "", CellFault.TOO_MANY_CELLS),
    ("code,product\n" + "A" * 5000 + ",VIP\n", "code", CellFault.TOO_LONG),
    ('code,product,note\nA,VIP,"' + "B,VIP,n\n" * 600 + '"\n', "", CellFault.TOO_LONG),
    ("code,product\nTK1" + "A" * 200 + ",VIP\n", "code", CellFault.SIGNED_TICKET),
]


@pytest.mark.parametrize(("text", "column", "fault"), BAD)
def test_a_bad_row_is_named(text: str, column: str, fault: CellFault) -> None:
    entries, bad = read(text)
    assert entries == []
    assert [(one.row, one.column, one.fault) for one in bad] == [(2, column, fault)]
    assert bad[0].value.isprintable()
    assert len(bad[0].value) <= 80


def test_every_fault_of_a_row_of_csv_is_met_here() -> None:
    elsewhere = {
        CellFault.TWICE, CellFault.TAKEN, CellFault.EARLIER,  # below, and of jobs
        CellFault.ITEM_UNKNOWN, CellFault.DATE_UNKNOWN, CellFault.BAD_SECRET, CellFault.SECRET_TWICE,  # of pretix
    }  # fmt: skip
    assert {fault for _, _, fault in BAD} == set(CellFault) - elsewhere


def test_every_bad_row_is_named_and_the_good_ones_stay() -> None:
    entries, bad = read("code,product,email\nA,VIP,\nB,Loge,x\nA,VIP,\nC,Tageskarte,c@example.org\n")
    assert [one.row for one in entries] == [2, 5]
    assert [(one.row, one.column) for one in bad] == [(3, "product"), (3, "email"), (4, "code")]
    assert (bad[2].fault, bad[2].values) == (CellFault.TWICE, {"row": 2})


def test_codes_are_known_by_the_digest_that_a_gate_takes() -> None:
    code = "Ein-Kode/47+11"
    (one,), _ = read(f"code,product\n{code},VIP\n")
    known = identify(code.encode(), Medium.BARCODE, KeyRing(()), KEY)
    assert one.codes[0].digest == known.digest  # type: ignore[union-attr]  # an opaque code is always Known


@pytest.mark.parametrize("text", ['="0123"', '"=""0123"""', "0123", " 0123 "])
def test_what_spreadsheets_wrap_around_a_code_is_taken_off(text: str) -> None:
    entries, bad = read(f"code;product\n{text};VIP\n", keeps_text=True)
    assert [one.codes[0].text for one in entries] == ["0123"], bad


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        entries, bad = read(b"code;product;name;from\n" + data)
    except BadFile:
        return
    assert all(0 < entry.product < 3 for entry in entries)
    assert all(one.value.isprintable() for one in bad)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12), max_size=8))
def test_no_cell_we_write_is_a_formula_and_none_is_lost(values: list[str]) -> None:
    text = "".join(csv_pieces(["a"], [[value] for value in values])).removeprefix("\ufeff")
    assert all(not line.lstrip('"').startswith(("=", "+", "-", "@", "\t", "\r")) for line in _cells(text))


def _cells(text: str) -> Iterator[str]:
    return (cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row)


@pytest.mark.parametrize("splits_at", [",", ";", "\t"])
@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from("a;,\"'\t\r\n =+-@"), max_size=9), max_size=4))
def test_no_cell_is_a_formula_where_a_spreadsheet_splits_at_something_else(
    splits_at: str, values: list[str]
) -> None:
    """Half of Europe's split at a semicolon: the text behind one, in a name, is a cell of its own there."""
    text = "".join(csv_pieces(["a", "b"], [[1, *values]])).removeprefix("\ufeff")
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=splits_at):
        for one in row:
            assert not one.lstrip(" ").startswith(("=", "+", "-", "@")), text


@pytest.mark.parametrize(
    ("code", "first", "last"),
    [
        ("-1+1", "=cmd()|x", "Müller"),
        ("A;-1", "Anna;=1+1;", ";@x"),
        ("A;;+1", 'Anna;"=1', "O'Neill"),
        ("A;'1", "it's", "'t;a"),
    ],
)
def test_what_we_export_is_read_back_as_it_was(code: str, first: str, last: str) -> None:
    heading = ["code", "product", "first_name", "last_name"]
    text = "".join(csv_pieces(heading, [[code, "VIP", first, last]]))
    (one,), bad = read(text, keeps_text=True)
    assert (one.codes[0].text, one.first_name, one.last_name) == (code, first, last)
    assert bad == []


def test_a_rows_print_changes_with_what_it_says_alone() -> None:
    def prints(text: str) -> bytes:
        (one,), _ = read(text)
        return one.print

    base = prints("code,product,name\nA,VIP,Zoë M\n")
    assert prints("name;code;product;colour\nZoë M;A;VIP;red\n") == base
    assert prints("code,product,name\nA,VIP,Zoë N\n") != base
    assert prints("code,product,name\nA,Tageskarte,Zoë M\n") != base


def test_memory_of_values_is_bounded() -> None:
    reader = RowReader(CATALOGUE, layout(["code", "product"], {}), product=0, keeps_text=False)
    for number in range(12_000):
        reader.read(Row(number, [f"A{number}", f"{number}"]))
    assert len(reader._chooser) <= CACHED_MAX
