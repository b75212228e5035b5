"""Every state of an order with every step, every validity of a pass with every decision: as the tables say, or refused."""

import itertools

import pytest

from admission.entitlements import Standing
from sync.orders.passes import VALIDITIES, Decision, Validity
from sync.orders.states import BEGINS, STANDING, Payment, State, Step, after
from sync.web.api import Refused

R, A, P, C = State.RESERVATION, State.AWAITING_PAYMENT, State.PAID, State.CANCELLED
EXPECTED = {
    R: {Step.PAY: P, Step.INVOICE: A, Step.SPLIT: R, Step.CANCEL_SOME: R, Step.CANCEL: C, Step.EXPIRE: C},
    A: {Step.PAY: P, Step.CANCEL_SOME: A, Step.CANCEL: C},
    P: {Step.CANCEL_SOME: P, Step.CANCEL: C},
    C: {},
}


@pytest.mark.parametrize(("state", "step"), list(itertools.product(State, Step)))
def test_every_step_of_every_state(state: State, step: Step) -> None:
    wanted = EXPECTED[state].get(step)
    if wanted is None:
        with pytest.raises(Refused) as refused:
            after(state, step)
        assert (refused.value.status, refused.value.code) == (409, f"order_{state.value}")
    else:
        assert after(state, step) is wanted


def test_a_cancelled_order_is_over_and_every_payment_begins_somewhere() -> None:
    assert set(BEGINS) == set(Payment)
    assert set(BEGINS.values()) == {R, A, P}
    assert STANDING == {R: Standing.UNPAID, A: Standing.UNPAID, P: Standing.VALID, C: Standing.CANCELLED}


def test_every_decision_of_every_validity() -> None:
    t, a, w, r = Validity.TO_APPROVE, Validity.APPROVED, Validity.WITHDRAWN, Validity.REFUSED
    assert {
        (t, Decision.APPROVE): a,
        (t, Decision.REFUSE): r,
        (a, Decision.WITHDRAW): w,
        (w, Decision.APPROVE): a,
        (r, Decision.APPROVE): a,
    } == VALIDITIES
