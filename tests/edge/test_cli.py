"""The commands, as a person calls them: a process of their own on a data folder that the real stores made."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apsw
import msgspec
import pytest

from admission.digests import CredentialKind, digest
from admission.entitlements import CredentialStanding, Standing, Ticket, Zone
from admission.ids import HolderId, ProductId, SessionId, TicketId, ZoneId
from drivers.sims.lcus_board import LcusBoard
from drivers.sims.ports import PtyPort
from edge.applied import Applied, KeptSettings
from edge.front.pin import PIN_DIGITS, PinLock, Right, first_pin
from edge.lists import FILE as LIST_FILE
from edge.overlay import NewRow
from edge.store.list import ListStore
from edge.store.log import LogStore
from edge.store.log_reader import log_path
from edge.store.log_schema import APPLIED_KEY, SETTINGS_KEY, Batch, OverlayRow
from sync.demo import MAIN_GATE_NAME
from sync.wire.deltas import settings_head
from sync.wire.lists import ListHead
from tests.admission.tags import TAG_UID, sun_tap
from tests.edge.crash_points import EVENT, QUIET
from tests.edge.gate_folder import (
    DIGEST_KEY,
    GONE,
    GOOD,
    LATE,
    NOBODY,
    TAG,
    TOML,
    USED,
    make_gate,
    signed_code,
)
from tests.house import ROOT

TIMEOUT_S = 60


class Box:
    """A gate's folders, and how commands are called on them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port = folder / "scanner"
        self.toml = folder / "gate.toml"
        self.toml.write_text(TOML.format(data=self.data, port=self.port))

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "CONFIGURATION_DIRECTORY": str(self.toml.parent),
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "edge", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.toml.parent,
        )

    def call(
        self, *arguments: str, given: bytes = b"", beside: LcusBoard | None = None
    ) -> tuple[int, str, str]:
        """Exit code, standard output, standard error. `beside`: a board that obeys meanwhile."""
        process = self.start(*arguments)
        while beside is not None and process.poll() is None:
            beside.service(0.05)
        out, err = process.communicate(given, timeout=TIMEOUT_S)
        assert b"Traceback" not in err, err.decode()
        return process.returncode, out.decode(), err.decode()

    def explain(self, *arguments: str, given: bytes = b"") -> dict[str, object]:
        code, out, err = self.call("explain", *arguments, given=given)
        assert (code, err) == (0, "")
        said = json.loads(out)
        assert isinstance(said, dict)
        return said


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    make_gate(box.data)
    return box


# --- explain ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (GOOD, "grant", None),
        (USED, "deny", "already_used"),
        (GONE, "deny", "cancelled"),
        (LATE, "deny", "cancelled"),
        (NOBODY, "deny", "unknown"),
    ],
)
def test_explain_says_what_the_gate_makes_of_a_code(
    box: Box, code: bytes, outcome: str, reason: str | None
) -> None:
    said = box.explain(code.decode())
    assert (said["outcome"], said["reason"], said["format"]) == (outcome, reason, "opaque")
    sayings = said["sayings"]
    assert isinstance(sayings, dict)
    assert set(sayings) == {"de", "fr", "it", "en"}
    assert all(saying["visitor"] for saying in sayings.values())


def test_explain_names_key_claims_and_candidates_of_a_signed_ticket(box: Box) -> None:
    said = box.explain("--", signed_code())
    assert (said["format"], said["identity"], said["outcome"]) == ("tk1", "known", "grant")
    assert said["claims"] == {
        "ticket": 6, "event": 1, "product": 1, "zones": [1], "session": 1, "admits": 1,
        "issued_at": "2023-11-14T22:13:20+00:00", "not_before": None, "not_after": None,
    }  # fmt: skip
    key = said["key"]
    assert isinstance(key, dict)
    assert key["status"] == "active"
    assert said["candidates"] == [
        {
            "ticket": 6, "event": 1, "product": {"id": 1, "name": "Day ticket"}, "holder": 106, "zones": [1],
            "session": 1, "standing": [], "admits": 1, "not_before": None, "not_after": None,
            "outcome": "grant", "reason": None, "listed": True, "credential": [],
            "uses": {"session": 0, "day": 0, "total": 0}, "inside": 0, "unresolved": 0,
        }
    ]  # fmt: skip


