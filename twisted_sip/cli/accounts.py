"""The users of a server as the command finds them: which database, which realm, and what goes wrong there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from twisted_sip.auth.credentials import user_of
from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import parse_aor
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import Failed
from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.users_database import USERS_FILE


class NoUsers(Failed):
    """There is no credential store, and none was to be made."""


@attrs.frozen(slots=True)
class Account:
    """What an address-of-record is in the credential store.

    :ivar aor: as people write it, ``user@domain``.
    :ivar user: the digest user name.
    :ivar realm: the realm of the digest.
    """

    aor: str
    user: str
    realm: str


@attrs.define(slots=True)
class Accounts:
    """An open credential store and the rule for realms.

    :ivar store: the store.
    :ivar realm: the realm of every user, empty if it is the domain of the user.
    :ivar domains: the domains of the running server, empty if none runs.
    """

    store: SQLiteCredentialStore
    realm: str
    domains: tuple[str, ...]

    def account(self, aor: str) -> Account:
        """Return what *aor* is here.

        :raises click.UsageError: it is no address-of-record.
        """
        uri = parse_aor(aor)
        host = uri.host.lower().strip("[]").removesuffix(".")
        return Account(uri.address_of_record.removeprefix("sip:"), user_of(uri), self.realm or host)

    def warn_if_foreign(self, aor: str) -> None:
        """Say so if the running server is not responsible for the domain of *aor*: nobody could log in."""
        host = parse_aor(aor).host.lower().strip("[]").removesuffix(".")
        if self.domains and host not in self.domains:
            click.echo(
                f"twisted-sip: warning: the running server is not responsible for {host}, only for "
                f"{', '.join(self.domains)}",
                err=True,
            )


@contextlib.contextmanager
def open_accounts(state_dir: Path | None, config: Path | None, *, make: bool = True) -> Iterator[Accounts]:
    """Open the credential store that the options name, and close it.

    The realm is that of the configuration file; without one it is asked of the server that runs there.

    :param make: make the database where there is none.
    :raises NoUsers: there is none, and none is to be made.
    :raises Failed: the database cannot be used, or a value cannot be stored.
    """
    settings = state.settings(state_dir, config)
    directory = settings.storage.directory or settings.server.state_dir
    path = directory / USERS_FILE
    if not make and not path.exists():
        raise NoUsers(f"there are no users yet in {directory}; add one with: twisted-sip user add AOR")
    realm, domains = settings.auth.realm, settings.server.domains
    if config is None:
        with contextlib.suppress(Failed), ControlClient(settings.server.state_dir) as server:
            found = server.ask("status")
            realm, domains = found["realm"], tuple(found["domains"])
    try:
        store = SQLiteCredentialStore(path)
    except StoreError as error:
        raise Failed(str(error)) from error
    try:
        yield Accounts(store, realm, domains)
    except (StoreError, LocalProtocolError) as error:
        raise Failed(str(error)) from error
    finally:
        store.close()
