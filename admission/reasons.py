"""Why a visitor is not simply let in, and how it is said.

One table: each reason has the display state it leads to, one short line for the visitor and one hint for the steward,
in German, French, Italian and English. Numbers are in records: never change one, never use one again.
"""

from enum import Enum, IntEnum


class Reason(IntEnum):
    """Reasons of checks and denials, in the order in which they are judged at an entry."""

    NONE = 0
    MALFORMED = 1
    NOT_READY = 2
    FORGED = 3
    UNKNOWN_ISSUER = 4
    UNKNOWN = 5
    BANNED_TAG = 6
    INACTIVE_TAG = 7
    CANCELLED = 8
    REPLACED = 9
    BANNED = 10
    REDEEMED = 11
    UNPAID = 12
    UNAPPROVED = 13
    WRONG_EVENT = 14
    WRONG_DATE = 15
    TOO_EARLY = 16
    EXPIRED = 17
    WRONG_ZONE = 18
    ALREADY_USED = 19
    ALREADY_INSIDE = 20
    LIMIT_REACHED = 21
    FULL = 22
    OFFLINE = 23
    AMBIGUOUS = 24
    # reasons of `check` and `wait`
    UNLISTED = 40
    AFTER_RESTART = 41
    CHECK_ID = 42
    CHECK_REDUCED_FARE = 43
    CHECK_NOTE = 44
    BUSY = 45
    EXIT_PENDING = 46
    SCANNER_LAYOUT = 47


class DisplayState(Enum):
    """Five states, not two: what a person sees at a glance."""

    ADMIT = "admit"
    ALREADY_USED = "already_used"
    REFUSED = "refused"
    CHECK = "check"
    NOT_READY = "not_ready"
    WAIT = "wait"
