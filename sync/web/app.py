"""The web application: every capability's routes, with what all of them share."""

import logging

from aiohttp import web
from aiohttp.typedefs import Middleware
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from sync.gates.handlers import GateApi
from sync.store.database import Database
from sync.web.problems import problem, problems
from sync.wire.messages import PUSH_BYTES_MAX

log = logging.getLogger("sync.web")


def application(database: Database, gates: GateApi, doors: Middleware) -> web.Application:
    """Return the application, not yet listening. `doors`: reads bodies within limits."""

    async def healthz(_request: web.Request) -> web.Response:
        try:
            await database.read(
                lambda connection: connection.execute(text("SELECT 1 FROM event LIMIT 1")).all()
            )
        except SQLAlchemyError as error:
            log.exception("the database does not answer")
            return problem(503, "database", f"The database does not answer: {type(error).__name__}.")
        return web.json_response({"status": "ok"})

    async def metrics(_request: web.Request) -> web.Response:
        lines = []
        for name, value in sorted(gates.counts.items()):
            lines += [f"# TYPE gatehouse_sync_{name}_total counter", f"gatehouse_sync_{name}_total {value}"]
        return web.Response(
            text="\n".join((*lines, "")), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app = web.Application(middlewares=[problems, doors], client_max_size=PUSH_BYTES_MAX)
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/metrics", metrics),
            *gates.routes(),
        ]
    )
    return app
