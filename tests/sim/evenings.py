"""The seeds that `make test` plays, in as many files as there may be workers: each file is one worker's."""

from tests.sim.world import played, replay_command

SEEDS = 200
FILES = 5


def seeds_of(file: int) -> range:
    """Return the seeds of a file, from 0 on."""
    return range(file, SEEDS, FILES)


def keep_every_promise(seed: int) -> None:
    """Play an evening; AssertionError with the command that replays it where a promise is broken."""
    problems = played(seed)
    assert not problems, f"{problems[0]}\nreplay: {replay_command(seed)}"
