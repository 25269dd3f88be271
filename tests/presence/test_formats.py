"""Formats and the choice among them (RFC 3856 section 6.7, RFC 5263)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from lxml import etree

from twisted_sip.documents.legacy_pidf import to_cpim_pidf, to_xpidf
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.pidf_diff import ReceivedPresence
from twisted_sip.interfaces.event_package import PackageSubscription
from twisted_sip.presence.formats import CONTENT_TYPES, chosen_format, formatted, full_state_due

PIDF, DIFF, XPIDF, CPIM = CONTENT_TYPES


class Watcher:
    """As much of a subscription as formats look at."""

    def __init__(self, *accept: str) -> None:
        self.accept = accept
        self.memory: dict[str, Any] = {}
        self.version = -1

    def next_version(self) -> int:
        self.version += 1
        return self.version


def tell(watcher: Watcher, presence: Presence) -> tuple[str, bytes]:
    notification = formatted(presence, cast("PackageSubscription", watcher))
    return notification.content_type, notification.body


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ((), PIDF),
        ((PIDF,), PIDF),
        ((DIFF, PIDF), DIFF),
        ((PIDF, DIFF), PIDF),
        (("text/plain", "Application/XPIDF+xml", PIDF), XPIDF),
        (("application/cpim-pidf+xml",), CPIM),
        (("*/*",), PIDF),
        (("application/*", XPIDF), PIDF),
        (("multipart/related", "application/rlmi+xml", PIDF), PIDF),
        (("text/plain", "text/*"), None),
    ],
)
def test_chosen_format(accept: Sequence[str], chosen: str | None) -> None:
    assert chosen_format(accept) == chosen


STATES = [
    Presence("sip:alice@example.com").with_note("a long note " * 30).with_status("open", note=text, activity="busy")
    for text in ("one", "two", "three", "four")
]


def test_full_documents() -> None:
    for state in STATES[:2]:
        assert tell(Watcher(PIDF), state) == (PIDF, state.to_xml())
        assert tell(Watcher(XPIDF), state) == (XPIDF, to_xpidf(state))
        assert tell(Watcher(CPIM), state) == (CPIM, to_cpim_pidf(state))
    # Who takes nothing that there is gets what all must take.
    assert tell(Watcher("text/plain"), STATES[0]) == (PIDF, STATES[0].to_xml())


def test_legacy_formats_are_made_once() -> None:
    assert tell(Watcher(XPIDF), STATES[0])[1] is tell(Watcher(XPIDF), STATES[0])[1]


def version(body: bytes) -> tuple[str, str | None]:
    root = etree.fromstring(body)
    return etree.QName(root).localname, root.get("version")


def test_partial_documents() -> None:
    """RFC 5263 section 4.4."""
    watcher, received = Watcher(DIFF, PIDF), ReceivedPresence()
    told = []
    for state in STATES:
        content_type, body = tell(watcher, state)
        assert content_type == DIFF and received.receive(content_type, body)
        assert received.presence is not None and received.presence.note == state.note
        told.append(version(body))
    assert told == [("pidf-full", "1"), ("pidf-diff", "2"), ("pidf-diff", "3"), ("pidf-diff", "4")]


def test_full_state_on_demand() -> None:
    watcher, received = Watcher(DIFF), ReceivedPresence()
    tell(watcher, STATES[0])
    full_state_due(cast("PackageSubscription", watcher))
    content_type, body = tell(watcher, STATES[1])
    assert version(body) == ("pidf-full", "2")
    assert received.receive(content_type, body)
    assert received.receive(*tell(watcher, STATES[2])) and received.version == 3
    # Nothing to forget is no error.
    full_state_due(cast("PackageSubscription", Watcher(PIDF)))


def test_another_format_in_between() -> None:
    watcher, received = Watcher(DIFF, PIDF), ReceivedPresence()
    assert received.receive(*tell(watcher, STATES[0]))
    watcher.accept = (PIDF,)
    assert received.receive(*tell(watcher, STATES[1]))
    watcher.accept = (DIFF,)
    content_type, body = tell(watcher, STATES[2])
    assert version(body) == ("pidf-full", "2")
    assert received.receive(content_type, body)
    assert received.presence is not None and received.presence.note == STATES[2].note


def test_entity_tags_are_of_the_full_state() -> None:
    def etag(watcher: Watcher, state: Presence) -> str:
        return formatted(state, cast("PackageSubscription", watcher)).etag

    first, second = Watcher(DIFF), Watcher(DIFF)
    etag(first, STATES[0])
    # One gets a diff, the other everything.
    assert etag(first, STATES[1]) == etag(second, STATES[1]) != etag(first, STATES[0])
    # Whoever takes whole documents has the same state.
    assert etag(Watcher(PIDF), STATES[0]) == etag(Watcher(DIFF), STATES[0])


def test_watchers_with_the_same_base_share_the_difference() -> None:
    watchers = [Watcher(DIFF) for _ in range(3)]
    for watcher in watchers:
        tell(watcher, STATES[0])
    bodies = {tell(watcher, STATES[1])[1] for watcher in watchers}
    assert len(bodies) == 1
    assert len(cast("dict[object, object]", STATES[1].variants["{urn:ietf:params:xml:ns:pidf-diff}pidf-diff"])) == 1
