"""Whole gates roll their keys while they run: nobody waits, no record is lost or doubted, and power may fail at any step."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from admission.ids import Epoch
from admission.records import Outcome
from edge import failpoints
from edge.compose import factories
from edge.enrol import enrol
from edge.enrolment import load, save
from edge.front.own_keys import STEPS
from edge.front.snapshot import SNAPSHOT_FILE
from edge.held_roster import former_keys
from edge.link import Health, Part
from edge.parts import Factories
from edge.store.list import LIST_FILE
from edge.verify import known_keys, verify_log
from sync import demo
from sync.accounts.principal import Role
from sync.store.schema import unsigned
from sync.wire.messages import CLOCK_OFF_MAX_S, Push
from tests.edge.rig import Gate, running
from tests.sync.connected import tickets
from tests.sync.fronted import OFTEN, Fronted, front_of, fronted
from tests.sync.gates import SECOND_NAME, add_second_gate
from tests.sync.people import Caller, token_of
from tests.sync.requests import GateClient
from tests.sync.test_between import Between
from tests.sync.test_former_keys import begun
from tests.sync.venue import Venue, query, venue_at

WAIT_S = 40.0
"""Only reached where something is broken."""


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with venue_at(tmp_path / "centre") as made:
        made.now_s = int(time.time())  # runs begin by the boxes' own clocks
        yield made


async def ask_for_keys(venue: Venue, gate: int = demo.MAIN_GATE) -> None:
    token = token_of(venue.centre.database, Role.ORGANIZER, life_s=10**8)
    async with Caller(venue.url, token) as organizer:
        said = await organizer.ask("POST", f"/api/v1/gates/{gate}/rolls")
        assert said.status == 201, said.body


def key_at_centre(venue: Venue, gate: int = demo.MAIN_GATE) -> bytes:
    ((public,),) = query(venue, f"SELECT public FROM gate WHERE id = {gate}")
    assert isinstance(public, bytes)
    return public


def state(venue: Venue) -> tuple[bool, bool]:
    """Whether keys were offered, and whether the gate signs with them."""
    ((offered, done),) = query(venue, "SELECT offered_s, done_s FROM key_roll")
    return bool(offered), bool(done)


def held(gate: Gate, of: int, epoch: int) -> int:
    """How many records of another gate's run a gate holds."""
    reader = gate.reader()
    found = reader.records(of, Epoch(epoch), 0, 10_000)  # type: ignore[arg-type]  # plain numbers
    reader.close()
    return len(found)


def at_centre(venue: Venue, epoch: int) -> int:
    signed = epoch if epoch < 1 << 63 else epoch - (1 << 64)
    found = query(venue, f"SELECT count(*) FROM record WHERE epoch = {signed}")
    return int(str(found[0][0]))


def signed_runs(venue: Venue) -> set[int]:
    """The epochs of which the centre holds a head."""
    return {unsigned(int(str(epoch))) for (epoch,) in query(venue, "SELECT DISTINCT epoch FROM head")}


async def visits(one: Fronted, ticket: demo.DemoTicket) -> None:
    """Somebody comes in, at once."""
    before = len(one.gate.daemon.recent)
    await one.gate.hardware.entry.scan(ticket.data.encode())
    assert (await one.gate.seen(before + 1)).outcome is Outcome.GRANT
    await one.gate.walk()


