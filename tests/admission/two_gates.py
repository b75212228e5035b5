"""The two-gate checker: random histories of gates that hear each other only now and then, held against a ledger.

Each gate (and, in some histories, a clone of one) keeps its own log in real record bytes, chains it, and takes in
prefixes of the others' logs, cut anywhere and delivered more than once. The ledger notes what really happened. At the
end everybody hears everything; then all must fold to the same state, and that state must be the ledger's.

    python -m tests.admission.two_gates --seed 7 [--bug reset-ignores-vector]

replays one history. A bug is a `Merge` with one thing done wrong; the tests want each one caught.
"""

import argparse
import sys

from admission import chain
from admission.ids import TicketId
from admission.presence import TicketPresence
from admission.records import Flag
from tests.admission.gates import Merge, Mismatch, Node, World
from tests.admission.ledger import INNER, OUTER, SESSION, TICKETS

STEPS = 60
Snapshot = tuple[object, ...]


def snapshot(presence: TicketPresence, ticket: TicketId) -> Snapshot:
    """All that can be asked of one ticket, whoever asks."""
    zones = (OUTER, INNER)
    return (
        presence.counted,
        presence.live,
        [
            (
                presence.uses(z, SESSION),
                presence.inside(z),
                presence.bounds(z),
                presence.closes(z),
                presence.frozen(z, SESSION),
                presence.fled(z),
            )
            for z in zones
        ],
        presence.doubles(TICKETS[ticket][1]),
    )


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Mismatch(f"{what}: found {found}, should be {wanted}")


def check_ledger(world: World, node: Node, ticket: TicketId) -> None:
    """Hold a node that has heard everything against what happened."""
    ledger, presence = world.ledger, node.presence(ticket)
    counted = ledger.counted(ticket)
    expect(f"entries of ticket {ticket} that count", presence.counted, tuple(one.id for one in counted))
    ends = ledger.closed(ticket)
    expect(
        f"people of ticket {ticket}", presence.live, tuple(one.id for one in counted if one.id not in ends)
    )
    for zone in (OUTER, INNER):
        uses = [one for one in counted if one.zone == zone and not ledger.is_reentry(one)]
        expect(
            f"who of ticket {ticket} may come in again",
            presence.frozen(zone, SESSION),
            ledger.frozen(ticket, zone),
        )
        expect(f"uses of ticket {ticket}", presence.uses(zone, SESSION), len(uses))
        bounds = presence.bounds(zone)
        if not 0 <= bounds.low <= presence.inside(zone) <= bounds.high:
            raise Mismatch(
                f"bounds of ticket {ticket} in zone {zone}: {bounds}, inside {presence.inside(zone)}"
            )
    doubles = presence.doubles(TICKETS[ticket][1])
    expect(f"doubles of ticket {ticket}", {one.second for one in doubles}, ledger.doubles(ticket))
    for double in doubles:
        first, second = ledger.entered[double.first], ledger.entered[double.second]
        expect("times of a double", (double.first_us, double.second_us), (first.at_us, second.at_us))


def run(seed: int, merge: Merge, steps: int = STEPS) -> World:
    """Play one history and check it. Mismatch where the merge is wrong."""
    world = World(seed, merge)
    for _ in range(steps):
        world.step()
    world.exchange()
    for ticket in TICKETS:
        states = [snapshot(node.presence(ticket), ticket) for node in world.nodes]
        again = [snapshot(node.presence(ticket, world.rng), ticket) for node in world.nodes]
        for node, state in zip(world.nodes * 2, states + again, strict=True):
            expect(f"ticket {ticket} at {node.name}, beside {world.nodes[0].name}", state, states[0])
        for node in world.nodes:
            check_ledger(world, node, ticket)
    for node in world.nodes:
        forks = [one for logs in node.sets.values() for one in logs.anomalies()]
        expect(
            f"forks seen by {node.name}", [one.finding for one in forks], [chain.Finding.FORK] * world.cloned
        )
    return world


def run_sequential(seed: int, merge: Merge, steps: int = STEPS) -> None:
    """Play a history in which everybody has heard everything before each step, and count people by hand."""
    world = World(seed, merge)
    rng = world.rng
    people = dict.fromkeys(TICKETS, 0)
    uses = dict.fromkeys(TICKETS, 0)
    for _ in range(steps):
        world.exchange()
        world.now_us += rng.randint(1, 5_000_000)
        node, ticket, what = rng.choice(world.nodes), rng.choice(list(TICKETS)), rng.random()
        if what < 0.6:
            node.entry(ticket, OUTER)
            if node.waiting:
                again = bool(node.waiting[0][1].flags & Flag.REENTRY)
                node.resolve(passes=rng.random() < 0.7)
                if node.lapsed and rng.random() < 0.3:
                    node.late()
                if not node.lapsed:
                    people[ticket] += 1
                    uses[ticket] += not again
        elif what < 0.95:
            node.exit(ticket, OUTER)
            node.resolve(passes=rng.random() < 0.8)
            if not node.lapsed:
                people[ticket] -= people[ticket] > 0
        else:
            node.reset(OUTER)
            people = dict.fromkeys(TICKETS, 0)
        node.lapsed = []
        for one in TICKETS:
            presence = node.presence(one)
            expect(f"people of ticket {one}", presence.inside(OUTER), people[one])
            expect(f"uses of ticket {one}", presence.uses(OUTER, SESSION), uses[one])
            expect(f"doubles of ticket {one}", presence.doubles(TICKETS[one][1]), ())


def replay_command(seed: int, bug: str = "") -> str:
    return f"python -m tests.admission.two_gates --seed {seed}" + (f" --bug {bug}" if bug else "")


def main(arguments: list[str]) -> int:
    from tests.admission.planted_bugs import BUGS  # noqa: PLC0415  # the bugs are made of this module's Merge

    parser = argparse.ArgumentParser(description="Replay one history of the two-gate checker.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--bug", choices=sorted(BUGS), default="")
    options = parser.parse_args(arguments)
    merge = BUGS[options.bug]() if options.bug else Merge()
    try:
        run(options.seed, merge)
        run_sequential(options.seed, merge)
    except Mismatch as mismatch:
        print(f"seed {options.seed}: {mismatch}")
        return 1
    print(f"seed {options.seed}: the merge holds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
