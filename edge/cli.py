"""The commands of `gatehouse-edge`. What goes wrong is one line and the next action; exit 1, or 78 for a bad config.

Each command imports what it needs when it is called: the gate must be up within a second of its start.
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge import config
from edge.complaint import EX_FAILED, Complaint
from edge.devices import Devices
from edge.enrolment import Enrolment
from edge.settings import Settings, Way

EX_OK: Final = 0
CODE_BYTES_MAX: Final = 1024 * 1024
"""Most that is read of a code on standard input; the longest code is 4 KiB, and longer ones are told apart here too."""
PIN_CHARS_MAX: Final = 64
"""More than anybody types of one."""
TAG_WAIT_S: Final = 60.0
"""Somebody who has not held the tag to the reader by then has gone to look for it."""
CENTRE_HINT: Final = "Make a code at the centre, then: gatehouse-edge enrol URL CODE"

Run = Callable[[Settings, Path | None], int]


def main(arguments: Sequence[str], run: Run, devices: Callable[[], Devices]) -> int:
    """Carry out one command line; returns the exit code. `run` runs a gate, `devices` makes what `check` tries."""
    os.umask(0o077)  # keys, lists and records are the gate's alone, whoever starts it
    parsed = _parser().parse_args(arguments)
    try:
        code = _carry_out(parsed, run, devices)
        sys.stdout.flush()  # what cannot be written is told here
    except BrokenPipeError:
        _say_no_more()  # whoever read us (`head`) has enough
        return EX_OK
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or parsed.command == "run":
            raise
        _say_no_more()
        _complain(
            Complaint("the disk is full; what was written is not whole", "Make room, or write elsewhere.")
        )
        return EX_FAILED
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells say it
    except _operator_errors() as error:
        _complain(error)
        return int(getattr(error, "exit_code", EX_FAILED))
    else:
        return code


def _operator_errors() -> tuple[type[Exception], ...]:
    """Return the errors that the operator can do something about; asked for only when something was raised."""
    from drivers.base import DriverError  # noqa: PLC0415 - see above
    from edge.enrol import EnrolFailed  # noqa: PLC0415
    from edge.enrolment import NotEnrolled  # noqa: PLC0415
    from edge.store.faults import StoreFault  # noqa: PLC0415

    return (Complaint, config.ConfigErrors, DriverError, EnrolFailed, NotEnrolled, StoreFault)


def _say_no_more() -> None:
    """Have Python not complain again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: Exception) -> None:
    hint = getattr(error, "hint", "")
    sys.stderr.write(f"gatehouse-edge: {error}\n" + (f"  next: {hint}\n" if hint else ""))


def _carry_out(arguments: argparse.Namespace, run: Run, devices: Callable[[], Devices]) -> int:
    if arguments.command == "run":
        return _run(arguments, run, devices)
    if arguments.command == "detect":
        return _detect(arguments, devices)
    if arguments.command in _WITH_DEVICES:
        return _WITH_DEVICES[arguments.command](arguments, devices())
    return _WITHOUT[arguments.command](arguments)


# --- the commands ----------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace, run: Run, devices: Callable[[], Devices]) -> int:
    from edge import logs  # noqa: PLC0415

    if _is_bare(arguments):
        # A box from nothing: it is set up on its own page, and then begins anew as a gate, without what that took.
        logs.start()
        _shut(Path(config.bare().gate.data))
        if _set_up(arguments, devices()):
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line, once more
        return EX_OK
    settings = config.load(arguments.config)
    data = Path(settings.gate.data)
    _enrolment(data)  # says what to do where there is none
    _shut(data)
    logs.start()
    return run(settings, arguments.config if arguments.config == config.default_path() else None)


def _check(arguments: argparse.Namespace, devices: Devices) -> int:
    from edge.check import Level, findings  # noqa: PLC0415

    settings = config.load(arguments.config)
    _become_owner(Path(settings.gate.data))
    failed = False
    for finding in findings(settings, devices):
        failed = failed or finding.level is Level.FAIL
        _say(str(finding))
        sys.stdout.flush()
    return EX_FAILED if failed else EX_OK


