"""Joining a centre: keys are made here, the one-time code proves who may, the venue's identity key is pinned."""

import contextlib
import http.client
import ipaddress
import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from admission.ids import GateId
from edge import enrolment
from edge.centre_tls import CentreTls, is_about_dates
from edge.enrolment import Enrolment
from sync.wire.messages import (
    CODE_CHARS,
    NONCE_BYTES,
    UNREADABLE,
    Enrol,
    Enrolled,
    KeyDocument,
    SignedKeys,
    SignedTime,
    enrol_text,
    fingerprint_of,
    plain_code,
    time_is_genuine,
)
from sync.wire.rotation import KeysRefused, Pinned, follow

TIMEOUT_S = 15.0
ANSWER_BYTES_MAX = 64 * 1024
NAME_CHARS_MAX = 100


class Why(StrEnum):
    """What a person has to mend before a box can join."""

    CODE = "code"
    ADDRESS = "address"
    PLAIN = "plain"
    """The address is not encrypted."""
    SILENT = "silent"
    """No centre answers there."""
    CLOCK = "clock"
    """The certificate's dates do not fit this box's clock."""
    OTHER_CENTRE = "other_centre"
    OTHER = "other"


class EnrolFailed(Exception):
    """This box did not join. `hint` is the next step."""

    def __init__(self, what: str, hint: str, why: Why = Why.OTHER) -> None:
        super().__init__(what)
        self.hint = hint
        self.why = why


class _Problem(msgspec.Struct):
    """What we read of a problem document (RFC 9457)."""

    detail: str = ""


def enrol(
    data: Path, url: str, code: str, name: str, *, ca_file: Path | None = None, again: bool = False
) -> Enrolment:
    """Join the centre at `url` with a one-time code, and save the enrolment in `data`. Blocks for up to 15 s.

    A fragment of the URL is the fingerprint of the centre's identity key and is held against it. `name`: the box's own,
    for the centre's journal; the gate it becomes is the code's. EnrolFailed with a hint; nothing is saved then.
    `again`: replace an enrolment that is there.
    """
    if not again:
        _refuse_enrolled(data)
    before = _present(data) if again else None
    plain = plain_code(code)
    if len(plain) != CODE_CHARS:
        raise EnrolFailed(
            f"{code!r} is no enrolment code",
            "It has 8 characters: gatehouse-sync gate code NAME prints one.",
            Why.CODE,
        )
    base, _, fingerprint = url.partition("#")
    fingerprint = fingerprint.strip().lower()
    signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    public, sealing_public = signing.public_key().public_bytes_raw(), sealing.public_key().public_bytes_raw()
    asked = Enrol(
        code=plain,
        name=name[:NAME_CHARS_MAX],
        public=public,
        sealing=sealing_public,
        proof=signing.sign(enrol_text(plain, public, sealing_public)),
    )
    answer = _joined(_Line(base, ca_file), msgspec.json.encode(asked), fingerprint)
    document = _checked(answer, fingerprint)
    made = Enrolment(
        gate=GateId(answer.gate),
        name=answer.name,
        group=answer.group,
        centre_url=base.rstrip("/"),
        centre_public=answer.identity,
        list_public=document.lists,
        time_public=document.time,
        signing_key=signing.private_bytes_raw(),
        sealing_key=sealing.private_bytes_raw(),
        successor_public=document.successor,
        roster_public=document.roster,
        keys_number=document.number,
        former_public=(*before.former_public, before.public)
        if before is not None and (before.gate, before.group) == (answer.gate, answer.group)
        else (),
    )
    try:
        data.mkdir(parents=True, exist_ok=True)
        enrolment.save(data, made)
    except OSError as error:
        raise EnrolFailed(
            f"the enrolment could not be saved in {data}: {error.strerror}",
            "Make the data folder writable, then enrol with a new code.",
        ) from error
    return made


def _present(data: Path) -> Enrolment | None:
    """Return the enrolment that is to be replaced; None where there is no readable one."""
    try:
        return enrolment.load(data)
    except (enrolment.NotEnrolled, OSError, ValueError):
        return None


def _refuse_enrolled(data: Path) -> None:
    try:
        present = enrolment.load(data)
    except enrolment.NotEnrolled:
        return
    except (OSError, ValueError) as error:
        raise EnrolFailed(
            str(error), "Remove the damaged enrolment (gatehouse-edge reset), then enrol."
        ) from error
    raise EnrolFailed(
        f"this box is gate {present.gate} ({present.name}) of {present.centre_url} already",
        "To move it to another centre, run gatehouse-edge reset first.",
    )