def test_explain_sees_a_tampered_signature(box: Box) -> None:
    code = signed_code()
    broken = code[:-4] + ("AAAA" if code[-4:] != "AAAA" else "BBBB")
    said = box.explain(broken)
    assert (said["outcome"], said["identity"], said["candidates"]) == ("deny", "forged", [])


def test_write_tag_asks_for_the_pin_and_for_a_gate_that_records_it(box: Box) -> None:
    tag = (
        "write-tag",
        "--port",
        "/nowhere",
        "--wait",
        "5",
        "--steward",
        "7",
        "04:C1:28:5A:37:30:80",
        "D00000",
    )
    code, _, err = box.call(*tag)
    assert (code, "no PIN yet" in err, "next:" in err) == (1, True, True)
    _, out, _ = box.call("pin")
    pin = re.findall(r"\d{8}", out)[0]
    code, _, err = box.call(*tag, given=b"1\n")
    assert (code, "not the PIN" in err) == (1, True)
    code, _, err = box.call(*tag, given=pin.encode() + b"\n")
    assert (code, "does not run" in err) == (1, True)
    code, _, err = box.call("write-tag", "--port", "/nowhere", "--steward", "7", "no uid", "D00000")
    assert (code, "no tag number" in err) == (1, True)


def test_explain_reads_what_a_tag_carries(box: Box) -> None:
    tap = sun_tap(9, DIGEST_KEY)
    said = box.explain("--tag", TAG_UID.hex(), tap[1 + len(TAG_UID) :].hex())
    assert (said["medium"], said["format"], said["counter"], said["reason"]) == ("tag", "sun", 9, "unknown")
    copied = box.explain("--tag", "04C1285A373080", tap[1 + len(TAG_UID) :].hex())
    assert (copied["identity"], copied["reason"]) == ("copied", "copied_tag")


def test_explain_reads_tags_and_standard_input(box: Box) -> None:
    assert box.explain("--uid", TAG.hex(":"))["outcome"] == "grant"
    assert box.explain("-", given=USED + b"\n")["reason"] == "already_used"
    hostile = box.explain("-", given=b"\0\xff'; DROP TABLE record; --" * 1000)
    assert (hostile["outcome"], hostile["reason"], hostile["why"]) == ("deny", "malformed", "too_long")


def test_explain_lets_everybody_out(box: Box) -> None:
    said = box.explain(GONE.decode(), "--way", "exit")
    assert (said["outcome"], said["direction"]) == ("grant", "exit")


def row_over(code: bytes, number: int, version: int, standing: Standing = Standing.VALID) -> OverlayRow:
    """What a change at a version of the list made of a code."""
    ticket = Ticket(
        TicketId(number),
        EVENT,
        ProductId(1),
        HolderId(100 + number),
        (ZoneId(1),),
        SessionId(1),
        standing=standing,
    )
    packed = msgspec.msgpack.encode(NewRow(ticket, CredentialStanding.ACTIVE))
    key = digest(CredentialKind.OPAQUE, code, DIGEST_KEY)
    return OverlayRow(EVENT, TicketId(number), key, packed, 1, version)


def change_list(data: Path, *rows: OverlayRow, settings: ListHead | None = None) -> None:
    """Take changes in over the list of version 5, as the lane keeps them: it is at 7 then."""
    applied = Applied(EVENT, 1, 7, 1_795_305_600)
    meta = [(APPLIED_KEY, msgspec.msgpack.encode((applied,)))]
    if settings is not None:
        kept = KeptSettings(settings_head(settings), bytes(16))
        meta.append((SETTINGS_KEY, msgspec.msgpack.encode(kept)))
    store = LogStore.open(data, QUIET)
    store.append([Batch(100, overlay=rows, meta=tuple(meta))])
    store.close()


