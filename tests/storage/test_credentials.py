"""Users and their HA1s (RFC 7616, RFC 8760), in memory and in SQLite, changed while a server runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.credentials import ICredentialStore
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.passwords import ha1_of, make_credential


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteCredentialStore]:
    store = SQLiteCredentialStore(path)
    yield store
    store.close()


def test_ha1s_are_those_of_the_rfc() -> None:
    # RFC 7616 section 3.9.1 gives user, realm and password; the responses there follow from these.
    values = ("Mufasa", "http-auth@example.org", "Circle of Life")
    assert ha1_of("MD5", *values) == "3d78807defe7de2157e2b0b6573a855f"
    assert ha1_of("SHA-256", *values) == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"
    with pytest.raises(LocalProtocolError):
        ha1_of("SHA-1", *values)


def test_sha_512_256_is_no_truncated_sha_512() -> None:
    text = "Jäsøn Doe:api@example.org:Secret, or not?".encode()
    ha1 = ha1_of("SHA-512-256", "Jäsøn Doe", "api@example.org", "Secret, or not?")
    assert len(ha1) == 64
    assert ha1 != hashlib.sha512(text).hexdigest()[:64]
    if "sha512_256" in hashlib.algorithms_available:
        assert ha1 == hashlib.new("sha512_256", text).hexdigest()


@pytest.mark.parametrize(
    "values",
    [("", "r", "p"), ("u", "", "p"), ("u", "r", ""), ("u:v", "r", "p"), ("u", "r\r\n", "p"), ("u", "r", "p\0")],
)
def test_values_that_cannot_be_used(store: SQLiteCredentialStore, values: tuple[str, str, str]) -> None:
    for keep in (make_credential, MemoryCredentialStore().add, store.add):
        with pytest.raises(LocalProtocolError):
            keep(*values)
    with pytest.raises(LocalProtocolError):
        make_credential("u", "r", "p", "SHA-1")


def test_memory() -> None:
    store = MemoryCredentialStore([make_credential("alice", "example.com", "one")])
    verifyObject(ICredentialStore, store)
    store.add("bob", "example.com", "two", algorithm="SHA-256")
    assert store.lookup("alice", "example.com") == make_credential("alice", "example.com", "one")
    assert store.lookup("bob", "example.com") == make_credential("bob", "example.com", "two", "SHA-256")
    assert store.lookup("bob", "elsewhere") is None
    assert store.remove("bob", "example.com") and not store.remove("bob", "example.com")


def test_users_come_and_go(store: SQLiteCredentialStore) -> None:
    verifyObject(ICredentialStore, store)
    assert store.add("alice", "example.com", "one", algorithm="SHA-256")
    assert not store.add("alice", "example.com", "other"), "there is one already"
    assert store.add("alice", "example.org", "two")
    assert store.lookup("alice", "example.com") == make_credential("alice", "example.com", "one", "SHA-256")
    assert store.set_password("alice", "example.com", "new")
    assert store.lookup("alice", "example.com") == make_credential("alice", "example.com", "new", "SHA-256")
    assert store.set_password("alice", "example.com", "new", algorithm="")
    assert not store.set_password("bob", "example.com", "new")
    assert [(user.user, user.realm, user.algorithm) for user in store.users()] == [
        ("alice", "example.com", ""),
        ("alice", "example.org", ""),
    ]
    assert [user.realm for user in store.users("example.org")] == ["example.org"]
    assert store.remove("alice", "example.com") and not store.remove("alice", "example.com")
    assert store.lookup("alice", "example.com") is None
    assert store.lookup("\udcff", "example.com") is None
    with pytest.raises(StoreError):
        store.add("\udcff", "example.com", "x")


def test_an_import_is_all_or_nothing(store: SQLiteCredentialStore) -> None:
    store.add("user1", "example.com", "old")
    told: list[int] = []
    many = [(f"user{number}", "example.com", f"password{number}") for number in range(250)]
    assert store.import_users(many, progress=told.append) == 250
    assert told == [100, 200, 250]
    assert store.lookup("user1", "example.com") == make_credential("user1", "example.com", "password1")
    with pytest.raises(LocalProtocolError):
        store.import_users([("new", "example.com", "x"), ("bad:", "example.com", "x")])
    assert store.lookup("new", "example.com") is None
    assert store.import_users([]) == 0


def test_what_is_kept_outlives_the_process(path: Path, store: SQLiteCredentialStore) -> None:
    store.add("alice", "example.com", "one")
    store.close()
    again = SQLiteCredentialStore(path)
    assert again.lookup("alice", "example.com") == make_credential("alice", "example.com", "one")
    again.close()
    with pytest.raises(StoreError):
        again.users()


def test_no_password_is_in_the_database(path: Path, store: SQLiteCredentialStore) -> None:
    store.add("alice", "example.com", "correct horse battery staple")
    for file in path.parent.iterdir():
        assert b"horse" not in file.read_bytes()


def test_a_server_notices_what_another_process_changes(path: Path) -> None:
    clock = Clock()
    clock.advance(1.8e9)
    server = SQLiteCredentialStore(path, clock, poll_interval=1.0)
    assert server.lookup("alice", "example.com") is None
    script = (
        "import sys; from pathlib import Path\n"
        "from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore\n"
        "store = SQLiteCredentialStore(Path(sys.argv[1]))\n"
        "getattr(store, sys.argv[2])(*sys.argv[3:])\n"
    )

    def in_another_process(*arguments: str) -> None:
        subprocess.run([sys.executable, "-c", script, str(path), *arguments], check=True)

    in_another_process("add", "alice", "example.com", "one")
    in_another_process("add", "bob", "example.com", "one")
    assert server.lookup("bob", "example.com") == make_credential("bob", "example.com", "one"), "new ones at once"
    # Who was asked for in vain just now takes as long as a change, so that no answer comes faster for users.
    clock.advance(1.0)
    assert server.lookup("alice", "example.com") == make_credential("alice", "example.com", "one")
    in_another_process("set_password", "alice", "example.com", "two")
    assert server.lookup("alice", "example.com") == make_credential("alice", "example.com", "one")
    clock.advance(1.0)
    assert server.lookup("alice", "example.com") == make_credential("alice", "example.com", "two")
    in_another_process("remove", "alice", "example.com")
    clock.advance(1.0)
    assert server.lookup("alice", "example.com") is None
    server.close()


def test_strangers_do_not_fill_the_memory(path: Path) -> None:
    clock = Clock()
    server = SQLiteCredentialStore(path, clock)
    for number in range(5000):
        assert server.lookup(f"guess{number}", "example.com") is None
    assert len(server._known) + len(server._absent) <= 1024
    server.close()


def test_names_of_nobody_are_told_as_fast_as_users(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = SQLiteCredentialStore(path, Clock())
    server.add("alice", "example.com", "secret")
    for name in ("alice", "nobody"):
        server.lookup(name, "example.com")
    asked: list[str] = []
    monkeypatch.setattr(server, "_select", lambda user, realm: asked.append(user))
    for name in ("alice", "nobody"):
        server.lookup(name, "example.com")
    assert asked == []
    monkeypatch.undo()
    server.add("nobody", "example.com", "secret")
    assert server.lookup("nobody", "example.com") is not None
    server.close()
