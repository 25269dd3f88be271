"""Every store of call policies keeps its contract; the one on disk survives, migrates and sees what others change."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import unittest
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.call_policy import CallPolicy, Hours
from twisted_sip.storage import call_policy_sqlite
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore
from twisted_sip.storage.call_policy_sqlite import SQLiteCallPolicyStore
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.user_removal import remove_user
from twisted_sip.testing.call_policy_contract import ALICE, BOB, WHOLE, CallPolicyStoreContract

FIXTURES = Path(__file__).parent / "fixtures"
QUIET = CallPolicy(do_not_disturb=True)


class MemoryTests(CallPolicyStoreContract, unittest.TestCase):
    def make_store(self) -> MemoryCallPolicyStore:
        return MemoryCallPolicyStore()

    def test_all_policies(self) -> None:
        assert MemoryCallPolicyStore({BOB: QUIET, ALICE: WHOLE}).policies() == {ALICE: WHOLE, BOB: QUIET}


class SQLiteTests(CallPolicyStoreContract, unittest.TestCase):
    def make_store(self) -> SQLiteCallPolicyStore:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        return SQLiteCallPolicyStore(self.directory / "users.db", Clock())

    def test_survives(self) -> None:
        self.store.set(ALICE, WHOLE)
        self.store.set(BOB, QUIET)
        self.store.close()
        self.store = SQLiteCallPolicyStore(self.directory / "users.db")
        assert self.store.policies() == {ALICE: WHOLE, BOB: QUIET}


def test_what_another_process_changes_is_seen_within_a_second(tmp_path: Path) -> None:
    clock = Clock()
    server = SQLiteCallPolicyStore(tmp_path / "users.db", clock)
    command = SQLiteCallPolicyStore(tmp_path / "users.db")
    assert server.lookup(ALICE) is None
    command.set(ALICE, QUIET)
    assert server.lookup(ALICE) is None
    clock.advance(1)
    assert server.lookup(ALICE) == QUIET
    command.remove(ALICE)
    assert server.lookup(ALICE) == QUIET
    server.changed()
    assert server.lookup(ALICE) is None
    server.close()
    command.close()


def test_no_more_is_remembered_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_policy_sqlite, "_MOST_REMEMBERED", 3)
    store = SQLiteCallPolicyStore(tmp_path / "users.db", Clock())
    for number in range(10):
        assert store.lookup(f"sip:{number}@example.com") is None
        assert len(store._known) <= 3
    store.close()


def test_databases_of_every_version_are_opened(tmp_path: Path) -> None:
    for fixture in sorted(FIXTURES.glob("users-v*.sql")):
        path = tmp_path / f"{fixture.stem}.db"
        connection = sqlite3.connect(path)
        connection.executescript(fixture.read_text())
        connection.close()
        store = SQLiteCallPolicyStore(path)
        old = fixture.stem == "users-v1"
        expected = None if old else CallPolicy(do_not_disturb=True, hours=(Hours.parse("mon-fri 09:00-17:00"),))
        assert store.lookup(ALICE) == expected
        store.set(BOB, QUIET)
        assert store.lookup(BOB) == QUIET
        store.close()


@pytest.mark.parametrize("text", ['{"colour": "red"}', "[1]", "{", '{"hours": ["always"]}', '{"blocked": "x"}'])
def test_a_damaged_policy_lets_nobody_in_by_mistake(tmp_path: Path, text: str) -> None:
    store = SQLiteCallPolicyStore(tmp_path / "users.db")
    store._connection.execute("INSERT INTO call_policy VALUES (?, ?)", (ALICE, text))
    with pytest.raises(StoreError, match="call policy of sip:alice"):
        store.lookup(ALICE)
    store.close()


def test_errors_of_the_database(tmp_path: Path) -> None:
    store = SQLiteCallPolicyStore(tmp_path / "users.db", timeout=0.0)
    with pytest.raises(LocalProtocolError):
        store.set("sip:\udcff@example.com", QUIET)
    other = sqlite3.connect(tmp_path / "users.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.set(ALICE, QUIET)
    other.close()
    store.close()


def test_a_removed_user_has_no_policy_left(tmp_path: Path) -> None:
    users = SQLiteCredentialStore(tmp_path / "users.db")
    store = SQLiteCallPolicyStore(tmp_path / "users.db")
    users.add("alice", "example.com", "secret")
    store.set(ALICE, QUIET)
    store.set(BOB, QUIET)
    assert remove_user(tmp_path, ALICE, 0.0, pass_by_open=True) == {"call settings": 1}
    assert store.policies() == {BOB: QUIET}
    users.close()
    store.close()
