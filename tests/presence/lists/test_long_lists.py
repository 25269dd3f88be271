"""What does not fit into one NOTIFY follows, and one resource in trouble does not silence the others."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.documents.rls_services import RLSService
from twisted_sip.errors import StoreError
from twisted_sip.interfaces.event_package import Notification
from twisted_sip.presence.lists.server import ResourceListServer

USERS = [f"sip:u{number}@example.com" for number in range(30)]
BUDDIES = "sip:adam-buddies@example.com"


def test_full_state_in_several_notifies(make_site: Any) -> None:
    site = make_site(max_body=5000)
    site.put_list(*USERS)
    watcher = site.subscribed()
    # All are there, of some it is not known yet.
    assert list(watcher.table.rows) == USERS
    first = [uri for uri in USERS if watcher.table.state(uri)]
    assert first and first == USERS[: len(first)] and len(first) < 15
    site.publish("u29")
    bodies = 1
    while not all(watcher.table.state(uri) for uri in USERS):
        state = watcher.told()
        assert not state.full and len(state.resources) <= len(first) + 1
        bodies += 1
    assert bodies == 3 and watcher.table.basic(USERS[29]) == "open"
    watcher.quiet()
    # The end comes in one.
    assert watcher.subscribe(expires=0).status == 200
    watcher.told_the_end()
    assert all(watcher.table.state(uri) == "active" for uri in USERS)


def test_what_leaves_the_list_before_it_is_told(make_site: Any) -> None:
    site = make_site(max_body=700, gather=1.0)
    site.put_list(*USERS[:6])
    watcher = site.subscribed()
    site.publish("u5")
    site.put_list(*USERS[:2])
    while not all(watcher.table.state(uri) for uri in USERS[:2]) or len(watcher.table.rows) > 2:
        watcher.told()
    watcher.quiet()
    site.put_list(*USERS[:3])
    site.publish("u2")
    site.put_list(*USERS[:2])
    while list(watcher.table.rows) != USERS[:2] or not watcher.table.state(USERS[1]):
        watcher.told()
    site.network.advance(5)


def test_a_resource_in_trouble(site: Any, failures: Any) -> None:
    site.put_list(*USERS[:3])
    package = site.notifier.package("presence")
    plain = package.notification

    def notification(subscription: Any) -> Any:
        if subscription.resource == USERS[0]:
            raise ValueError("oops")
        return Notification() if subscription.resource == USERS[1] else plain(subscription)

    package.notification = notification
    watcher = site.subscribed()
    assert [watcher.table.state(uri) for uri in USERS[:3]] == ["", "", "active"]
    assert len(failures.texts) == 1
    failures.texts.clear()
    package.notification = plain


def test_a_package_that_takes_its_time(site: Any) -> None:
    site.put_list(*USERS[:2])
    waiting: list[Deferred[bool]] = []

    def has_presentity(resource: str) -> Any:
        if resource != USERS[1]:
            return True
        waiting.append(Deferred())
        return waiting[-1]

    site.presence.has_presentity = has_presentity
    watcher = site.subscribed()
    assert [watcher.table.state(uri) for uri in USERS[:2]] == ["active", ""]
    waiting[0].callback(True)
    assert [each.uri for each in watcher.told().resources] == [USERS[1]]
    # Over, before it was decided.
    watcher.again()
    assert watcher.subscribe().status == 200
    watcher.told()
    assert watcher.subscribe(expires=0).status == 200
    watcher.told_the_end()
    waiting[1].callback(True)
    watcher.quiet()


def test_conditional_refresh(site: Any) -> None:
    site.put_list(*USERS[:2])
    watcher = site.watcher()
    assert watcher.subscribe().status == 200
    etag = watcher.notify().headers.first("sip-etag")
    assert watcher.subscribe(condition=f"Suppress-If-Match: {etag}").status == 204
    watcher.quiet()
    site.publish("u1")
    changed = watcher.notify().headers.first("sip-etag")
    assert changed != etag
    # The entity-tag is that of the full state, whatever was told of it (RFC 5839).
    assert watcher.subscribe(condition=f"Suppress-If-Match: {changed}").status == 204
    watcher.quiet()
    assert watcher.subscribe(condition=f"Suppress-If-Match: {etag}").status == 200
    watcher.notify()


def test_a_watcher_that_wants_a_least_rate(site: Any) -> None:
    site.put_list(*USERS[:2])
    watcher = site.subscribed(event="Event: presence;min-rate=0.1")
    # RFC 6446 section 6.2: the state, though there is no news.
    assert watcher.told(within=15).full
    assert watcher.told(within=15).full


def test_an_index_that_cannot_be_read(site: Any) -> None:
    class Broken:
        async def ready(self) -> None:
            raise StoreError("no disk")

    index = site.lists.index
    site.lists.index = Broken()
    assert site.watcher().subscribe(USERS[0]).status == 500
    site.lists.index = index


def test_references_that_cannot_be_read(site: Any) -> None:
    site.put_list(*USERS[:1])

    class Broken:
        def get(self, *place: str) -> Any:
            raise StoreError("no disk")

    home = "http://example.com/xcap-root/resource-lists/users/sip:adam@example.com"
    site.put_services(RLSService(uri=BUDDIES, resource_list=f"{home}/index/~~/resource-lists/list"))
    site.lists._references._documents = Broken()
    assert site.watcher().subscribe().status == 500


def test_lists_without_documents(make_site: Any) -> None:
    class Bare(ResourceListServer):
        def __init__(self, notifier: Any, documents: Any, subscriber: Any, **how: Any) -> None:
            super().__init__(notifier, **how)

    site = make_site()
    site.server_class = Bare
    site.restart()
    assert site.watcher().subscribe(BUDDIES).status == 200
    assert site.notifier.subscriptions("presence;eventlist") == []
    body = """<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">
<list><entry uri="sip:u1@example.com"/></list></resource-lists>"""
    watcher = site.subscribed(
        "sip:rls@example.com",
        body=body,
        require="Require: recipient-list-subscribe",
        content_type="Content-Type: application/resource-lists+xml",
    )
    assert list(watcher.table.rows) == ["sip:u1@example.com"]


def test_which_packages_have_lists(site: Any) -> None:
    site.add_lists = lambda lists: lists.add_known()
    site.restart()
    assert site.notifier.hosted("presence;eventlist") is not None
    assert site.notifier.hosted("dialog;eventlist") is None
    assert site.notifier.events == ("presence", "presence.winfo") and site.notifier.allow_events == "presence"
