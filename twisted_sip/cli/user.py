"""``twisted-sip user``: add, change, remove, list and import users. Passwords never stand on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.accounts import NoUsers, open_accounts
from twisted_sip.cli.output import Failed, json_option, print_json, print_table
from twisted_sip.cli.user_import import import_users
from twisted_sip.cli.user_rest import remove_rest
from twisted_sip.interfaces.credentials import ALGORITHMS

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, its first line."
)
_algorithm_option = click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS, case_sensitive=False),
    help="Digest algorithm to challenge this user with [default: that of the server, MD5 if it has none].",
)


@click.group()
def user() -> None:
    """Add, change, remove, list and import users."""


def read_password(from_stdin: bool, twice: bool = True) -> str:
    """Return the password that is typed in, or the first line of standard input.

    :param twice: have it typed twice, since it cannot be seen.
    :raises Failed: it is empty.
    """
    if from_stdin:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    elif not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for the password: give it by --password-stdin")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=twice, err=True)
    if not password:
        raise Failed("the password is empty")
    return password


@user.command()
@click.argument("aor")
@_password_option
@_algorithm_option
@state.state_dir_options
def add(aor: str, password_stdin: bool, algorithm: str | None, state_dir: Path | None, config: Path | None) -> None:
    """Add the user AOR (alice@example.com)."""
    with open_accounts(state_dir, config) as accounts:
        account = accounts.account(aor)
        password = read_password(password_stdin)
        if not accounts.store.add(account.user, account.realm, password, algorithm=algorithm or ""):
            raise Failed(
                f"{account.aor} exists already; change the password with: twisted-sip user passwd {account.aor}"
            )
        accounts.warn_if_foreign(aor)
    click.echo(f"{account.aor} added")


@user.command()
@click.argument("aor")
@_password_option
@_algorithm_option
@state.state_dir_options
def passwd(aor: str, password_stdin: bool, algorithm: str | None, state_dir: Path | None, config: Path | None) -> None:
    """Change the password of AOR."""
    with open_accounts(state_dir, config, make=False) as accounts:
        account = accounts.account(aor)
        password = read_password(password_stdin)
        if not accounts.store.set_password(account.user, account.realm, password, algorithm=algorithm):
            raise Failed(f"there is no user {account.aor}")
    click.echo(f"password of {account.aor} changed")


@user.command()
@click.argument("aor")
@click.option("--keep-data", is_flag=True, help="Keep the messages that wait for AOR, and the XCAP documents.")
@state.state_dir_options
def remove(aor: str, keep_data: bool, state_dir: Path | None, config: Path | None) -> None:
    """Remove the user AOR, and what is kept for it.

    That is contacts, subscriptions, publications, messages that wait, and XCAP documents.
    """
    with open_accounts(state_dir, config) as accounts:
        account = accounts.account(aor)
        known = accounts.store.remove(account.user, account.realm)
    removed = remove_rest(accounts, account, known, keep_data, state_dir, config)
    if not known and not removed:
        raise Failed(f"there is no user {account.aor}")
    what = ", ".join(f"{count} {name if count > 1 else name[:-1]}" for name, count in removed.items())
    if known:
        click.echo(f"{account.aor} removed" + (f", with {what}" if what else ""))
    else:
        click.echo(f"there was no user {account.aor}; removed what was left of it: {what}")


@user.command(name="list")
@json_option
@state.state_dir_options
def list_(as_json: bool, state_dir: Path | None, config: Path | None) -> None:
    """List the users."""
    try:
        with open_accounts(state_dir, config, make=False) as accounts:
            found = accounts.store.users()
    except NoUsers:
        # To look makes nothing, least of all in a directory that is the wrong one.
        found = []
    if as_json:
        print_json([{"user": one.user, "realm": one.realm, "algorithm": one.algorithm} for one in found])
        return
    rows = [(one.user, one.realm, one.algorithm or "(default)") for one in found]
    print_table(("user", "domain", "algorithm"), rows, "there are no users yet; add one with: twisted-sip user add AOR")


@user.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@_algorithm_option
@state.state_dir_options
def import_(file: Path, algorithm: str | None, state_dir: Path | None, config: Path | None) -> None:
    """Add or change the users in FILE, all or none.

    FILE is CSV with the columns aor,password ("-" for standard input).
    """
    with open_accounts(state_dir, config) as accounts:
        count = import_users(accounts, file, algorithm or "")
    click.echo(f"{count} user{'' if count == 1 else 's'} imported")
