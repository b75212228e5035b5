"""gatehouse-sync: the centre's command line."""

import argparse
import asyncio
import errno
import json
import logging
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from sync.accounts import commands as user_commands
from sync.backup.command import add_commands as add_backup
from sync.compose import Centre, address_for_boxes, open_centre, serve, system_now_s, tls_context
from sync.customers.command import add_commands as add_customers
from sync.demo import make_demo
from sync.demo_sales import make_sales
from sync.events.command import add_tag_keys
from sync.gates import enrolment, tables
from sync.gates.certificates import authority
from sync.imports.command import add_export, add_import
from sync.journal import Seldom
from sync.keys import Role, roll
from sync.store.database import CentreFault, Database
from sync.store.schema import unsigned
from sync.tickets.ticket_keys import roll_tickets
from sync.web.senders import Proxies
from sync.wire.messages import CODE_MINUTES, fingerprint_of

EXIT_OK, EXIT_FAULT, EXIT_INTERRUPTED = 0, 1, 130
"""2 is argparse's own, for a command that is not understood; 130 is 128 + SIGINT, as shells say it."""
_FULL = CentreFault("the disk is full; what was written is not whole", "Make room, or write elsewhere.")
PORT = 8080


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 (it could not be done, stderr says why and what to do), or 2."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # the database and the demo's codes are nobody else's to read
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Seldom())
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it prints what strangers sent
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        if "alone" in options:
            return int(options.alone(options))
        centre = open_centre(options.data, options.database)
        try:
            code = int(options.run(centre, options))
            sys.stdout.flush()  # what cannot be written is told here
            return code
        finally:
            centre.close()
    except CentreFault as fault:
        return _complain(fault)
    except BrokenPipeError:
        _say_no_more()  # whoever read us (`head`) has enough
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or options.run is _serve:
            raise
        _say_no_more()
        return _complain(_FULL)


def _complain(fault: CentreFault) -> int:
    sys.stderr.write(f"gatehouse-sync: {fault}\n  {fault.hint}\n")
    return EXIT_FAULT


