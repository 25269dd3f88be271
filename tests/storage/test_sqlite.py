"""Opening databases: modes, versions, and what is said when it does not work."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.interfaces.location import Binding
from twisted_sip.storage import sqlite
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.location_rows import LOCATION_SCHEMA
from twisted_sip.storage.location_sqlite import SQLiteLocationStore, stored_bindings
from twisted_sip.storage.sqlite import DatabaseLock, Schema, open_database
from twisted_sip.storage.users_database import USERS_SCHEMA

FIXTURES = Path(__file__).parent / "fixtures"
ONE = Schema("toy", 7, (("CREATE TABLE a (x)", "INSERT INTO a VALUES (1)"),))
THREE = Schema("toy", 7, (*ONE.migrations, ("ALTER TABLE a ADD COLUMN y DEFAULT 2",), ("UPDATE a SET y = x + y",)))


def line_of(error: pytest.ExceptionInfo[StoreError], path: Path) -> str:
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "deep" / "toy.db"
    mask = os.umask(0)
    try:
        connection = open_database(path, ONE, synchronous="FULL")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
        assert len(list(path.parent.iterdir())) == 3
        connection.close()
        path.chmod(0o644)
        open_database(path, ONE, synchronous="FULL").close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)


@pytest.mark.parametrize(("synchronous", "level"), [("NORMAL", 1), ("FULL", 2)])
def test_the_journal_is_a_write_ahead_log(tmp_path: Path, synchronous: str, level: int) -> None:
    connection = open_database(tmp_path / "toy.db", ONE, synchronous=synchronous)  # type: ignore[arg-type]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    connection.close()


def test_migrations_lead_from_every_version_to_the_newest(tmp_path: Path) -> None:
    for version in range(4):
        path = tmp_path / f"{version}.db"
        if version:
            open_database(path, Schema("toy", 7, THREE.migrations[:version]), synchronous="NORMAL").close()
        for _ in range(2):
            connection = open_database(path, THREE, synchronous="NORMAL")
            assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 3)]
            assert connection.execute("PRAGMA user_version").fetchone() == (3,)
            connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    open_database(path, ONE, synchronous="NORMAL").close()
    broken = Schema("toy", 7, (*ONE.migrations, ("DELETE FROM a", "nonsense")))
    with pytest.raises(StoreError):
        open_database(path, broken, synchronous="NORMAL")
    connection = open_database(path, ONE, synchronous="NORMAL")
    assert connection.execute("SELECT x FROM a").fetchall() == [(1,)]
    connection.close()


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    open_database(path, THREE, synchronous="NORMAL").close()
    with pytest.raises(StoreError) as raised:
        open_database(path, ONE, synchronous="NORMAL")
    assert "newer twisted-sip (schema version 3, this one knows 1)" in line_of(raised, path)


def test_another_kind_of_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    open_database(path, ONE, synchronous="NORMAL").close()
    for schema in (LOCATION_SCHEMA, USERS_SCHEMA):
        with pytest.raises(StoreError) as raised:
            open_database(path, schema, synchronous="NORMAL")
        assert line_of(raised, path) == f"not a {schema.kind} database of twisted-sip"
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(StoreError):
        open_database(foreign, ONE, synchronous="NORMAL")


@pytest.mark.parametrize("damage", ["no database at all, but long enough " * 40, ""])
def test_a_damaged_file_is_told_apart_from_an_empty_one(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "toy.db"
    path.write_text(damage)
    if not damage:
        open_database(path, ONE, synchronous="NORMAL").close()
        return
    with pytest.raises(StoreError) as raised:
        open_database(path, ONE, synchronous="NORMAL")
    assert line_of(raised, path).startswith("damaged (")


def test_damage_inside_is_found_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    connection = open_database(path, ONE, synchronous="NORMAL")
    connection.executemany("INSERT INTO a VALUES (?)", [("x" * 500,)] * 100)
    connection.close()
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreError) as raised:
        open_database(path, ONE, synchronous="NORMAL")
    assert "damaged" in line_of(raised, path)


def test_a_locked_database(tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    holder = open_database(path, ONE, synchronous="NORMAL")
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as raised:
        open_database(path, ONE, synchronous="NORMAL", timeout=0)
    assert line_of(raised, path) == "locked by another process; end that, or try again later"
    holder.close()


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "toy.db"
    with pytest.raises(StoreError) as raised:
        open_database(path, ONE, synchronous="NORMAL")
    assert line_of(raised, path) == "a file stands where its directory should be; name another directory"
    with pytest.raises(StoreError):
        DatabaseLock(path)
    with pytest.raises(StoreError) as raised:
        open_database(tmp_path, ONE, synchronous="NORMAL")
    assert line_of(raised, tmp_path).startswith("unable to open database file; see that ")


def test_a_database_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toy.db"
    open_database(path, ONE, synchronous="NORMAL").close()
    connect = sqlite3.connect

    def connect_read_only(database: Path, **options: object) -> sqlite3.Connection:
        # What a user without the right to write gets; the tests may run as root, who has every right.
        return connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)

    monkeypatch.setattr(sqlite.sqlite3, "connect", connect_read_only)
    with pytest.raises(StoreError) as raised:
        open_database(path, ONE, synchronous="NORMAL")
    assert line_of(raised, path) == "not writable; give the user that runs this the right to write it"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_the_right_to_write(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o500)
    with pytest.raises(StoreError) as raised:
        open_database(directory / "toy.db", ONE, synchronous="NORMAL")
    assert line_of(raised, directory / "toy.db").startswith("permission denied; see that ")


def test_one_server_for_one_location_database(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "location.db"
    store = SQLiteLocationStore(path, clock)
    with pytest.raises(StoreError) as raised:
        SQLiteLocationStore(path, clock)
    assert line_of(raised, path) == "in use by another server; stop that, or choose another state directory"
    assert stored_bindings(path, 0) == []
    store.close()
    SQLiteLocationStore(path, clock).close()


def test_bindings_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        stored_bindings(tmp_path / "location.db", 0)
    assert not list(tmp_path.iterdir())


def from_fixture(name: str, path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / name).read_text())
    connection.close()
    return path


def test_location_databases_of_every_version_can_be_opened(tmp_path: Path) -> None:
    fixtures = sorted(FIXTURES.glob("location-v*.sql"))
    assert len(fixtures) == len(LOCATION_SCHEMA.migrations), "keep one of each version"
    for fixture in fixtures:
        path = from_fixture(fixture.name, tmp_path / f"{fixture.stem}.db")
        in_table = Binding(
            aor="sip:alice@example.com", key="sip:alice@192.0.2.7", contact="sip:alice@192.0.2.7;line=1", call_id="a1",
            cseq=3, expires_at=4e9, q=500, params=";audio", path=("<sip:e.example.net;lr>", "<sip:f.example.net;lr>"),
            flow="t1", received="UDP:192.0.2.7:5060", user_agent="phone", registered_at=1.8e9, node="n1",
        )  # fmt: skip
        in_journal = Binding(
            aor="sip:bob@example.com", key="urn:uuid:1|1", contact="sip:bob@192.0.2.8;transport=tcp", call_id="b1",
            cseq=1, expires_at=4e9, params=';+sip.instance="<urn:uuid:1>";reg-id=1', instance="<urn:uuid:1>",
            reg_id=1, flow="t2", received="TCP:192.0.2.8:40000", registered_at=1.8e9, node="n1",
        )  # fmt: skip
        assert stored_bindings(path, 1.9e9) == [in_table, in_journal]
        clock = Clock()
        clock.advance(1.9e9)
        store = SQLiteLocationStore(path, clock)
        assert list(store.bindings()) == [in_table, in_journal]
        store.close()
        assert not clock.getDelayedCalls()


def test_credential_databases_of_every_version_can_be_opened(tmp_path: Path) -> None:
    fixtures = sorted(FIXTURES.glob("users-v*.sql"))
    assert len(fixtures) == len(USERS_SCHEMA.migrations), "keep one of each version"
    for fixture in fixtures:
        store = SQLiteCredentialStore(from_fixture(fixture.name, tmp_path / f"{fixture.stem}.db"))
        ha1 = {"MD5": "5" * 32, "SHA-256": "2" * 64, "SHA-512-256": "6" * 64}
        assert store.lookup("alice", "example.com") == Credential("alice", "example.com", ha1, "SHA-256")
        store.close()
