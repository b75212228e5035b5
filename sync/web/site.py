"""The organizer's pages, put together: every capability's, with one set of templates and one way to sign in."""

import time
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from sync.accounts import sessions
from sync.accounts.own import OwnAccount
from sync.accounts.pages import AccountPages, chrome
from sync.accounts.sign_in import SignIn
from sync.backup import pages as retention_pages
from sync.board.boards import Boards
from sync.board.pages import BoardPages
from sync.customers.pages import CustomerPages
from sync.events.pages import EventPages
from sync.gates.pages import GatePages
from sync.imports import pages as import_pages
from sync.keys import VenueKeys
from sync.orders.pages import OrderPages
from sync.store.database import Database
from sync.tickets.pages import TicketPages
from sync.web.acts import Acts
from sync.web.api import Route
from sync.web.mount import Owner
from sync.web.pages import PageRoute, Pages
from sync.web.rendering import Templates


class Site:
    """The pages of a centre. `routes` for the application; `stop` belongs to its `on_shutdown`."""

    def __init__(
        self,
        database: Database,
        keys: VenueKeys,
        routes: Sequence[Route],
        owners: Mapping[str, Owner],
        sign_in: SignIn,
        now_s: Callable[[], int],
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        acts = Acts(routes, owners, keys)
        templates = Templates()
        accounts = AccountPages(database, sign_in, OwnAccount(database, keys, sign_in, now_s))
        self._board = BoardPages(database, Boards(mono_s), templates, sessions.principal, now_s)
        self.pages: tuple[PageRoute, ...] = (
            *accounts.pages(),
            *EventPages(acts).pages(),
            *CustomerPages(acts).pages(),
            *TicketPages(acts).pages(),
            *OrderPages(acts).pages(),
            *GatePages(acts).pages(),
            *import_pages.pages(),
            *retention_pages.pages(),
            *self._board.pages(),
        )
        self._pages = Pages(database, self.pages, sessions.principal, now_s, chrome, templates)

    def routes(self) -> list[web.RouteDef]:
        """Return every route, with the static files and the streams."""
        return [
            *self._pages.routes(),
            *self._board.routes(),
        ]

    @property
    def lost(self) -> Middleware:
        """Return the middleware that answers browsers which ask for a page that is not there."""
        return self._pages.lost

    async def stop(self, app: web.Application) -> None:
        """End the streams of people, so that the centre need not wait for them."""
        await self._board.stop(app)
