"""Sessions whose keys stand in their descriptions (RFC 4568)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from tests.media.secured import SecureCall
from twisted_sip.errors import LocalProtocolError, MediaRefused
from twisted_sip.media.sdes import OwnKeys, agreed_keys, master_key
from twisted_sip.media.srtp_profile import LIFETIME, PROFILES, MasterKey
from twisted_sip.media.stream_keys import SecurityState
from twisted_sip.sdp.attributes import Attribute
from twisted_sip.sdp.crypto import Crypto
from twisted_sip.sdp.description import SessionDescription

CLEAR = {"sdes_in_clear": True}
OFFERED = {"srtp": "offered", **CLEAR}
REQUIRED = {"srtp": "required", **CLEAR}
KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"

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


def changed(description: SessionDescription, *cryptos: str, protocol: str = "") -> SessionDescription:
    """The same with these crypto attributes."""
    media = description.media[0]
    attributes = [one for one in media.attributes if one.name != "crypto"]
    attributes += [Attribute("crypto", one) for one in cryptos]
    media = attrs.evolve(media, attributes=tuple(attributes), protocol=protocol or media.protocol)
    return SessionDescription.parse(attrs.evolve(description, media=(media,)).to_bytes())


@pytest.mark.parametrize("suite", tuple(PROFILES))
def test_each_suite_protects_both_ways(calls: Make, suite: str) -> None:
    call = calls({**REQUIRED, "suites": (suite,)})
    offer, answer = call.agree()
    assert offer.media[0].protocol == answer.media[0].protocol == "RTP/SAVP"
    assert offer.media[0].crypto[0].suite == answer.media[0].crypto[0].suite == suite
    assert call.secure and call.a.security.suite == suite and call.a.security.keying == "sdes"
    one, other = call.heard(3.0)
    assert one > 140 and other > 140
    assert call.a.statistics().packets_refused == call.b.statistics().packets_refused == 0
    # Neither silence nor a name in RTCP can be read.
    assert any(192 <= data[1] <= 223 for data in call.packets())
    assert not any(b"@192.0.2" in data or b"\xff" * 40 in data for data in call.packets())


def test_the_tag_is_echoed_and_one_attribute_chosen(calls: Make) -> None:
    call = calls(REQUIRED, {**REQUIRED, "suites": ("AES_CM_128_HMAC_SHA1_80",)})
    offer, answer = call.agree()
    assert [one.tag for one in offer.media[0].crypto] == [1, 2, 3, 4]
    assert [(one.tag, one.suite) for one in answer.media[0].crypto] == [(3, "AES_CM_128_HMAC_SHA1_80")]
    assert call.heard()[1] > 40


def test_best_effort_is_protected_where_both_can(calls: Make) -> None:
    call = calls(OFFERED)
    offer, answer = call.agree()
    assert offer.media[0].protocol == "RTP/AVP" and answer.media[0].crypto
    assert call.secure and call.heard()[0] > 40
    # It stays so in later offers, from either side.
    offer, _ = call.agree(call.b, call.a)
    assert offer.media[0].protocol == "RTP/AVP" and call.secure and call.heard()[0] > 40


def test_best_effort_is_plain_where_the_peer_cannot(calls: Make) -> None:
    call = calls(OFFERED, {})
    offer, answer = call.agree()
    assert offer.media[0].crypto and not answer.media[0].crypto
    assert call.a.security.state is SecurityState.PLAIN and call.b.security.state is SecurityState.PLAIN
    assert min(call.heard()) > 40
    # A later offer may not silence it before its answer.
    call.a.offer()
    assert min(call.heard()) > 40


def test_a_plain_offer_gets_a_plain_answer(calls: Make) -> None:
    call = calls({}, OFFERED)
    call.agree()
    assert call.b.keys is not None and call.b.keys.protection is None
    assert min(call.heard()) > 40


def test_keys_are_not_offered_in_the_clear_unless_somebody_says_so(calls: Make) -> None:
    call = calls({"srtp": "offered", "keying": ("sdes",)})
    assert not call.a.offer().media[0].crypto
    strict = calls({"srtp": "required", "keying": ("sdes",)})
    with pytest.raises(LocalProtocolError, match=r"8\.3"):
        strict.a.offer()
    # Nothing is outstanding after that.
    with pytest.raises(LocalProtocolError, match=r"8\.3"):
        strict.a.offer()


def test_signalling_that_is_secure_carries_keys(calls: Make) -> None:
    class Call:
        signalling_is_secure = True

    assert calls({"srtp": "required"}, call=Call()).a.offer().media[0].crypto


def test_offered_keys_are_taken_whatever_carried_them(calls: Make) -> None:
    call = calls(REQUIRED, {"srtp": "offered"})
    call.agree()
    assert call.secure


def test_required_refuses_a_plain_offer_with_488_and_a_warning(calls: Make) -> None:
    call = calls({}, REQUIRED)
    with pytest.raises(MediaRefused) as caught:
        call.b.answer(call.made(call.a.offer()))
    assert caught.value.status == 488 and caught.value.warning_code == 302 and "SRTP" in caught.value.warning_text


def test_required_refuses_a_plain_answer(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(offer))
    with pytest.raises(MediaRefused):
        call.a.answered(changed(answer))
    with pytest.raises(MediaRefused):
        call.a.answered(changed(answer, protocol="RTP/AVP"))
    assert call.heard() == (0, 0)


def test_protected_streams_are_refused_where_srtp_is_off(calls: Make) -> None:
    call = calls(REQUIRED, {})
    with pytest.raises(MediaRefused) as caught:
        call.b.answer(call.made(call.a.offer()))
    assert caught.value.status == 488


def test_nothing_in_common_is_refused(calls: Make) -> None:
    call = calls({**REQUIRED, "suites": ("AEAD_AES_256_GCM",)}, {**REQUIRED, "suites": ("AES_CM_128_HMAC_SHA1_32",)})
    with pytest.raises(MediaRefused) as caught:
        call.b.answer(call.made(call.a.offer()))
    assert caught.value.warning_code == 306


@pytest.mark.parametrize(
    "value",
    [
        f"9 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"3 AES_CM_128_HMAC_SHA1_32 inline:{KEY}",
        "3 AES_CM_128_HMAC_SHA1_80 inline:QUFB",
        f"3 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^49",
        f"3 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP",
    ],
)
def test_an_answer_that_was_not_offered_is_refused(calls: Make, value: str) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(offer))
    with pytest.raises(MediaRefused):
        call.a.answered(changed(answer, value))
    with pytest.raises(MediaRefused):
        call.a.answered(changed(answer, *[str(one) for one in offer.media[0].crypto]))


def test_our_own_key_is_no_answer(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    answer = call.made(call.b.answer(offer))
    with pytest.raises(MediaRefused, match="key of the offer"):
        call.a.answered(changed(answer, str(offer.media[0].crypto[0])))


def test_a_peer_with_an_mki_and_a_lifetime(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    value = f"7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"
    answer = call.made(call.b.answer(changed(offer, value)))
    assert answer.media[0].crypto[0].tag == 7 and answer.media[0].crypto[0].keys[0].mki is None
    assert call.b.keys is not None and call.b.keys.protection is not None
    receiving = call.b.keys.protection.receiving
    assert receiving is not None and receiving.key.mki == b"\0\0\0\1" and receiving.key.lifetime == 1 << 20


@pytest.mark.parametrize(
    "value",
    [
        "1 F8_128_HMAC_SHA1_80 inline:" + KEY,
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4;inline:{KEY}|2:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|0",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|256:1",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|x",
        f"1 AES_CM_128_HMAC_SHA1_80 other:{KEY}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-4]}",
    ],
)
def test_attributes_that_cannot_be_had(value: str) -> None:
    crypto = Crypto.parse(value)
    assert master_key(crypto) is None
    keys = OwnKeys(tuple(PROFILES.values()), bytes)
    good = Crypto.parse(f"2 AES_CM_128_HMAC_SHA1_32 inline:{KEY} WSH=128")
    chosen = keys.answer([crypto, good])
    assert chosen is not None and chosen[0].tag == 2 and chosen[1].lifetime == LIFETIME
    assert keys.answer([crypto]) is None


def test_two_attributes_of_one_suite_of_which_the_first_is_bad_are_refused(calls: Make) -> None:
    call = calls(REQUIRED)
    bad = "1 AES_CM_128_HMAC_SHA1_80 inline:QUFB"
    offer = changed(call.made(call.a.offer()), bad, f"2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}")
    with pytest.raises(MediaRefused):
        call.b.answer(offer)


def test_a_replayed_and_a_forged_packet_are_dropped_and_counted(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(1)
    assert call.b.keys is not None and call.b.keys.protection is not None
    protection = call.b.keys.protection
    source, target = ("192.0.2.1", call.a.port.port), ("192.0.2.2", call.b.port.port)
    packet = next(data for data in call.packets() if not 192 <= data[1] <= 223)
    before = call.b.statistics()
    call.network.carry(packet, source, target)
    call.network.carry(packet[:-1] + bytes([packet[-1] ^ 1]), source, target)
    call.network.carry(packet[:2] + b"\x7f\xff" + packet[4:], source, target)
    call.run(0.1)
    # Whether a number has come before is looked at first.
    assert (protection.replayed, protection.forged) == (2, 1)
    assert call.b.statistics().packets_refused - before.packets_refused == 3


def test_new_keys_by_another_offer_without_a_gap(calls: Make) -> None:
    call = calls(REQUIRED)
    first, answer = call.agree()
    call.run(1)
    call.a.renew_keys()
    call.b.renew_keys()
    lost = call.b.statistics().packets_lost
    second, again = call.agree()
    assert second.media[0].crypto[0].key_params != first.media[0].crypto[0].key_params
    assert again.media[0].crypto[0].key_params != answer.media[0].crypto[0].key_params
    one, other = call.heard(2.0)
    assert one >= 95 and other >= 95
    assert call.b.statistics().packets_lost == lost and call.b.statistics().packets_refused == 0
    assert call.a.statistics().packets_refused == 0


def test_another_offer_keeps_the_keys(calls: Make) -> None:
    call = calls(REQUIRED)
    first, _ = call.agree()
    call.a.hold(True)
    second, _ = call.agree()
    assert second.media[0].crypto == first.media[0].crypto and second.media[0].protocol == "RTP/SAVP"
    assert len(call.events["a"]) == 1


def test_a_rollback_goes_back_to_the_keys_before(calls: Make) -> None:
    call = calls(REQUIRED)
    call.agree()
    call.run(1)
    call.b.renew_keys()
    call.a.renew_keys()
    call.b.answer(call.made(call.a.offer()))
    call.a.rolled_back()
    call.b.rolled_back()
    assert min(call.heard()) > 40


def test_another_fork_answers(calls: Make) -> None:
    call = calls(REQUIRED)
    offer = call.made(call.a.offer())
    other = call.planes[1]()
    call.a.answered(call.made(other.answer(offer)))
    call.run(0.5)
    call.a.answered(call.made(call.b.answer(offer)))
    assert min(call.heard()) > 35


def test_another_place_with_other_keys_is_not_told_keys_that_are_in_use(calls: Make) -> None:
    """Somebody to whom the call was handed over cannot know how often our numbers have run over (section 7.1.4)."""
    call = calls(REQUIRED)
    call.agree()
    call.a.stream.sender.sequence = 0xFFF0
    assert min(call.heard()) > 40
    other = call.planes[1]()
    answer = call.made(call.a.answer(call.made(other.offer())))
    other.answered(answer)
    before = other.statistics().packets_received
    call.run(1)
    assert other.statistics().packets_received - before > 40
    # The same place, or the same keys: a phone that goes on.
    offer = call.made(other.offer())
    assert call.a.answer(offer).media[0].crypto == answer.media[0].crypto
    moved = attrs.evolve(offer, media=(attrs.evolve(offer.media[0], port=41000),))
    assert call.a.answer(moved).media[0].crypto == answer.media[0].crypto


@pytest.mark.parametrize("settings", [OFFERED, REQUIRED, {}])
def test_the_same_stream_offered_with_keys_and_without(calls: Make, settings: dict[str, Any]) -> None:
    call = calls(REQUIRED, settings)
    offer = call.made(call.a.offer())
    plain = attrs.evolve(changed(offer).media[0], protocol="RTP/AVP", port=41000)
    twice = SessionDescription.parse(attrs.evolve(offer, media=(plain, offer.media[0])).to_bytes())
    answer = call.made(call.b.answer(twice))
    assert [bool(one.port) for one in answer.media] == [not settings, bool(settings)]


def test_keys_of_both_sides_from_descriptions() -> None:
    text = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
    one = SessionDescription.parse(text + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n").media[0]
    other = SessionDescription.parse(text + f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[4:]}QUFC\r\n").media[0]
    ours, theirs = agreed_keys(one, other, offered=True)
    assert isinstance(ours, MasterKey) and ours.text == KEY
    assert agreed_keys(other, one, offered=False) == (theirs, ours)


def test_nothing_changes_where_srtp_is_off(calls: Make) -> None:
    call = calls({})
    call.a.renew_keys()
    assert call.a.keys is None and call.a.ice is None and call.a.security.state is SecurityState.PLAIN
