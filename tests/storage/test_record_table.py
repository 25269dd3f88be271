"""Changes become statements: of several changes of one record the last one counts, and the order stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.interfaces.publication import Publication, PublicationChange
from twisted_sip.storage import record_store
from twisted_sip.storage.publication_sqlite import PUBLICATIONS, SQLitePublicationStore


def made(key: str, etag: str = "e") -> Publication:
    return Publication(
        resource="sip:a@b",
        package="presence",
        key=key,
        etag=etag,
        content_type="text/plain",
        body=b"x",
        expires_at=1000.0,
        published_at=0.0,
    )


def put(key: str, etag: str = "e") -> PublicationChange:
    return PublicationChange((made(key, etag),))


def gone(key: str) -> PublicationChange:
    return PublicationChange((), (("sip:a@b", "presence", key),))


@pytest.mark.parametrize(
    ("changes", "left", "statements"),
    [
        ([put("1"), put("2"), put("1", "f")], [("1", "f"), ("2", "e")], 1),
        ([put("1"), gone("1"), put("2")], [("2", "e")], 2),
        ([put("1"), put("2"), gone("1"), put("1", "f")], [("2", "e"), ("1", "f")], 2),
        ([gone("1")], [], 1),
    ],
)
@pytest.mark.parametrize("before", [[], [put("1", "d")]])
def test_the_last_change_counts(
    tmp_path: Path,
    before: list[PublicationChange],
    changes: list[PublicationChange],
    left: list[tuple[str, str]],
    statements: int,
) -> None:
    assert len(PUBLICATIONS.steps_of(changes)) == statements
    store = SQLitePublicationStore(tmp_path / "publications.db", Clock())
    for batch in (before, changes):
        told = [store.commit(change) for change in batch]
        store._writer.flush()
        assert all(each.called for each in told)
    loaded: list[Publication] = []
    store.load().addCallback(loaded.extend)  # type: ignore[union-attr]
    assert [(each.key, each.etag) for each in loaded] == left
    store.close()


def test_who_is_told_without_a_deferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLitePublicationStore(tmp_path / "publications.db", Clock())
    told: list[Failure | None] = []

    def fails(failure: Failure | None) -> None:
        told.append(failure)
        raise ValueError("not now")

    store.commit_then(put("1"), fails)
    store.commit_then(put("2"), told.append)
    assert not told
    with capturedLogs() as said:
        store._writer.flush()
    assert told == [None, None] and [event["log_format"] for event in said] == ["what follows a change has failed"]
    monkeypatch.setattr(record_store, "MAX_WAITING", 0)
    store.commit_then(put("3"), told.append)
    store.close()
    store.commit_then(put("4"), told.append)
    full, closed = told[2:]
    assert full is not None and full.check(StoreFull)
    assert closed is not None and closed.check(StoreError) and not closed.check(StoreFull)
