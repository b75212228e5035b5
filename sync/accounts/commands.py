"""`gatehouse-sync user …`: for whoever stands at the machine, which needs no sign-in. Passwords come by stdin or are made up."""

import argparse
import getpass
import sys
from collections.abc import Callable
from typing import Protocol

import msgspec
from sqlalchemy import Connection, select

from sync.accounts import audit, passwords, users
from sync.accounts.principal import SYSTEM, Role
from sync.events import houses, tables
from sync.store.database import CentreFault, Database
from sync.web.api import Refused


class Centre(Protocol):
    """What a command needs of the centre."""

    @property
    def database(self) -> Database:
        """The opened database."""
        ...


Run = Callable[[Centre, argparse.Namespace], int]
_PEOPLE = [one.value for one in Role if one is not Role.DEVICE]


def add_to(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    shared: argparse.ArgumentParser,
    now_s: Callable[[], int],
) -> None:
    """Add the `user` commands to a command line; `now_s`: the time in unix seconds."""
    user = commands.add_parser("user", help="people who sign in").add_subparsers(
        required=True, metavar="WHAT"
    )

    add = user.add_parser("add", parents=[shared], help="add a user and print their password")
    add.add_argument("email", metavar="E-MAIL")
    add.add_argument("--name", default="", help="as others see it (default: the e-mail)")
    add.add_argument("--role", choices=_PEOPLE, default=Role.OWNER.value, help="default: owner")
    whose = add.add_mutually_exclusive_group()
    whose.add_argument(
        "--organization", type=int, default=0, metavar="NUMBER", help="default: the only one there is"
    )
    whose.add_argument(
        "--new-organization", default="", metavar="NAME", help="make an organization for this user"
    )
    add.add_argument(
        "--ask", action="store_true", help="ask for the password (stdin) instead of making one up"
    )
    add.set_defaults(run=_refusals(lambda centre, options: _add(centre, options, now_s())))

    password = user.add_parser("password", parents=[shared], help="give a user a new password and print it")
    password.add_argument("email", metavar="E-MAIL")
    password.add_argument(
        "--ask", action="store_true", help="ask for the password (stdin) instead of making one up"
    )
    password.add_argument(
        "--no-totp", action="store_true", help="also ask for no code any more: a lost phone"
    )
    password.set_defaults(run=_refusals(lambda centre, options: _password(centre, options, now_s())))

    user.add_parser("list", parents=[shared], help="list users").set_defaults(run=_refusals(_list))

    for verb, disabled in (("disable", True), ("enable", False)):
        words = "shut a user out, at once" if disabled else "let a user in again"
        one = user.add_parser(verb, parents=[shared], help=words)
        one.add_argument("email", metavar="E-MAIL")
        one.set_defaults(run=_refusals(_switching(now_s, disabled=disabled)))


def only_organization(connection: Connection) -> int:
    """Return the only organization; CentreFault where there is none, or more than one."""
    found = (
        connection.execute(select(tables.organization.c.id).order_by(tables.organization.c.id))
        .scalars()
        .all()
    )
    if not found:
        raise CentreFault(
            "there is no organization yet",
            "Make yours: gatehouse-sync user add E-MAIL --new-organization NAME. Or the demo's: gatehouse-sync event demo",
        )
    if len(found) > 1:
        numbers = ", ".join(map(str, found))
        raise CentreFault("there is more than one organization", f"Give --organization, one of {numbers}.")
    return int(found[0])


def _refusals(run: Run) -> Run:
    """Say a refusal as the command line says what cannot be done."""

    def ran(centre: Centre, options: argparse.Namespace) -> int:
        try:
            return run(centre, options)
        except Refused as refused:
            raise CentreFault(refused.code.replace("_", " "), refused.detail) from refused

    return ran


def _add(centre: Centre, options: argparse.Namespace, now_s: int) -> int:
    password = _new_password(options, options.email)
    with centre.database.writing() as connection:
        organization = options.organization or _organization(connection, options.new_organization, now_s)
        number = users.add(
            connection,
            organization,
            options.email,
            options.name or options.email,
            Role(options.role),
            password,
            now_s,
        )
        audit.note(
            connection, SYSTEM, organization, "user.add", f"user {number}", {"role": options.role}, now_s
        )
    _say_password(options, password)
    return 0


def _organization(connection: Connection, name: str, now_s: int) -> int:
    """Return the organization of this name, made now, or the only one where none is named."""
    if not name:
        return only_organization(connection)
    try:
        new = msgspec.convert({"name": name}, houses.NewOrganization)
    except msgspec.ValidationError as error:
        raise CentreFault(
            "an organization cannot be named so", "Give it a name of up to 200 letters."
        ) from error
    made = houses.add_organization(connection, new, now_s)
    audit.note(connection, SYSTEM, made, "organization.make", f"organization {made}", {"name": name}, now_s)
    return made


def _password(centre: Centre, options: argparse.Namespace, now_s: int) -> int:
    password = _new_password(options, options.email)
    stored = passwords.hashed(password)
    with centre.database.writing() as connection:
        number = _number(connection, options.email)
        users.set_password(connection, number, stored)
        if options.no_totp:
            users.drop_totp(connection, number)
        for organization in users.organizations(connection, number):
            audit.note(connection, SYSTEM, organization, "user.password", f"user {number}", "", now_s)
    _say_password(options, password)
    return 0


def _list(centre: Centre, _options: argparse.Namespace) -> int:
    with centre.database.reading() as connection:
        for organization in connection.execute(select(tables.organization.c.id)).scalars().all():
            for one in users.members(connection, organization):
                state = " disabled" if one.disabled else ""
                sys.stdout.write(f"{organization}\t{one.email}\t{one.role.value}\t{one.name}{state}\n")
    return 0


def _switching(now_s: Callable[[], int], *, disabled: bool) -> Run:
    def run(centre: Centre, options: argparse.Namespace) -> int:
        with centre.database.writing() as connection:
            number = _number(connection, options.email)
            what = "user.disable" if disabled else "user.enable"
            for organization in users.organizations(connection, number):
                users.set_disabled(connection, organization, number, disabled=disabled)
                audit.note(connection, SYSTEM, organization, what, f"user {number}", "", now_s())
        return 0

    return run


def _number(connection: Connection, email: str) -> int:
    number = users.by_email(connection, email)
    if number is None:
        raise CentreFault(f"nobody has the e-mail {email}", "See who is there: gatehouse-sync user list")
    return number


def _new_password(options: argparse.Namespace, email: str) -> str:
    if not options.ask:
        return passwords.made_up()
    try:
        asks = sys.stdin.isatty()
        typed = getpass.getpass("New password: ") if asks else sys.stdin.readline().rstrip("\n")
    except EOFError:  # Ctrl-D: refused as too short
        typed = ""
    users.checked(typed, email)
    return typed


def _say_password(options: argparse.Namespace, password: str) -> None:
    if not options.ask:
        sys.stdout.write(password + "\n")
