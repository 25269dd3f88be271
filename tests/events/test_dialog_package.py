"""The event package dialog (RFC 4235)."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from twisted_sip.documents.dialog_info import DialogInfoDocument, DialogTable, DialogTarget, Identity, ReplacedDialog
from twisted_sip.events.dialog_package import DialogPackage, DialogView
from twisted_sip.interfaces.calls import Call
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.testing.package_contract import EventPackageContract, FakeSubscription
from twisted_sip.testing.waiting import START

ALICE, BOB, DESK = "sip:alice@example.com", "sip:bob@example.com", "sip:desk@example.com"


class Calls:
    """A tracker that says what tests want."""

    def __init__(self) -> None:
        self.known: list[Call] = []
        self.observer: Any = None

    def calls(self) -> Any:
        return self.known

    def of(self, aor: str) -> Any:
        return [call for call in self.known if aor in (call.caller_aor, call.callee_aor)]

    def observe(self, observer: Any) -> Any:
        self.observer = observer

        def end() -> None:
            self.observer = None

        return end

    def begin(self, call_id: str = "c", number: int = 0, **more: Any) -> Call:
        how: dict[str, Any] = {
            "call_id": call_id, "caller_tag": "f", "callee_tag": "", "caller_aor": ALICE, "callee_aor": BOB,
            "caller": NameAddr.parse(f'"Alice \udcff" <{ALICE}>;tag=f'), "callee": NameAddr.parse(f"<{BOB}>"),
            "caller_contact": "", "callee_contact": "", "started_at": START, "number": number, "replaces": "",
            "referred_by": "", "expires_at": START + 60,
        }  # fmt: skip
        made = Call(**(how | more))
        self.known.append(made)
        self.observer(made)
        return made

    def move(self, call: Call, state: str, **more: Any) -> None:
        for name, value in more.items():
            setattr(call, name, value)
        call.state = state
        call.revision += 1
        if state == "terminated":
            self.known.remove(call)
        self.observer(call)


class DialogTests(EventPackageContract, unittest.TestCase):
    resource = ALICE
    watcher = ALICE

    def make_package(self, clock: Clock) -> DialogPackage:
        self.calls = Calls()
        self.rights: dict[str, Any] = {}
        return DialogPackage(self.calls, clock, authorize=self.right)  # type: ignore[arg-type]

    def right(self, resource: str, watcher: str) -> Any:
        return self.rights.get(watcher, False)

    def read(self, subscription: FakeSubscription) -> DialogInfoDocument:
        read = DialogInfoDocument.parse(self.told(subscription).body)
        assert read.entity == ALICE
        return read

    def states(self, subscription: FakeSubscription) -> list[str]:
        return [dialog.state for dialog in self.read(subscription).dialogs]

    def asked(self) -> list[str]:
        """What the package has asked its host for since."""
        found = [call[0] for call in self.host.calls]
        self.host.calls.clear()
        return found

    # -- who may watch

    def test_nobody_but_the_owner_unless_it_is_said(self) -> None:
        closed = DialogPackage(self.calls, self.clock)  # type: ignore[arg-type]
        assert self.wait(closed.authorize(self.subscription(ALICE))).detail is DialogView.COMPLETE
        assert self.wait(closed.authorize(self.subscription(BOB))).status == 403
        self.rights = {BOB: True, DESK: DialogView.STATES, "sip:x@example.com": DialogView.NONE}
        for watcher, view, status in (
            (BOB, DialogView.BUSY, 0),
            (DESK, DialogView.STATES, 0),
            ("sip:x@example.com", None, 403),
            ("sip:y@example.com", None, 403),
            ("", None, 403),
        ):
            decided = self.wait(self.package.authorize(self.subscription(watcher)))
            assert (decided.detail, decided.status) == (view, status)

    def test_who_may_not_see_dialogs_may_not_ask_for_certain_ones(self) -> None:
        # Section 3.7.2.
        self.rights = {BOB: True, DESK: DialogView.COMPLETE}
        params = (("call-id", "c"),)
        assert self.wait(self.package.authorize(self.subscription(BOB, event_params=params))).status == 403
        assert self.wait(self.package.authorize(self.subscription(DESK, event_params=params))).status == 0

    def test_who_is_rejected_later_learns_nothing(self) -> None:
        subscription = self.subscribed()
        subscription.state, subscription.reason = "terminated", "rejected"
        assert not self.told(subscription).body

    # -- what the owner is told

    def test_full_at_first_then_what_changed(self) -> None:
        old = self.calls.begin("old", caller_contact='<sip:a@192.0.2.1>;+sip.rendering="no";video;x="<y>"')
        subscription = self.subscribed()
        first = self.read(subscription)
        assert first.full and first.version == 0 and len(first.dialogs) == 1
        self.asked()
        call = self.calls.begin()
        assert self.asked() == ["notify"]
        second = self.read(subscription)
        assert not second.full and second.version == 1
        (dialog,) = second.dialogs
        assert (dialog.state, dialog.direction, dialog.call_id) == ("trying", "initiator", "c")
        assert (dialog.local_tag, dialog.remote_tag, dialog.duration, dialog.code) == ("f", "", 0, None)
        assert dialog.local is not None and dialog.local.identities == (Identity(ALICE, "Alice \ufffd"),)
        self.calls.move(call, "early", callee_tag="t", code=180, callee_contact="<sip:b@192.0.2.2>")
        (early,) = self.read(subscription).dialogs
        assert (early.id, early.remote_tag, early.code) == (dialog.id, "t", 180)
        assert early.remote is not None and early.remote.target == DialogTarget("sip:b@192.0.2.2")
        self.clock.advance(9)
        self.calls.move(call, "terminated", event="bye", ended_by_caller=True)
        (over,) = self.read(subscription).dialogs
        assert (over.state, over.event, over.duration) == ("terminated", "local-bye", 9)
        self.package.full_state_due(subscription)
        again = self.read(subscription)
        assert again.full and again.version == 4
        (left,) = again.dialogs
        assert left.call_id == "old" and left.id != dialog.id and left.local is not None
        assert left.local.target == DialogTarget(
            "sip:a@192.0.2.1", (("sip.rendering", "no"), ("video", "true"), ("x", "y"))
        )
        self.calls.move(old, "terminated", event="timeout")

    def test_the_callee_sees_it_from_the_other_side(self) -> None:
        call = self.calls.begin(caller_aor=BOB, callee_aor=ALICE, callee_tag="t", state="confirmed", code=200)
        subscription = self.subscribed()
        (dialog,) = self.read(subscription).dialogs
        assert (dialog.direction, dialog.local_tag, dialog.remote_tag) == ("recipient", "t", "f")
        self.calls.move(call, "terminated", event="bye", ended_by_caller=True)
        assert self.read(subscription).dialogs[0].event == "remote-bye"

    def test_who_calls_himself_has_two_dialogs(self) -> None:
        self.calls.begin(callee_aor=ALICE)
        dialogs = self.read(self.subscribed()).dialogs
        assert [dialog.direction for dialog in dialogs] == ["initiator", "recipient"]
        assert dialogs[0].id != dialogs[1].id

    def test_without_news_the_whole_state_is_told(self) -> None:
        self.calls.begin()
        subscription = self.subscribed()
        self.told(subscription)
        assert self.read(subscription).full

    def test_a_call_with_the_identifiers_of_one_that_is_over_is_news(self) -> None:
        subscription = self.subscribed()
        first = self.calls.begin()
        self.told(subscription)
        self.calls.move(first, "terminated")
        self.calls.begin()
        assert [dialog.state for dialog in self.read(subscription).dialogs] == ["trying"]

    def test_a_subscriber_can_follow(self) -> None:
        subscription, table = self.subscribed(), DialogTable()
        table.receive(self.read(subscription))
        calls = [self.calls.begin(str(number)) for number in range(3)]
        assert table.receive(self.read(subscription)) and len(table.dialogs) == 3
        self.calls.move(calls[0], "confirmed")
        self.calls.move(calls[1], "terminated", event="rejected", code=486)
        assert table.receive(self.read(subscription))
        assert sorted(dialog.state for dialog in table.dialogs.values()) == ["confirmed", "trying"]
        self.calls.move(calls[0], "terminated")
        self.calls.move(calls[2], "terminated")
        assert table.receive(self.read(subscription)) and not table.busy

    def test_replaces_and_referred_by(self) -> None:
        self.calls.begin(replaces="r@x;to-tag=1;from-tag=2", referred_by='"Carol" <sip:carol@example.com>')
        self.calls.begin("b", callee_aor=ALICE, caller_aor="", replaces="r;to-tag=1;from-tag=2", referred_by="<<")
        self.calls.begin("d", replaces="junk", caller_contact="<<")
        first, second, third = self.read(self.subscribed()).dialogs
        assert first.replaces == ReplacedDialog("r@x", "2", "1")
        assert first.referred_by == Identity("sip:carol@example.com", "Carol")
        assert second.replaces == ReplacedDialog("r", "1", "2") and second.referred_by is None
        assert third.replaces is None and third.local is not None and third.local.target is None

    # -- parameters of Event (section 3.2)

    def test_certain_dialogs(self) -> None:
        call = self.calls.begin("wanted@host", callee_tag="t", state="confirmed")
        other = self.calls.begin("other")
        params = (("Call-ID", '"wanted@host"'), ("to-tag", "f"), ("from-tag", "t"), ("sla", ""), ("ma", ""))
        subscription = self.subscribed(event_params=params)
        assert [dialog.call_id for dialog in self.read(subscription).dialogs] == ["wanted@host"]
        self.asked()
        self.calls.move(other, "early")
        assert not self.asked()
        self.calls.move(call, "confirmed", code=200)
        assert self.asked() == ["notify"]
        self.told(subscription)
        # Section 3.4: it ends with what it is about.
        self.calls.move(call, "terminated", event="bye")
        assert self.host.calls == [("terminate", subscription, "noresource", None)]
        subscription.state, subscription.reason = "terminated", "noresource"
        assert self.states(subscription) == ["terminated"]
        unlike = self.subscribed(event_params=(("call-id", "x"), ("to-tag", "f")), id="s2")
        assert self.states(unlike) == []
        assert self.states(self.subscribed(event_params=(("from-tag", "x"),), id="s3")) == []
        assert self.states(self.subscribed(event_params=(("to-tag", "x"),), id="s4")) == []

    def test_session_descriptions_are_told_to_those_who_ask(self) -> None:
        self.calls.begin(caller_session=("application/sdp;x=y", b"v=0\r\n"), callee_session=("application/sdp", b"v=1"))
        self.calls.begin("b", caller_session=("junk", b"\xff"))
        self.calls.begin("d")
        asking = self.subscribed(event_params=(("include-session-description", ""),))
        told = [dialog.local.session_description for dialog in self.read(asking).dialogs if dialog.local]
        assert told == [("application/sdp", "v=0\r\n"), ("application/octet-stream", "\ufffd"), None]
        plain = self.subscribed(id="s2")
        assert all(dialog.local and not dialog.local.session_description for dialog in self.read(plain).dialogs)

    # -- what others are told

    def test_a_lamp_tells_no_more_than_a_busy_signal(self) -> None:
        # Section 3.7.2.
        self.rights = {BOB: True}
        lamp = self.subscribed(BOB)
        assert self.states(lamp) == []
        self.asked()
        call = self.calls.begin()
        assert self.asked() == ["notify"]
        document = self.read(lamp)
        (dialog,) = document.dialogs
        assert document.full and (dialog.state, dialog.call_id, dialog.local, dialog.remote, dialog.direction) == (
            "confirmed", "", None, None, "",
        )  # fmt: skip
        # Not even that something happens.
        self.calls.move(call, "confirmed")
        other = self.calls.begin("b")
        self.calls.move(call, "terminated")
        assert not self.asked()
        self.calls.move(other, "terminated")
        assert self.asked() == ["notify"]
        assert self.states(lamp) == ["terminated"]
        assert self.states(lamp) == []

    def test_a_lamp_that_may_blink(self) -> None:
        self.rights = {DESK: DialogView.STATES}
        lamp = self.subscribed(DESK)
        call = self.calls.begin()
        assert self.states(lamp) == ["trying"]
        self.calls.begin("b", state="early")
        assert self.states(lamp) == ["early"]
        self.asked()
        self.calls.move(call, "proceeding")
        assert not self.asked()
        self.calls.move(call, "confirmed")
        assert self.asked() == ["notify"] and self.states(lamp) == ["confirmed"]

    def test_who_is_politely_blocked_sees_no_call(self) -> None:
        self.rights = {DESK: DialogView.IDLE}
        self.calls.begin("old", state="confirmed")
        lamp = self.subscribed(DESK)
        assert lamp.authorization.detail is DialogView.IDLE and self.states(lamp) == []
        self.asked()
        call = self.calls.begin()
        self.calls.move(call, "confirmed")
        assert not self.asked(), "when a NOTIFY comes tells something, too"

    def test_the_entity_tag_is_that_of_the_state(self) -> None:
        self.rights = {BOB: True}
        for watcher in (ALICE, BOB):
            one = self.subscribed(watcher, id=watcher)
            before = self.told(one).etag
            assert before == self.told(one).etag
            call = self.calls.begin()
            assert before != self.told(one).etag
            self.calls.move(call, "terminated")

    def test_it_stops(self) -> None:
        unattached = DialogPackage(self.calls, self.clock)  # type: ignore[arg-type]
        self.subscribed()
        self.calls.begin()
        assert not self.host.calls
        unattached.stop()
        unattached.stop()
        assert self.calls.observer is None
        assert unattached.has_resource("sip:anybody@example.com") is True


class SlowDialogTests(DialogTests):
    """Rights that are looked up elsewhere."""

    def right(self, resource: str, watcher: str) -> Any:
        return succeed(self.rights.get(watcher, False))
