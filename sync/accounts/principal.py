"""Who asks, and what they may do. Pure values; everything else of accounts makes or checks them."""

from enum import Enum

import msgspec


class Role(Enum):
    """What a member of an organization, or a token, may do; the values are stored."""

    VIEWER = "viewer"
    STEWARD = "steward"
    BOX_OFFICE = "box_office"
    ORGANIZER = "organizer"
    OWNER = "owner"
    DEVICE = "device"
    """Somebody's scanner: redeems and annuls, and sees nothing else."""

    def may(self, needed: "Role") -> bool:
        """Whether this role does what `needed` does. What a device does, a steward does too."""
        if self is needed:
            return True
        if self is Role.DEVICE:
            return False
        return _ORDER[self] >= _ORDER[Role.STEWARD if needed is Role.DEVICE else needed]

    def __lt__(self, needed: "Role") -> bool:
        """Whether this role is too little for what `needed` does."""
        return not self.may(needed)


_ORDER = {Role.VIEWER: 0, Role.STEWARD: 1, Role.BOX_OFFICE: 2, Role.ORGANIZER: 3, Role.OWNER: 4}


class Actor(msgspec.Struct, frozen=True):
    """Who changed something, as the audit log names them. `kind`: user, token, gate or system."""

    kind: str
    id: int
    name: str


SYSTEM = Actor("system", 0, "the centre")


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: one role in one organization. `event`: the only event a token is for; 0 for all."""

    organization: int
    role: Role
    actor: Actor
    event: int = 0
    by_cookie: bool = False
    """Signed in through pages: a state change must then prove that it came from a page of ours."""
