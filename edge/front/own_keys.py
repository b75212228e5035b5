"""This gate's own keys, rolled because the centre asks for it (`sync.wire.gate_keys` has the steps).

The enrolment on the disk names one pair of keys, the present ones, until one rename puts the new ones in their place.
Power may fail between any two steps: before the rename the present keys are good at the centre whatever it was offered,
after it the new ones are, from the first request on that they sign. The lane goes on signing its run with the key that
the run began with, for an epoch has one key; its next run begins with the new one.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from edge import enrolment as enrolments
from edge.enrolment import Enrolment
from edge.failpoints import failpoint
from edge.front.centre import CentreRefused
from sync.wire.gate_keys import KeyOffer, RollAsked, make_offer
from sync.wire.rotation import KeysRefused

STEPS: Final = ("roll_asked", "roll_made", "roll_offered", "roll_written", "roll_placed")
"""Places between two steps at which a test may kill this process, as a power cut would (`edge.failpoints`)."""

_OFFERED: Final = "roll_offered"
"""Code of the refusal of an offer whose request was not signed later than that of another one."""
_LATER_S: Final = 1.0
"""Requests are signed by whole seconds."""

log = logging.getLogger("edge.front.own_keys")


class OfferTaker(Protocol):
    """Where new keys are offered (`edge.front.centre.Centre`)."""

    async def offer_keys(self, offer: KeyOffer) -> None:
        """Offer new keys; returns once the centre keeps them."""
        ...


class OwnKeys:
    """Rolls the keys of one enrolment. Losing it loses nothing: other keys are made and offered then."""

    def __init__(self, enrolment: Enrolment, data: Path, centre: OfferTaker) -> None:
        self._enrolment = enrolment
        self._data = data
        self._centre = centre
        self._made: tuple[int, Ed25519PrivateKey, X25519PrivateKey] | None = None
        """For which order, and the keys: offered again as they are where no answer came."""

    async def roll(self, asked: RollAsked) -> None:
        """Have new keys in the place of the present ones: whoever signs with those begins anew.

        KeysRefused for an order that is none; OSError where the disk does not take it; whatever the centre raises.
        Nothing has changed then, and all may be tried again.
        """
        mine = self._enrolment
        failpoint("roll_asked")
        if self._made is None or self._made[0] != asked.number:
            self._made = (asked.number, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())
        _, signing, sealing = self._made
        try:
            offer = make_offer(mine.gate, asked, mine.public, signing, sealing)
        except ValueError as error:
            raise KeysRefused(
                "keys.order", "the order for new keys is of no form that this version knows"
            ) from error
        failpoint("roll_made")
        await self._offer(offer)
        failpoint("roll_offered")
        changed = replace(
            mine,
            signing_key=signing.private_bytes_raw(),
            sealing_key=sealing.private_bytes_raw(),
            former_public=(*mine.former_public, mine.public),
        )
        await asyncio.to_thread(self._place, changed)
        log.warning("this gate has new keys", extra={"code": "keys.own_rolled", "version": asked.number})

    async def _offer(self, offer: KeyOffer) -> None:
        """Offer keys; again where power failed behind another offer, and this one was signed in the same second."""
        try:
            await self._centre.offer_keys(offer)
        except CentreRefused as refused:
            if refused.code != _OFFERED:
                raise
            await asyncio.sleep(_LATER_S)
            await self._centre.offer_keys(offer)

    def _place(self, changed: Enrolment) -> None:
        enrolments.write(self._data, changed)
        failpoint("roll_written")
        enrolments.place(self._data)
        failpoint("roll_placed")