def _detect(arguments: argparse.Namespace, devices: Callable[[], Devices]) -> int:
    import asyncio  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from edge.commission.detect import Named, detect, lines  # noqa: PLC0415

    named, asking = Named(), set[int]()  # only a port that somebody names is asked

    def tell(baud: int, _address: int = 0) -> None:
        """Let somebody who sits before a screen see that it goes on."""
        if baud not in asking and sys.stderr.isatty():
            sys.stderr.write(f"asking at {baud} baud; Ctrl-C ends it\n")
        asking.add(baud)

    if arguments.osdp is not None:
        named = Named(arguments.osdp, asyncio.run(devices().osdp_search(arguments.osdp, tell)))
    elif arguments.modbus is not None:
        boards = asyncio.run(devices().modbus_search(arguments.modbus, tell))
        named = Named(arguments.modbus, boards=boards)
    found = detect(arguments.root, named=named, data=Path(config.bare().gate.data))
    for line in [msgspec.json.encode(found).decode()] if arguments.json else lines(found):
        _say(line)
    return EX_FAILED if found.failed else EX_OK


def _commission(arguments: argparse.Namespace, devices: Devices) -> int:
    from edge import logs  # noqa: PLC0415
    from edge.front.pin import first_pin  # noqa: PLC0415

    base = config.load(arguments.config) if arguments.config.exists() else config.bare()
    data = Path(base.gate.data)
    _become_owner(data)
    _shut(data)
    pin = first_pin(data)
    if pin is not None:
        _say(f"PIN of its page, shown this once: {pin}")
    logs.start()
    if _set_up(arguments, devices):
        _say("Written. Start the gate: systemctl start gatehouse-edge")
    return EX_OK


def _at_port(base: Settings, port: int | None) -> Settings:
    """Return settings with the page at this port; None: where it was."""
    import msgspec  # noqa: PLC0415

    if port is None:
        return base
    return msgspec.structs.replace(base, page=msgspec.structs.replace(base.page, port=port))


def _set_up(arguments: argparse.Namespace, devices: Devices) -> bool:
    """Serve the commissioning page; whether a configuration was written. No gate may run on the same data meanwhile."""
    import asyncio  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from edge.commission.placing import earlier  # noqa: PLC0415
    from edge.commission.process import EVERYWHERE, Commission  # noqa: PLC0415
    from edge.reset import LOCK  # noqa: PLC0415
    from edge.store.disk import LocalDisk, hold  # noqa: PLC0415

    path = arguments.config
    written = config.writable_path(path)
    if written != path and path.exists():
        hint = f"Run this as whoever owns {path}, or move that file away: it would be read instead of the new one."
        raise Complaint(f"{path} was put there by hand, and cannot be replaced", hint)
    bare = config.bare()
    # Nobody has said yet who may see the page: the PIN stands before everything on it.
    page = msgspec.structs.replace(bare.page, listen=EVERYWHERE)
    before = earlier(path, msgspec.structs.replace(bare, page=page))
    before = replace(before, settings=_at_port(before.settings, arguments.port))
    data = Path(before.settings.gate.data)

    def say(line: str) -> None:
        _say(line)
        sys.stdout.flush()

    lock = hold(LocalDisk(), data / LOCK)
    try:
        commission = Commission(data, written, before, arguments.root, devices, say)
        return asyncio.run(commission.run())
    except OSError as error:
        hint = "Is another program on its port? Name another one: gatehouse-edge commission --port"
        raise Complaint(f"the page cannot be served: {error.strerror}", hint) from error
    finally:
        os.close(lock)


