"""Logs without codes or names: one JSON object a line, to standard error or the journal.

What a visitor presents must never end up in a log. So nothing is written but what our own source says: a message's
template without its arguments, the fields of `FIELDS` where they look harmless, of an error its type and place. All
else is dropped, whoever logs it.
"""

import io
import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, TextIO

FIELDS: Final = frozenset(
    """attempt bytes code count device epoch errno failures gate generation kind lane left_out limit_ms line ms pid port
    reader records relay rows seconds seq signal state status trust url version why zone""".split()  # noqa: SIM905  # as a list it would fill a page
)
"""Extra fields that may be written: numbers, and words of our own or of the configuration."""
OURS: Final = frozenset({"admission", "drivers", "edge", "sync"})
"""Loggers whose messages are constants: ruff's G rules hold it."""
WITHHELD: Final = "a message of a library"
WORD_CHARS_MAX: Final = 64
"""Longer than any name in a configuration."""
FRAMES_MAX: Final = 12
"""Frames of a trace: from the innermost out to our own code."""
SAME_LINES_MAX: Final = 10
"""Lines of one logger with one message in a window. A trace is 2 kB: whatever repeats writes 30 MB a day at most."""
WINDOW_S: Final = 60.0
SAYINGS_MAX: Final = 512
"""Messages told apart: more than our source has. A library that puts its messages together shares one allowance."""

_WORD: Final = re.compile(r"[\w ./:+-]*", re.ASCII)
_SENTENCE: Final = re.compile(r"[a-z_]+(\.[a-z][a-z0-9_]*)*")
"""The code of a sentence (`list.corrupt`), never that of a ticket, which has digits or capitals."""
_LONG_DIGITS: Final = re.compile(r"[0-9A-Za-z]{20}")
"""No word of ours runs on for so long without a mark; opaque codes, tokens and UIDs in hex do."""
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES: Final = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""syslog(3); journald reads `<4>` in front of a line as its priority (sd-daemon(3))."""


def start(
    stream: TextIO | None = None,
    *,
    level: int = logging.INFO,
    environment: Mapping[str, str] = os.environ,
) -> logging.Handler:
    """Send every log of this process, paced, through `JsonLines`. Returns the handler; its stream is the caller's."""
    out = sys.stderr if stream is None else stream
    handler = PacedHandler(out, time.monotonic)
    handler.setFormatter(JsonLines(for_journal=_is_journal(out, environment)))
    root = logging.getLogger()
    for before in tuple(root.handlers):
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(level)
    # One line per page request would wear the card out and say nothing.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_defect
    threading.excepthook = lambda failed: _log_defect(failed.exc_type, failed.exc_value, failed.exc_traceback)
    sys.unraisablehook = lambda failed: _log_defect(failed.exc_type, failed.exc_value, failed.exc_traceback)
    # logging itself prints a record that it cannot write, arguments and all.
    logging.raiseExceptions = False
    return handler


def _log_defect(
    _kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None
) -> None:
    """Python's own last word would quote the error."""
    logging.getLogger("edge").critical("a defect", exc_info=error)


@dataclass(slots=True)
class _Window:
    """What one saying has written since `since_s`; `last` is one that was left out."""

    since_s: float
    written: int = 0
    left_out: int = 0
    last: logging.LogRecord | None = None


class PacedHandler(logging.StreamHandler[TextIO]):
    """Writes at most `SAME_LINES_MAX` lines of one logger and message each `WINDOW_S`. `mono_s` is monotonic.

    What was left out is told as a line of the same message with `left_out`, once the window is over: before whatever
    is written next, or when the handler closes. Whoever can make us log must not be able to fill the card.
    """

    def __init__(self, stream: TextIO, mono_s: Callable[[], float]) -> None:
        super().__init__(stream)
        self._mono_s = mono_s
        self._windows: dict[tuple[str, str], _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler, which holds its lock around this."""
        now_s = self._mono_s()
        self._end_windows(now_s - WINDOW_S)
        key = record.name, _message(record)
        if key not in self._windows and len(self._windows) >= SAYINGS_MAX:
            key = "", ""
        window = self._windows.setdefault(key, _Window(now_s))
        if window.written >= SAME_LINES_MAX:
            window.left_out += 1
            window.last = record
            return
        window.written += 1
        super().emit(record)

    def close(self) -> None:
        """See logging.Handler."""
        with self.lock or threading.RLock():
            self._end_windows(self._mono_s())
        super().close()

    def _end_windows(self, begun_by_s: float) -> None:
        """Forget the windows that began by then, and tell what they left out. They lie in the order they began."""
        for key, window in tuple(self._windows.items()):
            if window.since_s > begun_by_s:
                break
            del self._windows[key]
            if window.last is not None:
                kept = {
                    "name": window.last.name,
                    "levelno": window.last.levelno,
                    "levelname": window.last.levelname,
                }
                told = {**kept, "msg": _message(window.last), "args": None, "left_out": window.left_out}
                super().emit(logging.makeLogRecord(told))


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: `time`, `level`, `logger`, `message`, then its fields.

    `dropped` counts fields that were left out; `args_dropped` says that the message had arguments.
    """

    def __init__(self, *, for_journal: bool = False) -> None:
        super().__init__()
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if record.args:
            line["args_dropped"] = True
        dropped = 0
        for name, value in vars(record).items():
            if name in _STANDARD:
                continue
            if name in FIELDS and _is_harmless(name, value):
                line[name] = value
            else:
                dropped += 1
        if dropped:
            line["dropped"] = dropped
        if record.exc_info and record.exc_info[1] is not None:
            line |= _of_error(record.exc_info[1])
        text = json.dumps(line, ensure_ascii=True)
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}" if self._for_journal else text


def _message(record: logging.LogRecord) -> str:
    """Return the template as its source has it. A library's message without arguments may be put together already
    (asyncio writes a callback's arguments into it, Python's warnings theirs), so nothing of it is told."""
    if not isinstance(record.msg, str):
        return type(record.msg).__name__
    is_ours = record.name.partition(".")[0] in OURS
    return record.msg if is_ours or record.args else WITHHELD


def _is_harmless(name: str, value: object) -> bool:
    """Whether a value is a number or a short word. A word that could be a credential is none."""
    if name == "code":
        return isinstance(value, str) and _SENTENCE.fullmatch(value) is not None
    if value is None or isinstance(value, bool | int | float):
        return True
    return (
        isinstance(value, str)
        and len(value) <= WORD_CHARS_MAX
        and _WORD.fullmatch(value) is not None
        and _LONG_DIGITS.search(value) is None
    )


def _of_error(error: BaseException) -> dict[str, object]:
    """Say what went wrong and where. Not the error's own text: that may quote what was presented."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    places = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    said: dict[str, object] = {"error": type(error).__name__, "at": places}
    if isinstance(error, OSError) and error.errno is not None:
        said["errno"] = error.errno
    cause = error.__cause__
    if cause is not None:
        said["cause"] = type(cause).__name__
    return said


def _short(path: str) -> str:
    """The last two parts of a file's path: enough to find it, and nothing of the machine."""
    return "/".join(path.split("/")[-2:])


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream goes to journald: systemd.exec(5) names its device and inode in $JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, io.UnsupportedOperation, AttributeError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
