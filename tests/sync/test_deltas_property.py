"""`decide()` over a gate's list and changes is `decide()` over the centre's tables, for every credential."""

import asyncio
import random
import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from admission.codecs import cose
from admission.digests import CredentialKind, digest, ticket_digest
from admission.entitlements import CredentialStanding, Mode, Product, Standing, Ticket
from admission.ids import EventId, ProductId, SessionId, TicketId
from edge.front.centre import CentreRefused
from edge.front.stream import News
from edge.link import Changes as Asked
from edge.link import Done
from sync import demo
from sync.events import rows as events
from sync.events.rows import GROUP
from sync.gates import lists, tables
from sync.gates.changes import Changes, TooFar
from sync.keys import VenueKeys, new_keys
from sync.store.database import Database
from sync.tickets import changes, rows
from sync.tickets import tables as ticket_tables
from sync.wire.deltas import TAKE_LIST
from tests.sync.desk import Desk, StillClock, Tables, answer_of
from tests.sync.requests import NOW_S

KEYS = new_keys()
NUMBERS = st.integers(1, 40)
TICKETS = st.builds(
    Ticket,
    id=NUMBERS.map(TicketId),
    event=st.just(demo.EVENT),
    product=st.sampled_from([demo.DAY, demo.SEASON, demo.REDUCED, demo.TERRACE_DAY, ProductId(77)]),
    session=st.sampled_from([SessionId(0), demo.TODAY, demo.TOMORROW]),
    standing=st.sampled_from([Standing.VALID, Standing.VALID, *Standing]),
    admits=st.integers(1, 3),
    not_after=st.sampled_from([0, NOW_S - 90_000]),
)
CODES = [f"CODE-{n:04}" for n in range(12)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), TICKETS),
        st.tuples(st.just("stand"), NUMBERS, st.sampled_from(list(Standing))),
        st.tuples(
            st.just("give"), NUMBERS, st.sampled_from(CODES), st.sampled_from(list(CredentialStanding))
        ),
        st.tuples(st.just("mode"), st.sampled_from(list(Mode)), st.booleans()),
        st.tuples(st.just("product")),
        st.tuples(st.sampled_from(["sync", "list", "restart", "old"])),
    ),
    max_size=14,
)


@dataclass
class Source:
    """The centre without a network."""

    centre: Changes

    async def changes(self, event: int, generation: int, since: int) -> bytes:
        self.centre.look(NOW_S)
        try:
            return self.centre.page(events.GROUP, EventId(event), generation, since)
        except TooFar:
            raise CentreRefused(TAKE_LIST) from None

    async def settings(self) -> bytes:
        return self.centre.settings(events.GROUP)

    async def listen(self, silence_s: float, beat_s: int) -> AsyncGenerator[tuple[str, bytes], None]:  # noqa: ARG002 - never a word
        nothing: tuple[tuple[str, bytes], ...] = ()
        for one in nothing:
            yield one


class DeadLine(Source):
    """Where nobody hears that the centre is gone."""

    asked = False

    async def changes(self, event: int, generation: int, since: int) -> bytes:  # noqa: ARG002 - never an answer
        self.asked = True
        await asyncio.Event().wait()
        raise AssertionError


