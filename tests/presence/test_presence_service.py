"""The service as programs use it, and over a restart (RFC 3903, RFC 3856)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import succeed

from twisted_sip.documents.permissions import SubHandling
from twisted_sip.documents.pidf import Presence
from twisted_sip.errors import LocalProtocolError, StoreError, StoreFull
from twisted_sip.interfaces.services import IPresenceService
from twisted_sip.presence import service as service_module
from twisted_sip.presence.service import PresenceService

ALICE = "sip:alice@example.com"
OPEN = Presence(ALICE).with_status("open", id="phone")
BUSY = Presence(ALICE).with_status("open", id="phone", activity="busy")


def got(deferred: Any) -> Any:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results
    return results[0]


def test_it_is_what_it_says(desk: Any) -> None:
    assert IPresenceService.providedBy(desk.service)


def test_a_program_publishes(desk: Any) -> None:
    service = desk.service
    seen: list[str] = []
    end = service.observe(seen.append)
    watching = desk.user("bob").watched()
    etag = got(service.publish("sip:Alice@Example.COM:5060".replace("Alice", "alice"), OPEN))
    assert watching.notify().body == OPEN.to_xml() and service.presentities() == [ALICE]
    again = got(service.publish(ALICE, BUSY, etag=etag))
    assert again != etag and watching.notify().body == BUSY.to_xml() and len(service.publications) == 1
    # It may publish beside itself, and go on from what is gone.
    other = got(service.publish(ALICE, OPEN, etag=etag, expires=60))
    assert len(service.publications) == 2
    watching.notify()
    assert got(service.unpublish(ALICE, other)) is None and got(service.unpublish(ALICE, other)) is None
    watching.notify()
    end()
    end()
    assert got(service.unpublish(ALICE, again)) is None
    assert watching.presence().basic == "closed"
    assert seen == [ALICE] * 4 and service.presentities() == []


def test_what_a_program_may_not(desk: Any, failures: Any) -> None:
    service = desk.service
    for wrong in ("alice@example.com", "sip:example.com", ""):
        with pytest.raises(LocalProtocolError):
            service.publish(wrong, OPEN)
        with pytest.raises(LocalProtocolError):
            service.unpublish(wrong, "etag")
    with pytest.raises(LocalProtocolError):
        service.publish(ALICE, OPEN, expires=0)
    service.publications.most = 0
    assert got(service.publish(ALICE, OPEN)).check(StoreFull)
    service.publications.most = 9
    desk.store.broken = StoreError("the disk is full")
    assert got(service.publish(ALICE, OPEN)).check(StoreError)


def test_an_observer_that_fails_stops_nobody(desk: Any, failures: Any) -> None:
    seen: list[str] = []

    def fails(resource: str) -> None:
        raise ValueError("no idea")

    end = desk.service.observe(fails)
    desk.service.observe(seen.append)
    got(desk.service.publish(ALICE, OPEN))
    end()
    assert seen == [ALICE] and "no idea" in failures.texts.pop()


def test_compose_is_a_hook(make_desk: Callable[..., Any]) -> None:
    class Meetings(PresenceService):
        meeting = False

        def compose(self, resource: str, publications: Any, hard_state: Any, registered: bool) -> Presence:
            made = super().compose(resource, publications, hard_state, registered)
            return made.with_person(activities=["meeting"]) if self.meeting else made

    desk = make_desk(Meetings).start()
    watching = desk.user("bob").watched()
    desk.service.meeting = True
    desk.service.state_changed(ALICE)
    assert watching.presence().activities == ("meeting",)
    desk.service.state_changed(ALICE)
    watching.quiet(2.0)


def test_documents_are_composed_when_they_are_asked_for(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = desk.service
    assert service.presence_of(ALICE) is service.presence_of(ALICE)
    monkeypatch.setattr(service_module, "_MOST_COMPOSED", 2)
    for name in ("b", "c", "d"):
        service.presence_of(f"sip:{name}@example.com")
    assert len(service._composed) == 2


def test_settings_may_change(desk: Any, alice: Any) -> None:
    import attrs

    assert desk.service.settings.composition == "union"
    alice.publish(OPEN)
    alice.publish(BUSY, if_match="")
    assert len(desk.service.presence_of(ALICE).services) == 2
    desk.service.settings = attrs.evolve(desk.service.settings, composition="latest", max_publications_per_user=2)
    assert len(desk.service.presence_of(ALICE).services) == 1
    assert alice.publish(OPEN.with_note("a third"), if_match="").status == 503


def test_other_requests_pass(desk: Any, alice: Any) -> None:
    alice.send(alice.request("MESSAGE", ALICE))
    assert alice.response().status == 404


def test_a_restart(desk: Any, alice: Any) -> None:
    """What was acknowledged is there, what has expired is not, and watchers hear it with a CSeq that they take."""
    watching = desk.user("bob").watched()
    alice.publish(OPEN, expires=3600)
    before = watching.notify()
    etag = alice.etag
    alice.publish(BUSY, if_match="", expires=60)
    watching.notify()
    desk.restart(away=100)
    told = watching.notify(within=10)
    assert told.body == OPEN.to_xml() and told.cseq.number > before.cseq.number
    assert len(desk.service.publications) == 1
    assert alice.publish(None, if_match=etag, expires=0).status == 200
    assert watching.presence().basic == "closed"


def test_a_restart_when_nothing_is_left(desk: Any, alice: Any) -> None:
    watching = desk.user("bob").watched()
    alice.publish(OPEN, expires=60)
    watching.notify()
    desk.restart(away=100)
    assert watching.presence(within=10).basic == "closed"


def test_many_watchers_are_told_at_a_pace(make_desk: Callable[..., Any]) -> None:
    from twisted_sip.events.notifier_settings import NotifierSettings

    desk = make_desk()
    desk.notifier_settings = NotifierSettings(notify_rate=10, notify_burst=1, notify_few=2)
    desk.start()
    bob = desk.user("bob")
    few = [bob.watched() for _ in range(2)]
    alice = desk.user("alice")
    for body in (OPEN, BUSY, OPEN):
        # Two at a time, however fast.
        alice.publish(body)
        for watching in few:
            watching.notify(within=0.2)
    many = [bob.watched() for _ in range(10)]
    alice.publish(BUSY)
    began = desk.network.clock.seconds()
    for _ in few + many:
        many[0].notify(within=2.0)
    assert 0.8 < desk.network.clock.seconds() - began < 2.5


def test_no_more_than_once_in_five_seconds_where_it_is_set_so(make_desk: Callable[..., Any]) -> None:
    """RFC 3856 section 6.10."""
    desk = make_desk(min_interval=5).start()
    alice, bob = desk.user("alice"), desk.user("bob").watched()
    desk.network.advance(6)
    alice.publish(OPEN)
    assert bob.notify(within=0.5).body == OPEN.to_xml()
    began = desk.network.clock.seconds()
    for body in (BUSY, OPEN, BUSY):
        alice.publish(body)
    assert bob.notify().body == BUSY.to_xml()
    assert desk.network.clock.seconds() - began > 4.5
    bob.quiet()


def test_the_end(desk: Any, alice: Any) -> None:
    alice.publish(OPEN)
    assert got(desk.service.close()) is None
    # Nobody is listened to any more.
    desk.put("pidf-manipulation", OPEN.to_xml())
    desk.put("pres-rules", "<x/>")
    desk.store._kept.clear()


def test_what_other_packages_may_tell(make_desk: Callable[..., Any]) -> None:
    desk = make_desk().start()
    service, bob = desk.service, "sip:bob@example.com"
    assert service.handling_of(ALICE, bob) is SubHandling.ALLOW
    assert service.handling_of(ALICE, "sip:bob@example.net") is SubHandling.BLOCK
    desk.put("pres-rules", '<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"/>')
    assert service.handling_of(ALICE, bob) is SubHandling.BLOCK
    names = desk.documents.names
    desk.documents.names = lambda auid, owner: succeed(names(auid, owner))
    assert got(service.handling_of(ALICE, bob)) is SubHandling.BLOCK


def test_other_packages_ask_anew_when_rules_change(make_desk: Callable[..., Any]) -> None:
    desk = make_desk().start()
    asked: list[tuple[str, str]] = []
    notifier = desk.service.notifier
    reauthorize = notifier.reauthorize
    notifier.reauthorize = lambda event, resource: (asked.append((event, resource)), reauthorize(event, resource))
    desk.service.guarded = ("dialog",)
    desk.put("pres-rules", '<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"/>')
    assert asked == [("presence", ALICE), ("dialog", ALICE)]
