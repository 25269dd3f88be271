"""Changes become statements: of several changes of one record the last one counts, and the order stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from twisted_sip.interfaces.publication import Publication, PublicationChange
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