def test_explain_knows_what_changed_after_the_list(box: Box) -> None:
    """Sold, cancelled and admitted again since; what the list is as new as says nothing."""
    change_list(
        box.data,
        row_over(NOBODY, 7, 6),
        row_over(GOOD, 1, 7, Standing.CANCELLED),
        row_over(GONE, 3, 7),
        row_over(USED, 2, 5, Standing.CANCELLED),
    )
    for code, outcome, reason in (
        (NOBODY, "grant", None), (GOOD, "deny", "cancelled"), (GONE, "grant", None), (USED, "deny", "already_used"),
    ):  # fmt: skip
        said = box.explain(code.decode())
        assert (said["outcome"], said["reason"]) == (outcome, reason), code
        candidates = said["candidates"]
        assert isinstance(candidates, list)
        assert [(one["outcome"], one["listed"]) for one in candidates] == [(outcome, True)]


def test_explain_judges_by_the_settings_in_force(box: Box) -> None:
    """The lane serves another zone since, and the product has another name."""
    store = ListStore.open(box.data / LIST_FILE)
    head = store.head
    store.close()
    moved = msgspec.structs.replace(
        head,
        zones=(*head.zones, Zone(ZoneId(2), "Yard")),
        products=(msgspec.structs.replace(head.products[0], name="Fair and yard"),),
        plans=(msgspec.structs.replace(head.plans[0], zone=ZoneId(2)),),
    )
    change_list(box.data, settings=moved)
    said = box.explain(GOOD.decode())
    assert (said["outcome"], said["reason"]) == ("deny", "wrong_zone")
    lane, candidates = said["lane"], said["candidates"]
    assert isinstance(lane, dict)
    assert isinstance(candidates, list)
    assert lane["zone"] == {"id": 2, "name": "Yard"}
    assert candidates[0]["product"]["name"] == "Fair and yard"


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["explain", "X", "--lane", "9"], "no lane 9", "Its lanes are: 1."),
        (["explain", "--uid", "no hex"], "no tag number", "hexadecimal"),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_line(
    box: Box, arguments: list[str], said: str, hint: str
) -> None:
    code, out, err = box.call(*arguments)
    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert said in first
    assert hint in second


# --- verify and export -----------------------------------------------------------------------------------------------


def test_verify_finds_a_good_log_good(box: Box) -> None:
    assert box.call("verify") == (
        0,
        "gate 7: good: 6 records, 1 heads, 1 epochs, 1 records behind the last head\n",
        "",
    )


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM record WHERE seq = 3", "record 3: records are missing"),
        ("DELETE FROM record WHERE seq > 3", "record 4: the log ends before"),
        ("INSERT INTO fork SELECT gate, epoch, seq, x'00' FROM record WHERE seq = 1", "cloned"),
    ],
)
def test_verify_sees_what_was_altered(box: Box, sql: str, words: str) -> None:
    connection = apsw.Connection(str(log_path(box.data)))
    connection.execute(sql)
    connection.close()
    code, out, _ = box.call("verify", "--data", str(box.data))
    assert code == 1
    assert words in out


@pytest.mark.parametrize(
    ("at", "words"), [(17, "records 1 to 4: what stands here is not what was signed"), (0, "no record")]
)
def test_verify_sees_a_changed_byte(box: Box, at: int, words: str) -> None:
    connection = apsw.Connection(str(log_path(box.data)))
    blob = bytearray(connection.execute("SELECT blob FROM record WHERE seq = 3").get)
    blob[at] ^= 1
    connection.execute("UPDATE record SET blob = ? WHERE seq = 3", (bytes(blob),))
    connection.close()
    code, out, _ = box.call("verify")
    assert (code, "ALTERED" in out) == (1, True)
    assert words in out


def test_export_writes_every_record(box: Box) -> None:
    code, out, err = box.call("export")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [(row["seq"], row["kind"]) for row in rows] == [
        (1, "restart"),
        (2, "extension_predecessor"),
        (3, "scan"),
        (4, "passage"),
        (5, "extension_head"),
        (6, "scan"),
    ]
    scan = rows[2]
    assert (scan["gate"], scan["epoch"], scan["ticket"], scan["flags"]) == (
        7,
        "8000000000000001",
        2,
        ["ticket"],
    )
    assert scan["time"] == "2026-11-22T00:00:01.000000+00:00"
    assert rows[4]["detail"]["signed_seq"] == 4
    assert (rows[5]["reason"], len(rows[5]["digest"])) == ("unknown", 32)
    assert NOBODY.decode() not in out


