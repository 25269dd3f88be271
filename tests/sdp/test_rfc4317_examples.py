"""The examples of RFC 4317, through the machines of both sides, and answered by ourselves."""

from __future__ import annotations

import pytest
from rfc4317_exchanges import EXCHANGES, description_of, text_of

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.sdp.agreed import AgreedStream
from twisted_sip.sdp.codec import Codec
from twisted_sip.sdp.connection import Origin
from twisted_sip.sdp.direction import Direction
from twisted_sip.sdp.local_stream import LocalStream
from twisted_sip.sdp.negotiation import build_answer
from twisted_sip.sdp.offer_answer import OfferAnswer

ILBC = Codec("iLBC", 8000)


def play(section: str, *, strict: bool) -> dict[str, OfferAnswer]:
    """Let both sides go through an exchange; each has its own machine."""
    sides = {"alice": OfferAnswer(strict=strict), "bob": OfferAnswer(strict=strict)}
    messages = EXCHANGES[section]
    for offer, answer in zip(messages[::2], messages[1::2], strict=True):
        offerer, answerer = sides[offer[0]], sides[answer[0]]
        assert offerer.numbered(description_of(offer)) == description_of(offer)
        offerer.offer_sent(description_of(offer))
        answerer.offer_received(description_of(offer))
        assert answerer.numbered(description_of(answer)) == description_of(answer)
        answerer.answer_sent(description_of(answer))
        offerer.answer_received(description_of(answer))
    return sides


def used(streams: tuple[AgreedStream, ...]) -> list[str]:
    """What is sent on each stream, and which way it goes."""
    return [f"{one.codec.name if one.codec else '-'} {one.direction}" for one in streams]


@pytest.mark.parametrize("section", EXCHANGES)
def test_read_and_written(section: str) -> None:
    for message in EXCHANGES[section]:
        assert str(description_of(message)) == text_of(message)


@pytest.mark.parametrize(
    ("section", "alice", "bob"),
    [
        ("2.1", ["PCMU sendrecv", "MPV sendrecv"], ["PCMU sendrecv", "MPV sendrecv"]),
        ("2.2", ["PCMU sendrecv", "H261 inactive"], ["PCMU sendrecv", "H261 inactive"]),
        ("2.3", ["iLBC sendrecv", "H261 sendrecv"], ["iLBC sendrecv", "H261 sendrecv"]),
        ("2.4", ["iLBC sendrecv", "- sendonly"], ["iLBC sendrecv", "- recvonly"]),
        ("2.5", ["iLBC sendrecv", "H261 sendrecv"], ["iLBC sendrecv", "H261 sendrecv"]),
        ("2.6", ["PCMU inactive", "iLBC sendrecv"], ["PCMU inactive", "iLBC sendrecv"]),
        ("2.7", ["iLBC sendrecv", "H261 sendrecv"], ["iLBC sendrecv", "H261 sendrecv"]),
        ("2.8", ["PCMU sendrecv", "MPV sendrecv"], ["PCMU sendrecv", "MPV sendrecv"]),
        ("3.1", ["iLBC sendrecv"], ["iLBC sendrecv"]),
        ("4.1", ["iLBC sendrecv", "- sendonly"], ["iLBC sendrecv", "- recvonly"]),
        ("4.2", ["PCMU sendrecv", "H261 sendrecv"], ["PCMU sendrecv", "H261 sendrecv"]),
        ("4.3", ["iLBC sendrecv", "H261 inactive"], ["iLBC sendrecv", "H261 inactive"]),
        ("5.1", ["iLBC sendrecv"], ["iLBC sendrecv"]),
        ("5.2", ["iLBC sendrecv"], ["iLBC sendrecv"]),
        ("5.3", ["iLBC sendrecv"], ["iLBC sendrecv"]),
    ],
)
def test_both_sides(section: str, alice: list[str], bob: list[str]) -> None:
    sides = play(section, strict=True)
    assert used(sides["alice"].streams) == alice
    assert used(sides["bob"].streams) == bob


def test_payload_types_of_the_answer_are_sent() -> None:
    sides = play("2.3", strict=True)
    assert [one.payload_type for one in sides["alice"].streams[0].send_codecs] == [99]
    assert [one.payload_type for one in sides["bob"].streams[0].send_codecs] == [97]
    assert sides["alice"].streams[0].receive_codecs[-1].payload_type == 97
    assert play("2.8", strict=True)["alice"].streams[1].remote_address == ("otherhost.biloxi.example.com", 49172)


def test_an_answer_that_goes_too_far_is_read_but_not_written() -> None:
    # In section 3.2 Alice says sendrecv to a stream that is sendonly, against RFC 3264 section 6.1.
    messages = [description_of(message) for message in EXCHANGES["3.2"]]
    for strict in (False, True):
        alice, bob = OfferAnswer(), OfferAnswer(strict=strict)
        alice.offer_sent(messages[0])
        bob.offer_received(messages[0])
        bob.answer_sent(messages[1])
        alice.answer_received(messages[1])
        bob.offer_sent(messages[2])
        alice.offer_received(messages[2])
        with pytest.raises(LocalProtocolError):
            alice.answer_sent(alice.numbered(messages[3]))
        if strict:
            with pytest.raises(RemoteProtocolError):
                bob.answer_received(messages[3])
            continue
        streams = bob.answer_received(messages[3])
        assert [one.direction for one in streams] == [Direction.SENDONLY, Direction.RECVONLY]


def test_hold_by_address() -> None:
    alice, bob = OfferAnswer(), OfferAnswer()
    offer, answer, offer_again, answer_again = [description_of(message) for message in EXCHANGES["5.2"]]
    alice.offer_sent(offer)
    bob.offer_received(offer)
    (stream,) = bob.answer_sent(answer)
    assert stream.direction is Direction.RECVONLY and stream.is_held_by_peer and not stream.sends
    (stream,) = alice.answer_received(answer)
    assert stream.is_held_by_us
    alice.offer_sent(offer_again)
    bob.offer_received(offer_again)
    (stream,) = bob.answer_sent(answer_again)
    assert stream.sends and not stream.is_held_by_peer


@pytest.mark.parametrize(
    ("section", "codecs", "ports"),
    [
        ("2.1", [[Codec("PCMU", 8000)], [Codec("MPV", 90000)]], [49174, 49170]),
        ("2.2", [[Codec("PCMU", 8000), Codec("PCMA", 8000)], []], [49172, 0]),
        ("2.4", [[ILBC], [Codec("telephone-event", 8000)]], [49172, 49174]),
        ("2.6", [[], [ILBC, Codec("telephone-event", 8000)]], [0, 49170]),
    ],
)
def test_our_answers(section: str, codecs: list[list[Codec]], ports: list[int]) -> None:
    offer, expected = (description_of(message) for message in EXCHANGES[section][:2])
    streams = [
        LocalStream(kind=one.kind, codecs=tuple(some), port=port) if some else None
        for one, some, port in zip(offer.media, codecs, ports, strict=True)
    ]
    answer = build_answer(offer, Origin("bob", "1", 1, "h"), "host.biloxi.example.com", streams)
    for ours, theirs in zip(answer.media, expected.media, strict=True):
        assert (ours.kind, ours.port, ours.direction) == (theirs.kind, theirs.port, theirs.direction)
        if theirs.port:
            assert ours.formats == theirs.formats
            assert [one.key for one in ours.codecs] == [one.key for one in theirs.codecs]
