"""The order of offers and answers."""

from __future__ import annotations

import attrs
import pytest
from sdp_texts import audio, described

from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.offer import build_offer
from twisted_sip.sdp.offer_answer import Agreement, NegotiationState, OfferAnswer

AUDIO = "m=audio 4000 RTP/AVP 0 8"
VIDEO = "m=video 4002 RTP/AVP 31"


def ours(version: int, *lines: str) -> SessionDescription:
    return described(*(lines or (AUDIO,)), who=f"us 1 {version} IN IP4 192.0.2.1")


def theirs(version: int, *lines: str) -> SessionDescription:
    return described(*(lines or (AUDIO,)), who=f"them 2 {version} IN IP4 192.0.2.2")


def agreed(*, strict: bool = False) -> OfferAnswer:
    machine = OfferAnswer(strict=strict)
    machine.offer_sent(ours(1))
    machine.answer_received(theirs(1))
    return machine


def test_first_exchange() -> None:
    machine = OfferAnswer()
    assert (machine.state, machine.local, machine.remote, machine.streams) == (NegotiationState.STABLE, None, None, ())
    machine.offer_sent(ours(1))
    assert machine.state is NegotiationState.OFFER_SENT
    assert machine.pending == ours(1) and machine.local is None
    machine.answer_received(theirs(1))
    assert (machine.state, machine.pending) == (NegotiationState.STABLE, None)
    assert (machine.local, machine.remote) == (ours(1), theirs(1))
    assert machine.checkpoint().offered_by_us


def test_illegal_moves_of_ours() -> None:
    machine = OfferAnswer()
    with pytest.raises(LocalProtocolError):
        machine.answer_sent(ours(1))
    machine.offer_sent(ours(1))
    for move in (machine.offer_sent, machine.answer_sent):
        with pytest.raises(LocalProtocolError):
            move(ours(1))
    machine.rollback()
    machine.offer_received(theirs(1))
    with pytest.raises(LocalProtocolError):
        machine.offer_sent(ours(1))
    assert machine.state is NegotiationState.OFFER_RECEIVED


def test_illegal_moves_of_the_peer() -> None:
    machine = OfferAnswer()
    with pytest.raises(RemoteProtocolError):
        machine.answer_received(theirs(1))
    machine.offer_sent(ours(1))
    with pytest.raises(RemoteProtocolError) as caught:
        machine.offer_received(theirs(1))
    assert caught.value.status == 491
    machine.rollback()
    machine.offer_received(theirs(1))
    with pytest.raises(RemoteProtocolError) as caught:
        machine.offer_received(theirs(2))
    assert caught.value.status == 500
    with pytest.raises(RemoteProtocolError):
        machine.answer_received(theirs(1))


def test_versions_of_ours() -> None:
    machine = agreed()
    assert machine.numbered(ours(9)) == ours(1)
    changed = machine.numbered(ours(1, AUDIO, VIDEO))
    assert changed.origin.version == 2
    for wrong in (ours(2), ours(1, AUDIO, VIDEO), ours(3, AUDIO, VIDEO), theirs(2, AUDIO, VIDEO)):
        with pytest.raises(LocalProtocolError):
            machine.offer_sent(wrong)
    machine.offer_sent(changed)
    # The peer has seen it; what comes next counts from there, whatever became of it.
    machine.rollback()
    assert machine.local == ours(1)
    assert machine.numbered(ours(1)).origin.version == 3
    machine.offer_sent(ours(3))
    fresh = OfferAnswer()
    assert fresh.numbered(ours(5)) == ours(5)
    for who in (f"us 1 {(1 << 62) - 1} IN IP4 h", f"us {1 << 63} 1 IN IP4 h", "us one 1 IN IP4 h"):
        with pytest.raises(LocalProtocolError):
            fresh.offer_sent(described(AUDIO, who=who))


def test_slots_stay() -> None:
    machine = OfferAnswer()
    machine.offer_sent(ours(1, AUDIO, VIDEO))
    machine.answer_received(theirs(1, AUDIO, VIDEO))
    with pytest.raises(LocalProtocolError):
        machine.offer_sent(ours(2))
    with pytest.raises(RemoteProtocolError) as caught:
        machine.offer_received(theirs(2))
    assert caught.value.status == 488
    machine.offer_received(theirs(2, AUDIO, "m=video 0 RTP/AVP 31"))
    streams = machine.answer_sent(ours(2, AUDIO, "m=video 0 RTP/AVP 31"))
    assert [one.is_active for one in streams] == [True, False]
    # The slot is used again, for something else (RFC 3264 section 8.1).
    text = "m=text 4004 RTP/AVP 98|a=rtpmap:98 t140/1000"
    machine.offer_sent(ours(3, AUDIO, text, VIDEO))
    streams = machine.answer_received(theirs(3, AUDIO, text, "m=video 0 RTP/AVP 31"))
    assert [one.kind for one in streams if one.is_active] == ["audio", "text"]