def _off(arguments: argparse.Namespace, devices: Devices) -> int:
    """Switch every relay off, all boards at once: systemd waits 30 s for all of it."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from drivers.base import DriverError  # noqa: PLC0415

    code = EX_OK
    if _is_bare(arguments):
        return code  # a box that is being commissioned has no relay that could be on
    try:
        relays = config.load(arguments.config).relays
    except config.ConfigErrors as errors:
        relays, code = config.relays(arguments.config), errors.exit_code
        _complain(errors)
    if not relays:
        return code
    with ThreadPoolExecutor(len(relays)) as pool:
        for relay, switched in [(one, pool.submit(devices.relay_off, one)) for one in relays]:
            try:
                _say(f"relay {relay.id}: {switched.result()}, every line off")
            except DriverError as error:
                _complain(Complaint(f"relay {relay.id}: {error}", error.hint))
                code = code or EX_FAILED
    return code


def _enrol(arguments: argparse.Namespace) -> int:
    from edge.enrol import enrol  # noqa: PLC0415
    from edge.front.pin import first_pin  # noqa: PLC0415

    # A new box joins its centre first, and is set up then: there need be no configuration yet.
    settings = config.bare() if _is_bare(arguments) else config.load(arguments.config)
    data = Path(settings.gate.data)
    _become_owner(data)
    name = arguments.name or settings.gate.name
    enrolment = enrol(data, arguments.url, arguments.code, name, ca_file=arguments.ca_file)
    _say(f"this box is gate {enrolment.gate}, {enrolment.name}, of {enrolment.centre_url}")
    _shut(data)
    pin = first_pin(data)
    if pin is not None:
        _say(f"PIN of its page, shown this once: {pin}")
    return EX_OK


def _explain(arguments: argparse.Namespace) -> int:
    import json  # noqa: PLC0415

    from admission.credentials import Medium, tag_data  # noqa: PLC0415
    from edge.explain import explain  # noqa: PLC0415

    settings = config.load(arguments.config)
    data = Path(settings.gate.data)
    code = sys.stdin.buffer.read(CODE_BYTES_MAX) if arguments.code == "-" else os.fsencode(arguments.code)
    if arguments.code == "-":
        code = code.removesuffix(b"\n")
    medium = Medium.UID if arguments.uid else Medium.BARCODE
    if arguments.uid:
        code = _uid(code)
    elif arguments.tag is not None:
        code, medium = tag_data(_uid(os.fsencode(arguments.tag)), _uid(code)), Medium.TAG
    _become_owner(data)
    said = explain(
        code,
        medium,
        settings,
        _enrolment(data),
        lane=settings.lanes[0].id if arguments.lane is None else arguments.lane,
        way=Way(arguments.way),
    )
    _say(json.dumps(said, indent=2, ensure_ascii=False))
    return EX_OK


def _write_tag(arguments: argparse.Namespace, devices: Devices) -> int:
    import asyncio  # noqa: PLC0415

    from edge.write_tag import recorded, write_tag  # noqa: PLC0415

    uid, message = _uid(os.fsencode(arguments.uid)), _uid(os.fsencode(arguments.message))
    data = _data(arguments)
    _become_owner(data)
    _ask_for_pin(data)
    asyncio.run(recorded(data, uid, arguments.steward))
    writer = devices.tag_writer(str(arguments.port), uid, message, arguments.lock)
    asyncio.run(write_tag(writer, uid, message, _say, arguments.wait, lock=arguments.lock))
    _say("Written, and read back." + (" It is locked." if arguments.lock else ""))
    return EX_OK


def _osdp_key(arguments: argparse.Namespace, devices: Devices) -> int:
    import asyncio  # noqa: PLC0415

    from edge.settings import OsdpReader  # noqa: PLC0415

    settings = config.load(arguments.config)
    readers = [one for lane in settings.lanes for one in lane.readers]
    reader = next((one for one in readers if one.id == arguments.reader), None)
    if not isinstance(reader, OsdpReader):
        ids = ", ".join(str(one.id) for one in readers if isinstance(one, OsdpReader)) or "none"
        raise Complaint(f"{arguments.reader} is no OSDP reader of this gate", f"Its OSDP readers: {ids}.")
    data = Path(settings.gate.data)
    _become_owner(data)
    _ask_for_pin(data)
    name = asyncio.run(devices.osdp_key(reader))
    _say(f"{name}: it has a key of its own now, in {reader.key_file}. Take the reader out of install mode.")
    return EX_OK


def _verify(arguments: argparse.Namespace) -> int:
    from edge.held_roster import former_keys  # noqa: PLC0415
    from edge.verify import known_keys, verify_log  # noqa: PLC0415

    data = _data(arguments)
    _become_owner(data)
    own = _enrolment(data)
    verdict = verify_log(data, known_keys(data, own), former_keys(data, own))
    for line in verdict.lines():
        _say(line)
    return EX_FAILED if verdict.altered else EX_OK


def _export(arguments: argparse.Namespace) -> int:
    from edge.export import Format, export_log  # noqa: PLC0415

    data = _data(arguments)
    _become_owner(data)
    export_log(data, Format(arguments.format), sys.stdout)
    sys.stdout.flush()
    return EX_OK


def _pin(arguments: argparse.Namespace) -> int:
    from edge.front.pin import new_pin  # noqa: PLC0415

    data = _data(arguments)
    _become_owner(data)
    try:
        pin = new_pin(data)
    except OSError as error:
        hint = "Run this as the gate's user or as root, and see that the data folder is there."
        raise Complaint(f"the PIN cannot be kept in {data}: {error.strerror}", hint) from error
    _say(f"The PIN of this gate's page is {pin}. It is shown only now; the one before it no longer works.")
    return EX_OK


def _reset(arguments: argparse.Namespace) -> int:
    from edge.reset import ReaderKeys, reset  # noqa: PLC0415

    data = _data(arguments)
    if not arguments.yes:
        raise Complaint(f"this would delete keys, lists and records in {data}", "Add --yes to do it.")
    _become_owner(data)
    chosen = arguments.keys and ReaderKeys(arguments.keys)
    forgotten = reset(data, lose_records=arguments.lose_records, reader_keys=chosen)
    _say(f"deleted from {data}: {', '.join(forgotten.removed)}")
    if forgotten.left:
        _say(f"left, since it is not the gate's: {', '.join(forgotten.left)}")
    if any(one.endswith(".key") for one in forgotten.left):
        _say("Their keys open these readers: lose them (--lose-keys) before the box goes to others.")
    if chosen is ReaderKeys.LOSE:
        _say(
            "Reset each OSDP reader with its maker's tool, or put it into install mode; then a commissioning gives it a new key."
        )
    _say(CENTRE_HINT)
    return EX_OK


_WITH_DEVICES: Final[Mapping[str, Callable[[argparse.Namespace, Devices], int]]] = {
    "check": _check,
    "commission": _commission,
    "off": _off,
    "write-tag": _write_tag,
    "osdp-key": _osdp_key,
}
_WITHOUT: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "enrol": _enrol,
    "explain": _explain,
    "verify": _verify,
    "export": _export,
    "pin": _pin,
    "reset": _reset,
}


# --- what several commands need ---------------------------------------------------------------------------------------


def _is_bare(arguments: argparse.Namespace) -> bool:
    """Whether this box has no configuration yet: none was named, and there is none where it would be."""
    return bool(arguments.config == config.default_path()) and not arguments.config.exists()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _data(arguments: argparse.Namespace) -> Path:
    """Return the data folder: what --data says, else the configuration."""
    return arguments.data or Path(config.load(arguments.config).gate.data)


def _enrolment(data: Path) -> Enrolment:
    from edge.enrolment import NotEnrolled, load  # noqa: PLC0415

    try:
        return load(data)
    except NotEnrolled as error:
        raise Complaint(str(error), CENTRE_HINT) from error
    except OSError as error:
        hint = "Run this as the gate's user or as root."
        raise Complaint(f"the enrolment in {data} cannot be read: {error.strerror}", hint) from error
    except ValueError as error:
        raise Complaint(str(error), CENTRE_HINT) from error


def _ask_for_pin(data: Path) -> None:
    """Complaint unless who calls types the PIN of the gate's page, or gives it on standard input."""
    import getpass  # noqa: PLC0415
    import time  # noqa: PLC0415

    from edge.front.pin import PinLock  # noqa: PLC0415
    from edge.write_tag import unlocked  # noqa: PLC0415

    try:
        asks = sys.stdin.isatty()
        typed = getpass.getpass("PIN of the gate's page: ") if asks else sys.stdin.readline(PIN_CHARS_MAX)
    except EOFError:  # Ctrl-D
        typed = ""
    lock = PinLock(data, time.time, time.monotonic)
    if not typed.strip() and lock.mark():  # nothing was tried, so nothing is counted
        raise Complaint("no PIN was given", "Type it, or give it on standard input.")
    unlocked(lock, typed.strip())


