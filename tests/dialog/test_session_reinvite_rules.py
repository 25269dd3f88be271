"""re-INVITEs that have changed something before their final response (RFC 6141 section 3), and late offers in them."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.dialog.session import CONFIRMED
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response


def progressing(pair: Any, *, offer: bool = True) -> tuple[Any, Any, Any]:
    """Alice's re-INVITE has had its answer in a reliable provisional response."""
    pair.bob.manual.add("reinvited")
    alice, bob = pair.talking()
    alice.reinvite(pair.alice.describe("offer") if offer else None)
    pair.advance(0.1)
    invite = pair.bob.pending_invites.pop()
    invite.progress(183, body=pair.bob.describe("answer"))
    pair.advance(0.3)
    return alice, bob, invite


class TestExecuted:
    def test_not_refused(self, pair: Any) -> None:
        """Section 3.3."""
        alice, bob, invite = progressing(pair)
        assert invite.executed
        with pytest.raises(LocalProtocolError, match="accept it"):
            invite.reject(488)
        # Section 3.6: undo it with an UPDATE, then accept.
        bob.update(pair.bob.describe("offer"))
        pair.advance(0.2)
        invite.accept()
        pair.advance(0.2)
        assert alice.can_reinvite and bob.can_reinvite
        assert (alice.offers.local, alice.offers.remote) == (bob.offers.remote, bob.offers.local)
        pair.settle()

    @pytest.mark.parametrize("how", ["cancel", "time"])
    def test_accepted_in_the_end(self, pair: Any, how: str) -> None:
        """Section 3.8."""
        alice, bob, invite = progressing(pair)
        if how == "cancel":
            invite.cancelled()
            invite.cancelled()
        else:
            invite.expire(504)
        pair.advance(0.3)
        assert ("modified", ("INVITE", 200)) in pair.alice.told and bob.can_reinvite and alice.can_reinvite
        pair.settle()

    def test_not_executed_before_the_prack(self, pair: Any) -> None:
        pair.bob.manual.add("reinvited")
        alice, bob = pair.talking()
        before = (bob.offers.local, bob.offers.remote)
        pair.link.drop = lambda sender, message: isinstance(message, Response) and message.status == 183
        alice.reinvite(pair.alice.describe("offer"))
        pair.advance(0.1)
        invite = pair.bob.pending_invites.pop()
        invite.progress(183, body=pair.bob.describe("answer"))
        assert not invite.executed
        invite.reject(488)
        pair.advance(0.2)
        assert (bob.offers.local, bob.offers.remote) == before
        assert "rolled_back" in pair.bob.names() and bob.can_reinvite
        pair.settle()

    def test_refused_all_the_same(self, pair: Any) -> None:
        """Section 3.4: by a peer that does not know better."""
        pair.alice.manual.add("offer_wanted")
        alice, _, invite = progressing(pair)
        outgoing = alice.inviting.outgoing
        invite.close()
        outgoing.response_received(Response(488, "", [("cseq", outgoing.request.headers.first("cseq"))]))
        assert ("offer_wanted", "resync") in pair.alice.told and "rolled_back" not in pair.alice.names()
        pair.settle()


class TestLateOffer:
    def test_in_a_provisional_response(self, pair: Any) -> None:
        alice, bob, invite = progressing(pair, offer=False)
        assert (alice.offers.local, alice.offers.remote) == (bob.offers.remote, bob.offers.local)
        invite.accept()
        pair.advance(0.2)
        assert alice.can_reinvite and bob.can_reinvite
        pair.settle()

    def test_refused(self, pair: Any) -> None:
        """RFC 6337 section 2.3: the re-INVITE is taken back."""
        pair.alice.manual.add("offer_received")
        alice, bob, invite = progressing(pair, offer=False)
        pair.alice.pending.pop().refuse()
        pair.link.advance(3.0, 0.05)
        assert "CANCEL" in pair.link.words("alice")
        assert alice.state == bob.state == CONFIRMED and alice.can_reinvite and bob.can_reinvite
        assert "400 PRACK" in pair.link.words() and invite.over
        pair.settle()

    def test_overtaken_by_the_2xx(self, pair: Any) -> None:
        pair.alice.manual.add("offer_received")
        alice, _, invite = progressing(pair, offer=False)
        outgoing = alice.inviting.outgoing
        fields = [("cseq", outgoing.request.headers.first("cseq")), ("contact", "<sip:bob>")]
        outgoing.response_received(Response(200, "", fields))
        assert alice.offers.stable and "ACK" in pair.link.words("alice")
        pair.alice.pending.pop().answer(pair.alice.describe("answer"))
        assert "PRACK" not in pair.link.words("alice")
        invite.close()
        pair.settle()

    def test_hung_up_before_the_answer(self, pair: Any) -> None:
        pair.alice.manual.add("offer_received")
        alice, _, _ = progressing(pair, offer=False)
        alice.bye()
        pair.alice.pending.pop().answer(pair.alice.describe("answer"))
        assert "PRACK" not in pair.link.words("alice")
        pair.settle()

    def test_no_offer_while_one_is_open(self, pair: Any) -> None:
        pair.bob.manual.add("reinvited")
        alice, bob = pair.talking()
        alice.reinvite(None)
        pair.advance(0.1)
        invite = pair.bob.pending_invites.pop()
        bob.offers.offer_sent(pair.bob.describe("offer"), "elsewhere")
        with pytest.raises(LocalProtocolError, match="open"):
            invite.accept(pair.bob.describe("offer"))
        bob.offers.abandon("elsewhere")
        invite.accept(pair.bob.describe("offer"))
        pair.advance(0.2)
        assert alice.can_reinvite
        pair.settle()


def test_info_before_the_first_response(pair: Any) -> None:
    _, bob = pair.ringing()
    with pytest.raises(LocalProtocolError, match="does not know"):
        bob.info(b"5")
    bob.invite.progress()
    bob.info(b"5")
    pair.advance(0.3)
    assert "INFO" in pair.link.words("bob")
    pair.settle()


def test_no_number_is_left_for_a_prack(pair: Any) -> None:
    attempt, bob = pair.ringing()
    bob.invite.progress(180, reliable=False)
    pair.advance(0.1)
    attempt.sessions[bob.dialog.local_tag].dialog.local_cseq = (1 << 32) - 1
    bob.invite.progress(183, body=pair.bob.describe("answer"))
    pair.advance(0.2)
    assert not [m for _, m in pair.link.carried if isinstance(m, Request) and m.method == "PRACK"]
    pair.settle()
