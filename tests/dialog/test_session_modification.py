"""re-INVITE and UPDATE at both sides: glare, roll-back, resynchronisation (RFC 3261 section 14, RFC 3311, RFC 6141)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session import CONFIRMED, EARLY
from twisted_sip.dialog.session_modification import glare_delay
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

from .test_session_requests import SDP, ask


def mirrored(alice: Any, bob: Any) -> bool:
    return (alice.offers.local, alice.offers.remote) == (bob.offers.remote, bob.offers.local)


class TestReinvite:
    def test_both_ways(self, pair: Any) -> None:
        alice, bob = pair.talking()
        for one, end in ((alice, pair.alice), (bob, pair.bob)):
            one.reinvite(end.describe("offer"), [("x-why", "hold")])
            assert not one.can_reinvite and not one.can_offer_update
            with pytest.raises(LocalProtocolError):
                one.reinvite(None)
            with pytest.raises(LocalProtocolError):
                one.update(end.describe("offer"))
            pair.advance(0.2)
            assert end.told[-3:] == [
                ("answer_received", one.offers.remote.data),
                ("modified", ("INVITE", 200)),
                ("free", one),
            ]
            assert mirrored(alice, bob)
        pair.settle()

    def test_a_refresh_that_passes_by(self, pair: Any) -> None:
        """An UPDATE without offer may go beside a re-INVITE, which keeps its time and its offer."""
        pair.again(alice=SessionTerms(ring_timeout=20))
        pair.bob.manual.add("reinvited")
        alice, bob = pair.talking()
        offer = pair.alice.describe("offer")
        alice.reinvite(offer, [("x-why", "hold")])
        pair.advance(0.1)
        alice.update()
        pair.advance(0.1)
        assert pair.alice.told[-1] == ("modified", ("UPDATE", 200))
        pair.bob.pending_invites.pop().reject(422, headers=[("min-se", "200")])
        pair.advance(0.1)
        assert pair.bob.pending_invites[0].offer == offer
        assert pair.bob.pending_invites[0].request.headers.first("x-why") == "hold"
        alice.update()
        pair.link.advance(21, 0.1)
        assert "CANCEL" in pair.link.words("alice") and pair.alice.told[-2] == ("modified", ("INVITE", 487))
        assert alice.can_reinvite and bob.can_reinvite
        pair.settle()

    def test_late_offer(self, pair: Any) -> None:
        alice, bob = pair.talking()
        alice.reinvite(None)
        pair.advance(0.2)
        assert pair.bob.told[0][1].offer is None
        assert alice.offers.remote.data.startswith(b"offer") and mirrored(alice, bob)
        pair.settle()

    @pytest.mark.parametrize("how", ["user", "time"])
    def test_refused(self, pair: Any, how: str) -> None:
        """Section 14.1: as if there had been none."""
        pair.bob.manual.add("reinvited")
        alice, bob = pair.talking()
        before = (alice.offers.local, alice.offers.remote)
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        if how == "user":
            pair.bob.pending_invites.pop().reject(488, headers=[("warning", '304 bob "no"')])
        else:
            pair.alice.manual.add("nothing")
            pair.link.drop = lambda sender, message: isinstance(message, Request) and message.method == "CANCEL"
            pair.link.advance(181, 1.0)
        pair.advance(0.2)
        status = 488 if how == "user" else 504
        assert ("modified", ("INVITE", status)) in pair.alice.told
        assert "rolled_back" in pair.alice.names() and "rolled_back" in pair.bob.names()
        assert (alice.offers.local, alice.offers.remote) == before and mirrored(alice, bob)
        assert alice.can_reinvite and bob.can_reinvite
        pair.settle()

    def test_cancelled_after_a_while(self, pair: Any) -> None:
        pair.again(SessionTerms(ring_timeout=20.0))
        pair.bob.manual.add("reinvited")
        alice, bob = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        pair.link.advance(21, 0.5)
        assert ("modified", ("INVITE", 487)) in pair.alice.told and alice.can_reinvite and bob.can_reinvite
        pair.settle()

    @pytest.mark.parametrize("status", [408, 481, 404])
    def test_dialog_lost(self, pair: Any, status: int) -> None:
        """Sections 12.2.1.2 and 14.1."""
        pair.bob.manual.add("reinvited")
        alice, _ = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        pair.bob.pending_invites.pop().reject(status)
        pair.advance(0.1)
        assert alice.over and alice.ending.status == status
        assert ("BYE" in pair.link.words("alice")) is (status != 404)
        pair.settle()

    def test_nobody_there(self, pair: Any) -> None:
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.reinvite(pair.alice.describe("offer"))
        pair.link.advance(33, 0.5)
        assert alice.ending.cause == "timeout"
        pair.settle()

    def test_answer_missing(self, pair: Any) -> None:
        alice, _ = pair.talking()
        pair.bob.reinvited = lambda session, invite: setattr(invite, "offer", None) or invite.accept()
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.2)
        assert "rolled_back" in pair.alice.names() and alice.state == CONFIRMED and alice.can_reinvite
        pair.settle()

    def test_offer_in_the_2xx_refused(self, pair: Any) -> None:
        pair.alice.manual.add("offer_received")
        alice, bob = pair.talking()
        alice.reinvite(None)
        pair.advance(0.1)
        assert not alice.can_reinvite
        pair.alice.pending.pop().refuse()
        pair.advance(0.2)
        assert alice.ending.cause == "no-answer" and bob.over
        pair.settle()

    def test_ack_is_repeated_after_the_bye(self, pair: Any) -> None:
        """RFC 5407 section 3.2.3."""
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: isinstance(message, Request) and message.method != "INVITE"
        alice.reinvite(pair.alice.describe("offer"))
        pair.link.advance(1.2, 0.05)
        alice.bye()
        pair.link.advance(1.0, 0.05)
        assert pair.link.words("alice").count("ACK") == 3
        pair.settle()

    def test_2xx_after_the_bye(self, pair: Any) -> None:
        pair.bob.manual.add("reinvited")
        alice, _ = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        pair.link.drop = lambda sender, message: isinstance(message, Request) and message.method == "BYE"
        alice.bye()
        pair.bob.pending_invites.pop().accept(pair.bob.describe("answer"))
        pair.advance(0.1)
        assert "ACK" in pair.link.words("alice") and "modified" not in pair.alice.names()
        pair.settle()

    def test_newer_one_saves_the_session(self, pair: Any) -> None:
        """RFC 6141 section 5.4."""
        alice, bob = pair.talking()
        pair.link.drop = lambda sender, message: isinstance(message, Request) and message.method == "ACK"
        alice.reinvite(pair.alice.describe("offer"))
        pair.link.advance(1.0, 0.05)
        alice.reinvite(pair.alice.describe("offer"))
        pair.link.advance(0.3, 0.05)
        pair.link.drop = lambda sender, message: isinstance(message, Request) and message.cseq.number == 2
        pair.link.advance(40.0, 0.1)
        assert bob.state == CONFIRMED and bob.can_reinvite
        pair.settle()


class TestGlare:
    def test_reinvites(self, pair: Any) -> None:
        """Section 14.1: 491, and each tries again in a time of its own."""
        alice, bob = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        bob.reinvite(pair.bob.describe("offer"))
        pair.advance(0.2)
        assert pair.link.words().count("491 INVITE") == 2
        assert ("modified", ("INVITE", 491)) in pair.alice.told and "rolled_back" in pair.bob.names()
        pair.advance(5)
        assert ("offer_wanted", "glare") in pair.alice.told and ("offer_wanted", "glare") in pair.bob.told
        assert mirrored(alice, bob) and pair.link.words().count("200 INVITE") == 2
        pair.settle()

    def test_updates(self, pair: Any) -> None:
        """RFC 3311 section 5.2."""
        alice, bob = pair.talking()
        alice.update(pair.alice.describe("offer"))
        bob.update(pair.bob.describe("offer"))
        pair.advance(0.2)
        assert pair.link.words().count("491 UPDATE") == 2
        pair.advance(5)
        assert mirrored(alice, bob) and alice.offers.exchanges > 1
        pair.settle()

    def test_refreshes_do_not_collide(self, pair: Any) -> None:
        alice, bob = pair.talking()
        alice.update()
        bob.update()
        pair.advance(0.2)
        assert pair.link.words().count("200 UPDATE") == 2
        pair.settle()

    def test_update_against_reinvite(self, pair: Any) -> None:
        """RFC 6337 section 4.3."""
        alice, bob = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        bob.update(pair.bob.describe("offer"))
        pair.advance(0.2)
        assert {"491 INVITE", "491 UPDATE"} <= set(pair.link.words())
        pair.advance(8)
        assert mirrored(alice, bob) and alice.can_reinvite
        pair.settle()

    def test_hung_up_meanwhile(self, pair: Any) -> None:
        alice, bob = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        bob.reinvite(pair.bob.describe("offer"))
        pair.advance(0.2)
        alice.bye()
        pair.advance(5)
        assert "offer_wanted" not in pair.alice.names()
        pair.settle()

    @pytest.mark.parametrize(
        ("owner", "chance", "delay"), [(True, 0.0, 2.1), (True, 0.999, 4.0), (False, 0.0, 0.0), (False, 0.999, 2.0)]
    )
    def test_delay(self, owner: bool, chance: float, delay: float) -> None:
        assert glare_delay(owner, chance) == delay

    def test_one_invite_before_the_answer_to_another(self, pair: Any) -> None:
        """Section 14.2: 500 with Retry-After."""
        pair.bob.manual |= {"reinvited", "offer_received"}
        alice, bob = pair.talking()
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        for method in ("INVITE", "UPDATE"):
            answers = ask(pair, bob, method, SDP, body=b"offer")
            assert answers.statuses == [500]
            assert 0 <= int(answers.got[0].headers.first("retry-after") or "") <= 10
        pair.settle()

    def test_one_update_before_the_answer_to_another(self, pair: Any) -> None:
        pair.bob.manual.add("offer_received")
        alice, bob = pair.talking()
        alice.update(pair.alice.describe("offer"))
        pair.advance(0.1)
        assert ask(pair, bob, "UPDATE").statuses == ask(pair, bob, "INVITE").statuses == [500]
        pair.settle()

    def test_our_offer_in_a_2xx_is_open(self, pair: Any) -> None:
        """RFC 5407 section 3.1.5, RFC 6337 section 4.3."""
        pair.alice.manual.add("offer_received")
        alice, bob = pair.talking()
        alice.reinvite(None)
        pair.advance(0.1)
        assert ask(pair, bob, "INVITE").statuses == [491]
        assert ask(pair, bob, "UPDATE", SDP, body=b"offer").statuses == [500]
        pair.settle()

    def test_early(self, pair: Any) -> None:
        _, bob = pair.ringing()
        bob.invite.progress()
        pair.advance(0.2)
        alice = pair.alice.sessions[0]
        assert ask(pair, bob, "INVITE").statuses == [500]
        assert not alice.can_reinvite and not alice.can_offer_update
        # RFC 3311 section 5.1: the first offer is answered before the next one is made.
        assert ask(pair, bob, "UPDATE", SDP, body=b"offer").statuses == [500]
        bob.update()
        pair.advance(0.1)
        assert pair.link.words()[-1] == "200 UPDATE"
        pair.settle()

    def test_invites_that_wait_for_their_ack(self, pair: Any) -> None:
        """RFC 5407 section 3.1.4: a few of them are no harm."""
        _, bob = pair.talking()
        for _ in range(4):
            assert ask(pair, bob, "INVITE", SDP, body=b"offer").statuses == [200]
        assert ask(pair, bob, "INVITE", SDP, body=b"offer").statuses == [500]
        pair.settle()


class TestUpdate:
    def test_early(self, pair: Any) -> None:
        _, bob = pair.ringing()
        assert not bob.can_update
        with pytest.raises(LocalProtocolError):
            bob.update()
        bob.invite.progress(183, body=pair.bob.describe("answer"))
        assert not bob.can_offer_update
        pair.advance(0.3)
        alice = pair.alice.sessions[0]
        for one, end in ((alice, pair.alice), (bob, pair.bob)):
            assert one.can_offer_update and one.state == EARLY
            one.update(end.describe("offer"))
            pair.advance(0.2)
            assert mirrored(alice, bob)
        pair.settle()

    def test_before_the_prack(self, pair: Any) -> None:
        """RFC 6337 section 4.3: 500. The PRACK that it has overtaken is sent once more."""
        _, bob = pair.ringing()
        bob.invite.progress(183, body=pair.bob.describe("answer"))
        pair.link.drop = lambda sender, message: isinstance(message, Request) and message.method == "PRACK"
        pair.advance(0.1)
        assert ask(pair, bob, "UPDATE", SDP, body=b"offer").statuses == [500]
        pair.link.drop = lambda sender, message: False
        pair.advance(2.0)
        assert {"500 PRACK", "200 PRACK"} <= set(pair.link.words()) and bob.can_offer_update
        pair.settle()

    def test_refused(self, pair: Any) -> None:
        pair.bob.manual.add("offer_received")
        alice, bob = pair.talking()
        alice.update(pair.alice.describe("offer"))
        pair.advance(0.1)
        pair.bob.pending.pop().refuse(488, "No", [("warning", '304 bob "no"')])
        pair.advance(0.1)
        assert ("modified", ("UPDATE", 488)) in pair.alice.told
        assert "rolled_back" in pair.alice.names() and "rolled_back" in pair.bob.names() and mirrored(alice, bob)
        pair.settle()

    def test_not_answered_in_time(self, pair: Any) -> None:
        """RFC 3311 section 5.2: 504."""
        pair.bob.manual.add("offer_received")
        alice, _ = pair.talking()
        alice.update(pair.alice.describe("offer"))
        pair.link.advance(18, 0.1)
        assert ("modified", ("UPDATE", 504)) in pair.alice.told and alice.can_reinvite
        pair.settle()

    @pytest.mark.parametrize("body", [b"", b"x"])
    def test_answer_missing(self, pair: Any, body: bytes) -> None:
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.update(pair.alice.describe("offer"))
        outgoing = next(o for o in pair.alice._transactions if o.method == "UPDATE")
        fields = [("cseq", "2 UPDATE"), *([("content-type", "?")] if body else []), ("contact", "<tel:1>")]
        outgoing.response_received(Response(200, "", fields, body))
        assert pair.alice.names()[-3:] == ["rolled_back", "modified", "free"]
        pair.settle()

    @pytest.mark.parametrize("status", [405, 501])
    def test_not_known(self, pair: Any, status: int) -> None:
        alice, _ = pair.talking()
        pair.link.drop = lambda sender, message: True
        alice.update()
        next(o for o in pair.alice._transactions if o.method == "UPDATE").response_received(
            Response(status, "", [("cseq", "2 UPDATE")])
        )
        assert alice.state == CONFIRMED and not alice.can_update and alice.peer_allows("UPDATE") is False
        pair.settle()

    def test_target(self, pair: Any) -> None:
        """RFC 6141 section 4.6: only what is accepted moves it."""
        pair.bob.manual.add("offer_received")
        _, bob = pair.talking()
        before = bob.dialog.remote_target
        other = pair.alice.sessions[0]
        for uri, offer in (("sip:moved", b"offer"), ("sip:moved", b"")):
            request = other.dialog.request("UPDATE", [SDP, ("contact", f"<{uri}>")], offer)
            request.headers.prepend("via", f"SIP/2.0/UDP alice;branch=z9hG4bK{request.cseq.number}")
            pair.link.carry("alice", "bob", request.to_bytes())
            pair.advance(0.1)
            if offer:
                pair.bob.pending.pop().refuse()
                assert bob.dialog.remote_target == before
        assert bob.dialog.remote_target == "sip:moved"
        pair.settle()
