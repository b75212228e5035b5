"""An event that lists are for, as tests here need it."""

from collections.abc import Mapping

from sqlalchemy import insert

from admission.entitlements import Product, Session, Zone
from admission.ids import EventId, ProductId, SessionId, ZoneId
from sync.accounts.principal import Actor
from sync.events import rows, tables
from sync.imports import jobs, keeping
from sync.imports.catalogue import Catalogue, catalogue
from sync.imports.chunks import Ahead
from sync.imports.files import How, Reading, read_file
from sync.store.database import Database

EVENT = EventId(7)
KEY = bytes(range(32))
NOW_S = 1_795_305_600
ACTOR = Actor("user", 3, "Ada")


def furnish(database: Database, products: Mapping[int, str] | None = None) -> None:
    with database.writing() as connection:
        connection.execute(insert(tables.organization).values(id=1, name="House", language="de", created_s=0))
        rows.add_group(connection, "Venue", KEY)
        rows.add_event(connection, EVENT, "Fest", "Europe/Zurich")
        rows.add_zones(connection, [Zone(ZoneId(1), "Arena"), Zone(ZoneId(2), "Tribüne Süd")])
        rows.add_sessions(
            connection,
            [
                Session(SessionId(1), EVENT, "Freitag", 20261127),
                Session(SessionId(2), EVENT, "Matinée", 20261128),
                Session(SessionId(3), EVENT, "Soirée", 20261128),
            ],
        )
        names = products or {1: "Tageskarte", 2: "VIP"}
        rows.add_products(connection, [Product(ProductId(n), EVENT, name) for n, name in names.items()])


def known(database: Database) -> Catalogue:
    with database.reading() as connection:
        found = catalogue(connection, EVENT)
    assert found is not None
    return found


def check(database: Database, data: bytes, shop: str = "shop", *, keeps_text: bool = False) -> jobs.Job:
    reading = How(keeps_text=keeps_text)
    catalogue = known(database)
    came = jobs.source(shop, "list.csv", data, reading)
    return kept(database, read_file(data, catalogue, reading), came, catalogue)


def kept(database: Database, reading: Reading, came: jobs.Source, catalogue: Catalogue) -> jobs.Job:
    number = keeping.keep(database.transact, catalogue, reading, came, NOW_S)
    return database.transact(lambda connection: keeping.finish(connection, number, NOW_S)).job


def run(database: Database, job: jobs.Job, *, keeps_good: bool = False) -> jobs.Job:
    job = database.transact(lambda c: jobs.start(c, job.id, ACTOR, NOW_S, keeps_good=keeps_good))
    ahead = Ahead()
    while job.state is jobs.State.RUNNING:
        job = database.transact(lambda c, number=job.id: jobs.advance(c, number, NOW_S, ahead))  # type: ignore[misc]  # bound
    return job
