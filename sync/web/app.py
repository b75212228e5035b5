"""The web application: every capability's routes, with what all of them share."""

import logging
from collections.abc import Callable, Iterable
from functools import cache

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from sync.accounts import handlers as accounts
from sync.accounts.owners import OWNERS
from sync.accounts.sign_in import SignIn
from sync.customers import handlers as customers
from sync.events import handlers as events
from sync.gates import fleet, redeem
from sync.gates.handlers import GateApi
from sync.gates.redeem import Redeemer
from sync.imports import handlers as imports
from sync.keys import VenueKeys
from sync.orders import handlers as orders
from sync.store.database import Database
from sync.tickets import handlers as tickets
from sync.web import openapi
from sync.web.api import Route
from sync.web.mount import Api
from sync.web.perimeter import Hosts, Uses, harden, identify, perimeter
from sync.web.problems import problem, problems
from sync.web.senders import PROXIES, Proxies
from sync.web.site import Site
from sync.wire.messages import PUSH_BYTES_MAX

log = logging.getLogger("sync.web")

API_VERSION = "1"
SIGN_IN = web.AppKey("sign_in", SignIn)


def api_routes() -> tuple[Route, ...]:
    """Return the routes of every capability under `/api/v1`."""
    return (
        *accounts.routes(),
        *events.routes(),
        *redeem.routes(),
        *fleet.routes(),
        *orders.routes(),
        *tickets.routes(),
        *customers.routes(),
        *imports.routes(),
    )


def measured(gates: GateApi, now_s: int) -> str:
    """Return what the centre counts, in the text format of Prometheus 0.0.4."""
    lines = [
        "# TYPE gatehouse_sync_clock_behind_seconds gauge",
        f"gatehouse_sync_clock_behind_seconds {gates.clock.behind_s(now_s)}",
    ]
    for name, value in sorted(gates.counts.items()):
        lines += [f"# TYPE gatehouse_sync_{name}_total counter", f"gatehouse_sync_{name}_total {value}"]
    return "\n".join((*lines, ""))


def application(
    database: Database,
    keys: VenueKeys,
    gates: GateApi,
    redeemer: Redeemer,
    doors: Middleware,
    now_s: Callable[[], int],
    names: Iterable[str] = (),
    proxies: Proxies | None = None,
) -> web.Application:
    """Return the application, not yet listening. `doors`: reads bodies within limits; `names`: what it answers to."""

    async def healthz(_request: web.Request) -> web.Response:
        try:
            await database.read(
                lambda connection: connection.execute(text("SELECT 1 FROM event LIMIT 1")).all()
            )
        except SQLAlchemyError as error:
            log.exception("the database does not answer")
            return problem(503, "database", f"The database does not answer: {type(error).__name__}.")
        if behind_s := gates.clock.behind_s(now_s()):
            # 200, for gates are served all the same: what they were told goes on from the time it was sealed at.
            said = f"The clock is {behind_s} s behind what lists were sealed at. Set it by a time server."
            return web.json_response({"status": "clock_behind", "detail": said})
        return web.json_response({"status": "ok"})

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            text=measured(gates, now_s()), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    routes = api_routes()
    document = cache(lambda: msgspec.json.encode(openapi.document(routes, API_VERSION)))

    async def described(_request: web.Request) -> web.Response:
        return web.Response(body=document(), content_type="application/json")

    app = web.Application(
        middlewares=[problems, perimeter(Hosts(names)), Uses(database, now_s).middleware, doors],
        client_max_size=PUSH_BYTES_MAX,
    )
    app[PROXIES] = proxies or Proxies()
    app[SIGN_IN] = SignIn(database, keys, now_s)
    site = Site(database, keys, routes, OWNERS, app[SIGN_IN], now_s)
    app.middlewares.append(site.lost)
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/metrics", metrics),
            web.get(openapi.PATH, described),
            *gates.routes(),
            *Api(database, keys, routes, identify, OWNERS, now_s, {redeem.ROUTE: redeemer}).routes(),
            *site.routes(),
        ]
    )

    async def ended(_app: web.Application) -> None:
        await redeemer.close()
        app[SIGN_IN].close()

    app.on_response_prepare.append(harden)
    app.on_cleanup.append(ended)
    app.on_startup.append(gates.start)
    app.on_shutdown.append(gates.close)
    app.on_shutdown.append(site.stop)
    return app