@pytest.mark.parametrize(
    ("answer", "lenient"),
    [
        ((), False),
        ((AUDIO, VIDEO, AUDIO), False),
        ((VIDEO, AUDIO), False),
        (("m=audio 4000 RTP/SAVP 0", "m=video 0 RTP/AVP 31"), False),
        (("m=audio 4000 RTP/AVP 18", "m=video 0 RTP/AVP 31"), False),
        ((f"{AUDIO}|c=IN IP4 233.252.0.1/1", "m=video 0 RTP/AVP 31"), False),
        ((AUDIO, "m=video 4002 RTP/AVP 31"), False),
        ((f"{AUDIO}|a=crypto:1 S inline:abcd", "m=video 0 RTP/AVP 31"), False),
        ((f"{AUDIO}|a=recvonly", "m=video 0 RTP/AVP 31"), True),
        (("m=audio 4000 RTP/AVP 0|a=sendonly", "m=video 0 RTP/AVP 31"), True),
    ],
)
def test_what_is_no_answer(answer: tuple[str, ...], lenient: bool) -> None:
    offer = (f"{AUDIO}|a=inactive", "m=video 0 RTP/AVP 31")
    machine = OfferAnswer()
    machine.offer_sent(ours(1, *offer))
    found = described(*(answer or ("a=x",)), who="them 2 1 IN IP4 192.0.2.2")
    if lenient:
        assert machine.answer_received(found)[0].direction is Direction.INACTIVE
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            machine.answer_received(found)
        assert caught.value.status == 488
        assert machine.state is NegotiationState.OFFER_SENT
    # What we say ourselves must be right.
    machine = OfferAnswer()
    machine.offer_received(theirs(1, *offer))
    with pytest.raises(LocalProtocolError):
        machine.answer_sent(attrs.evolve(found, origin=ours(1).origin))
    assert machine.state is NegotiationState.OFFER_RECEIVED


def test_no_format_in_common_has_a_warning() -> None:
    machine = OfferAnswer()
    machine.offer_sent(ours(1, "m=image 4000 udptl t38"))
    with pytest.raises(MediaRefused) as caught:
        machine.answer_received(theirs(1, "m=image 4000 udptl t37"))
    assert caught.value.warning_code == 305
    machine.answer_received(theirs(1, "m=image 4000 udptl t38"))


@pytest.mark.parametrize("keys", ["a=crypto:1 S inline:abcd", "a=fingerprint:sha-256 AB"])
def test_an_answer_without_keys(keys: str) -> None:
    machine = OfferAnswer()
    machine.offer_sent(ours(1, f"m=audio 4000 RTP/SAVP 0|{keys}"))
    with pytest.raises(MediaRefused) as caught:
        machine.answer_received(theirs(1, "m=audio 4000 RTP/SAVP 0"))
    assert caught.value.warning_code == 306
    machine.answer_received(theirs(1, f"m=audio 4000 RTP/SAVP 0|{keys}"))


def test_kin_of_protocols_and_bundle_only() -> None:
    machine = OfferAnswer()
    machine.offer_sent(ours(1, "m=audio 4000 RTP/AVPF 0", "m=video 0 RTP/AVPF 31|a=bundle-only|a=mid:v"))
    machine.answer_received(theirs(1, "m=audio 5000 RTP/AVP 0", "m=video 5000 RTP/AVPF 31|a=mid:v"))
    machine = OfferAnswer()
    machine.offer_sent(ours(1, "m=audio 4000 RTP/SAVP 0|a=crypto:1 S inline:abcd"))
    (stream,) = machine.answer_received(theirs(1, "m=audio 5000 RTP/SAVP 0|a=crypto:1 s inline:efgh"))
    assert stream.crypto is not None


def test_times_of_answers() -> None:
    machine = OfferAnswer()
    machine.offer_received(theirs(1))
    late = SessionDescription.parse(str(ours(1)).replace("t=0 0", "t=1 0"))
    with pytest.raises(LocalProtocolError):
        machine.answer_sent(late)