@dataclass
class Pair:
    """A centre, and a gate that follows it."""

    database: Database
    keys: VenueKeys
    desk: Desk
    source: Source
    given: list[Asked]

    def change(self, step: tuple[object, ...]) -> None:
        with changes.change(self.database, [demo.EVENT], NOW_S) as connection:
            match step:
                case ("put", Ticket() as ticket):
                    held = rows.set_standing(connection, demo.EVENT, ticket.id, ticket.standing)
                    if held:
                        t = ticket_tables.ticket
                        connection.execute(
                            update(t)
                            .where(t.c.event_id == demo.EVENT, t.c.id == ticket.id)
                            .values(product=ticket.product, session=ticket.session, version=None)
                        )
                    else:
                        own = ticket_digest(demo.EVENT, ticket.id, self.key(connection))
                        credential = rows.NewCredential(ticket.id, own, CredentialKind.TK1)
                        rows.add_tickets(connection, demo.EVENT, [ticket], [credential])
                case ("stand", int() as number, Standing() as standing):
                    rows.set_standing(connection, demo.EVENT, TicketId(number), standing)
                case ("give", int() as number, str() as code, CredentialStanding() as standing):
                    found = digest(CredentialKind.OPAQUE, code.encode(), self.key(connection))
                    c = ticket_tables.credential
                    held_ = connection.execute(
                        update(c)
                        .where(c.c.event_id == demo.EVENT, c.c.digest == found, c.c.ticket == number)
                        .values(standing=standing, version=None)
                    ).rowcount
                    if not held_:
                        made = rows.NewCredential(
                            TicketId(number), found, CredentialKind.OPAQUE, code, standing
                        )
                        rows.add_tickets(connection, demo.EVENT, [], [made])
                case ("mode", Mode() as mode, bool() as attended):
                    p = tables.lane_plan
                    connection.execute(update(p).where(p.c.lane == 1).values(mode=mode, attended=attended))
                case ("product",):
                    if not any(one.id == 77 for one in events.read_products(connection, events.GROUP)):
                        events.add_products(
                            connection, [Product(ProductId(77), demo.EVENT, "New", (demo.FLOOR,))]
                        )

    def key(self, connection: object) -> bytes:
        found = events.digest_key(connection, events.GROUP)  # type: ignore[arg-type]  # a connection
        assert found is not None
        return found

    def give_list(self) -> None:
        with self.database.reading() as connection:
            assert not self.desk.give_list(*lists.content(connection, GROUP))

    async def hand_over(self, asked: Asked) -> Done:
        self.given.append(asked)
        code = self.desk.lists.change(asked)
        return Done(0, not code, code)

    async def news(self) -> News:
        news = News(
            self.keys.list_key.public_key(), self.desk.data, self.desk.reader, self.source, self.hand_over,
            self.give_list, lambda: None, lambda: None, lambda: False, StillClock(), random.Random(1),
        )  # fmt: skip

        async def here(work):  # type: ignore[no-untyped-def]  # runs what is given
            return work()

        await news.look(here)
        return news

    async def follow(self) -> None:
        news = await self.news()
        for event in (demo.EVENT, demo.OTHER_EVENT):
            await news._catch_up(event)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo venue's database, to be copied: its tables take longer to make than everything else here."""
    folder = tmp_path_factory.mktemp("template")
    database = Database.open(folder)
    demo.make_demo(database, KEYS, folder, NOW_S)
    database.close()
    return folder


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_a_gate_answers_as_the_tables_would(template: Path, steps: list[tuple[object, ...]]) -> None:
    with TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "gate").mkdir()
        keys = KEYS
        for file in template.iterdir():
            shutil.copy(file, data)
        database = Database.open(data)
        desk = Desk(data / "gate", demo.MAIN_GATE)
        try:
            pair = Pair(database, keys, desk, Source(Changes(database, keys)), [])
            pair.source.centre.look(NOW_S)
            desk.start()
            pair.give_list()
            for step in (*steps, ("sync",)):
                match step[0]:
                    case "sync":
                        asyncio.run(pair.follow())
                    case "list":
                        pair.give_list()
                    case "restart":
                        desk.end()
                        desk.start()
                    case "old":
                        for asked in pair.given:
                            desk.lists.change(asked)
                    case _:
                        pair.change(step)
            with database.reading() as connection:
                head, listed = lists.content(connection, GROUP)
            reference = Tables(head, listed).judge(demo.MAIN_GATE)
            signed = {
                row.ticket
                for row in listed
                if row.digest == ticket_digest(demo.EVENT, row.ticket, head.digest_key)
            }
            # Of a ticket that has no signed credential nobody ever printed one.
            numbers = signed | ({*range(1, 42)} - {row.ticket for row in listed})
            for text in (*CODES, *(TEXTS[number] for number in sorted(numbers))):
                for lane in (1, 2):
                    assert desk.answer(text, lane) == answer_of(reference, text, lane), (text, lane)
        finally:
            desk.end()
            database.close()


async def test_what_a_neighbour_gives_on_is_taken_while_the_centre_does_not_answer(
    template: Path, tmp_path: Path
) -> None:
    """Behind it stand the neighbour's reservations."""
    (tmp_path / "gate").mkdir()
    for file in template.iterdir():
        shutil.copy(file, tmp_path)
    database, desk = Database.open(tmp_path), Desk(tmp_path / "gate", demo.MAIN_GATE)
    line = DeadLine(Changes(database, KEYS))
    pair = Pair(database, KEYS, desk, line, [])
    line.centre.look(NOW_S)
    desk.start()
    pair.give_list()
    news = await pair.news()
    generation, since = news._at[demo.EVENT]
    pair.change(("put", Ticket(TicketId(1), demo.EVENT, demo.DAY, standing=Standing.CANCELLED)))
    line.centre.look(NOW_S)
    page = line.centre.page(GROUP, demo.EVENT, generation, since)
    asking = asyncio.create_task(news.catch_up())
    while not line.asked:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await news.of_neighbour("changes", page)
    assert [(asked.since, asked.is_last) for asked in pair.given] == [(since, True)]
    asking.cancel()
    desk.end()
    database.close()


async def test_settings_of_before_that_a_neighbour_gives_on_are_not_gone_by_again(
    template: Path, tmp_path: Path
) -> None:
    """It is behind, or plays them back: the next change goes by the settings that it names, as those here do."""
    (tmp_path / "gate").mkdir()
    for file in template.iterdir():
        shutil.copy(file, tmp_path)
    database, desk = Database.open(tmp_path), Desk(tmp_path / "gate", demo.MAIN_GATE)
    pair = Pair(database, KEYS, desk, Source(Changes(database, KEYS)), [])
    pair.source.centre.look(NOW_S)
    desk.start()
    pair.give_list()
    news = await pair.news()
    before = await pair.source.settings()
    pair.change(("mode", Mode.MULTIPLE, True))
    await news._catch_up(demo.EVENT)
    in_force = news.settings_digest
    assert pair.given[-1].settings
    assert await news.of_neighbour("settings", before)
    pair.change(("put", Ticket(TicketId(1), demo.EVENT, demo.DAY, standing=Standing.CANCELLED)))
    await news._catch_up(demo.EVENT)
    asked = pair.given[-1]
    assert [row.ticket.id for row in asked.rows] == [1]
    assert (asked.settings, asked.settings_digest, news.settings_digest) == (b"", in_force, in_force)
    desk.end()
    database.close()


def code(number: int, keys: VenueKeys) -> str:
    claims = cose.Claims(
        ticket=number, event=demo.EVENT, issued_at=NOW_S - 86_400, product=demo.DAY, session=demo.TODAY
    )
    return cose.mint(claims, keys.ticket_key)


TEXTS = {number: code(number, KEYS) for number in range(1, 42)}
