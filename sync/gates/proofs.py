"""Who asked, and the proof that an answer is the centre's and made for that request (`sync.wire.messages`)."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import NamedTuple

from aiohttp import web

from admission.ids import GateId
from sync.keys import VenueKeys
from sync.web.problems import problem
from sync.wire.messages import PROOF_HEADER, answer_text


class Asker(NamedTuple):
    """A gate that proved itself, and the nonce of its request."""

    gate: GateId
    public: bytes
    nonce: str


Known = Callable[[web.Request, bytes], Awaitable[Asker | web.Response]]
"""Returns who signed a request, or the answer that refuses it."""


class Proofs:
    """Signs answers with the centre's time key, as it is then."""

    def __init__(self, keys: VenueKeys) -> None:
        self._keys = keys

    def headers(self, asker: Asker, body: bytes, status: int = 200, tag: str = "") -> dict[str, str]:
        """Return the headers that prove a body; `tag`: its ETag, "" without one."""
        text = answer_text(asker.nonce, status, tag, sha256(body).digest())
        return {PROOF_HEADER: b64encode(self._keys.time_key.sign(text)).decode()}

    def problem(self, asker: Asker, status: int, code: str, detail: str) -> web.Response:
        """Return a refusal, proved like any other answer."""
        refusal = problem(status, code, detail)
        assert isinstance(refusal.body, bytes), "a problem is a small document"
        refusal.headers.update(self.headers(asker, refusal.body, status))
        return refusal
