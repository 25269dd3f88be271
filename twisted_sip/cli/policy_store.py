"""The call policies that a command is about: those of the server that runs, else those in its database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from twisted_sip.auth.credentials import user_of
from twisted_sip.cli import state_dir as state
from twisted_sip.cli.control_client import ControlClient, NoServer
from twisted_sip.cli.output import Failed
from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.message.uri import SIPURI
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore
from twisted_sip.storage.call_policy_sqlite import SQLiteCallPolicyStore
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.users_database import USERS_FILE


class Policies(Protocol):
    """Call policies by address-of-record."""

    def lookup(self, aor: str) -> CallPolicy | None:
        """Return the policy of *aor*, None if there is none."""
        ...

    def set(self, aor: str, policy: CallPolicy) -> None:
        """Keep *policy*."""
        ...

    def remove(self, aor: str) -> bool:
        """Forget the policy of *aor*; tell whether there was one."""
        ...


class ServedPolicies:
    """The policies of a server that runs."""

    def __init__(self, server: ControlClient) -> None:
        self._server = server

    def lookup(self, aor: str) -> CallPolicy | None:
        found = self._server.ask("policy-show", aor=aor)
        return None if found is None else CallPolicy.from_mapping(found)

    def set(self, aor: str, policy: CallPolicy) -> None:
        self._server.ask("policy-set", aor=aor, policy=policy.to_mapping())

    def remove(self, aor: str) -> bool:
        return bool(self._server.ask("policy-remove", aor=aor)["removed"])


def check_user(state_dir: Path | None, config: Path | None, aor: str) -> None:
    """Refuse a user that does not exist. Where it cannot be known who does, everybody may.

    :param aor: as :func:`canonical_aor` gives it.
    :raises Failed: there is no such user.
    """
    settings = state.settings(state_dir, config)
    path = (settings.storage.directory or settings.server.state_dir) / USERS_FILE
    if settings.auth.credentials_url or not settings.auth.required or not path.exists():
        return
    try:
        store = SQLiteCredentialStore(path)
    except StoreError as error:
        raise Failed(str(error)) from error
    try:
        users = store.users()
    except StoreError as error:
        raise Failed(str(error)) from error
    finally:
        store.close()
    uri = SIPURI.parse(aor)
    domain, realms = uri.host.lower(), {user.realm.lower() for user in users}
    # The realm may be called otherwise than the domain; there the name alone tells.
    found = any(user.user == user_of(uri) and (user.realm.lower() == domain or domain not in realms) for user in users)
    if users and not found:
        name = aor.removeprefix("sip:")
        raise Failed(f"there is no user {name}, add it with: twisted-sip user add {name}")


@contextlib.contextmanager
def open_policies(state_dir: Path | None, config: Path | None, *, make: bool = False) -> Iterator[Policies]:
    """Open the policies that the options name, and close them.

    :param make: make the database where there is none: something is to be kept.
    :raises Failed: they cannot be used, or a value cannot be kept.
    """
    settings = state.settings(state_dir, config)
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(ControlClient(settings.server.state_dir))
        except NoServer:
            path = (settings.storage.directory or settings.server.state_dir) / USERS_FILE
            try:
                # To look makes no database, least of all in a directory that is the wrong one.
                store = SQLiteCallPolicyStore(path) if make or path.exists() else None
            except StoreError as error:
                raise Failed(str(error)) from error
            found: Policies = MemoryCallPolicyStore() if store is None else store
            if store is not None:
                stack.callback(store.close)
        else:
            found = ServedPolicies(server)
        try:
            yield found
        except (StoreError, LocalProtocolError) as error:
            raise Failed(str(error)) from error
