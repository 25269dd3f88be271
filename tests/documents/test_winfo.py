"""Watcher information (RFC 3858)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_sip.documents.winfo import EVENTS, STATUSES, Watcher, WatcherList, WatcherTable, WinfoDocument
from twisted_sip.errors import DocumentError, LocalProtocolError

# RFC 3858 section 5.
EXAMPLE = b"""<?xml version="1.0"?>
<watcherinfo xmlns="urn:ietf:params:xml:ns:watcherinfo"
             version="0" state="full">
  <watcher-list resource="sip:professor@example.net" package="presence">
    <watcher status="active"
             id="8ajksjda7s"
             duration-subscribed="509"
             event="approved" >sip:userA@example.net</watcher>
    <watcher status="pending"
             id="hh8juja87s997-ass7"
             display-name="Mr. Subscriber"
             event="subscribe">sip:userB@example.org</watcher>
  </watcher-list>
</watcherinfo>
"""
PARSED = WinfoDocument(
    version=0,
    full=True,
    lists=(
        WatcherList(
            resource="sip:professor@example.net",
            package="presence",
            watchers=(
                Watcher(
                    id="8ajksjda7s",
                    uri="sip:userA@example.net",
                    status="active",
                    event="approved",
                    duration_subscribed=509,
                ),
                Watcher(
                    id="hh8juja87s997-ass7",
                    uri="sip:userB@example.org",
                    status="pending",
                    event="subscribe",
                    display_name="Mr. Subscriber",
                ),
            ),
        ),
    ),
)


def test_reads_the_example() -> None:
    assert WinfoDocument.parse(EXAMPLE) == PARSED


def test_what_is_written_reads_back(check_schema: Callable[[str, bytes], None]) -> None:
    body = PARSED.to_xml()
    check_schema("watcherinfo", body)
    assert WinfoDocument.parse(body) == PARSED


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("event", EVENTS)
def test_everything_is_in_the_schema(check_schema: Callable[[str, bytes], None], status: str, event: str) -> None:
    watcher = Watcher(id="x", uri="sip:a@b", status=status, event=event, display_name="A", lang="en", expiration=0)
    document = WinfoDocument(
        version=3, full=False, lists=(WatcherList(resource="sip:r@b", package="presence", watchers=(watcher,)),)
    )
    check_schema("watcherinfo", document.to_xml())
    assert WinfoDocument.parse(document.to_xml()) == document


def test_names_of_peers_are_made_fit() -> None:
    watcher = Watcher(id="x", uri="sip:a@b", status="active", event="approved", display_name="a\0b\udcffc\u20ac")
    lists = (WatcherList(resource="sip:r@b", package="presence", watchers=(watcher,)),)
    read = WinfoDocument.parse(WinfoDocument(version=0, full=True, lists=lists).to_xml())
    assert read.lists[0].watchers[0].display_name == "a\ufffdb\ufffdc\u20ac"


def test_what_cannot_be_written() -> None:
    for status, event in (("gone", "giveup"), ("active", "sleep")):
        watcher = Watcher(id="x", uri="sip:a@b", status=status, event=event)
        with pytest.raises(LocalProtocolError):
            WinfoDocument(
                version=0, full=True, lists=(WatcherList(resource="r", package="p", watchers=(watcher,)),)
            ).to_xml()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b' version="0"', b""),
        (b'version="0"', b'version="-1"'),
        (b'version="0"', b'version="' + b"9" * 30 + b'"'),
        (b'state="full"', b'state="half"'),
        (b' state="full"', b""),
        (b'resource="sip:professor@example.net"', b""),
        (b'package="presence"', b""),
        (b'id="8ajksjda7s"', b""),
        (b'status="active"', b""),
        (b'event="approved"', b""),
        (b"urn:ietf:params:xml:ns:watcherinfo", b"urn:other"),
    ],
)
def test_malformed(old: bytes, new: bytes) -> None:
    assert old in EXAMPLE
    with pytest.raises(DocumentError):
        WinfoDocument.parse(EXAMPLE.replace(old, new))


def test_unknown_elements_are_ignored() -> None:
    body = EXAMPLE.replace(b"</watcherinfo>", b"<x xmlns='urn:x'/></watcherinfo>")
    assert WinfoDocument.parse(body) == PARSED
    assert WinfoDocument.parse(EXAMPLE.replace(b'"509"', b'"soon"')).lists[0].watchers[0].duration_subscribed is None


def document(version: int, full: bool, **states: str) -> WinfoDocument:
    watchers = tuple(
        Watcher(id=id, uri=f"sip:{id}@b", status=status, event="approved") for id, status in states.items()
    )
    return WinfoDocument(
        version=version, full=full, lists=(WatcherList(resource="sip:r@b", package="presence", watchers=watchers),)
    )


def test_table_is_put_together() -> None:
    """RFC 3858 section 4."""
    table = WatcherTable()
    assert table.receive(document(4, True, a="active", b="pending"))
    rows = table.watchers["sip:r@b", "presence"]
    assert {id: watcher.status for id, watcher in rows.items()} == {"a": "active", "b": "pending"}
    assert table.receive(document(5, False, b="active", c="waiting"))
    assert {id: watcher.status for id, watcher in rows.items()} == {"a": "active", "b": "active", "c": "waiting"}
    # Old documents are discarded.
    assert table.receive(document(5, False, b="pending"))
    assert rows["b"].status == "active" and table.version == 5
    assert table.receive(document(6, False, a="terminated", x="terminated"))
    assert sorted(rows) == ["b", "c"]
    # One is missing before this.
    assert not table.receive(document(8, False, d="active"))
    assert sorted(rows) == ["b", "c", "d"]
    assert table.receive(document(20, True, e="active"))
    assert sorted(table.watchers["sip:r@b", "presence"]) == ["e"]
