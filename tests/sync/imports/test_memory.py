"""A list takes little memory however large its file is: by the command as it is typed, and for each row."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from sync.imports import jobs, keeping
from sync.imports.files import How, read_file
from sync.store.database import Database
from tests.sync.imports.house import NOW_S, furnish, known

ROWS = 16_000
SMALL, LARGE = 20, 4_000
"""Characters of a note in each row: a file of half a MiB, and one of 64."""
SPARE_KIB = 12 * 1024
"""Between two runs of one program, of which one reads a file of 64 MiB."""


def write(path: Path, note: int) -> int:
    with path.open("wb") as file:
        file.write(b"code;product;note\n")
        for number in range(ROWS):
            file.write(b"R%06d;VIP;%s\n" % (number, b"n" * note))
    return path.stat().st_size


def peak_kib(data: Path, file: Path) -> int:
    """Return the largest resident size of the command while it previews a file."""
    command = [
        sys.executable,
        "-m",
        "sync",
        "import",
        "csv",
        str(file),
        "--event",
        "7",
        "--data",
        str(data),
        "--preview",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        said = running.stdout.read().decode()
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, said
    assert f"{ROWS} good rows: {ROWS} new" in said
    return usage.ru_maxrss


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB there")
def test_the_command_reads_64_mib_in_no_more_memory_than_half_a_mib(tmp_path: Path) -> None:
    data, small, large = tmp_path / "centre", tmp_path / "small.csv", tmp_path / "large.csv"
    data.mkdir()
    database = Database.open(data)
    furnish(database)
    database.close()
    assert write(small, SMALL) < 1024 * 1024
    assert write(large, LARGE) > 60 * 1024 * 1024
    assert peak_kib(data, large) - peak_kib(data, small) < SPARE_KIB


def test_a_list_from_a_pipe_is_read_too(tmp_path: Path) -> None:
    """What can be read only once is put on the disk first."""
    data, pipe = tmp_path / "centre", tmp_path / "list.csv"
    data.mkdir()
    database = Database.open(data)
    furnish(database)
    database.close()
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "sync", "import", "csv", str(pipe), "--event", "7", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        pipe.write_bytes(b"code;product\nA;VIP\nB;VIP\n")
        said, _ = running.communicate(timeout=60)
    assert (running.returncode, "Done: 2 new" in said) == (0, True)


def test_a_row_takes_less_than_a_hundred_bytes(tmp_path: Path) -> None:
    """A million rows then take less than 100 MB: a mark for each, so that a row that comes twice is found."""
    database = Database.open(tmp_path)
    furnish(database)

    def peak(rows: int) -> int:
        data = b"code;product;email\n" + b"".join(
            b"R%06d;VIP;p%d@example.org\n" % (n, n) for n in range(rows)
        )
        catalogue, came = known(database), jobs.source("shop", f"{rows}.csv", data, How())
        reading = read_file(data, catalogue, How())
        tracemalloc.start()
        try:
            keeping.keep(database.transact, catalogue, reading, came, NOW_S)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = 8_000, 40_000
    peak(few)  # what is loaded and cached once
    assert (peak(many) - peak(few)) / (many - few) < 100
    database.close()
