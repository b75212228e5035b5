"""Every group of figures can be had, in a small version, and is written as DESIGN.md says."""

import importlib.util
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import report, scale, svg
from tests.bench.latency import beyond_ms, waited_for
from tests.bench.load import Sample, Transport
from tests.bench.report import Goal, Row, percentile

KEYS = {"name", "value", "unit", "floor", "ratio", "goal", "conditions"}
NAMES = {
    "readers": {"reader_credential_p99_ms", "device_gone_s", "device_ready_s"},
    "many_readers": {"scan_to_relay_16_readers_p99_ms", "scan_to_relay_4_readers_p99_ms"},
    "latency": {
        "scan_to_relay_p99_ms",
        "scan_to_relay_over_commit_ms",
        "scan_to_relay_p50_ratio",
        "scan_to_relay_slow_disk_ms",
        "syncs_before_relay",
        "first_byte_to_relay_ms",
        "lane_pss_mb",
    },
    "starting": {"gate_ready_s", "gate_ready_cold_s", "gate_pss_mb", "tree_pss_mb", "list_load_100k_s"},
    "deciding": {
        "token_check_ratio",
        "band_check_over_floor_ms",
        "sun_check_over_floor_ms",
        "decide_1m_over_10k",
        "scans_per_s",
    },
    "uplink": {"delta_bytes_per_change", "kill_to_decision_s", "idle_mb_per_day"},
    "talking": {"scan_to_relay_p99_ms"},
    "drain": {
        "drain_1m_s",
        "drain_1m_scan_p99_ratio",
        "drain_36k_flooded_s",
        "drain_36k_flooded_scan_p99_ratio",
    },
    "ingest": {"ingest_sqlite_per_s", "ingest_pg_per_s"},
    "redeem": {"redeem_api_per_s", "redeem_api_p99_ms", "redeem_api_pg_per_s", "redeem_api_pg_p99_ms"},
    "boards": {"board_1m_ms"},
    "crash": {"crash_points", "acked_lost"},
    "fuzz": {"fuzz_lines", "fuzz_escapes"},
    "sim": {"sim_seeds", "sim_failures", "sim_bugs_caught"},
}


@pytest.mark.parametrize("group", NAMES)
def test_each_group_yields_its_figures(group: str, tmp_path: Path) -> None:
    if group == "fuzz" and importlib.util.find_spec("tests.edge.fuzz") is None:
        pytest.skip("no fuzzer here")
    said: list[str] = []
    picture = tmp_path / "latency.svg"
    rows, failed = bench.run(scale.tiny(tmp_path), {group: bench.groups(picture)[group]}, _keep(said))
    assert not failed, said
    assert {row.name for row in rows} == NAMES[group]
    report.write(rows, tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [set(one) for one in written] == [KEYS] * len(rows)
    assert all(
        one["value"] >= 0 and "tiny run" in one["conditions"] for one in written if one["unit"] != "ms"
    )
    if group == "latency":
        ET.fromstring(picture.read_text())


def test_a_group_that_fails_does_not_take_the_others_along(tmp_path: Path) -> None:
    def broken(_size: scale.Scale) -> list[Row]:
        raise RuntimeError("no such disk")

    row = Row(name="x", value=1, unit="s", conditions="here")
    said: list[str] = []
    rows, failed = bench.run(scale.tiny(tmp_path), {"a": broken, "b": lambda _size: [row]}, _keep(said))
    assert (failed, [one.name for one in rows]) == (["a"], ["x"])
    assert "no such disk" in said[0]


@pytest.mark.parametrize(
    ("goal", "value", "missed"),
    [
        (Goal(5), 5.0, False),
        (Goal(5), 5.1, True),
        (Goal(500, at_least=True), 500, False),
        (Goal(500, at_least=True), 499, True),
        (None, 9e9, False),
    ],
)
def test_a_goal_is_missed(goal: Goal | None, value: float, missed: bool) -> None:
    row = Row(name="x", value=value, unit="s", goal=goal, conditions="")
    assert row.missed is missed
    assert report.table([row]).splitlines()[1].startswith("!") is missed


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [(range(1, 101), 99, 99), (range(1, 101), 50, 50), ([7.0], 99, 7.0), (range(1, 1051), 99, 1040)],
)
def test_percentile(values: range, percent: float, expected: float) -> None:
    assert percentile(list(values), percent) == expected


def test_what_is_beyond_the_syncs() -> None:
    sample = Sample(Transport.SERIAL_CR, 0, 10_000_000, 60_000_000)
    under_way, own, anothers = (5_000_000, 20_000_000), (21_000_000, 55_000_000), (55_000_000, 90_000_000)
    assert beyond_ms(sample, [under_way, own]) == 50 - 10 - 34
    assert waited_for(sample, [under_way, own, anothers]) == 1


def test_the_picture_shows_both_and_is_whole() -> None:
    root = ET.fromstring(svg.draw([1.0, 1.2, 9.0], [0.5, 0.6], "a & b".replace("&", "and")))
    tags = [one.tag.rpartition("}")[2] for one in root.iter()]
    assert tags.count("polyline") == 1
    assert tags.count("rect") > 3


def _keep(said: list[str]) -> Callable[[str], None]:
    return said.append
