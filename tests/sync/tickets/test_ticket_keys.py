"""A rolled ticket key: what it signs is read at once, what the one before signed is read still."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admission.codecs import cose
from admission.keys import KeyFormat, KeyStatus
from admission.reasons import Reason
from admission.records import Outcome
from sync import demo
from sync.events.rows import GROUP
from sync.keys import load_or_make
from sync.tickets.rows import read_keys
from sync.tickets.ticket_keys import GRACE_S, roll_tickets
from sync.wire.lists import ListKey
from tests.sync.conftest import Home
from tests.sync.connected import connected, tickets
from tests.sync.venue import NOW_S, Venue, venue_at


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        yield made


def walk_up(key: Ed25519PrivateKey, issued_at: int = NOW_S) -> str:
    """A ticket that no list has."""
    claims = cose.Claims(
        ticket=77_777, event=demo.EVENT, issued_at=issued_at, product=demo.DAY, admits=1, session=demo.TODAY
    )
    return cose.mint(claims, key)


@pytest.mark.parametrize("compromised", [False, True])
async def test_a_running_gate_reads_what_either_key_signed(
    venue: Venue, tmp_path: Path, compromised: bool
) -> None:
    keys = venue.centre.keys
    old = keys.ticket_key
    async with connected(venue, tmp_path) as gate:
        assert gate.verdict(walk_up(old)).outcome is Outcome.GRANT
        roll_tickets(venue.centre.database, venue.data, NOW_S, compromised=compromised)
        new = keys.ticket_key
        assert new.private_bytes_raw() != old.private_bytes_raw(), "taken up without a restart"
        await gate.until(lambda: gate.verdict(walk_up(new)).outcome is Outcome.GRANT, "the new key is known")
        late = walk_up(old, NOW_S + GRACE_S + 1)
        await gate.until(lambda: gate.verdict(late).reason is Reason.UNKNOWN_ISSUER, "the old one ended")
        outcome = gate.verdict(walk_up(old)).outcome
        assert outcome is (Outcome.DENY if compromised else Outcome.GRANT)
        listed = tickets(venue)["day"]
        assert gate.of(listed).outcome is Outcome.GRANT, "what the list has is let in all the same"


def test_every_group_is_told_before_the_key_signs(home: Home) -> None:
    database = home.open()
    keys = load_or_make(home.data, may_make=True)
    demo.make_demo(database, keys, home.data, NOW_S)
    (before,) = keys.ticket_publics
    after = roll_tickets(database, home.data, NOW_S)
    assert keys == after == load_or_make(home.data, may_make=False)
    with database.reading() as connection:
        known = {one.public: one for one in read_keys(connection, GROUP) if one.format == KeyFormat.TK1.value}
    (now, then) = after.ticket_publics
    assert then == before
    assert known == {
        now: ListKey(now, KeyFormat.TK1.value),
        before: ListKey(
            before, KeyFormat.TK1.value, not_after=NOW_S + GRACE_S, status=KeyStatus.RETIRED.value
        ),
    }
    database.close()