def test_unchanged_offer() -> None:
    machine = agreed()
    assert machine.is_unchanged(theirs(1))
    assert not machine.is_unchanged(theirs(2))
    assert not OfferAnswer().is_unchanged(theirs(1))
    machine.offer_received(theirs(1))
    machine.answer_sent(machine.numbered(ours(7)))
    assert machine.local == ours(1)
    machine.offer_received(theirs(2))
    machine.rollback()
    assert machine.is_unchanged(theirs(2))


def test_rollback_of_completed_exchanges() -> None:
    machine = agreed()
    before = machine.checkpoint()
    machine.offer_received(theirs(2, AUDIO, VIDEO))
    machine.answer_sent(machine.numbered(ours(1, AUDIO, VIDEO)))
    machine.offer_sent(ours(3, AUDIO, "m=video 0 RTP/AVP 31"))
    machine.rollback(before)
    assert machine.checkpoint() == before
    assert (machine.local, machine.remote) == (ours(1), theirs(1))
    machine.offer_sent(machine.numbered(ours(1)))
    machine.rollback(Agreement())
    assert machine.streams == ()


def test_answers_of_several_forks() -> None:
    machine = agreed()
    machine.answer_received(theirs(1, "m=audio 6000 RTP/AVP 8"), another_fork=True)
    assert machine.streams[0].remote_address == ("192.0.2.9", 6000)
    assert machine.local == ours(1)
    with pytest.raises(RemoteProtocolError):
        machine.answer_received(theirs(1))
    machine.offer_received(theirs(2, AUDIO))
    machine.answer_sent(ours(1))
    with pytest.raises(RemoteProtocolError):
        machine.answer_received(theirs(1), another_fork=True)


def test_payload_types_keep_their_meaning() -> None:
    first = "m=audio 4000 RTP/AVP 96|a=rtpmap:96 opus/48000/2"
    other = "m=audio 4000 RTP/AVP 97 96|a=rtpmap:97 opus/48000/2|a=rtpmap:96 iLBC/8000"
    for strict in (False, True):
        machine = OfferAnswer(strict=strict)
        machine.offer_sent(ours(1, first))
        machine.answer_received(theirs(1, first))
        with pytest.raises(LocalProtocolError):
            machine.offer_sent(ours(2, other))
        if strict:
            with pytest.raises(RemoteProtocolError) as caught:
                machine.offer_received(theirs(2, other))
            assert caught.value.status == 488
        else:
            machine.offer_received(theirs(2, other))
            machine.answer_sent(ours(1, first))
    # Another kind of media, or a slot that was given up, starts afresh.
    machine.offer_sent(ours(2, "m=video 4000 RTP/AVP 96|a=rtpmap:96 VP8/90000"))
    machine.answer_received(theirs(2, "m=video 0 RTP/AVP 96"))
    machine.offer_sent(ours(3, "m=video 4000 RTP/AVP 96|a=rtpmap:96 H264/90000|a=mid:0"))


def test_offers_keep_to_what_was_bound() -> None:
    machine = OfferAnswer()
    lines = "a=rtpmap:96 opus/48000/2|a=rtpmap:97 iLBC/8000"
    machine.offer_sent(ours(1, f"m=audio 4000 RTP/AVP 96 97|{lines}"))
    machine.answer_received(theirs(1, f"m=audio 4000 RTP/AVP 96|{lines}"))
    machine.offer_sent(ours(2, f"m=audio 4000 RTP/AVP 96|{lines}"))
    machine.answer_received(theirs(1, f"m=audio 4000 RTP/AVP 96|{lines}"))
    local = machine.local
    assert local is not None
    more = audio(Codec("opus", 48000, 2), Codec("speex", 8000))
    offer = build_offer(local.origin, "192.0.2.9", [more], previous=local, bindings=machine.bindings)
    assert offer.media[0].formats == ("96", "98")
    machine.offer_sent(machine.numbered(offer))


def test_what_strict_machines_refuse() -> None:
    for wrong in (
        described(AUDIO, who="them 3 1 IN IP4 192.0.2.2"),
        theirs(3),
        theirs(1, AUDIO, VIDEO),
        theirs(3, AUDIO, VIDEO),
        theirs(0),
    ):
        machine = agreed(strict=True)
        with pytest.raises(RemoteProtocolError) as caught:
            machine.offer_received(wrong)
        assert caught.value.status == 488 and machine.state is NegotiationState.STABLE
        agreed().offer_received(wrong)
    agreed(strict=True).offer_received(theirs(2, AUDIO, VIDEO))
    agreed(strict=True).offer_received(theirs(1))
