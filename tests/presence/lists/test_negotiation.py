"""What a SUBSCRIBE for a list has to say, and who may send it (RFC 4662 sections 4.1 to 4.4, RFC 4826 section 4.5)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed

from twisted_sip.documents.rls_services import RLSService
from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.presence.lists.server import ResourceListServer

BOB = "sip:bob@example.com"
BUDDIES = "sip:adam-buddies@example.com"


@pytest.fixture
def listed(site: Any) -> Any:
    site.put_list(BOB)
    return site


def test_who_does_not_know_lists_is_told_that_he_has_to(listed: Any) -> None:
    response = listed.watcher().subscribe(BUDDIES, supported="")
    assert response.status == 421 and list(response.typed("require")) == ["eventlist"]
    assert listed.watcher().subscribe(BOB, supported="").status == 200


def test_lists_may_be_required(listed: Any) -> None:
    watcher = listed.watcher()
    assert watcher.subscribe(BUDDIES, supported="", require="Require: eventlist").status == 200
    watcher.told()


def test_what_is_required_and_of_no_use_is_no_reason_to_refuse(listed: Any) -> None:
    watcher = listed.watcher()
    response = watcher.subscribe(BOB, supported="", require="Require: eventlist")
    assert response.status == 200 and "require" not in response.headers
    assert watcher.notify().headers.first("content-type") == "application/pidf+xml"
    response = listed.watcher().subscribe(BOB, supported="", require="Require: eventlist, other")
    assert (response.status, response.headers.first("unsupported")) == (420, "other")


def test_a_single_resource_is_no_list_for_who_knows_lists(listed: Any) -> None:
    watcher = listed.watcher()
    response = watcher.subscribe(BOB)
    assert response.status == 200 and "require" not in response.headers
    request = watcher.notify()
    assert request.typed("content-type").key == "application/pidf+xml" and "require" not in request.headers


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/pidf+xml, application/rlmi+xml, multipart/related", 200),
        ("application/rlmi+xml;q=0.1, multipart/related, application/xpidf+xml", 200),
        ("*/*", 200),
        ("application/*, multipart/related", 200),
        ("application/pidf+xml", 406),
        ("application/pidf+xml, multipart/related", 406),
        ("application/pidf+xml, application/rlmi+xml", 406),
        ("application/rlmi+xml, multipart/related", 406),
        ("application/pidf+xml, application/rlmi+xml, multipart/related;q=0", 406),
    ],
)
def test_accept_names_lists_and_a_format_of_the_package(listed: Any, accept: str, status: int) -> None:
    watcher = listed.watcher()
    response = watcher.subscribe(BUDDIES, accept=f"Accept: {accept}")
    assert response.status == status
    if status == 406:
        assert response.headers.elements("accept")[:3] == [
            "multipart/related",
            "application/rlmi+xml",
            "application/pidf+xml",
        ]
    else:
        watcher.told()


def test_without_accept_it_is_the_default_of_the_package(listed: Any) -> None:
    watcher = listed.watcher()
    assert watcher.subscribe(BUDDIES, accept="").status == 200
    watcher.told()
    assert watcher.table.rows[BOB][1].content_type.key == "application/pidf+xml"


def test_old_formats_in_lists(listed: Any) -> None:
    watcher = listed.subscribed(accept="Accept: application/xpidf+xml, application/rlmi+xml, multipart/related")
    assert watcher.table.rows[BOB][1].content_type.key == "application/xpidf+xml"


def test_lists_are_their_owners(listed: Any) -> None:
    assert listed.watcher("sip:eve@example.com").subscribe(BUDDIES).status == 403
    assert not listed.virtual("presence;eventlist") and not listed.virtual()


def test_what_is_not_there(listed: Any) -> None:
    # No list: a presentity like any other.
    assert listed.watcher().subscribe("sip:other-buddies@example.com").status == 200
    assert listed.notifier.subscriptions("presence;eventlist") == []


def test_an_event_that_the_service_does_not_serve(site: Any) -> None:
    site.put_services(
        RLSService(uri=BUDDIES, members=site.list_of(BOB), packages=("presence",)),
        RLSService(uri="sip:lamps@example.com", members=site.list_of(BOB), packages=("dialog",)),
    )
    response = site.watcher().subscribe("sip:lamps@example.com")
    assert response.status == 489 and "allow-events" not in response.headers
    assert site.watcher().subscribe(BUDDIES, event="Event: presence.winfo", accept="").status == 403
    site.subscribed(BUDDIES)


def test_bodies_are_for_lists_in_requests(listed: Any) -> None:
    watcher = listed.watcher()
    response = watcher.subscribe(BUDDIES, content_type="Content-Type: application/simple-filter+xml", body="<a/>")
    assert response.status == 415


def test_a_list_that_cannot_be_served(make_site: Any) -> None:
    site = make_site(max_resources=2)
    site.put_list(BOB, "sip:carol@example.com", "sip:dave@example.com")
    response = site.watcher().subscribe()
    assert (response.status, response.reason) == (403, "the list has too many resources")
    site.put_services(RLSService(uri=BUDDIES, resource_list="http://elsewhere.example.net/lists"))
    assert site.watcher().subscribe().status == 502


def test_documents_that_cannot_be_read(listed: Any, failures: Any) -> None:
    class Broken:
        def get(self, *place: str) -> Any:
            raise StoreError("no disk")

    listed.subscribed()
    documents = listed.lists.index._store
    listed.lists.index._store = Broken()
    try:
        assert listed.watcher().subscribe().status == 500
        assert any("cannot be read" in text for text in failures.texts)
        failures.texts.clear()
    finally:
        listed.lists.index._store = documents


def test_a_hook_lets_others_in(make_site: Any) -> None:
    class Family(ResourceListServer):
        def authorize_list(self, resource: str, owner: str, watcher: str) -> bool:
            return watcher in (owner, "sip:eve@example.com")

    site = make_site()
    site.lists.close()
    site.server_class = Family
    site.restart()
    site.put_list(BOB)
    site.subscribed(uri="sip:eve@example.com")
    assert site.watcher("sip:mallory@example.com").subscribe().status == 403


def test_a_user_is_no_list(site: Any) -> None:
    site.put_list(BOB, uri="sip:carol@example.com", owner="sip:eve@example.com")
    assert site.watcher().subscribe("sip:carol@example.com").status == 403
    site.lists._is_user = lambda resource: succeed(resource == "sip:carol@example.com")
    response = site.watcher().subscribe("sip:carol@example.com")
    assert response.status == 200 and "require" not in response.headers


def test_packages_are_added_once_and_in_time(site: Any) -> None:
    with pytest.raises(LocalProtocolError):
        site.lists.add("presence")
    site.lists.add_known()


def test_a_watcher_has_as_many_subscriptions_as_the_notifier_allows(make_site: Any) -> None:
    site = make_site()
    site.put_list(BOB)
    site.notifier.settings = site.notifier_settings.__class__(max_per_watcher=1)
    site.subscribed()
    assert site.watcher().subscribe().status == 503
    assert len(site.virtual()) == 1
