"""A trouble as it is told: by `gatehouse-edge detect`, as text and as JSON, and by the commissioning page."""

from collections.abc import Iterable

import msgspec

from admission.reasons import Language
from edge.commission.findings import Trouble
from edge.commission.words import say


class TroubleTold(msgspec.Struct, frozen=True):
    """One thing to mend. `guide`: what to look for in the maker's guide; `programming`: the code itself, where it is known."""

    grade: str
    code: str
    place: str
    cause: str
    fix: str
    guide: str
    programming: str


def told(troubles: Iterable[Trouble], language: Language) -> tuple[TroubleTold, ...]:
    """Say troubles, in their order."""
    return tuple(_told(one, language) for one in troubles)


def _told(one: Trouble, language: Language) -> TroubleTold:
    said = say(one.code, dict(one.args), language)
    return TroubleTold(
        grade=one.grade.value,
        code=one.code,
        place=one.place,
        cause=said.cause,
        fix=said.fix,
        guide=one.order.guide if one.order else "",
        programming=one.order.text if one.order else "",
    )
