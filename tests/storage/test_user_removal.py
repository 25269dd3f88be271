"""What a user who is removed has in the databases of a server that does not run."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.documents import Document
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.publication import Publication, PublicationChange
from twisted_sip.storage.documents_sqlite import DOCUMENTS_FILE, SQLiteDocumentStore
from twisted_sip.storage.location_sqlite import LOCATION_FILE, SQLiteLocationStore, stored_bindings
from twisted_sip.storage.message_sqlite import MESSAGE_FILE, SQLiteMessageStore, stored_messages
from twisted_sip.storage.publication_sqlite import PUBLICATION_FILE, SQLitePublicationStore
from twisted_sip.storage.user_removal import remove_user
from twisted_sip.testing.made_messages import START, message

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
WHOLE = {"contacts": 1, "publications": 1, "messages": 2, "documents": 1}


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(START)
    return clock


def fill(directory: Path, clock: Clock, *users: str) -> None:
    location = SQLiteLocationStore(directory / LOCATION_FILE, clock)
    messages = SQLiteMessageStore(directory / MESSAGE_FILE, clock)
    publications: Any = SQLitePublicationStore(directory / PUBLICATION_FILE, clock)
    documents = SQLiteDocumentStore(directory / DOCUMENTS_FILE, clock)
    for user in users:
        # One that has expired is not worth telling of.
        for key, expires in (("new", START + 99), ("old", START + 1)):
            binding = Binding(aor=user, key=key, contact="sip:x@y", call_id="c", cseq=1, expires_at=expires)
            location.commit(LocationChange(user, put=(binding,)))
        for key in ("a", "b"):
            messages.add(message(user + key, user))
        publication = Publication(
            resource=user, package="presence", key="k", etag="e", content_type="t/x", body=b"x", expires_at=START + 99,
            published_at=START,
        )  # fmt: skip
        publications.commit(PublicationChange(put=(publication,)))
        documents.put(Document(auid="pres-rules", owner=user, name="index", etag="e", content=b"<a/>"))
    clock.advance(0.5)
    for store in (location, messages, publications, documents):
        store.close()


def test_everything_of_one_user_goes(tmp_path: Path, clock: Clock) -> None:
    fill(tmp_path, clock, ALICE, BOB)
    assert remove_user(tmp_path, BOB, START + 2) == WHOLE
    assert remove_user(tmp_path, BOB, START + 2) == {}
    assert {found.recipient for found in stored_messages(tmp_path / MESSAGE_FILE, START)} == {ALICE}
    assert {found.aor for found in stored_bindings(tmp_path / LOCATION_FILE, START)} == {ALICE}
    assert remove_user(tmp_path, ALICE, START + 2) == WHOLE


def test_what_is_worth_keeping_may_stay(tmp_path: Path, clock: Clock) -> None:
    fill(tmp_path, clock, BOB)
    assert remove_user(tmp_path, BOB, START + 2, keep_data=True) == {"contacts": 1, "publications": 1}
    assert remove_user(tmp_path, BOB, START + 2) == {"messages": 2, "documents": 1}


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    assert remove_user(tmp_path, BOB, START) == {}
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_utf_8(tmp_path: Path, clock: Clock) -> None:
    odd = "sip:b\udcff@example.com"
    store = SQLiteMessageStore(tmp_path / MESSAGE_FILE, clock)
    store.add(message("k", odd))
    clock.advance(1)
    store.close()
    assert remove_user(tmp_path, odd, START) == {"messages": 1}


def test_databases_that_a_server_has_opened(tmp_path: Path, clock: Clock) -> None:
    fill(tmp_path, clock, BOB)
    store = SQLiteMessageStore(tmp_path / MESSAGE_FILE, clock)
    left = remove_user(tmp_path, BOB, START + 2, pass_by_open=True)
    assert left == {"contacts": 1, "publications": 1, "documents": 1}
    with pytest.raises(StoreError, match="in use"):
        remove_user(tmp_path, BOB, START + 2)
    assert len(store.waiting(BOB)) == 2
    store.close()


def test_a_database_that_cannot_be_changed(tmp_path: Path, clock: Clock) -> None:
    fill(tmp_path, clock, BOB)
    connection = sqlite3.connect(tmp_path / MESSAGE_FILE)
    connection.execute("DROP TABLE message")
    connection.close()
    with pytest.raises(StoreError, match="no such table"):
        remove_user(tmp_path, BOB, START + 2)
