"""Logs say what our source says, and never what a visitor presented."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.export import safe_cell
from edge.logs import SAME_LINES_MAX, SAYINGS_MAX, WINDOW_S, JsonLines, PacedHandler
from tests.house import ROOT

CANARY = "TK1CANARY7654321"


def written(emit: str, **environment: str) -> list[dict[str, object]]:
    """What a process logs that runs `emit` after `logs.start()`."""
    program = f"import logging, warnings\nfrom edge import logs\nlogs.start()\nlog = logging.getLogger('edge.x')\nC = {CANARY!r}\n{emit}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert CANARY not in done.stderr + done.stdout
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    "emit",
    [
        "log.warning('scan %s', C)",
        "log.warning('scan', extra={'ticket': C})",
        "log.warning('scan', extra={'code': C})",
        "log.warning('scan', extra={'device': C + C})",
        "log.warning('scan', extra={'device': C + chr(10)})",
        "log.warning('scan', extra={'code': [C]})",
        "log.warning('scan', extra={'lane': {'code': C}})",
        "log.warning('scan', stack_info=False, exc_info=ValueError(C))",
        "try:\n    int(C)\nexcept ValueError:\n    log.exception('scan')",
        "try:\n    try:\n        int(C)\n    except ValueError as e:\n        raise OSError(2, C) from e\nexcept OSError:\n    log.exception('scan')",
        "warnings.warn(C)",
        "logging.getLogger('aiohttp.access').warning('%s', C)",
        "log.warning(ValueError(C))",
        "log.warning('scan %d', C)",
        "raise_later = ValueError(C)\nlogging.getLogger('asyncio').error('Exception in callback f(%r)' % C, exc_info=raise_later)",
        "import threading\nt = threading.Thread(target=int, args=(C,))\nt.start()\nt.join()",
        "class D:\n    def __del__(self):\n        raise ValueError(C)\nD()",
    ],
)
def test_no_way_leads_a_code_into_the_log(emit: str) -> None:
    (line,) = written(emit)
    assert line["level"] in {"warning", "error", "critical"}


def test_a_defect_ends_the_process_without_quoting_anything() -> None:
    program = "import logging\nfrom edge import logs\nlogs.start()\nint('TK1CANARY')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    said = json.loads(done.stderr)
    assert (said["level"], said["error"], said["at"]) == ("critical", "ValueError", ["<string>:4 <module>"])


def test_a_line_has_its_fields() -> None:
    line, second = written(
        "log.warning('device failed', extra={'device': 'reader 1', 'code': 'device.gone', 'lane': 2, 'what': C})\n"
        "try:\n    open('/nowhere/' + C)\nexcept OSError:\n    log.exception('no file')"
    )
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "edge.x",
        "message": "device failed",
        "device": "reader 1",
        "code": "device.gone",
        "lane": 2,
        "dropped": 1,
    }
    assert (second["error"], second["errno"]) == ("FileNotFoundError", 2)
    assert second["at"] == ["<string>:8 <module>"]


def formatted(extra: dict[str, object]) -> dict[str, object]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("edge.x")  # noqa: LOG001  # apart from the process's own tree
    logger.addHandler(handler)
    logger.warning("x", extra=extra)
    said = json.loads(out.getvalue())
    assert isinstance(said, dict)
    return said


@pytest.mark.parametrize("code", ["list.corrupt", "front.exit_1", "fire", "device.gone"])
def test_the_code_of_a_sentence_is_kept(code: str) -> None:
    assert formatted({"code": code})["code"] == code


@pytest.mark.parametrize("code", ["ABC123", "4711", "abc.DEF", "a b", "", 4711, "GOOD-1"])
def test_the_code_of_a_ticket_is_not(code: object) -> None:
    said = formatted({"code": code})
    assert "code" not in said
    assert said["dropped"] == 1


def test_the_journal_gets_its_priority(tmp_path: Path) -> None:
    program = "import logging\nfrom edge import logs\nlogs.start()\nlogging.getLogger('edge.x').error('down')"
    path = tmp_path / "journal"
    with path.open("wb") as out:
        status = os.fstat(out.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "JOURNAL_STREAM": stream}
        subprocess.run([sys.executable, "-c", program], stderr=out, check=True, env=environment)
    assert path.read_text().startswith('<3>{"time"')


class Paced:
    """A logger whose minutes the test turns."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.out = io.StringIO()
        self.handler = PacedHandler(self.out, lambda: self.now_s)
        self.handler.setFormatter(JsonLines())

    def log(self, name: str, message: str, *args: object) -> None:
        self.handler.handle(logging.LogRecord(name, logging.WARNING, "", 1, message, args, None))

    def lines(self) -> list[tuple[object, object, object]]:
        said = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [(one["logger"], one["message"], one.get("left_out")) for one in said]


def test_what_repeats_is_written_ten_times_a_minute_and_counted() -> None:
    paced = Paced()
    for number in range(1000):
        paced.log("edge.x", "a request failed %d", number)
    paced.log("edge.x", "another")
    paced.log("edge.y", "a request failed %d", 1)
    once = ("edge.x", "a request failed %d", None)
    assert paced.lines() == [
        *[once] * SAME_LINES_MAX,
        ("edge.x", "another", None),
        ("edge.y", "a request failed %d", None),
    ]
    paced.now_s = WINDOW_S
    paced.log("edge.z", "what comes next tells it")
    assert paced.lines()[-2:] == [
        ("edge.x", "a request failed %d", 1000 - SAME_LINES_MAX),
        ("edge.z", "what comes next tells it", None),
    ]
    paced.log("edge.x", "a request failed %d", 1)
    assert paced.lines()[-1] == once


def test_what_was_left_out_is_told_at_the_end() -> None:
    paced = Paced()
    for _ in range(SAME_LINES_MAX + 3):
        paced.log("edge.x", "down")
    paced.handler.close()
    assert paced.lines()[-1] == ("edge.x", "down", 3)


def test_messages_without_end_share_one_allowance() -> None:
    paced = Paced()
    for number in range(10 * SAYINGS_MAX):
        paced.log("edge.x", f"made up {number}")
    assert len(paced.lines()) == SAYINGS_MAX + SAME_LINES_MAX


def test_a_process_is_paced() -> None:
    lines = written("for n in range(50):\n    log.warning('down', extra={'code': 'device.gone'})")
    assert len(lines) == SAME_LINES_MAX + 1
    assert lines[-1]["left_out"] == 50 - SAME_LINES_MAX


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+41", "'+41"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("a=1", "a=1"),
        ('{"reason":"gone; =1+1"}', '{"reason":"gone; \'=1+1"}'),
        ("a;-1", "a;'-1"),
        ("", ""),
        (-5, -5),
    ],
)
def test_a_cell_is_never_a_formula(cell: object, safe: object) -> None:
    assert safe_cell(cell) == safe
