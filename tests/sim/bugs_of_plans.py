"""Bugs of settings and codes that are changed in the middle of an evening."""

from typing import Any

import msgspec

from admission.entitlements import CredentialStanding
from edge import deltas
from edge.applied import KeptSettings
from edge.front.stream import News
from edge.judge import Judge
from edge.lists import Lists
from edge.overlay import Overlay
from sync.gates import changes, group_settings
from sync.imports import intake
from tests.sim.planted import Broken, Bug, Make, instead, left_out


def _last_that_came(right: Any) -> object:
    async def bring(self: News, delta: Any) -> bool:
        if self._settings is not None:
            delta = msgspec.structs.replace(delta, settings=self._settings.digest)
        return bool(await right(self, delta))

    return bring


def _same(name: str) -> Make:
    """What a list says of one thing is not judged by, once one was."""

    def make(right: Any) -> object:
        def use_list(self: Judge, *arguments: Any) -> None:
            before = getattr(self, name) if self.has_list else None
            right(self, *arguments)
            if before is not None:
                setattr(self, name, before)

        return use_list

    return make


def _codes_open(right: Any) -> object:
    def put(self: Overlay, digest: bytes, row: Any, place: Any) -> None:
        right(self, digest, msgspec.structs.replace(row, credential=CredentialStanding.ACTIVE), place)

    return put


def _without_zones(right: Any) -> object:
    return tuple(one for one in right if "zone.name" not in str(one))


BUGS_OF_PLANS = {
    "settings-of-before-kept": Bug(
        "settings heard before a whole list was made overrule its own",
        (Broken(KeptSettings, "is_newer", instead(lambda *_: True)),), seed=57),
    "settings-of-before-given-on": Bug(
        "a change brings the settings that came last, also those of a neighbour that is behind",
        (Broken(News, "_bring", _last_that_came),), seed=34),
    "settings-not-taken": Bug(
        "settings are acknowledged and not judged by", (Broken(Lists, "_take_settings", left_out),), seed=2),
    "settings-lost-at-restart": Bug(
        "settings that came by changes are not read at the start", (Broken(deltas, "settings_of", instead(lambda _: None)),), seed=2),
    "settings-not-told": Bug(
        "a zone that is renamed is no news to the centre", (Broken(group_settings, "_BEHIND", _without_zones),), seed=2),
    "keys-of-the-first-list": Bug("a new key is not believed", (Broken(Judge, "use_list", _same("_ring")),), seed=2),
    "replaced-code-opens": Bug(
        "what is said of a code is not taken in", (Broken(Overlay, "put", _codes_open),), seed=2),
    "exchanged-code-not-told": Bug(
        "a code that changed alone is no change", (Broken(changes, "_BY_CREDENTIAL", instead(changes._BY_TICKET)),), seed=2),
    "list-undoes-a-reissue": Bug(
        "a row that is brought again gives a code back that was replaced here",
        (Broken(intake, "_of_people", instead(lambda *_: set())),), seed=49),
    "list-undoes-a-ban": Bug(
        "a row that is changed clears what was said of its ticket", (Broken(intake, "_standing", instead(lambda _before, _ours, said: (max(said, 0), 0))),), seed=21),
}  # fmt: skip
