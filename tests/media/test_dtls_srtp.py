"""Sessions whose keys come out of DTLS (RFC 5763, RFC 5764)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from tests.media.secured import SecureCall
from twisted_sip.errors import MediaRefused
from twisted_sip.media.dtls import LIMIT
from twisted_sip.media.stream_keys import SecurityState
from twisted_sip.sdp.attributes import Attribute, without_attributes
from twisted_sip.sdp.connection import Connection
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.fingerprint import Setup

REQUIRED = {"srtp": "required", "keying": ("dtls",)}
OFFERED = {"srtp": "offered", "keying": ("dtls",)}
FALSE = Attribute("fingerprint", "sha-256 " + ":".join(["AB"] * 32))

Make = Callable[..., SecureCall]


@pytest.fixture
def calls() -> Iterator[Make]:
    made: list[SecureCall] = []

    def make(*args: Any, **more: Any) -> SecureCall:
        made.append(SecureCall(*args, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def changed(
    description: SessionDescription, *new: Attribute, without: tuple[str, ...] = (), **more: Any
) -> SessionDescription:
    """The same with other attributes in its stream."""
    media = description.media[0]
    left = without_attributes(media.attributes, *without, *(one.name for one in new))
    media = attrs.evolve(media, attributes=(*left, *new), **more)
    return SessionDescription.parse(attrs.evolve(description, media=(media,)).to_bytes())


def test_the_answerer_opens(calls: Make) -> None:
    call = calls(REQUIRED)
    offer, answer = call.agree()
    assert offer.media[0].protocol == answer.media[0].protocol == "UDP/TLS/RTP/SAVP"
    assert offer.media[0].setup is Setup.ACTPASS and answer.media[0].setup is Setup.ACTIVE
    assert offer.media[0].rtcp_mux and answer.media[0].rtcp_mux
    assert call.heard(0.02) == (0, 0)
    call.run(0.5)
    assert call.secure and call.a.security.keying == "dtls" and call.a.security.suite == "AEAD_AES_256_GCM"
    assert min(call.heard()) > 45
    assert [one.state for one in call.events["a"]] == [SecurityState.PENDING, SecurityState.SECURE]
    assert not any(b"@192.0.2" in data or b"\xff" * 40 in data for data in call.packets())


def test_the_offerer_opens_where_the_answer_is_passive(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(changed(offer, Attribute("setup", "active"))))
    assert answer.media[0].setup is Setup.PASSIVE
    call.a.answered(answer)
    call.run(0.5)
    assert call.secure and min(call.heard()) > 45


def test_a_client_hello_before_the_answer_is_kept(calls: Make) -> None:
    call = calls(REQUIRED)
    answer = call.made(call.b.answer(call.made(call.a.offer())))
    call.run(0.5)
    call.a.answered(answer)
    call.run(0.2)
    assert call.secure


def test_datagrams_before_the_answer_are_bounded(calls: Make) -> None:
    call = calls(REQUIRED)
    call.a.offer()
    for _ in range(100):
        call.a.port.received(1, b"\x16" * 20, ("192.0.2.2", 40000))
    assert call.a.keys is not None and call.a.keys._keying is not None
    assert len(call.a.keys._keying._early) == 8


def test_ports_of_their_own_have_associations_of_their_own(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(changed(offer, without=("rtcp-mux",))))
    assert not answer.media[0].rtcp_mux
    call.a.answered(answer)
    call.run(0.5)
    assert call.secure and min(call.heard(8.0)) > 390
    assert any(192 <= data[1] <= 223 for data in call.packets())
    assert call.a.statistics().packets_refused == call.b.statistics().packets_refused == 0
    assert call.a.statistics().round_trip is not None


@pytest.mark.parametrize("who", ["offer", "answer"])
def test_a_wrong_fingerprint_means_no_media_and_is_told(calls: Make, who: str) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(changed(offer, FALSE) if who == "offer" else offer))
    call.a.answered(changed(answer, FALSE) if who == "answer" else answer)
    call.run(1)
    deceived = call.a if who == "answer" else call.b
    assert deceived.security.state is SecurityState.FAILED
    assert "fingerprint" in deceived.security.reason and any("fingerprint" in one for one in call.failures)
    one, other = call.heard(LIMIT)
    assert (one if who == "answer" else other) == 0
    assert deceived.keys is not None and deceived.port.protection is not None
    assert deceived.port.protection.protect_rtp(b"\x80" + bytes(11)) is None


def test_no_handshake_at_all(calls: Make) -> None:
    call = calls(REQUIRED)
    call.drop = lambda data: 20 <= data[0] <= 63
    call.agree()
    assert call.heard(LIMIT + 1) == (0, 0)
    assert len(call.failures) == 2 and call.a.security.state is SecurityState.FAILED
    # Another try, by another offer.
    call.drop = lambda data: False
    call.agree()
    call.run(0.5)
    assert call.secure and min(call.heard()) > 45


def test_the_handshake_survives_loss(calls: Make) -> None:
    call = calls(REQUIRED)
    call.network.loss = 0.3
    call.agree()
    call.run(LIMIT)
    assert call.secure


def test_best_effort(calls: Make) -> None:
    call = calls(OFFERED)
    offer, _ = call.agree()
    assert offer.media[0].protocol == "RTP/AVP"
    call.run(0.5)
    assert call.secure and min(call.heard()) > 45
    plain = calls(OFFERED, {})
    plain.agree()
    assert min(plain.heard()) > 40 and plain.a.security.state is SecurityState.PLAIN


def test_a_peer_with_both_gets_its_keys_from_the_description(calls: Make) -> None:
    call = calls({"srtp": "required", "sdes_in_clear": True}, {"srtp": "required"})
    offer, answer = call.agree()
    assert offer.media[0].protocol == "RTP/SAVP" and answer.media[0].crypto
    # Without secure signalling ours is DTLS.
    offer = call.made(call.planes[1]().offer())
    assert offer.media[0].protocol == "UDP/TLS/RTP/SAVP" and not offer.media[0].crypto


def test_another_offer_keeps_the_association(calls: Make) -> None:
    call = calls(REQUIRED)
    first, _ = call.agree()
    call.run(0.5)
    hellos = sum(20 <= data[0] <= 63 for data in call.wire)
    call.b.hold(True)
    again, answer = call.agree(call.b, call.a)
    assert again.media[0].setup is Setup.ACTPASS and answer.media[0].setup is Setup.PASSIVE
    assert answer.media[0].fingerprint == first.media[0].fingerprint
    call.b.hold(False)
    call.agree()
    assert min(call.heard()) > 45
    # Hold by an address of zeros moves nobody either.
    offer = call.made(call.a.offer())
    held = SessionDescription.parse(offer.to_bytes().replace(b"192.0.2.1\r\nt=", b"0.0.0.0\r\nt="))
    held = attrs.evolve(held, media=(attrs.evolve(held.media[0], connections=()),))
    call.a.answered(call.made(call.b.answer(SessionDescription.parse(held.to_bytes()))))
    call.agree()
    assert min(call.heard()) > 45
    assert sum(20 <= data[0] <= 63 for data in call.wire) == hellos and len(call.events["b"]) == 2


def test_new_fingerprints_by_another_offer_make_new_keys(calls: Make) -> None:
    call = calls(REQUIRED)
    first, _ = call.agree()
    call.run(1)
    assert call.a.keys is not None and call.a.keys.protection is not None
    sending = call.a.keys.protection.sending
    call.a.renew_keys()
    second, _ = call.agree()
    assert second.media[0].fingerprint != first.media[0].fingerprint
    one, other = call.heard(2.0)
    assert call.secure and call.a.keys.protection.sending is not sending
    assert one >= 95 and other >= 95
    assert call.a.statistics().packets_refused == call.b.statistics().packets_refused == 0


def test_a_rollback_keeps_the_keys_before(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(1)
    assert call.a.keys is not None and call.a.keys.protection is not None
    sending = call.a.keys.protection.sending
    call.a.renew_keys()
    call.b.answer(call.made(call.a.offer()))
    call.run(0.5)
    call.a.rolled_back()
    call.b.rolled_back()
    call.run(0.1)
    assert call.secure and min(call.heard()) > 45
    assert call.a.keys.protection.sending is sending


def test_one_certificate_for_the_process_or_for_each_call(calls: Make) -> None:
    for kind, same in (("process", True), ("call", False)):
        plane = calls({**REQUIRED, "certificates": kind}).planes[0]
        prints = [plane().offer().media[0].fingerprint for _ in range(2)]  # type: ignore[union-attr]
        assert (prints[0] == prints[1]) is same


def test_answers_that_cannot_be(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(offer))
    md5 = Attribute("fingerprint", "md5 " + ":".join(["AB"] * 16))
    for wrong in (
        changed(answer, without=("fingerprint",)),
        changed(answer, md5),
        changed(answer, Attribute("setup", "holdconn")),
    ):
        with pytest.raises(MediaRefused):
            call.a.answered(wrong)
    # Without a word the answerer opens.
    call.a.answered(changed(answer, without=("setup",)))
    call.run(0.5)
    assert call.secure


def test_offers_that_cannot_be(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    md5 = Attribute("fingerprint", "md5 " + ":".join(["AB"] * 16))
    for wrong in (
        changed(offer, without=("fingerprint",)),
        changed(offer, md5),
        changed(offer, Attribute("setup", "holdconn")),
    ):
        with pytest.raises(MediaRefused) as caught:
            call.b.answer(wrong)
        assert caught.value.status == 488
    without = calls(REQUIRED, {"srtp": "required", "keying": ("sdes",)})
    with pytest.raises(MediaRefused):
        without.b.answer(without.made(without.a.offer()))


def test_keys_change_from_one_kind_to_the_other(calls: Make) -> None:
    call = calls(REQUIRED, {"srtp": "required", "sdes_in_clear": True})
    call.agree()
    call.run(0.5)
    offer = call.made(call.planes[1]().offer())
    # The same peer, which has turned to keys in descriptions.
    media = attrs.evolve(offer.media[0], port=call.b.port.port, connections=call.b.local.media[0].connections)  # type: ignore[union-attr]
    both = calls({**REQUIRED, "keying": ("dtls", "sdes")})
    both.agree()
    both.run(0.5)
    both.b.answer(SessionDescription.parse(attrs.evolve(offer, media=(media,)).to_bytes()))
    assert both.b.security.keying == "sdes" and both.b.port.dtls is None


def test_another_fork_answers(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    other = call.planes[1]()
    call.a.answered(call.made(other.answer(offer)))
    call.run(0.5)
    assert call.a.security.state is SecurityState.SECURE
    call.a.answered(call.made(call.b.answer(offer)))
    other.close()
    call.run(1.5)
    assert call.secure and min(call.heard()) > 45


def test_a_peer_that_makes_no_new_keys_is_talked_to_under_those_before(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(1)
    call.drop = lambda data: 20 <= data[0] <= 63
    call.a.renew_keys()
    call.agree()
    assert min(call.heard(LIMIT - 2)) > 1300
    call.run(4)
    # Ours is the one that looks for new keys; for the other one we are somebody else now.
    assert call.a.security.state is SecurityState.SECURE and call.b.security.state is SecurityState.FAILED
    protection = call.a.port.protection
    assert protection is not None and protection.protect_rtp(b"\x80" + bytes(30)) is not None


def test_a_peer_that_is_another_one_is_not(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(1)
    call.drop = lambda data: 20 <= data[0] <= 63
    call.b.renew_keys()
    call.agree()
    call.run(LIMIT + 1)
    assert call.a.security.state is SecurityState.FAILED and call.failures
    assert call.heard() == (0, 0)


def test_closed_before_the_handshake_begins(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.a.close()
    call.b.close()
    assert not any(20 <= data[0] <= 63 for data in call.wire)


def test_rtcp_has_no_association_where_it_shares_the_port(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(0.5)
    sent = len(call.wire)
    call.a.port.received(2, b"\x16" * 30, ("192.0.2.2", call.b.port.port))
    assert len(call.wire) == sent and call.secure


def test_a_failed_association_does_not_come_back(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(offer))
    call.a.answered(changed(answer, FALSE))
    call.run(1)
    assert call.a.security.state is SecurityState.FAILED
    call.agree()
    call.run(1)
    assert call.secure and min(call.heard()) > 45


def test_a_name_in_the_description_is_waited_for(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    media = attrs.evolve(offer.media[0], connections=())
    named = attrs.evolve(offer, media=(media,), connection=Connection("phone.example"))
    call.b.answer(SessionDescription.parse(named.to_bytes()))
    call.run(0.5)
    assert not any(20 <= data[0] <= 63 for data in call.wire)


def test_dtls_from_strangers_is_refused_once_the_peer_is_known(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(1)
    refused = call.a.stream.latch.refused
    call.a.port.received(1, b"\x16" * 30, ("203.0.113.9", 999))
    assert call.a.stream.latch.refused == refused + 1
    call.a.close()
    assert call.a.security.state is SecurityState.SECURE
