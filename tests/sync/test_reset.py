"""The factory reset of a box that had a centre, lists, changes and a page."""

from pathlib import Path

from edge.front.documents import KEYS_FILE
from edge.front.kept_changes import CHANGES_FILE, SETTINGS_FILE
from edge.front.meter import METER_FILE
from edge.front.snapshot import SECRETS_FILE, SNAPSHOT_FILE
from edge.front.tls import UNTIL_FILE
from edge.held_roster import ROSTER_FILE
from edge.reset import reset
from tests.sync.fronted import OFTEN, fronted
from tests.sync.venue import venue_at


async def test_a_reset_leaves_nothing_of_what_the_centre_gave(tmp_path: Path) -> None:
    data = tmp_path / "box" / "data"
    async with venue_at(tmp_path / "centre") as venue, fronted(venue, tmp_path / "box", OFTEN) as one:
        await one.until(lambda: one.gate.daemon.judge.has_list, "a list is here")
    for name in (CHANGES_FILE, SETTINGS_FILE, KEYS_FILE, METER_FILE, UNTIL_FILE):
        (data / name).write_bytes(b"of the centre")  # each comes by and by
    held = {path.name for path in data.iterdir()}
    assert held > {ROSTER_FILE, SECRETS_FILE, SNAPSHOT_FILE}
    (data / "notes.txt").write_text("mine")
    assert reset(data, lose_records=True).left == ("notes.txt",)
