"""Whom a gate believes: what cannot be had of one document keeps no other back."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from edge.clock import SystemClock
from edge.front import tls
from edge.front.belief import Belief
from edge.front.centre import Centre, CentreRefused
from edge.front.documents import Documents
from edge.front.doubt import Doubt
from edge.front.merged import Merged
from edge.front.past import Past
from edge.held_roster import ROSTER_FILE
from edge.link import Done
from edge.store.disk import LocalDisk
from edge.store.log import LogStore
from edge.store.log_reader import LogReader
from sync.wire.counted import Limit
from sync.wire.messages import Certified
from sync.wire.snapshots import Manifest
from tests.edge.front.peers.node import NOW_S, enrolment_of, key_of, log_of, roster_of
from tests.sync.logs import EpochLog


class Source:
    """A centre that has a roster, and certifies no page."""

    def __init__(self) -> None:
        self.asked = 0

    async def roster(self) -> bytes:
        return roster_of([1, 2])

    async def certificate(self, request: bytes) -> Certified:
        assert request
        self.asked += 1
        raise CentreRefused("certificate_refused")


class Lane:
    async def believe(self, limits: Sequence[Limit]) -> Done:
        assert limits == ()
        return Done(0, ok=True)


def page_of(data: Path, kind: str) -> tls.PageTls:
    """A page that is served with a certificate of the venue's own authority, or with one that the centre will not renew."""
    if kind == "own":
        key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box.venue.example")])
        day = dt.datetime.fromtimestamp(NOW_S, dt.UTC)
        made = x509.CertificateBuilder(name, name, key.public_key(), 7, day, day + dt.timedelta(days=90))
        (data / tls.CERT_FILE).write_bytes(
            made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        (data / tls.KEY_FILE).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    page = tls.PageTls(data)
    page.serve(tls.certificate(data, ("localhost",), ()), ("localhost",), ())
    return page


@pytest.mark.parametrize("kind", ["own", "refused"])
async def test_a_page_that_gets_no_certificate_keeps_no_other_document_back(
    tmp_path: Path, kind: str
) -> None:
    mine, due = enrolment_of(1), asyncio.Event()
    store = LogStore.open(tmp_path, LocalDisk())
    reader = LogReader.open(tmp_path)
    source = Source()
    centre = cast(Centre, source)
    documents = Documents(mine, tmp_path, centre, lambda: NOW_S, page_of(tmp_path, kind))
    past = Past(SystemClock(), reader)
    roster = {log_of(2).gate: key_of(2).public_key().public_bytes_raw()}
    merged = Merged(reader, mine.gate, mine.public, lambda: roster)
    forged = EpochLog(log_of(2).epoch, log_of(2).gate, key_of(3)).begin()
    forged.sign()
    merged.take(b"c", [forged.chunk()])
    was_in_doubt = merged.doubts

    async def here(work: Callable[[], Any]) -> Any:
        return work()

    belief = Belief(documents, past, Doubt(lambda: 0, due), due, centre, Lane(), here)
    for _ in range(2):
        async with asyncio.timeout(60):
            await belief.look(None, merged, due.set)
    assert (was_in_doubt, merged.doubts) == (True, False)
    assert documents.held is not None
    assert source.asked == (kind == "refused"), "not again and again"
    reader.close()
    store.close()


async def test_a_roster_holds_also_while_the_card_takes_nothing(tmp_path: Path) -> None:
    """Whoever it shuts out is believed no more from now on; kept it is as soon as the card is well."""
    mine, due = enrolment_of(1), asyncio.Event()
    store = LogStore.open(tmp_path, LocalDisk())
    reader = LogReader.open(tmp_path)
    (tmp_path / ROSTER_FILE).with_suffix(".new").mkdir()
    centre = cast(Centre, Source())
    documents = Documents(mine, tmp_path, centre, lambda: NOW_S)
    merged = Merged(reader, mine.gate, mine.public, dict)
    told = Manifest(mine.group, None, (), b"", roster_version=1)

    async def here(work: Callable[[], Any]) -> Any:
        return work()

    belief = Belief(documents, Past(SystemClock(), reader), Doubt(lambda: 0, due), due, centre, Lane(), here)
    with pytest.raises(OSError, match="directory"):
        await belief.look(told, merged, due.set)
    held = belief.in_force()
    assert held is not None
    assert (held.version, belief._believed) == (1, held), "the lane goes by it, too"
    (tmp_path / ROSTER_FILE).with_suffix(".new").rmdir()
    await belief.look(told, merged, due.set)
    assert documents.signed() == (tmp_path / ROSTER_FILE).read_bytes() == roster_of([1, 2])
    reader.close()
    store.close()
