"""The SQLite message store beyond the contract: limits, older schemas, death by kill -9."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.storage import message_sqlite
from twisted_sip.storage.message_memory import MemoryMessageStore
from twisted_sip.storage.message_rows import MESSAGE_SCHEMA
from twisted_sip.storage.message_sqlite import SQLiteMessageStore, stored_messages
from twisted_sip.testing.made_messages import BOB, START, message

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(START)
    return clock


def results_of(deferred: Any) -> list[Any]:
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def test_the_number_of_changes_that_wait_is_limited(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_sqlite, "MAX_WAITING", 2)
    store = SQLiteMessageStore(tmp_path / "m.db", clock)
    results = [results_of(store.add(message(key))) for key in "abc"]
    assert results[2][0].check(StoreFull) and store.under_way == 2
    removed = results_of(store.remove("a"))
    clock.advance(1)
    assert [result[0] for result in [*results[:2], removed]] == [None, None, None]
    assert (len(store), store.under_way) == (1, 0)
    store.close()


def test_a_closed_store_takes_nothing(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "m.db"
    for store in (SQLiteMessageStore(path, clock), MemoryMessageStore(clock)):
        early = results_of(store.add(message("a")))
        assert results_of(store.close()) == [None] and early == [None], "what was taken is written"
        assert results_of(store.close()) == [None]
        assert results_of(store.add(message("b")))[0].check(StoreError)
        assert results_of(store.remove("a"))[0].check(StoreError)
        assert len(store) == 0
    assert [found.key for found in stored_messages(path, START)] == ["a"]
    assert stored_messages(path, START + 3600) == []


def test_one_server_owns_the_database(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "state" / "m.db"
    store = SQLiteMessageStore(path, clock)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    with pytest.raises(StoreError, match="in use"):
        SQLiteMessageStore(path, clock)
    store.close()


@pytest.mark.parametrize(
    "change",
    ["headers = '5'", "headers = 'no json'", "headers = '[[1, 2, 3]]'", "headers = x'ff'", "expires_at = ''"],
)
def test_rows_that_are_damaged_are_told_of_in_one_line(tmp_path: Path, clock: Clock, change: str) -> None:
    path = tmp_path / "m.db"
    store = SQLiteMessageStore(path, clock)
    store.add(message("one"))
    clock.advance(1)
    store._connection.execute(f"UPDATE message SET {change}")
    store.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"damaged .*; restore a backup or move the file away$") as raised:
            SQLiteMessageStore(path, clock)
        assert "\n" not in str(raised.value)


def test_what_cannot_be_opened_says_why(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(b"this is no database, not at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        SQLiteMessageStore(path, clock)
    with pytest.raises(StoreError, match="no such database"):
        stored_messages(tmp_path / "other.db", START)
    path = tmp_path / "n.db"
    SQLiteMessageStore(path, clock).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE message")
    connection.close()
    for opens in (lambda: SQLiteMessageStore(path, clock), lambda: stored_messages(path, START)):
        with pytest.raises(StoreError, match="no such table"):
            opens()


def test_an_unexpected_failure_is_a_store_error(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteMessageStore(tmp_path / "m.db", clock)

    def broken(*args: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(message_sqlite, "write_steps", broken)
    failed = results_of(store.add(message("a")))
    clock.advance(1)
    assert failed[0].check(StoreError) and str(failed[0].value) == "gone"
    store.close()


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "m.db"
    store = SQLiteMessageStore(path, clock)
    store._connection.execute(
        "CREATE TRIGGER bad BEFORE INSERT ON message WHEN NEW.key = 'bad' BEGIN SELECT RAISE(FAIL, 'no'); END"
    )
    results = [results_of(store.add(message(key))) for key in ("good", "bad")]
    clock.advance(1)
    assert all(result[0].check(StoreError) for result in results)
    later = results_of(store.add(message("later")))
    clock.advance(1)
    assert later == [None] and [found.key for found in stored_messages(path, START)] == ["later"]
    store.close()


def test_databases_of_every_version_can_be_opened(tmp_path: Path, clock: Clock) -> None:
    fixtures = sorted(FIXTURES.glob("messages-v*.sql"))
    assert len(fixtures) == len(MESSAGE_SCHEMA.migrations), "keep one of each version"
    whole = StoredMessage(
        key="k1", recipient=BOB, sender="sip:alice@example.com", from_value='"Größe" <sip:alice@example.com>;tag=1',
        to_value=f"<{BOB}>", call_id="c1", cseq=7, received_at=1.8e9, expires_at=4e9,
        headers=(("Content-Type", "text/plain"), ("Subject", "größer \udcff")), body=b"\x00hello\xff",
    )  # fmt: skip
    plain = StoredMessage(
        key="k2", recipient=BOB, sender="sip:carol@example.com", from_value="<sip:carol@example.com>;tag=2",
        to_value=f"<{BOB}>", call_id="c2", cseq=1, received_at=1.8e9, expires_at=4e9,
    )  # fmt: skip
    for fixture in fixtures:
        path = tmp_path / f"{fixture.stem}.db"
        connection = sqlite3.connect(path)
        connection.executescript(fixture.read_text())
        connection.close()
        store = SQLiteMessageStore(path, clock)
        assert store.waiting(BOB) == [whole, plain]
        store.close()


SERVER = """
import sys
from pathlib import Path
from twisted.internet import reactor
from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.storage.batch_writer import WriterThread
from twisted_sip.storage.message_sqlite import SQLiteMessageStore

store = SQLiteMessageStore(Path(sys.argv[1]), reactor, WriterThread(reactor, "messages"))

def keep(number):
    message = StoredMessage(
        key=str(number), recipient=f"sip:{number % 7}@example.com", sender="sip:a@example.com", from_value="f",
        to_value="t", call_id="c", cseq=number, received_at=1.0, expires_at=reactor.seconds() + 3600, body=b"b" * 100,
    )
    store.add(message).addCallback(acknowledged, number)

def acknowledged(_, number):
    print("kept", number, flush=True)
    if number % 3 == 0:
        store.remove([str(number)]).addCallback(removed, number)
    reactor.callLater(0, keep, number + 40)

def removed(_, number):
    print("gone", number, flush=True)

for number in range(40):
    reactor.callWhenRunning(keep, number)
reactor.run()
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said: dict[str, set[int]] = {"kept": set(), "gone": set()}
    killed = False
    for line in server.stdout:
        if not line.endswith("\n"):
            break
        word, number = line.split()
        said[word].add(int(number))
        if int(number) >= 700 and not killed:
            # What it had printed before it died counts too.
            server.send_signal(signal.SIGKILL)
            killed = True
    server.wait()
    server.stdout.close()
    numbers = [message.cseq for message in stored_messages(path, 1.0)]
    assert len(said["kept"]) > 600 and len(said["gone"]) > 100
    assert {number for number in said["kept"] if number % 3} <= set(numbers)
    assert not said["gone"] & set(numbers)
    for start in range(40):
        mine = [number for number in numbers if number % 40 == start]
        assert mine == sorted(mine), "they are in the order in which they came"
