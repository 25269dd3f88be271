"""What is left of a user who was removed: the server removes it, or its databases are changed where it does not run."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.accounts import Account, Accounts
from twisted_sip.cli.control_client import ControlClient, NoServer
from twisted_sip.cli.output import Failed
from twisted_sip.errors import StoreError
from twisted_sip.storage.user_removal import remove_user


def remove_rest(
    accounts: Accounts, account: Account, known: bool, keep_data: bool, state_dir: Path | None, config: Path | None
) -> dict[str, int]:
    """Remove what *account* has on the server that the options name, in each domain where the realm makes it a user.

    :param known: whether there was such a user.
    :param keep_data: keep messages and documents.
    :return: how much of what was removed, where there was any.
    :raises Failed: not all of it could be removed.
    """
    settings = state.settings(state_dir, config)
    directory = settings.storage.directory or settings.server.state_dir
    user, _, domain = account.aor.rpartition("@")
    domains = dict.fromkeys((domain, *(accounts.domains if accounts.realm else ())))
    aors = [f"sip:{user}@{one}" for one in domains]
    if not known and settings.auth.credentials_url:
        # Another service knows who is a user.
        return {}
    removed: Counter[str] = Counter()
    runs = True
    try:
        with ControlClient(settings.server.state_dir) as server:
            for aor in aors:
                removed.update(server.ask("user-remove", aor=aor, keep_data=keep_data))
    except NoServer:
        runs = False
    except Failed as error:
        if not known:
            return {}
        raise _left(account.aor, error.message) from error
    try:
        # A server without presence leaves the databases of presence alone.
        for aor in aors:
            removed.update(
                remove_user(
                    directory,
                    aor,
                    time.time(),
                    keep_data=keep_data,
                    pass_by_open=runs,
                    with_calls=settings.accounting.remove_with_user,
                )
            )
    except StoreError as error:
        raise _left(account.aor, str(error)) from error
    return removed


def _left(account: str, reason: str) -> Failed:
    return Failed(f"{account} is a user no more, but what is kept for it is still there ({reason}); remove it again")