def _checked(answer: Enrolled, fingerprint: str) -> KeyDocument:
    """Return the key document, once it is shown to be the word of the centre that was meant."""
    if fingerprint:
        _refuse_other_centre(answer.identity, fingerprint)
    pinned = Pinned(answer.identity)  # what the person compared, or this first answer
    signed = SignedKeys(answer.identity, answer.document, answer.signature)
    try:
        document = follow(pinned, signed)
    except KeysRefused as error:
        raise EnrolFailed(
            "the centre's keys are not signed by its identity key", "Update gatehouse-sync and this box."
        ) from error
    if answer.gate < 1:
        raise EnrolFailed("the centre gave this box no number", "Update gatehouse-sync and this box.")
    return document


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, without asking anybody's name service but for the name `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class _Line:
    """How a centre is reached. EnrolFailed where `base` is no address to send a code to, or nobody answers there."""

    def __init__(self, base: str, ca_file: Path | None) -> None:
        self._base = base
        try:
            parts = urlsplit(base)
            host, self._port = parts.hostname, parts.port
        except ValueError:
            parts, host, self._port = urlsplit(""), None, None
        # Who reads `https://centre.example@elsewhere` takes it for another host than it is (RFC 3986, 7.6).
        if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
            raise EnrolFailed(
                f"{base!r} is no address of a centre",
                "Give it as https://HOST or https://HOST:PORT.",
                Why.ADDRESS,
            )
        if parts.scheme == "http" and not is_loopback(host):
            raise EnrolFailed(
                f"{base} is not encrypted: whoever listens could take the code and become this gate",
                f"Give it as https://{parts.netloc}; start the centre with --tls-cert and --tls-key, or behind a proxy "
                "with a certificate. Plain http is for a centre on this box alone (127.0.0.1).",
                Why.PLAIN,
            )
        self._host, self._path = host, parts.path.rstrip("/")
        self.tls = CentreTls(ca_file) if parts.scheme == "https" else None

    def ask(self, method: str, target: str, body: bytes = b"", *, undated: bool = False) -> tuple[int, bytes]:
        """Return status and body of an answer. `undated`: of a server whose certificate may be of any date."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        if self.tls is not None:
            context = self.tls.undated if undated else self.tls.context
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_S, context=context
            )
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, f"{self._path}/api/v1/gate/{target}", body or None, headers)
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES_MAX)
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            # UnicodeError: a name that no name service takes.
            raise EnrolFailed(
                f"the centre at {self._base} does not answer: {error}",
                "Check the address, the network, and that gatehouse-sync serve runs there.",
                Why.SILENT,
            ) from error
        finally:
            connection.close()


def _joined(line: _Line, asked: bytes, fingerprint: str) -> Enrolled:
    """Ask to join. Where a certificate's dates do not fit this box's clock, by the centre's own time, once."""
    try:
        return _asked_to_join(line, asked, fingerprint)
    except EnrolFailed as failed:
        if line.tls is None or not is_about_dates(failed.__cause__):
            raise
        now_s = _centre_clock(line, fingerprint)
        if now_s is None:
            hint = (
                f"By this box's clock it is {time.strftime('%d.%m.%Y %H:%M')}. If that is wrong, set it "
                "(timedatectl set-time), or give the centre's address with its fingerprint: https://HOST#FINGERPRINT."
            )
            raise EnrolFailed(str(failed), hint, Why.CLOCK) from failed
        line.tls.by_time(now_s)
    # The code is sent again, and only now: nothing of it left the box before the certificate was found good.
    return _asked_to_join(line, asked, fingerprint)


def _asked_to_join(line: _Line, asked: bytes, fingerprint: str) -> Enrolled:
    """Ask to join; not a centre that says itself that it is another one than was meant, where the code would be used up."""
    if fingerprint:
        with contextlib.suppress(*UNREADABLE):
            said = msgspec.json.decode(line.ask("GET", "keys")[1], type=SignedKeys)
            _refuse_other_centre(said.identity, fingerprint)
    return _enrolled(*line.ask("POST", "enrol", asked))


def _refuse_other_centre(identity: bytes, fingerprint: str) -> None:
    if fingerprint_of(identity) != fingerprint:
        raise EnrolFailed(
            "the centre that answered is not the one of this fingerprint",
            "Check the address; if it is right, somebody stands between this box and the centre.",
            Why.OTHER_CENTRE,
        )


def _centre_clock(line: _Line, fingerprint: str) -> Callable[[], int] | None:
    """Return the time by the word of the centre whose fingerprint was given; None where nothing vouches for it.

    The key document proves itself by that fingerprint, and names the key that signs the time for our nonce.
    """
    nonce = os.urandom(NONCE_BYTES).hex()
    try:
        signed = msgspec.json.decode(line.ask("GET", "keys", undated=True)[1], type=SignedKeys)
        if not fingerprint or fingerprint_of(signed.identity) != fingerprint:
            return None
        document = follow(Pinned(signed.identity), signed)
        said = msgspec.json.decode(line.ask("GET", f"time?nonce={nonce}", undated=True)[1], type=SignedTime)
    except (*UNREADABLE, KeysRefused):
        return None
    if not time_is_genuine(Ed25519PublicKey.from_public_bytes(document.time), said, nonce):
        return None
    begun_s = time.monotonic()
    return lambda: said.time_s + int(time.monotonic() - begun_s)


def _enrolled(status: int, content: bytes) -> Enrolled:
    """Read what the centre answered to a box that asked to join."""
    try:
        if status == http.client.OK:
            return msgspec.json.decode(content, type=Enrolled)
        detail = msgspec.json.decode(content, type=_Problem).detail
    except UNREADABLE:
        detail = ""
    raise EnrolFailed(
        f"the centre refused ({status})",
        detail or "Check that this is the address of gatehouse-sync.",
        Why.CODE if status == http.client.FORBIDDEN else Why.OTHER,
    )