async def test_two_gates_go_on_while_one_rolls_its_keys(venue: Venue, tmp_path: Path) -> None:
    add_second_gate(venue)
    sold = tickets(venue)
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(fronted(venue, tmp_path / "other", OFTEN, name=SECOND_NAME))
        async with fronted(venue, tmp_path / "main", OFTEN) as one:
            await one.gate.ready()
            before, run = one.enrolment, one.gate.daemon.journal.epoch
            await visits(one, sold["day"])
            await other.until(lambda: held(other.gate, 1, run), "its records are known at the other")
            await ask_for_keys(venue)
            await one.until(lambda: one.enrolment.public != before.public, "new keys are on the disk")
            await one.until(lambda: key_at_centre(venue) == one.enrolment.public, "and the centre's")
            await one.until(one.is_well, "it talks to the centre")
            after = one.enrolment
            assert after.sealing_key != before.sealing_key
            assert after.former_public == (before.public,)
            assert (
                msgspec.structs.replace(
                    after, signing_key=before.signing_key, sealing_key=before.sealing_key, former_public=()
                )
                == before
            )
            # Its run goes on with the key it began with: at the centre and at the other gate.
            known = held(other.gate, 1, run)
            await visits(one, sold["day_2"])
            await other.until(lambda: held(other.gate, 1, run) > known, "what came after is known too")
            await one.until(one.is_sent, "all is sent")
            assert one.gate.daemon.journal.epoch == run
            verdict = verify_log(
                one.gate.data, known_keys(one.gate.data, after), former_keys(one.gate.data, after)
            )
            assert not verdict.altered, list(verdict.lines())
            assert not {"uplink.refused", "uplink.list_refused"} & set(one.said)
        # The next run is signed by the new key; its list was lost, and comes sealed to the new one.
        for name in (LIST_FILE, SNAPSHOT_FILE):
            (tmp_path / "main" / "data" / name).unlink()
        gate = await stack.enter_async_context(running(tmp_path / "main"))
        one = await stack.enter_async_context(front_of(gate, OFTEN))
        await one.until(lambda: gate.daemon.judge.has_list, "the list is there again")
        await gate.ready()
        then = gate.daemon.journal.epoch
        await visits(one, sold["season"])
        await one.until(one.is_sent, "all is sent")
        await other.until(lambda: held(other.gate, 1, then) >= 4, "and known at the other")
        verdict = verify_log(gate.data, known_keys(gate.data, after), former_keys(gate.data, after))
        assert not verdict.altered, list(verdict.lines())
        assert query(venue, "SELECT what FROM trouble") == []
        assert other.gate.code(Part.LOG, "gate 1") == ""
        # What the former key signs of a run that begins now is nobody's, there and at the centre.
        late = begun(before, 77, venue.now_s + CLOCK_OFF_MAX_S + 60).scans(12)
        async with GateClient(venue.url, 1, after.key, venue.now_s) as client:
            answer = await client.push(Push((late.chunk(),)))
            assert [two.what for two in answer.pushed.troubles] == ["altered"]


async def test_a_box_that_is_enrolled_over_an_older_enrolment_knows_its_key_of_before(
    venue: Venue, tmp_path: Path
) -> None:
    """Also where no roster has told of it yet; as another gate it never had that key."""
    add_second_gate(venue)
    data = tmp_path / "data"
    first = await venue.enrolled(data)
    again = await asyncio.to_thread(enrol, data, venue.url, venue.code(), "box", again=True)
    assert (again.gate, again.former_public) == (first.gate, (first.public,))
    assert [key.public_bytes_raw() for key in former_keys(data, again)[again.gate]] == [first.public]
    other = await asyncio.to_thread(enrol, data, venue.url, venue.code(SECOND_NAME), "box", again=True)
    assert other.former_public == ()
    assert former_keys(data, other) == {}


@dataclass
class Cut:
    """Kills the front once, at one step."""

    step: str
    folder: Path

    def parts(self, parts: Factories) -> Factories:
        return replace(parts, front_argv=self._argv)

    def _argv(self, settings: str) -> list[str]:
        front = factories().front_argv(settings)
        # The first life dies at the step, later ones live; how it ended is told in a file.
        script = (
            f'if mkdir "{self.folder}/began" 2>/dev/null; then '
            f'{failpoints.ENVIRONMENT}={self.step} "$@"; echo $? > "{self.folder}/died"; else exec "$@"; fi'
        )
        return ["/bin/sh", "-c", script, "sh", *front]

    @property
    def died(self) -> int:
        """The exit code of the first life; 0 while it lives."""
        try:
            return int((self.folder / "died").read_text() or "0")
        except FileNotFoundError:
            return 0


@asynccontextmanager
async def running_whole(folder: Path, parts: object = None) -> AsyncIterator[Gate]:
    """A gate with its real front process."""

    def quick(text: str) -> str:
        return text.replace("push_s = 0.2", "push_s = 0.05") + "\n"

    change = parts or (lambda made: replace(made, front_argv=factories().front_argv))
    async with running(folder, adjust=quick, change=change) as gate:  # type: ignore[arg-type]  # either of both
        yield gate