def _say_no_more() -> None:
    """Have Python not complain again when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    default = Path(os.environ.get("STATE_DIRECTORY", "/var/lib/gatehouse-sync"))
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", type=Path, default=default, metavar="DIR", help=f"data folder (default {default})"
    )
    shared.add_argument(
        "--database",
        default=os.environ.get("GATEHOUSE_DATABASE", ""),
        metavar="URL",
        help="PostgreSQL, as postgresql+psycopg://USER@HOST/NAME (default: a SQLite file in the data folder; "
        "GATEHOUSE_DATABASE keeps a password off the command line)",
    )
    parser = argparse.ArgumentParser(
        prog="gatehouse-sync", description="The centre: tells every gate who may enter."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_serve(commands, shared)
    commands.add_parser("migrate", parents=[shared], help="bring the tables up to date").set_defaults(
        run=_migrate
    )

    event = commands.add_parser("event", help="events").add_subparsers(required=True, metavar="WHAT")
    event.add_parser("demo", parents=[shared], help="make the demo venue").set_defaults(run=_demo)
    add_tag_keys(event, shared, _on_database)
    user_commands.add_to(commands, shared, system_now_s)

    gate = commands.add_parser("gate", help="gates").add_subparsers(required=True, metavar="WHAT")
    code = gate.add_parser("code", parents=[shared], help="print a one-time enrolment code")
    code.add_argument("name", metavar="NAME", help="the gate's name; its number where several have it")
    code.set_defaults(run=_code)

    key = commands.add_parser("key", help="keys").add_subparsers(required=True, metavar="WHAT")
    roll_parser = key.add_parser("roll", parents=[shared], help="replace a key; gates follow by themselves")
    roll_parser.add_argument("role", choices=[role.value for role in Role], help="which key")
    roll_parser.add_argument(
        "--compromised",
        action="store_true",
        help="with tickets: the old key is in other hands, so its tickets enter only where the list has them",
    )
    roll_parser.set_defaults(run=_roll)
    certificate = key.add_parser(
        "authority", parents=[shared], help="print the certificate behind gates' pages"
    )
    certificate.set_defaults(run=_authority)

    export = commands.add_parser("export", help="take data out").add_subparsers(required=True, metavar="WHAT")
    export.add_parser("records", parents=[shared], help="all records, one JSON object a line").set_defaults(
        run=_export_records
    )
    add_backup(commands, shared)
    add_customers(commands, shared, _on_database)
    add_import(commands, shared, _on_database)
    add_export(export, shared, _on_database)
    return parser


def _add_serve(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", shared: argparse.ArgumentParser
) -> None:
    run = commands.add_parser("serve", parents=[shared], help="listen for gates")
    run.add_argument("--listen", default="127.0.0.1", metavar="HOST", help="address to listen on")
    run.add_argument("--port", type=_port, default=PORT, help="0 takes a free one and prints it")
    run.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a name people reach the centre by, as tickets.example (repeat for several)",
    )
    run.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a proxy on another machine, as 10.0.0.10 or 10.0.0.0/28, that says who asks (repeat for several)",
    )
    run.add_argument("--demo", action="store_true", help="make the demo venue first, if there is no event")
    run.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    run.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    run.set_defaults(run=_serve)


def _port(text: str) -> int:
    if not text.isdecimal() or not int(text) < 2**16:
        raise argparse.ArgumentTypeError("a port is a number up to 65535")
    return int(text)


def _on_database(
    work: Callable[[Database, argparse.Namespace], int],
) -> Callable[[Centre, argparse.Namespace], int]:
    """Return a command of what needs the database alone."""
    return lambda centre, options: work(centre.database, options)


def _serve(centre: Centre, options: argparse.Namespace) -> int:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise CentreFault("TLS needs both a certificate and its key", "Give --tls-cert and --tls-key.")
    try:
        proxies = Proxies(options.proxy)
    except ValueError as error:
        raise CentreFault(
            f"--proxy: {error}", "Give its address as the centre sees it, as --proxy 10.0.0.10."
        ) from error
    if options.demo:
        _make_demo(centre)
    tls = tls_context(options.tls_cert, options.tls_key) if options.tls_cert else None
    asyncio.run(serve(centre, options.listen, options.port, tls, _say_ready, options.name, proxies))
    return EXIT_OK


def _say_ready(url: str) -> None:
    _say(f"gatehouse-sync listens on {url}")


def _migrate(centre: Centre, _options: argparse.Namespace) -> int:
    _say(f"The tables in {centre.data} are up to date.")
    return EXIT_OK


def _demo(centre: Centre, _options: argparse.Namespace) -> int:
    made = _make_demo(centre)
    _say("The demo venue is ready." if made else "There is an event already; the demo venue was not made.")
    return EXIT_OK if made else EXIT_FAULT


def _make_demo(centre: Centre) -> bool:
    """Make the demo venue with what it sold; False where there is an event already."""
    now_s = system_now_s()
    made = make_demo(centre.database, centre.keys, centre.data, now_s)
    if made:
        make_sales(centre.database, centre.keys, now_s)
    return made


def _code(centre: Centre, options: argparse.Namespace) -> int:
    with centre.database.writing() as connection:
        gate = enrolment.named(connection, options.name)
        code = enrolment.new_code(connection, centre.keys, gate, system_now_s(), secrets.token_bytes(5))
    identity = centre.keys.identity_key.public_key().public_bytes_raw()
    _say(f"{code[:4]}-{code[4:]}")
    address = address_for_boxes(centre.data)
    sys.stderr.write(
        f"On the box, within {CODE_MINUTES} minutes:\n"
        f"  gatehouse-edge enrol '{address}#{fingerprint_of(identity)}' {code[:4]}-{code[4:]}\n"
    )
    return EXIT_OK


def _roll(centre: Centre, options: argparse.Namespace) -> int:
    role = Role(options.role)
    if role is Role.TICKETS:
        rolled = roll_tickets(centre.database, centre.data, system_now_s(), compromised=options.compromised)
    else:
        rolled = roll(centre.data, role)
    _say(f"The {role.value} key is replaced; the key document is number {rolled.number}.")
    sys.stderr.write(
        "Copy keys.json to every other replica; a running gatehouse-sync takes the key up by itself.\n"
        "Gates follow within seconds. Put the new keys.json into the backup.\n"
    )
    return EXIT_OK


def _authority(centre: Centre, _options: argparse.Namespace) -> int:
    _say(authority(centre.keys, system_now_s()).public_bytes(Encoding.PEM).decode().rstrip())
    return EXIT_OK


def _export_records(centre: Centre, _options: argparse.Namespace) -> int:
    with centre.database.reading() as connection:
        t = tables.record
        for row in connection.execute(select(t).order_by(t.c.gate_id, t.c.epoch, t.c.seq)):
            _line(sys.stdout, row.gate_id, unsigned(row.epoch), row.seq, row.blob)
    return EXIT_OK


def _say(line: str) -> None:
    """Print an answer at once: whoever reads it through a pipe waits for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _line(out: TextIO, gate: int, epoch: int, seq: int, blob: bytes) -> None:
    record = {"gate": gate, "epoch": f"{epoch:016x}", "seq": seq, "record": blob.hex()}
    out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    sys.exit(main())