def _become_owner(data: Path) -> None:
    """Go on as the data folder's owner where root called: what root makes there the daemon could not write to."""
    if os.geteuid() != 0 or not data.is_dir():
        return
    owner = data.stat()
    if owner.st_uid == 0:
        return
    import pwd  # noqa: PLC0415

    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:  # an owner without a name has no further groups
        os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def _shut(data: Path) -> None:
    """Close the data folder to all but its owner: what an older start left in it may be readable by everybody."""
    try:
        data.chmod(0o700)
    except OSError as error:
        hint = "Run this as the gate's user, or give it the folder: chown -R gatehouse FOLDER"
        raise Complaint(
            f"the data folder {data} cannot be closed to others: {error.strerror}", hint
        ) from error


def _uid(text: bytes) -> bytes:
    """Read a tag's number in hexadecimal, as people write it: 04A2..., 04:a2:..., 04 a2 ..."""
    try:
        return bytes.fromhex(text.decode("ascii").replace(":", " ").replace("-", " "))
    except ValueError as error:  # of which UnicodeDecodeError is one
        raise Complaint(
            "this is no tag number", "Give it in hexadecimal, such as 04:A2:2B:1C:9D:80:00."
        ) from error


def _add_detect(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    detect = commands.add_parser(
        "detect", help="say what is plugged in, what it is and what is wrong with it"
    )
    bus = detect.add_mutually_exclusive_group()
    bus.add_argument(
        "--modbus",
        metavar="PORT",
        help="ask for the Modbus boards of the bus at this port, up to 40 s; switches nothing",
    )
    bus.add_argument(
        "--osdp", metavar="PORT", help="ask for the OSDP readers of the bus at this port, up to a minute"
    )
    detect.add_argument("--json", action="store_true", help="for programs")
    detect.add_argument("--root", type=Path, default=Path("/"), help="another box's files (%(default)s)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gatehouse-edge", description="A gate: reads tickets, decides, turns the turnstile."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--config", type=Path, default=config.default_path(), help="the gate's TOML (%(default)s)"
    )
    files = argparse.ArgumentParser(add_help=False, parents=[where])
    files.add_argument("--data", type=Path, help="the data folder, instead of the one in the TOML")

    started = commands.add_parser("run", parents=[where], help="run the gate until it is told to stop")
    # Of the commissioning page, where this box has no configuration yet.
    started.add_argument("--port", type=_port, help=argparse.SUPPRESS)
    started.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    commands.add_parser(
        "check", parents=[where], help="try configuration, devices and files, and say what to do"
    )
    _add_detect(commands)
    commission = commands.add_parser(
        "commission", parents=[where], help="set this gate up on its own page, by scanning"
    )
    commission.add_argument("--port", type=_port, help="of the page (default: page.port, 8443)")
    commission.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)
    commands.add_parser("off", parents=[where], help="switch every relay off")
    enrol = commands.add_parser("enrol", parents=[where], help="make this box a gate of a centre")
    enrol.add_argument("url", metavar="URL", help="the centre's address")
    enrol.add_argument("code", metavar="CODE", help="the one-time code made at the centre")
    enrol.add_argument("--name", default="", help="what to call this gate (default: gate.name)")
    enrol.add_argument(
        "--ca-file", type=Path, help="trust this certificate authority for the centre's address"
    )
    explain = commands.add_parser(
        "explain", parents=[where], help="print as JSON what the gate makes of a code"
    )
    explain.add_argument("code", metavar="CODE", help="a ticket's text; - reads it from standard input")
    tag = explain.add_mutually_exclusive_group()
    tag.add_argument("--uid", action="store_true", help="CODE is a tag's number, in hexadecimal")
    tag.add_argument(
        "--tag", metavar="UID", help="CODE is the NDEF message that this tag carries, in hexadecimal"
    )
    explain.add_argument("--lane", type=int, help="at which lane (default: the first)")
    explain.add_argument(
        "--way", choices=[way.value for way in Way], default=Way.ENTRY.value, help="(%(default)s)"
    )
    _add_write_tag(commands, files)
    osdp_key = commands.add_parser(
        "osdp-key",
        parents=[where],
        help="give an OSDP reader in install mode a key of its own, while no gate has its port; asks for the PIN",
    )
    osdp_key.add_argument("--reader", type=int, required=True, help="its id in the TOML")
    commands.add_parser("verify", parents=[files], help="say whether anything in the log was altered or lost")
    export = commands.add_parser("export", parents=[files], help="write the log's records to standard output")
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="(%(default)s)")
    commands.add_parser("pin", parents=[files], help="make a new PIN for the gate's page, and show it once")
    reset = commands.add_parser(
        "reset", parents=[files], help="factory reset: forget centre, keys, lists, records"
    )
    reset.add_argument("--yes", action="store_true", help="really do it")
    reset.add_argument("--lose-records", action="store_true", help="even those that the centre does not have")
    keys = reset.add_mutually_exclusive_group()
    for what, means in (
        ("keep", "the box stays at its OSDP readers"),
        ("lose", "it goes to others; the readers take new keys"),
    ):
        keys.add_argument(f"--{what}-keys", dest="keys", action="store_const", const=what, help=means)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not int(text) < 2**16:
        raise argparse.ArgumentTypeError("a port is a number up to 65535")
    return int(text)


def _steward(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**32:
        raise argparse.ArgumentTypeError("a steward's number counts from 1")
    return int(text)


def _add_write_tag(commands: Any, files: argparse.ArgumentParser) -> None:
    write = commands.add_parser(
        "write-tag",
        parents=[files],
        help="write a wristband at a PN532 that no gate has open; asks for the PIN, or reads it from standard input",
    )
    write.add_argument("--steward", type=_steward, required=True, help="your number, as at the page")
    write.add_argument("uid", metavar="UID", help="the tag's number, in hexadecimal")
    write.add_argument("message", metavar="MESSAGE", help="what the centre signed for it, in hexadecimal")
    write.add_argument("--port", type=Path, required=True, help="the PN532's serial port")
    write.add_argument(
        "--lock", action="store_true", help="for good: it can never be written again (NTAG213)"
    )
    write.add_argument(
        "--wait", type=float, default=TAG_WAIT_S, metavar="SECONDS", help="for the tag (%(default)s)"
    )