def test_export_writes_the_same_as_csv(box: Box) -> None:
    _, out, _ = box.call("export", "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["kind"] for row in rows][2:4] == ["scan", "passage"]
    assert (rows[2]["ticket"], rows[2]["outcome"], rows[2]["digest"]) == ("2", "grant", "")


def test_a_reader_that_has_enough_is_no_error(box: Box) -> None:
    process = box.start("export")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stdin, process.stderr:
        assert (process.wait(TIMEOUT_S), process.stderr.read()) == (0, b"")


# --- check and off ---------------------------------------------------------------------------------------------------


RELAY = """
[[relays]]
id = "arm"
driver = "lcus"
port = "{port}"
lines = 2
"""


def test_check_tries_everything_and_is_content(box: Box, tmp_path: Path) -> None:
    scanner = PtyPort(box.port)
    board = LcusBoard(2, tmp_path / "relay")
    board.levels[1] = True  # as a crashed daemon left it
    text = box.toml.read_text().replace('name = "Lane 1"', 'name = "Lane 1"\nrelay = "arm"\nentry_line = 0')
    box.toml.write_text(text + RELAY.format(port=board.path))
    try:
        code, out, _ = box.call("check", beside=board)
    finally:
        scanner.unplug()
        board.close()
    lines = out.splitlines()
    found = {line[6:22].strip(): line[:4].strip() for line in lines if line[:4].strip()}
    assert found.pop("clock") in {"ok", "warn"}
    assert found == dict.fromkeys(
        ["configuration", "reader 1", "relay arm", "data folder", "enrolment", "list", "log"], "ok"
    )
    assert code == 0
    assert board.levels == [False, False]


def test_check_says_what_is_missing_and_what_to_do(box: Box) -> None:
    (box.data / "enrolment.json").unlink()
    (box.data / "list.sqlite3").write_bytes(b"no list")
    code, out, _ = box.call("check")
    assert code == 1
    lines = out.splitlines()
    for what in ("reader 1", "enrolment", "list"):
        at = next(n for n, line in enumerate(lines) if line.startswith("FAIL") and what in line)
        assert lines[at + 1].startswith(" ")  # the next action
    assert "gatehouse-edge enrol" in out


def test_check_leaves_devices_alone_while_a_gate_runs(box: Box) -> None:
    running = LogStore.open(box.data)
    try:
        _, out, _ = box.call("check")
    finally:
        running.close()
    assert "a gate is running" in out
    assert f"process {os.getpid()}" in out
    assert "reader 1" not in out


def test_off_switches_every_relay_off_even_with_a_broken_configuration(box: Box, tmp_path: Path) -> None:
    board = LcusBoard(2, tmp_path / "relay")
    board.levels[:] = [True, True]
    gone = RELAY.format(port=tmp_path / "nowhere").replace("arm", "gone")
    box.toml.write_text("hold_s = 3\n" + box.toml.read_text() + RELAY.format(port=board.path) + gone)
    code, _, err = box.call("off", beside=board)
    board.close()
    assert board.levels == [False, False]
    assert code == 78
    assert "hold_s: there is no such key" in err
    assert "relay gone: " in err


# --- the rest --------------------------------------------------------------------------------------------------------


def test_a_bad_configuration_is_exit_78_with_every_error(box: Box) -> None:
    box.toml.write_text("[gate]\nnmae = 3\n")
    for command in (["run"], ["check"], ["explain", "X"], ["export"]):
        code, out, err = box.call(*command)
        assert (code, out) == (78, "")
        assert "line 2: gate.nmae: there is no such key; did you mean name?" in err
        assert "lanes: is missing" in err


def test_the_configuration_can_be_named(box: Box, tmp_path: Path) -> None:
    code, _, err = box.call("check", "--config", str(tmp_path / "other.toml"))
    assert code == 78
    assert "other.toml" in err


def test_a_gate_that_belongs_to_nobody_does_not_run(tmp_path: Path) -> None:
    box = Box(tmp_path)
    for command in (["run"], ["explain", "X"], ["verify"]):
        code, _, err = box.call(*command)
        assert code == 1
        assert "gatehouse-edge enrol URL CODE" in err


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("https://centre.example", "ABCDEFGH", "already"),
        ("ftp://centre.example", "ABCDEFGH", "no address"),
        ("http://127.0.0.1:1", "ABCDEFGH", "does not answer"),
        ("http://127.0.0.1:1", "short", "no enrolment code"),
        ("https://centre..example", "ABCDEFGH", "does not answer"),
        ("http://127.0.0.1:1/für-alle", "ABCDEFGH", "does not answer"),
        ("https://[centre.example", "ABCDEFGH", "no address"),
    ],
)
def test_an_enrolment_that_fails_says_what_to_do(box: Box, url: str, code: str, said: str) -> None:
    if said != "already":
        (box.data / "enrolment.json").unlink()
    exit_code, out, err = box.call("enrol", url, code)
    assert (exit_code, out) == (1, "")
    first, second = err.splitlines()
    assert said in first
    assert second.startswith("  next: ")