def is_well(gate: Gate) -> bool:
    return gate.health(Part.UPLINK, "centre") is Health.OK


def settled(venue: Venue, data: Path) -> bool:
    """Whether the order is done, and disk and centre have the same key."""
    return state(venue)[1] and key_at_centre(venue) == load(data).public


@pytest.mark.parametrize("whole", [False, True], ids=["the front dies", "the whole gate ends"])
@pytest.mark.parametrize("step", STEPS)
async def test_power_may_fail_between_any_two_steps(
    venue: Venue, tmp_path: Path, step: str, whole: bool
) -> None:
    sold = tickets(venue)
    data = tmp_path / "data"
    before = await venue.enrolled(data)
    await ask_for_keys(venue)
    cut = Cut(step, tmp_path)
    async with running_whole(tmp_path, cut.parts) as gate:
        first = gate.daemon.journal.epoch
        await gate.until(lambda: cut.died, "the front died", WAIT_S)
        assert cut.died == 128 + 9
        is_new = STEPS.index(step) > STEPS.index("roll_written")
        assert (load(data).public != before.public) is is_new
        assert state(venue)[1] is False
        assert state(venue)[0] is (STEPS.index(step) >= STEPS.index("roll_offered"))
        if not whole:
            await gate.until(lambda: settled(venue, data), "the keys are rolled", WAIT_S)
            await gate.until(lambda: is_well(gate), "it talks to the centre", WAIT_S)
    # Keys that are offered twice in one second are refused, and the gate waits half a minute before it asks again.
    await asyncio.sleep(1.0 - time.time() % 1.0)
    # It admits and is heard, whichever key it began its run with: the one that was on the disk.
    async with running_whole(tmp_path) as gate:
        await gate.until(lambda: gate.daemon.judge.has_list, "it has its list", WAIT_S)
        await gate.ready()
        await gate.hardware.entry.scan(sold["day"].data.encode())
        assert (await gate.seen()).outcome is Outcome.GRANT
        await gate.walk()
        await gate.until(lambda: settled(venue, data), "the keys are rolled", WAIT_S)
        await gate.until(lambda: is_well(gate), "it talks to the centre", WAIT_S)
        second, count = gate.daemon.journal.epoch, gate.daemon.journal.last_seq
        await gate.until(lambda: at_centre(venue, second) >= count, "all is sent", WAIT_S)
    async with running_whole(tmp_path) as gate:  # a run by the new key, whatever came before
        third = gate.daemon.journal.epoch
        await gate.until(lambda: signed_runs(venue) == {first, second, third}, "each run is signed", WAIT_S)
    assert query(venue, "SELECT what FROM trouble") == []
    assert query(venue, "SELECT public FROM former_key") == [(before.public,)]
    now = load(data)
    verdict = verify_log(data, known_keys(data, now), former_keys(data, now))
    assert not verdict.altered, list(verdict.lines())


class Swallowing(Between):
    """The line breaks once: the centre has the offer, the gate has no answer."""

    swallowed = 0

    async def offer(self, request: web.Request) -> web.StreamResponse:
        answer = await self.handle(request)
        if not self.swallowed:
            self.swallowed += 1
            assert request.transport is not None
            request.transport.abort()
        return answer


async def test_an_answer_that_is_lost_is_asked_for_again(venue: Venue, tmp_path: Path) -> None:
    between = Swallowing(venue)
    app = web.Application()
    app.router.add_post("/api/v1/gate/keys", between.offer)
    app.router.add_get("/api/v1/gate/events", _no_stream)
    app.router.add_route("*", "/{path:.*}", between.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        data = tmp_path / "data"
        save(data, msgspec.structs.replace(await venue.enrolled(data), centre_url=url))
        async with running(tmp_path) as gate, front_of(gate, OFTEN) as one:
            await ask_for_keys(venue)
            await one.until(lambda: settled(venue, data), "the keys are rolled")
        assert between.swallowed == 1
    finally:
        await runner.cleanup()


async def _no_stream(_request: web.Request) -> web.Response:
    return web.Response(status=502)
