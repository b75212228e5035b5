"""A gate's own keys, rolled: what it offers at the centre, and when. On virtual time."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import enrolment as enrolments
from edge.front.centre import CentreRefused
from edge.front.own_keys import OwnKeys
from sync.wire.gate_keys import KeyOffer, RollAsked
from tests.edge.front.peers.node import enrolment_of
from tests.sim.loop import VirtualLoop

ASKED = RollAsked(7, X25519PrivateKey.generate().public_key().public_bytes_raw())


class Keeps:
    """A centre that keeps of two offers the one whose request was signed in a later second (`sync.wire.gate_keys`)."""

    def __init__(self, loop: VirtualLoop, code: str = "roll_offered") -> None:
        self._loop, self._code = loop, code
        self._signed_s = -1
        self.kept: KeyOffer | None = None

    async def offer_keys(self, offer: KeyOffer) -> None:
        now_s = int(self._loop.time())
        if now_s <= self._signed_s:
            raise CentreRefused(self._code)
        self._signed_s, self.kept = now_s, offer


def test_a_gate_whose_power_failed_behind_its_offer_makes_another_as_soon_as_that_counts(
    tmp_path: Path,
) -> None:
    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    centre, mine = Keeps(loop), enrolment_of(1)
    enrolments.save(tmp_path, mine)

    async def rolled() -> float:
        await OwnKeys(mine, tmp_path / "cut", centre).roll(ASKED)  # its disk takes nothing any more
        raise AssertionError

    async def main() -> float:
        with pytest.raises(OSError, match="cut"):
            await rolled()
        began_s = loop.time()
        await OwnKeys(mine, tmp_path, centre).roll(ASKED)
        return loop.time() - began_s

    took_s = loop.run(main())
    loop.close()
    assert took_s <= 1.0
    assert centre.kept is not None
    assert enrolments.load(tmp_path).public == centre.kept.public


def test_what_is_refused_for_another_reason_is_not_offered_again(tmp_path: Path) -> None:
    loop = VirtualLoop()  # type: ignore[abstract]  # it has what our code asks of a loop
    centre, mine = Keeps(loop, "roll_not_asked"), enrolment_of(1)
    enrolments.save(tmp_path, mine)

    async def main() -> None:
        await OwnKeys(mine, tmp_path, centre).roll(ASKED)
        before = centre.kept
        with pytest.raises(CentreRefused, match="roll_not_asked"):
            await OwnKeys(mine, tmp_path, centre).roll(ASKED)
        assert centre.kept is before

    loop.run(main())
    loop.close()
