"""How much is measured: all of it, a short look, or just enough to see that each figure can be had."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers of a run, and where it works. `folder` is on the file system that the figures are about."""

    folder: Path
    name: str = "full"
    mean_s: float = 1.5
    """Between the arrivals at one lane (DESIGN.md, Budgets)."""
    scans: int = 1_050
    slow_scans: int = 1_010
    tickets: int = 1_000_000
    small_tickets: int = 10_000
    load_tickets: int = 100_000
    log_records: int = 36_000
    checks: int = 3_000
    stored: int = 3_000
    starts: int = 5
    points: int = 10_000
    lines: int = 1_000_000
    doubles: int = 1_000
    """Tickets let in at one gate and looked for at another."""
    ingest_held: int = 1_000_000
    ingest_records: int = 400_000
    real_gates: int = 20
    """Daemons, each of three processes."""
    streams: int = 2_000
    """Gates connected to one centre, real ones among them."""
    cancels: int = 100
    queues: int = 40
    """Gates that come back with records queued, and how many records each has."""
    queue_records: int = 36_000
    redeems: int = 20_000
    warm: int = 320
    """Redeemed before the measured ones: connections are open then, and statements prepared."""
    reader_codes: int = 1_000
    """Codes read by each driver; a quarter of them by those that ask for tags."""
    plugs: int = 10
    """How often each device is pulled out and put in."""
    turns: int = 3
    """What is measured and its floor take turns so often: what the machine does beside falls on both."""
    neighbours: int = 6
    talking_scans: int = 600
    """With neighbours that talk, and as many without."""
    week_scans: int = 1_000_000
    """Held offline, of seven days."""
    calm_scans: int = 250
    """Let in before it drains."""
    sim_s: float = 600.0
    """How long evenings of the simulated venue are played."""
    bugs: int = 1_000
    """Planted bugs looked for, at most."""


def full(folder: Path) -> Scale:
    return Scale(folder)


def quick(folder: Path) -> Scale:
    """Under two minutes: for a look while working."""
    return Scale(
        folder,
        "quick",
        scans=60,
        talking_scans=60,
        slow_scans=40,
        checks=1_000,
        stored=1_000,
        starts=2,
        points=300,
        lines=20_000,
        doubles=100,
        ingest_held=100_000,
        ingest_records=80_000,
        real_gates=4,
        streams=200,
        cancels=20,
        queues=8,
        queue_records=5_000,
        redeems=4_000,
        week_scans=60_000,
        calm_scans=40,
        sim_s=4.0,
        bugs=4,
        reader_codes=200,
        plugs=3,
    )


def tiny(folder: Path) -> Scale:
    """A few seconds: for the tests."""
    return Scale(
        folder, "tiny", mean_s=0.1, scans=4, talking_scans=4, slow_scans=4, tickets=2_000, small_tickets=500, load_tickets=500, log_records=200,
        checks=20, stored=20, starts=1, points=5, lines=50, doubles=3, ingest_held=1_000, ingest_records=800,
        real_gates=1, streams=12, cancels=3, queues=2, queue_records=200, redeems=64, warm=16, turns=1, neighbours=2, sim_s=0.0, bugs=1,
        week_scans=400, calm_scans=4, reader_codes=8, plugs=1,
    )  # fmt: skip
