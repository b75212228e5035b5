"""What a browser asks for: bodies read and checked, turned into commands; the language it wants."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from aiohttp import hdrs, web

from admission.reasons import Language
from edge.link import (
    Acknowledge,
    AdmitByHand,
    AnnulLast,
    BelieveAgain,
    ClearFire,
    Command,
    CountPeople,
    Identify,
    Pulse,
    Readmission,
    ResetPresence,
    Restart,
    SetState,
    SetUpAnew,
)

BODY_S = 5.0
"""A body of a few hundred bytes arrives at once, or it is a slow attack."""
PEOPLE_COUNTED_MAX = 1_000_000
"""Nobody counts more by hand; a longer number is a typing error."""
LANG_COOKIE = "gatehouse-lang"

Steward = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Named = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
"""A steward's number where there must be one."""
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Way = Literal[1, 2]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body; unknown fields are refused."""


class PinBody(Asked, frozen=True):
    """POST /api/pin."""

    pin: Annotated[str, msgspec.Meta(max_length=64)]


class StateBody(Asked, frozen=True):
    """POST /api/lane/{id}/state; lane 0: all of them."""

    state: Annotated[str, msgspec.Meta(max_length=32)]
    steward: Steward = 0


class PulseBody(Asked, frozen=True):
    """POST /api/lane/{id}/pulse."""

    direction: Way
    steward: Steward = 0


class FireBody(Asked, frozen=True):
    """POST /api/lane/{id}/fire: clears the latch."""

    steward: Steward = 0


class AdmitBody(Asked, frozen=True):
    """POST /api/lane/{id}/admit. With `code` it uses that ticket."""

    direction: Way
    reason: Reason
    steward: Named
    count: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    code: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class AnnulBody(Asked, frozen=True):
    """POST /api/lane/{id}/annul: `epoch` (16 hexadecimal digits) and `seq` name the admission."""

    epoch: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
    reason: Reason
    steward: Named


class ResetBody(Asked, frozen=True):
    """POST /api/zone/{id}/reset: everybody in it counts as outside."""

    steward: Named


class CountBody(Asked, frozen=True):
    """POST /api/zone/{id}/count: so many are in it, counted by hand."""

    steward: Named
    people: Annotated[int, msgspec.Meta(ge=0, le=PEOPLE_COUNTED_MAX)]


class ReadmitBody(Asked, frozen=True):
    """POST /api/zone/{id}/readmission: opens or ends it."""

    steward: Named
    open: bool


class BoxBody(Asked, frozen=True):
    """POST /api/box/identify, /api/box/restart, /api/box/sync."""

    steward: Steward = 0


class AnewBody(Asked, frozen=True):
    """POST /api/box/anew: nobody passes until somebody has commissioned this box anew."""

    steward: Named


class BelieveBody(Asked, frozen=True):
    """POST /api/gate/{id}/believe: somebody looked at that gate."""

    steward: Named


class NoBody(Asked, frozen=True):
    """POST /api/alert/{id}/acknowledge."""


Body = TypeVar("Body", bound=Asked)


class Refused(Exception):
    """The page does not do it; `code` is a sentence of `edge.words`."""

    def __init__(self, code: str, args: dict[str, str | int] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.args_said = args or {}


_OF_BOX: Final[Mapping[str, type[Identify | Restart]]] = {"identify": Identify, "restart": Restart}


async def command(request: web.Request) -> Command | BelieveAgain:
    """Turn a request into what the lane is asked; the client numbers it."""
    lane = number = int(request.match_info.get("id", "0"))
    match request.match_info["what"]:
        case "state":
            state = await body(request, StateBody)
            return SetState(0, lane, state.state, state.steward)
        case "pulse":
            pulse = await body(request, PulseBody)
            return Pulse(0, lane, pulse.direction, pulse.steward)
        case "fire":
            return ClearFire(0, lane, (await body(request, FireBody)).steward)
        case "annul":
            annul = await body(request, AnnulBody)
            return AnnulLast(0, lane, int(annul.epoch, 16), annul.seq, annul.steward, annul.reason)
        case "reset":
            return ResetPresence(0, number, (await body(request, ResetBody)).steward)
        case "count":
            count = await body(request, CountBody)
            return CountPeople(0, number, count.people, count.steward)
        case "readmission":
            readmit = await body(request, ReadmitBody)
            return Readmission(0, number, readmit.open, readmit.steward)
        case "identify" | "restart" as what:
            return _OF_BOX[what](0, (await body(request, BoxBody)).steward)
        case "anew":
            return SetUpAnew(0, (await body(request, AnewBody)).steward)
        case "believe":
            return BelieveAgain(0, number, (await body(request, BelieveBody)).steward)
        case "acknowledge":
            await body(request, NoBody)
            return Acknowledge(0, number)
        case _:
            admit = await body(request, AdmitBody)
            return AdmitByHand(0, lane, admit.direction, admit.steward, admit.reason, admit.count, admit.code)


async def body(request: web.Request, kind: type[Body]) -> Body:
    """Read a JSON body. The content type is one that a form of another site cannot send."""
    if request.content_type != "application/json":
        raise Refused("page.bad_request", {"what": "application/json"})
    try:
        async with asyncio.timeout(BODY_S):
            return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("page.bad_request", {"what": str(error)}) from None
    except TimeoutError:
        raise Refused("page.bad_request", {"what": "timeout"}) from None
    except (web.RequestPayloadError, ConnectionError):  # its chunks are garbled, or the sender is gone
        raise Refused("page.bad_request", {"what": "no whole body"}) from None


def named(text: str) -> Language | None:
    """Return the language of a two-letter name; None where it is none of ours."""
    return next((one for one in Language if one.value == text), None)


def language_of(request: web.Request, own: Language | None = None) -> Language:
    """What the reader wants: asked for, else chosen before, else the box's `own`, else the browser's first of our four."""
    chosen = named(request.query.get("lang", "")) or named(request.cookies.get(LANG_COOKIE, "")) or own
    if chosen is not None:
        return chosen
    weighed: list[tuple[float, int, Language]] = []
    for at, part in enumerate(request.headers.get(hdrs.ACCEPT_LANGUAGE, "")[:256].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        found = named(tag.partition("-")[0].lower())
        if found is not None:
            try:
                weighed.append((-float(weight or 1), at, found))
            except ValueError:
                continue
    return min(weighed)[2] if weighed else Language.EN
