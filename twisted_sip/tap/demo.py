"""``--demo``: two users with passwords of their own, and what to type into two phones.

What is stored of a password cannot be turned back into it, so those of the demo users are kept beside it, in a file
that its owner alone may read: they are the same after a restart.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.tap.startup import StartFailure, os_error_words
from twisted_sip.tap.state import write_private

#: The file of the passwords in the state directory.
DEMO_NAME = "demo-users.json"

#: The users.
DEMO_USERS = ("alice", "bob")

#: Characters that no one confuses and every phone can type.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def demo_passwords(directory: Path) -> dict[str, str]:
    """Return user -> password from the file in *directory*, made now if there is none.

    :raises StartFailure: the file cannot be read or written.
    """
    path = directory / DEMO_NAME
    try:
        if path.exists():
            known = json.loads(path.read_text("utf-8"))
            if isinstance(known, dict) and all(isinstance(known.get(user), str) for user in DEMO_USERS):
                return {user: known[user] for user in DEMO_USERS}
            raise StartFailure(f"{path}: is damaged, remove it")
        passwords = {user: _password() for user in DEMO_USERS}
        write_private(path, json.dumps(passwords, indent=2).encode("utf-8") + b"\n")
    except OSError as error:
        raise StartFailure(f"{path}: {os_error_words(error)}, make it readable for this user") from error
    except ValueError as error:
        raise StartFailure(f"{path}: is damaged, remove it") from error
    return passwords


def _password() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


def store_demo_users(store: SQLiteCredentialStore, passwords: dict[str, str], realms: Iterable[str]) -> None:
    """Put the demo users into *store*, in every one of *realms*.

    :raises StoreError: the database cannot be changed.
    """
    store.import_users([(user, realm, password) for realm in realms for user, password in passwords.items()])


def account_settings(passwords: dict[str, str], domains: Sequence[str], server: str, transports: Sequence[str]) -> str:
    """Return what to type into the phones.

    :param domains: the domains in which the users are; the first is the one to type.
    :param server: the address of the server.
    :param transports: ``udp 5060`` and so on.
    """
    domain = _in_uri(domains[0])
    lines = ["", "Demo: two phones, each with one of these accounts"]
    for user, password in passwords.items():
        lines += [
            "",
            f"  {user}",
            f"    address    sip:{user}@{domain}",
            f"    domain     {domain}",
            f"    user       {user}",
            f"    password   {password}",
            f"    server     {_in_uri(server)}",
            f"    transport  {', '.join(transports)}",
        ]
    first, second = list(passwords)[:2]
    lines += ["", f"  Then call sip:{second}@{domain} from {first}'s phone."]
    if len(domains) > 1:
        others = ", ".join(_in_uri(name) for name in domains[1:])
        lines.append(f"  Instead of {domain}, both may have one of: {others}.")
    return "\n".join([*lines, ""])


def _in_uri(host: str) -> str:
    return f"[{host}]" if ":" in host else host