def modes(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of all in it."""
    return {str(path): path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}


def test_enrolling_at_a_centre_shows_the_first_pin_once_and_keeps_all_to_itself(tmp_path: Path) -> None:
    box, centre_data = Box(tmp_path), tmp_path / "centre"
    box.data.mkdir(mode=0o755)
    sync = [sys.executable, "-m", "sync"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*sync, "serve", "--data", centre_data, "--port", "0", "--demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as centre:
        assert centre.stdout is not None
        try:
            url = next(line for line in centre.stdout if "listens on" in line).split()[-1]
            make = [*sync, "gate", "code", MAIN_GATE_NAME, "--data", str(centre_data)]
            made = subprocess.run(make, capture_output=True, text=True, check=True, env=environment)
            before = os.umask(0o022)
            try:
                code, out, err = box.call("enrol", url, made.stdout.strip())
            finally:
                os.umask(before)
        finally:
            centre.terminate()
            centre.stdout.read()
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("this box is gate ")
    pin = second.removeprefix("PIN of its page, shown this once: ")
    assert len(pin) == PIN_DIGITS
    lock = PinLock(box.data, time.time, time.monotonic)
    assert isinstance(lock.check(pin, "192.0.2.1"), Right)
    assert first_pin(box.data) is None
    found = modes(box.data)
    assert found.pop(str(box.data)) == 0o700
    assert found
    assert set(found.values()) == {0o600}


def test_whatever_a_command_makes_is_its_owners_alone(box: Box) -> None:
    program = (
        "import os, sys\nfrom edge import cli\ncli.main(sys.argv[1:], None, None)\nprint(oct(os.umask(0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "pin", "--data", str(box.data)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        umask=0o022,
    )
    assert done.stdout.splitlines()[-1] == "0o77"


def test_a_second_gate_on_the_same_data_is_refused(box: Box) -> None:
    running = LogStore.open(box.data)
    box.data.chmod(0o755)
    try:
        code, _, err = box.call("run")
    finally:
        running.close()
    assert box.data.stat().st_mode & 0o777 == 0o700
    assert code == 1
    assert f"process {os.getpid()}" in err
    assert "systemctl stop gatehouse-edge" in err


def test_a_pin_is_shown_once_and_stored_hashed(box: Box) -> None:
    code, out, _ = box.call("pin")
    assert code == 0
    pin = out.split(" is ")[1][:8]
    assert pin.isdecimal()
    assert all(pin.encode() not in path.read_bytes() for path in box.data.glob("pin*"))


def test_a_reset_forgets_only_what_is_safe_and_ours(box: Box) -> None:
    (box.data / "notes.txt").write_text("mine")
    code, _, err = box.call("reset")
    assert (code, "--yes" in err) == (1, True)
    code, _, err = box.call("reset", "--yes")
    assert (code, "4 records have not reached the centre" in err) == (1, True)
    assert (box.data / "enrolment.json").exists()
    code, out, _ = box.call("reset", "--yes", "--lose-records")
    assert (code, "notes.txt" in out, "maker's tool" in out) == (0, True, False)
    assert [path.name for path in box.data.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_reset_asks_what_becomes_of_the_keys_of_osdp_readers_and_does_it(box: Box, kept: bool) -> None:
    """Without its key a reader serves nobody until its maker's tool resets it; with it, whoever has the box's card."""
    names = ["osdp-1.key", "osdp-2.key.new", "osdp-3.key.new.part"]
    for name in names:
        (box.data / name).write_text("00" * 16)
    code, _, err = box.call("reset", "--yes", "--lose-records")
    assert (code, "3 keys of OSDP readers" in err, "--keep-keys" in err) == (1, True, True)
    assert (box.data / "enrolment.json").exists()
    code, out, _ = box.call("reset", "--yes", "--lose-records", "--keep-keys" if kept else "--lose-keys")
    assert (code, "open these readers" in out, "maker's tool" in out) == (0, kept, not kept)
    assert sorted(path.name for path in box.data.iterdir()) == (names if kept else [])


def test_no_reset_while_a_gate_runs(box: Box) -> None:
    running = LogStore.open(box.data)
    try:
        code, _, err = box.call("reset", "--yes", "--lose-records")
    finally:
        running.close()
    assert code == 1
    assert f"process {os.getpid()}" in err
    assert (box.data / "enrolment.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_leaves_nothing_behind_that_the_gate_cannot_write() -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        box = Box(Path(folder))
        make_gate(box.data)
        for path in [box.data.parent, box.data, *box.data.rglob("*")]:
            os.chown(path, nobody, nobody)
        code, out, err = box.call("verify")
        assert (code, err, "good" in out) == (0, "", True)
        code, _, err = box.call("pin")
        assert (code, err) == (0, "")
        assert {path.stat().st_uid for path in box.data.rglob("*")} == {nobody}


def test_help_names_every_command(box: Box) -> None:
    code, out, _ = box.call("--help")
    assert code == 0
    for command in (
        "run",
        "check",
        "off",
        "enrol",
        "explain",
        "osdp-key",
        "verify",
        "export",
        "pin",
        "reset",
    ):
        assert f"\n    {command} " in out


def test_a_full_disk_is_told_where_an_answer_goes_there(box: Box) -> None:
    """Half an export looks like a whole one."""
    for command in (("export",), ("verify",)):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "edge", *command, "--data", str(box.data)],
                stdout=full, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        assert (done.returncode, done.stderr.decode().splitlines()) == (
            1,
            [
                "gatehouse-edge: the disk is full; what was written is not whole",
                "  next: Make room, or write elsewhere.",
            ],
        )


def test_whoever_types_no_pin_tried_none(box: Box) -> None:
    """Ctrl-D at the question, or a job without input: told, and not counted as wrong."""
    box.call("pin")
    tag = ("write-tag", "--port", "/nowhere", "--steward", "7", "04:C1:28:5A:37:30:80", "D00000")
    code, _, err = box.call(*tag)
    assert (code, "no PIN was given" in err, "next:" in err) == (1, True, True)
    own, terminal = pty.openpty()
    try:
        asking = subprocess.Popen(
            [sys.executable, "-m", "edge", *tag, "--data", str(box.data)],
            stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert asking.stderr is not None
        said = os.read(asking.stderr.fileno(), 4096)
        while b"PIN of" not in said:
            said += os.read(asking.stderr.fileno(), 4096)
        os.write(own, b"\x04")
        _, err_left = asking.communicate(timeout=TIMEOUT_S)
    finally:
        os.close(own)
        os.close(terminal)
    assert (asking.returncode, b"no PIN was given" in err_left, b"Traceback" in err_left) == (1, True, False)
    assert not (box.data / "pin_tries.json").exists()


@pytest.mark.parametrize("port", ["65536", "-1", "eight"])
def test_a_port_that_is_none_is_said_so(box: Box, port: str) -> None:
    for command in ("commission", "run"):
        code, _, err = box.call(command, f"--port={port}")
        assert (code, "a port is a number up to 65535" in err) == (2, True)
