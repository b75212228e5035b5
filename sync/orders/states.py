"""The states of an order, and what may be done in each. Pure.

Rules of the table: what is not in it is refused; each order follows it line by line, and `CANCELLED` is for ever. What
the gates are told of an order's tickets follows from its state alone (`STANDING`).
"""

from enum import Enum
from typing import Final

from admission.entitlements import Standing
from sync.web.api import Refused


class State(Enum):
    """The values are stored."""

    RESERVATION = "reservation"
    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    CANCELLED = "cancelled"


class Step(Enum):
    """What is done to an order."""

    PAY = "pay"
    INVOICE = "invoice"
    SPLIT = "split"
    CANCEL_SOME = "cancel_some"
    CANCEL = "cancel"
    EXPIRE = "expire"


class Payment(Enum):
    """How an order is paid; the values are stored."""

    CASH = "cash"
    CARD = "card"
    TRANSFER = "transfer"
    FREE = "free"
    """An invitation: whatever its price, nothing is owed."""
    STOCK = "stock"
    """Printed in advance for a point of sale; unsold tickets come back by quick cancel."""
    ON_SITE = "on_site"
    ONLINE = "online"
    INVOICE = "invoice"


_R, _A, _P, _C = State.RESERVATION, State.AWAITING_PAYMENT, State.PAID, State.CANCELLED
BEGINS: Final = {
    Payment.CASH: _P,
    Payment.CARD: _P,
    Payment.TRANSFER: _P,
    Payment.FREE: _P,
    Payment.STOCK: _P,
    Payment.ON_SITE: _R,
    Payment.ONLINE: _A,
    Payment.INVOICE: _A,
}
"""The state that an order begins in, by how it is to be paid."""
SETTLES: Final = frozenset((Payment.CASH, Payment.CARD, Payment.TRANSFER, Payment.FREE, Payment.ONLINE))
"""What an order that is not paid yet may be paid by."""
STEPS: Final = {
    (_R, Step.PAY): _P,
    (_R, Step.INVOICE): _A,
    (_R, Step.SPLIT): _R,
    (_R, Step.CANCEL_SOME): _R,
    (_R, Step.CANCEL): _C,
    (_R, Step.EXPIRE): _C,
    (_A, Step.PAY): _P,
    (_A, Step.CANCEL_SOME): _A,
    (_A, Step.CANCEL): _C,
    (_P, Step.CANCEL_SOME): _P,
    (_P, Step.CANCEL): _C,
}
STANDING: Final = {
    _R: Standing.UNPAID,
    _A: Standing.UNPAID,
    _P: Standing.VALID,
    _C: Standing.CANCELLED,
}
"""What the gates are told of its tickets."""
_WHY: Final = {
    State.RESERVATION: "This order is a reservation.",
    State.AWAITING_PAYMENT: "This order waits for its payment.",
    State.PAID: "This order is paid.",
    State.CANCELLED: "This order is cancelled; place a new one.",
}


def after(state: State, step: Step) -> State:
    """Return the state after a step; Refused where it may not be taken."""
    found = STEPS.get((state, step))
    if found is None:
        raise Refused(
            409, f"order_{state.value}", f"{_WHY[state]} It cannot: {step.value.replace('_', ' ')}."
        )
    return found
