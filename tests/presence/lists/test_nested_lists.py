"""Lists in lists: by entries, by references, and in circles (RFC 4662 sections 4 and 7.4)."""

from __future__ import annotations

from typing import Any

from twisted_sip.documents.rlmi import ListState
from twisted_sip.documents.rls_services import RLSService

A, B, C = "sip:list-a@example.com", "sip:list-b@example.com", "sip:list-c@example.com"
BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


def inner(watcher: Any, uri: str = B) -> ListState:
    """Return what was told last of the list *uri* in the list."""
    part = watcher.table.rows[uri][1]
    assert part.content_type.key == "multipart/related"
    return ListState.parse(part.root.body)


def services(site: Any, *lists: tuple[str, list[str]]) -> None:
    site.put_services(*(RLSService(uri=uri, members=site.list_of(*entries)) for uri, entries in lists))


def test_a_list_in_a_list(site: Any) -> None:
    services(site, (A, [BOB, B]), (B, [CAROL, "sip:dave@example.com"]))
    watcher = site.subscribed(A)
    assert watcher.table.state(B) == "active"
    state = inner(watcher)
    assert (state.uri, state.version, state.full) == (B, 0, True)
    assert [resource.uri for resource in state.resources] == [CAROL, "sip:dave@example.com"]
    part = watcher.table.rows[B][1]
    # Section 5.5: what the inner document refers to is in the inner body.
    assert {each.content_id for each in part.parts[1:]} == {
        instance.cid for resource in state.resources for instance in resource.instances
    }
    site.publish("carol")
    told = watcher.told()
    assert [resource.uri for resource in told.resources] == [B]
    state = inner(watcher)
    assert (state.version, state.full) == (1, False) and [each.uri for each in state.resources] == [CAROL]
    # Everything anew where the watcher may lack something.
    site.publish("carol", "closed")
    watcher.notify(503)
    site.network.advance(15)
    assert watcher.told().full and inner(watcher).full and inner(watcher).version == 3
    assert watcher.subscribe(expires=0).status == 200
    assert watcher.told_the_end().full and inner(watcher).full
    assert not site.virtual() and not site.virtual("presence;eventlist")


def test_a_fetch_of_lists_in_lists(site: Any) -> None:
    services(site, (A, [B]), (B, [CAROL]))
    watcher = site.watcher()
    assert watcher.subscribe(A, expires=0).status == 200
    watcher.told_the_end()
    assert [each.instances[0].state for each in inner(watcher).resources] == ["active"]
    assert not site.virtual() and not site.virtual("presence;eventlist")


def test_a_list_in_itself(site: Any) -> None:
    services(site, (A, [BOB, A, B]), (B, [A, CAROL]))
    watcher = site.subscribed(A)
    assert watcher.table.state(A) == "terminated rejected" and watcher.table.state(BOB) == "active"
    state = inner(watcher)
    assert [(each.uri, each.instances[0].state) for each in state.resources] == [(A, "terminated"), (CAROL, "active")]
    site.publish("carol")
    watcher.told()
    watcher.quiet()


def test_lists_are_nested_as_deep_as_is_allowed(make_site: Any) -> None:
    site = make_site(max_depth=1)
    services(site, (A, [B]), (B, [C]), (C, [BOB]))
    watcher = site.subscribed(A)
    assert [each.instances[0].state for each in inner(watcher).resources] == ["terminated"]


def test_the_resources_of_all_lists_count(make_site: Any) -> None:
    site = make_site(max_resources=4)
    services(site, (A, [B, C, BOB]), (B, [CAROL]), (C, [BOB, CAROL]))
    watcher = site.subscribed(A)
    assert watcher.table.state(B) == "active" and watcher.table.state(C) == "terminated giveup"
    services(site, (A, [B, C, BOB]), (B, [CAROL]), (C, []))
    watcher.subscribe()
    watcher.told()
    assert watcher.table.state(C) == "active" and not inner(watcher, C).resources


def test_lists_of_others_are_not_opened(site: Any) -> None:
    services(site, (A, [B]))
    site.put_services(RLSService(uri=B, members=site.list_of(BOB)), owner="sip:eve@example.com")
    # Whoever says that a URI is a list of his does not hide who is there from others.
    watcher = site.subscribed(A)
    assert watcher.table.state(B) == "active" and watcher.table.basic(B) == "closed"
    watcher.subscribe(expires=0)
    watcher.told_the_end()
    site.lists.opens_nested = lambda resource, owner, watcher: True
    watcher = site.subscribed(A)
    assert watcher.table.state(B) == "terminated rejected"


def test_the_list_changes(site: Any) -> None:
    services(site, (A, [BOB, B]), (B, [CAROL]))
    watcher = site.subscribed(A)
    services(site, (A, [BOB, B]), (B, ["sip:dave@example.com"]))
    watcher.told()
    assert [each.uri for each in inner(watcher).resources] == ["sip:dave@example.com"]
    services(site, (A, [B, CAROL]), (B, ["sip:dave@example.com"]))
    state = watcher.told()
    assert state.full and [each.uri for each in state.resources] == [B, CAROL]
    assert sorted(each.resource for each in site.virtual()) == [CAROL, "sip:dave@example.com"]
    # A list that is none any more.
    services(site, (A, [B, CAROL]))
    watcher.told()
    assert watcher.table.state(B) == "terminated noresource"
    site.documents.delete(site.documents.get("rls-services", "sip:adam@example.com", "index"))
    request = watcher.notify()
    assert request.typed("subscription-state").reason == "noresource"
    assert not site.virtual() and not site.virtual("presence;eventlist")


def test_a_list_that_goes_and_comes_back(site: Any) -> None:
    services(site, (A, [B]), (B, [CAROL]))
    watcher = site.subscribed(A)
    services(site, (A, [B]))
    watcher.told()
    assert watcher.table.state(B) == "terminated noresource"
    services(site, (A, [B]), (B, [CAROL]))
    assert watcher.subscribe().status == 200
    site.network.advance(1)
    watcher.told()
    assert watcher.table.state(B) == "active" and inner(watcher).full
