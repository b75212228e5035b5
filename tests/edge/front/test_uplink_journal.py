"""What a technician reads in the journal when the centre or a list is refused: the code and what it is about."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import logs
from edge.store.log_schema import Batch, ListVersion
from sync import demo
from tests.sync.box import Box
from tests.sync.venue import NOW_S, venue_at


@pytest.fixture
def journal() -> Iterator[io.StringIO]:
    """The front's log as it is written, beside what pytest catches."""
    out, root = io.StringIO(), logging.getLogger("edge.front")
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonLines())
    root.addHandler(handler)
    yield out
    root.removeHandler(handler)


def refusals(journal: io.StringIO) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in journal.getvalue().splitlines()]
    return [line for line in lines if line["message"] == "refused"]


async def test_a_refused_list_is_told_with_its_code_and_version(tmp_path: Path, journal: io.StringIO) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        box = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
        box.store.append([Batch(1, list_versions=(ListVersion(demo.EVENT, 1, 9, NOW_S, bytes(16)),))])
        async with box.linked():
            await box.until(lambda: box.is_told("uplink.list_refused"))
        box.store.close()
    (line,) = refusals(journal)
    assert (line["kind"], line["code"], line["version"]) == ("list", "list.rolled_back", 2)
    assert line["why"] == "version 2 is older than one already seen"
    assert "dropped" not in line
    assert "args_dropped" not in line


async def test_a_refusing_centre_is_told_with_its_code(tmp_path: Path, journal: io.StringIO) -> None:
    async with venue_at(tmp_path / "centre") as venue:
        box = Box(tmp_path / "box", await venue.enrolled(tmp_path / "box"))
        await venue.enrolled(tmp_path / "new")
        async with box.linked():
            await box.until(lambda: box.is_told("uplink.refused"))
        box.store.close()
    assert {(line["kind"], line["code"]) for line in refusals(journal)} <= {
        ("list", "unknown_gate"),
        ("records", "unknown_gate"),
        ("time", "unknown_gate"),
    }
    assert refusals(journal)
