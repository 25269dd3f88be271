"""The event package reg (RFC 3680)."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from twisted_sip.documents.reginfo import Contact, ReginfoDocument, Registration, RegistrationTable
from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.reg_package import RegPackage
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.storage.location_memory import MemoryLocationStore
from twisted_sip.testing.package_contract import EventPackageContract, FakeSubscription
from twisted_sip.testing.waiting import START

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


def binding(key: str = "sip:alice@192.0.2.1", **more: Any) -> Binding:
    how: dict[str, Any] = {
        "contact": key,
        "call_id": "c",
        "cseq": 1,
        "expires_at": START + 3600,
        "registered_at": START,
    }
    return Binding(aor=ALICE, key=key, **(how | more))


class RegTests(EventPackageContract, unittest.TestCase):
    resource = ALICE
    watcher = ALICE
    later = False

    def make_package(self, clock: Clock) -> RegPackage:
        self.store = MemoryLocationStore(clock)
        return RegPackage(self.store, clock, watchers=["sip:app@example.com"])

    def put(self, *bindings: Binding) -> None:
        self.store.commit(LocationChange(ALICE, put=bindings))

    def remove(self, *keys: str) -> None:
        self.store.commit(LocationChange(ALICE, remove=keys))

    def read(self, subscription: FakeSubscription) -> ReginfoDocument:
        return ReginfoDocument.parse(self.told(subscription).body)

    def registration(self, subscription: FakeSubscription) -> Registration:
        (found,) = self.read(subscription).registrations
        return found

    def events(self, subscription: FakeSubscription) -> list[tuple[str, str]]:
        return [(contact.state, contact.event) for contact in self.registration(subscription).contacts]

    # -- who may watch

    def test_nobody_but_the_owner_and_those_named(self) -> None:
        for watcher, status in ((ALICE, 0), ("sip:app@example.com", 0), (BOB, 403), ("", 403)):
            assert self.wait(self.package.authorize(self.subscription(watcher))).status == status
        refused = self.subscribed(BOB)
        assert not self.told(refused).body

    def test_who_is_rejected_later_learns_nothing(self) -> None:
        subscription = self.subscribed()
        subscription.state, subscription.reason = "terminated", "rejected"
        assert not self.told(subscription).body

    def test_the_registrar_knows_who_there_is(self) -> None:
        package: Any = RegPackage(self.store, self.clock, has_resource=lambda aor: aor == ALICE)
        assert package.has_resource(ALICE) and not package.has_resource(BOB)

    # -- what is told

    def test_init_registered_refreshed_unregistered(self) -> None:
        subscription = self.subscribed()
        first = self.read(subscription)
        assert first.full and first.version == 0
        assert [(each.aor, each.state, each.contacts) for each in first.registrations] == [(ALICE, "init", ())]
        self.put(binding(q=500, params=';+sip.instance="<urn:uuid:1>";video', cseq=4))
        assert ("changed", "reg", ALICE) in self.host.calls
        second = self.read(subscription)
        assert not second.full and second.version == 1
        (contact,) = second.registrations[0].contacts
        assert contact == Contact(
            id=contact.id, uri="sip:alice@192.0.2.1", state="active", event="registered", expires=3600,
            duration_registered=0, q="0.5", call_id="c", cseq=4,
            unknown_params=(("+sip.instance", '"<urn:uuid:1>"'), ("video", "")),
        )  # fmt: skip
        self.clock.advance(100)
        self.put(binding(cseq=5, expires_at=START + 3700, registered_at=START + 100))
        (contact,) = self.registration(subscription).contacts
        assert (contact.event, contact.duration_registered, contact.q) == ("refreshed", 100, "")
        self.remove("sip:alice@192.0.2.1")
        over = self.registration(subscription)
        assert (over.state, over.contacts[0].event, over.contacts[0].expires) == ("terminated", "unregistered", None)
        # The way back to init is never told as such: what comes next is the whole state.
        again = self.read(subscription)
        assert again.full and again.registrations[0].state == "init"

    def test_gruus_of_the_users_own(self) -> None:
        """RFC 5628; the temporary one tells others who it is that hides behind it."""
        made: Any = RegPackage(
            self.store, self.clock, watchers=["sip:app@example.com"], gruus=lambda binding: ("sip:pub;gr=1", "sip:t;gr")
        )
        made.attached(self.host)
        self.put(
            binding(instance="<urn:uuid:1>", series="4.0123456789abcdef"), binding("b", instance="<urn:uuid:2>"),
            binding("c"),
        )  # fmt: skip
        for watcher, temporary, first in ((ALICE, "sip:t;gr", 4), ("sip:app@example.com", "", None)):
            subscription = self.subscribed(watcher)
            told = ReginfoDocument.parse(self.wait(made.notification(subscription)).body).registrations[0].contacts
            assert [each.pub_gruu for each in told] == ["sip:pub;gr=1", "sip:pub;gr=1", ""]
            assert [each.temp_gruu for each in told] == [temporary, temporary, ""]
            assert [each.first_cseq for each in told] == [first, None, None]
        self.remove("sip:alice@192.0.2.1")
        (gone,) = ReginfoDocument.parse(self.wait(made.notification(subscription)).body).registrations[0].contacts
        assert (gone.state, gone.pub_gruu) == ("terminated", ""), "what is gone has none"
        made.stop()

    def test_how_devices_are_woken_is_for_their_user_alone(self) -> None:
        """RFC 8599 section 13."""
        made: Any = RegPackage(self.store, self.clock, watchers=["sip:app@example.com"])
        made.attached(self.host)
        whole = "sip:alice@192.0.2.1;pn-provider=apns;pn-param=T.app;pn-prid=00fc;ob"
        self.put(binding(whole), binding("sip:[;pn-prid=1"), binding("sip:alice@192.0.2.2"))
        for watcher, uris in (
            (ALICE, [whole, "sip:[;pn-prid=1", "sip:alice@192.0.2.2"]),
            ("sip:app@example.com", ["sip:alice@192.0.2.1;ob", "sip:[", "sip:alice@192.0.2.2"]),
        ):
            notification = self.wait(made.notification(self.subscribed(watcher)))
            told = ReginfoDocument.parse(notification.body).registrations[0].contacts
            assert [each.uri for each in told] == uris
        made.stop()

    def test_only_what_changed_is_told(self) -> None:
        self.put(binding(), binding("b"), binding("c"))
        subscription = self.subscribed()
        assert len(self.registration(subscription).contacts) == 3
        self.put(binding("b", cseq=2), binding("d"))
        self.remove("c")
        assert self.events(subscription) == [
            ("terminated", "unregistered"),
            ("active", "refreshed"),
            ("active", "registered"),
        ]
        table = RegistrationTable()
        self.package.full_state_due(subscription)
        assert table.receive(self.read(subscription))
        (rows,) = table.contacts.values()
        assert sorted(row.uri for row in rows.values()) == ["b", "d", "sip:alice@192.0.2.1"]
        assert {row.uri: row.event for row in rows.values()}["d"] == "registered"

    def test_expired_shortened_created(self) -> None:
        self.put(binding(expires_at=START + 60), binding("b"))
        subscription = self.subscribed()
        self.told(subscription)
        self.put(binding("b", expires_at=START + 120), binding("c", call_id=""))
        assert self.events(subscription) == [("active", "shortened"), ("active", "created")]
        self.clock.advance(61)
        assert self.events(subscription) == [("terminated", "expired")]

    def test_a_refresh_that_was_not_told_yet_counts_for_the_end(self) -> None:
        self.put(binding(expires_at=START + 60))
        subscription = self.subscribed()
        self.told(subscription)
        self.put(binding(expires_at=START + 600, cseq=2))
        self.clock.advance(100)
        self.remove("sip:alice@192.0.2.1")
        assert self.events(subscription) == [("terminated", "unregistered")]

    def test_gone_and_there_again_is_registered_anew(self) -> None:
        self.put(binding())
        subscription = self.subscribed()
        self.told(subscription)
        self.remove("sip:alice@192.0.2.1")
        self.put(binding())
        assert self.events(subscription) == [("active", "registered")]

    def test_came_and_went_between_two_notifications(self) -> None:
        subscription = self.subscribed()
        self.told(subscription)
        self.put(binding())
        self.remove("sip:alice@192.0.2.1")
        document = self.read(subscription)
        assert document.full and document.registrations[0].state == "init"

    def test_full_state_after_news_tells_the_last_event(self) -> None:
        subscription = self.subscribed()
        self.told(subscription)
        self.put(binding())
        self.told(subscription)
        self.put(binding(cseq=2, registered_at=START + 5))
        self.told(subscription)
        self.package.full_state_due(subscription)
        document = self.read(subscription)
        assert document.full and document.registrations[0].contacts[0].event == "refreshed"

    def test_who_removes_for_another_reason_says_so(self) -> None:
        self.put(binding("a"), binding("b"), binding("c"), binding("d"))
        subscription = self.subscribed()
        self.told(subscription)
        self.package.removing(ALICE, "a", "deactivated")
        self.package.removing(ALICE, "b", "probation", 30)
        self.package.removing(ALICE, "c", "rejected")
        self.remove("a", "b", "c", "d")
        contacts = self.registration(subscription).contacts
        assert [(contact.event, contact.retry_after) for contact in contacts] == [
            ("deactivated", None),
            ("probation", 30),
            ("rejected", None),
            ("unregistered", None),
        ]
        for event, retry_after in (("expired", None), ("probation", None), ("rejected", 5), ("", None)):
            with self.assertRaises(LocalProtocolError):
                self.package.removing(ALICE, "a", event, retry_after)

    def test_reasons_are_bounded(self) -> None:
        for number in range(1500):
            self.package.removing(ALICE, str(number), "rejected")
        assert len(self.package._reasons) == 1000

    def test_watchers_who_were_told_nothing_yet(self) -> None:
        self.put(binding())
        waiting = self.subscribed()
        self.remove("sip:alice@192.0.2.1")
        assert self.registration(waiting).state == "init"
        self.host.known.clear()
        self.host.calls.clear()
        self.put(binding())
        assert not self.host.calls

    def test_the_entity_tag_is_that_of_the_state(self) -> None:
        self.put(binding())
        one, other = self.subscribed(), self.subscribed(id="s2")
        assert self.told(one).etag == self.told(one).etag == self.told(other).etag
        before = self.told(one).etag
        self.put(binding(cseq=2))
        assert before != self.told(one).etag == self.told(other).etag

    def test_odd_parameters_are_left_out(self) -> None:
        self.put(binding(params=";;;"))
        assert self.registration(self.subscribed()).contacts[0].unknown_params == ()

    def test_it_stops(self) -> None:
        self.package.stop()
        self.package.stop()
        self.subscribed()
        self.put(binding())
        assert not self.host.calls
        # Changes before there is a notifier are nothing.
        unattached = RegPackage(self.store, self.clock)
        self.put(binding())
        unattached.stop()


class SlowRegTests(RegTests):
    """A store that answers later."""

    def make_package(self, clock: Clock) -> RegPackage:
        package = super().make_package(clock)
        lookup = self.store.lookup

        def slow(aor: str) -> Any:
            answer: Deferred[Any] = succeed(None)
            return answer.addCallback(lambda _: lookup(aor))

        self.store.lookup = slow  # type: ignore[method-assign]
        return package
