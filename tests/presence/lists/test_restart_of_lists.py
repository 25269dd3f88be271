"""After the process was killed list subscriptions go on (RFC 6665 section 4.2.1, RFC 4662 section 5.6)."""

from __future__ import annotations

from typing import Any

from twisted_sip.testing.peer import StreamAcceptor, connect

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


def test_a_watcher_gets_everything_in_its_old_dialog(site: Any) -> None:
    site.put_list(BOB, CAROL)
    site.publish("bob")
    watcher = site.watcher()
    # It is reached at its contact, not by the connection that dies with the process.
    acceptor = StreamAcceptor(watcher.peer.node)
    assert watcher.subscribe().status == 200
    assert watcher.told().full
    version = watcher.table.version
    site.restart()
    site.network.advance_until(lambda: bool(acceptor.peers), 60)
    watcher.peer = acceptor.peers[0]
    state = watcher.told()
    assert state.full and state.version > version and watcher.table.basic(BOB) == "open"
    assert {each.resource for each in site.virtual()} == {BOB, CAROL}
    site.publish("carol")
    state = watcher.told()
    assert not state.full and [each.uri for each in state.resources] == [CAROL]
    watcher.peer = connect(site.network.node("192.0.2.77"), ("192.0.2.1", 5060))
    assert watcher.subscribe(expires=0).status == 200
    watcher.peer = acceptor.peers[0]
    watcher.told_the_end()


def test_the_list_is_gone_meanwhile(site: Any) -> None:
    site.put_list(BOB)
    watcher = site.subscribed()
    site.documents.delete(site.documents.get("rls-services", "sip:adam@example.com", "index"))
    site.restart()
    site.network.advance(60)
    assert not site.notifier.counts()["subscriptions"]
    assert watcher.peer.closed and not site.virtual()


def test_without_lists_the_subscriptions_are_dropped(site: Any, failures: Any) -> None:
    site.put_list(BOB)
    site.subscribed()

    site.add_lists = lambda lists: None
    site.restart()
    assert not site.notifier.counts()["subscriptions"]
    assert any("not served any more" in text for text in failures.texts)
    failures.texts.clear()
    site.add_lists = lambda lists: lists.add("presence")
    site.restart()


def test_who_stops_tells_nobody(site: Any) -> None:
    site.put_list(BOB)
    watcher = site.subscribed()
    site.publish("bob")
    site.lists.close()
    site.lists.close()
    watcher.quiet()
    site.publish("bob", "closed")
    watcher.quiet()
    assert site.notifier.counts()["subscriptions"] == 1
