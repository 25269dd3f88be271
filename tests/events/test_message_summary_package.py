"""The event package message-summary (RFC 3842)."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from twisted_sip.documents.message_summary import TEXT, VOICE, Counts, Summary
from twisted_sip.errors import LocalProtocolError, StoreFull
from twisted_sip.events.message_summary_package import MessageSummaryPackage, stored_messages
from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.storage.message_memory import MemoryMessageStore
from twisted_sip.testing.package_contract import EventPackageContract, FakeSubscription

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
NEW = ((("From", "<sip:bob@example.com>"), ("Subject", "lunch")),)


class MessageSummaryTests(EventPackageContract, unittest.TestCase):
    resource = ALICE
    watcher = ALICE

    def make_package(self, clock: Clock) -> MessageSummaryPackage:
        self.waiting: dict[str, Counts] = {}
        return MessageSummaryPackage(
            counts=self.count, watchers=["sip:desk@example.com"], has_resource=lambda aor: aor == ALICE, max_accounts=2
        )

    def count(self, aor: str) -> Any:
        return self.waiting

    def read(self, subscription: FakeSubscription) -> Summary:
        return Summary.parse(self.told(subscription).body)

    def test_nobody_but_the_owner_and_those_named(self) -> None:
        for watcher, status in ((ALICE, 0), ("sip:desk@example.com", 0), (BOB, 403), ("", 403)):
            assert self.wait(self.package.authorize(self.subscription(watcher))).status == status

    def test_nothing_waits_at_first(self) -> None:
        assert (
            self.told(self.subscribed()).body == b"Messages-Waiting: no\r\nMessage-Account: sip:alice@example.com\r\n"
        )
        assert self.package.summary(ALICE) is None

    def test_what_a_program_sets(self) -> None:
        subscription = self.subscribed()
        summary = Summary(account="sip:alice@vmail.example.com", counts={VOICE: Counts(2, 8, 0, 2)})
        self.package.set_summary(ALICE, summary)
        assert self.host.calls == [("changed", "message-summary", ALICE)] and self.package.summary(ALICE) is summary
        # Section 4.1, A3.
        assert self.told(subscription).body == (
            b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 2/8 (0/2)\r\n"
        )
        self.package.set_summary(ALICE, None)
        assert not self.read(subscription).messages_waiting

    def test_what_waits_in_the_store_is_added(self) -> None:
        subscription = self.subscribed()
        self.waiting = {"Text-Message": Counts(3)}
        self.package.changed(ALICE)
        assert self.host.calls == [("changed", "message-summary", ALICE)]
        assert dict(self.read(subscription).counts) == {TEXT: Counts(3)}
        self.package.set_summary(ALICE, Summary(waiting=False, counts={TEXT: Counts(1, 1), VOICE: Counts(0, 1)}))
        told = self.read(subscription)
        assert told.messages_waiting and dict(told.counts) == {TEXT: Counts(4, 1), VOICE: Counts(0, 1)}
        self.waiting = {}
        assert not self.read(subscription).messages_waiting

    def test_fields_of_new_messages_are_told_once_and_not_at_first(self) -> None:
        # Section 3.5.
        summary = Summary(counts={VOICE: Counts(1)}, messages=NEW)
        early = self.subscribed()
        self.told(early)
        self.package.set_summary(ALICE, summary)
        late = self.subscribed(id="s2")
        assert self.read(late).messages == ()
        assert self.read(early).messages == NEW
        assert self.read(early).messages == ()
        self.package.set_summary(ALICE, Summary(counts={VOICE: Counts(2)}, messages=NEW))
        # A refresh brings the state alone.
        self.package.full_state_due(early)
        assert self.read(early).messages == ()
        assert self.read(late).messages == NEW

    def test_what_cannot_be_sent_is_not_set(self) -> None:
        with self.assertRaises(LocalProtocolError):
            self.package.set_summary(ALICE, Summary(counts={VOICE: Counts(-1)}))
        assert self.package.summary(ALICE) is None

    def test_accounts_are_bounded(self) -> None:
        self.package.set_summary(ALICE, Summary())
        self.package.set_summary(BOB, Summary())
        with self.assertRaises(StoreFull):
            self.package.set_summary("sip:carol@example.com", Summary())
        self.package.set_summary(BOB, None)
        self.package.set_summary("sip:carol@example.com", Summary())

    def test_an_account_that_cannot_be_told_is_left_out(self) -> None:
        package = MessageSummaryPackage(account_of=lambda aor: "no uri")
        subscription = self.subscribed()
        notification: Any = package.notification(subscription)
        assert notification.body == b"Messages-Waiting: no\r\n"
        # Nobody hosts it: nobody is told.
        package.changed(ALICE)

    def test_who_is_rejected_later_learns_nothing(self) -> None:
        subscription = self.subscribed()
        subscription.state, subscription.reason = "terminated", "rejected"
        assert not self.told(subscription).body


class StoredMessagesTests(MessageSummaryTests):
    """The messages of a store are counted too."""

    def make_package(self, clock: Clock) -> MessageSummaryPackage:
        self.store = MemoryMessageStore(clock)
        self.count_stored: Any = stored_messages(self.store)
        return super().make_package(clock)

    def count(self, aor: str) -> Any:
        return self.waiting or self.count_stored(aor)

    def test_messages_that_wait_and_are_delivered(self) -> None:
        end = self.store.observe(self.package.changed)
        subscription = self.subscribed()
        assert not self.read(subscription).messages_waiting
        now = self.clock.seconds()
        message = StoredMessage(
            key="k", recipient=ALICE, sender=BOB, from_value="", to_value="", call_id="", cseq=1,
            received_at=now, expires_at=now + 60,
        )  # fmt: skip
        self.store.add(message)
        assert self.host.calls == [("changed", "message-summary", ALICE)]
        assert self.read(subscription).counts[TEXT] == Counts(1)
        self.store.remove(["k"])
        assert len(self.host.calls) == 2 and not self.read(subscription).messages_waiting
        end()


class SlowStoredMessagesTests(StoredMessagesTests):
    """A store that answers later."""

    def make_package(self, clock: Clock) -> MessageSummaryPackage:
        package = super().make_package(clock)
        waiting: Any = self.store.waiting

        def slow(recipient: str) -> Any:
            return succeed(waiting(recipient))

        self.store.waiting = slow  # type: ignore[method-assign]
        return package


class SlowMessageSummaryTests(MessageSummaryTests):
    """What waits is counted later."""

    def count(self, aor: str) -> Any:
        return succeed(self.waiting)
