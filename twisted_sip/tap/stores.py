"""The databases that every server has: users, what becomes of their calls, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted_sip.storage.batch_writer import FromThreads, WriterThread
from twisted_sip.storage.call_policy_sqlite import SQLiteCallPolicyStore
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.location_sqlite import LOCATION_FILE, SQLiteLocationStore
from twisted_sip.storage.users_database import USERS_FILE
from twisted_sip.tap.sections import StorageSection


def open_users(section: StorageSection, directory: Path, reactor: Any) -> SQLiteCredentialStore:
    """Open the users in *directory*.

    :raises StoreError: the database cannot be used.
    """
    return SQLiteCredentialStore(directory / USERS_FILE, reactor, timeout=section.lock_timeout)


def open_call_policies(section: StorageSection, directory: Path, reactor: Any) -> SQLiteCallPolicyStore:
    """Open the call policies of the users in *directory*; raises as :func:`open_users`."""
    return SQLiteCallPolicyStore(directory / USERS_FILE, reactor, timeout=section.lock_timeout)


def open_location(section: StorageSection, directory: Path, reactor: Any, rounds: FromThreads) -> SQLiteLocationStore:
    """Open the bindings in *directory*; raises as :func:`open_users`.

    :param rounds: where the thread that writes reports.
    """
    return SQLiteLocationStore(
        directory / LOCATION_FILE,
        reactor,
        WriterThread(rounds, "location"),
        max_bindings=section.max_bindings,
        interval=section.flush_interval,
        batch_size=section.batch_size,
        timeout=section.lock_timeout,
    )
