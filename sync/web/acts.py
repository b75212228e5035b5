"""Pages do what the API does, by the same routes: one set of rules, roles and audit entries for people and programs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection

from sync.keys import VenueKeys
from sync.web.api import Asked, Refused, Route, not_found
from sync.web.mount import Owner
from sync.web.pages import Answer, PageAsked, Redirect
from sync.web.refusals import Faulty, faulty, misfit

__all__ = ["Act", "Acts", "Faulty"]

_ELSEWHERE = frozenset({401, 403, 404})
"""What is not to be mended in the form: these have a page of their own."""


@dataclass(frozen=True, slots=True)
class Act:
    """A button's operation: the API's key with what goes in its path and body."""

    key: str
    path: Mapping[str, int] = field(default_factory=dict)
    body: Mapping[str, object] | None = None


class Acts:
    """The API's operations, called within a page's transaction."""

    def __init__(self, routes: Sequence[Route], owners: Mapping[str, Owner], keys: VenueKeys) -> None:
        self._routes = {route.key: route for route in routes}
        self._owners = owners
        self._keys = keys

    def has(self, key: str) -> bool:
        """Whether there is an operation of this key, as in "POST /api/v1/events"."""
        return key in self._routes

    def do(
        self,
        connection: Connection,
        asked: PageAsked,
        key: str,
        path: Mapping[str, int] | None = None,
        body: Mapping[str, object] | bytes | None = None,
        query: Mapping[str, object] | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> Any:
        """Return what the operation answers.

        Faulty, in the reader's words, where the body is not what it takes or the API refuses what was asked; Refused
        where the person may not, or the thing is not there.
        """
        route = self._routes[key]
        who, numbers = asked.who, dict(path or {})
        if route.role is not None and not who.role.may(route.role):
            raise Refused(403, "role", asked.words("role_too_low"))
        for name, number in numbers.items():
            owner = self._owners.get(name)
            if owner is not None and not owner(connection, who.organization, number):
                raise not_found(name)
        try:
            sent = msgspec.convert(body, route.body) if isinstance(body, Mapping) else body
            wanted = msgspec.convert(query or {}, route.query) if route.query is not None else None
        except msgspec.ValidationError as error:
            raise misfit(asked.words, error) from error
        try:
            return route.handler(
                connection, Asked(who, numbers, wanted, sent, asked.now_s, self._keys, texts or {})
            )
        except Refused as refused:
            if refused.status in _ELSEWHERE:
                raise
            raise faulty(asked.words, refused) from refused

    def press(
        self,
        connection: Connection,
        asked: PageAsked,
        act: Act | None,
        here: str | Callable[[Any], str],
        again: Callable[[Mapping[str, str]], Answer],
    ) -> Answer:
        """Do what a button says and show the page `here` anew; where it cannot be done, what `again` makes of why.

        `here` may be made of what the operation answers, where that is what is to be shown: a ticket in place of another. `act` None: the page has no such button. `again` gets what is wrong by field, and the first of it for the page.
        """
        if act is None or not self.has(act.key):
            raise Refused(404, "not_found", asked.words("not_found"))
        try:
            answered = self.do(connection, asked, act.key, act.path, act.body)
        except Faulty as wrong:
            return again({"": wrong.detail, **wrong.fields})
        return Redirect(f"{here}?done=saved" if isinstance(here, str) else here(answered))
