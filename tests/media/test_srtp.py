"""SRTP and SRTCP: what is protected, what is refused, how keys change (RFC 3711, RFC 7714)."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from twisted_sip.errors import LocalProtocolError, MissingExtra
from twisted_sip.media import srtp as srtp_module
from twisted_sip.media.rtp import pack_header
from twisted_sip.media.srtp import OVERLAP, SRTP, ReceivingContext, SendingContext, SplitProtection, srtp_library
from twisted_sip.media.srtp_profile import PROFILES, MasterKey, decoded, profiles_of

SUITES = tuple(PROFILES)


def key(suite: str = SUITES[0], first: int = 0, **more: Any) -> MasterKey:
    profile = PROFILES[suite]
    return MasterKey(profile, bytes((first + n) % 256 for n in range(profile.length)), **more)


def rtp(sequence: int = 1, ssrc: int = 0x01020304, payload: bytes = b"sound" * 10) -> bytes:
    return pack_header(0x80, 0, sequence, 160 * sequence, ssrc) + payload


def rtcp(ssrc: int = 0x01020304) -> bytes:
    return b"\x80\xc9\x00\x01" + ssrc.to_bytes(4, "big")


class Ends:
    """Both ends of a stream under two keys, at a time that is set."""

    def __init__(self, suite: str = SUITES[0], **more: Any) -> None:
        self.now = 100.0
        self.a = SRTP(lambda: self.now)
        self.b = SRTP(lambda: self.now)
        self.first, self.second = key(suite, 1, **more), key(suite, 77, **more)
        self.a.use(self.first, self.second)
        self.b.use(self.second, self.first)

    def over(self, data: bytes) -> bytes | None:
        protected = self.a.protect_rtp(data)
        assert protected is not None
        return self.b.unprotect_rtp(protected)


# RFC 3711 appendix B.3: the key derivation, as the reference for whole packets below.
_MASTER, _SALT = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139"), bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")


def keystream(secret: bytes, counter: bytes, length: int) -> bytes:
    encryptor = Cipher(algorithms.AES(secret), modes.CTR(counter)).encryptor()
    return encryptor.update(bytes(length))


def derived(master: bytes, salt: bytes, label: int, length: int) -> bytes:
    salt = salt.ljust(14, b"\0")
    mixed = (int.from_bytes(salt, "big") ^ (label << 48)).to_bytes(14, "big")
    return keystream(master, mixed + b"\0\0", length)


def counter_block(salt: bytes, ssrc: int, index: int) -> bytes:
    mixed = (int.from_bytes(salt, "big") << 16) ^ (ssrc << 64) ^ (index << 16)
    return mixed.to_bytes(16, "big")


def tag(secret: bytes, data: bytes, length: int) -> bytes:
    made = hmac.HMAC(secret, hashes.SHA1())
    made.update(data)
    return made.finalize()[:length]


def test_the_reference_is_that_of_the_rfc() -> None:
    assert derived(_MASTER, _SALT, 0, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derived(_MASTER, _SALT, 2, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert derived(_MASTER, _SALT, 1, 20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"
    secret, salt = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
    assert keystream(secret, counter_block(salt, 0, 0), 16).hex().upper() == "E03EAD0935C95E80E166B16DD92B4EB4"


@pytest.mark.parametrize(("suite", "length"), [("AES_CM_128_HMAC_SHA1_80", 10), ("AES_CM_128_HMAC_SHA1_32", 4)])
def test_packets_in_counter_mode_are_those_of_rfc_3711(suite: str, length: int) -> None:
    sending = SendingContext(MasterKey(PROFILES[suite], _MASTER + _SALT))
    packet = rtp(0x1234, 0xDECAFBAD, bytes(range(40)))
    stream = keystream(
        derived(_MASTER, _SALT, 0, 16), counter_block(derived(_MASTER, _SALT, 2, 14), 0xDECAFBAD, 0x1234), 40
    )
    sealed = packet[:12] + bytes(one ^ two for one, two in zip(packet[12:], stream, strict=True))
    # Section 4.2: the rollover counter is part of what is authenticated.
    assert sending.protect_rtp(packet) == sealed + tag(derived(_MASTER, _SALT, 1, 20), sealed + bytes(4), length)
    compound = rtcp(0xDECAFBAD) + bytes(8)
    stream = keystream(derived(_MASTER, _SALT, 3, 16), counter_block(derived(_MASTER, _SALT, 5, 14), 0xDECAFBAD, 1), 8)
    sealed = compound[:8] + stream + (1 << 31 | 1).to_bytes(4, "big")
    assert sending.protect_rtcp(compound) == sealed + tag(derived(_MASTER, _SALT, 4, 20), sealed, 10)


def test_packets_of_aead_are_those_of_rfc_7714() -> None:
    profile = PROFILES["AEAD_AES_128_GCM"]
    master, salt = _MASTER, _SALT[:12]
    sending = SendingContext(MasterKey(profile, master + salt))
    packet = rtp(0x1234, 0xDECAFBAD, bytes(range(40)))
    secret, session_salt = derived(master, salt, 0, 16), derived(master, salt, 2, 12)
    # Two octets of zeros, SSRC, rollover counter, sequence number.
    plain = bytes(2) + (0xDECAFBAD).to_bytes(4, "big") + bytes(4) + b"\x12\x34"
    nonce = bytes(one ^ two for one, two in zip(plain, session_salt, strict=True))
    assert sending.protect_rtp(packet) == packet[:12] + AESGCM(secret).encrypt(nonce, packet[12:], packet[:12])


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("mki", [b"", b"\0\1", b"\7"])
def test_what_goes_in_comes_out(suite: str, mki: bytes) -> None:
    ends = Ends(suite, mki=mki)
    for sequence in range(5):
        assert ends.over(rtp(sequence)) == rtp(sequence)
        protected = ends.b.protect_rtcp(rtcp())
        assert protected is not None and protected != rtcp() and ends.a.unprotect_rtcp(protected) == rtcp()
    assert ends.a.profile == suite
    assert (ends.b.replayed, ends.b.forged, ends.b.keyless) == (0, 0, 0)


@pytest.mark.parametrize("suite", SUITES)
def test_a_replayed_packet_is_dropped(suite: str) -> None:
    ends = Ends(suite)
    protected = ends.a.protect_rtp(rtp())
    compound = ends.a.protect_rtcp(rtcp())
    assert protected is not None and compound is not None
    assert ends.b.unprotect_rtp(protected) == rtp() and ends.b.unprotect_rtcp(compound) == rtcp()
    assert ends.b.unprotect_rtp(protected) is None and ends.b.unprotect_rtcp(compound) is None
    assert ends.b.replayed == 2 and ends.b.forged == 0


@pytest.mark.parametrize("suite", SUITES)
def test_a_changed_packet_is_dropped_wherever_it_was_changed(suite: str) -> None:
    ends = Ends(suite)
    protected = ends.a.protect_rtp(rtp())
    assert protected is not None
    for place in range(1, len(protected)):
        changed = bytearray(protected)
        changed[place] ^= 1
        assert ends.b.unprotect_rtp(bytes(changed)) is None
    assert ends.b.forged == len(protected) - 1
    assert ends.b.unprotect_rtp(protected) == rtp()


def test_no_datagram_raises() -> None:
    ends = Ends()
    for data in (b"", b"\x80", bytes(11), b"\x8f" + bytes(13), b"\x90" + bytes(15), bytes([0x80]) * 4096):
        assert ends.b.unprotect_rtp(data) is None and ends.b.unprotect_rtcp(data) is None
    with_mki = Ends(mki=b"\0\1")
    for data in (b"", bytes(13), rtp()):
        assert with_mki.b.unprotect_rtp(data) is None
    assert ends.a.protect_rtp(bytes(1400)) is None and ends.a.protect_rtcp(b"") is None
    assert ends.a.sending is not None and ends.a.sending.failed == 2


def test_without_keys_nothing_passes() -> None:
    empty = SRTP(lambda: 0.0)
    assert empty.protect_rtp(rtp()) is None and empty.protect_rtcp(rtcp()) is None
    assert empty.unprotect_rtp(rtp()) is None and empty.unprotect_rtcp(rtcp()) is None
    assert empty.keyless == 4 and empty.profile == "" and empty.forged == 0 and empty.replayed == 0


def test_a_key_is_used_up() -> None:
    ends = Ends(lifetime=2)
    assert ends.over(rtp(1)) and ends.over(rtp(2))
    assert ends.a.protect_rtp(rtp(3)) is None
    assert ends.a.protect_rtcp(rtcp()) and ends.a.protect_rtcp(rtcp()) and ends.a.protect_rtcp(rtcp()) is None
    # A peer that goes on is not followed.
    longer = SendingContext(key(first=1))
    assert ends.b.unprotect_rtp(longer.protect_rtp(rtp(9)) or b"") is None


def test_sources_are_bounded_and_strangers_make_none() -> None:
    ends = Ends()
    stranger = SendingContext(key(first=5))
    for ssrc in range(200):
        assert ends.b.unprotect_rtp(stranger.protect_rtp(rtp(1, ssrc)) or b"") is None
    taken = [ends.over(rtp(1, ssrc)) for ssrc in range(100)]
    assert sum(one is not None for one in taken) == srtp_module._MOST_SOURCES
    assert ends.over(rtp(2, 0)) == rtp(2, 0)


def test_packets_under_the_key_before_are_taken_for_a_while() -> None:
    ends = Ends()
    assert ends.over(rtp(1))
    late = [ends.a.protect_rtp(rtp(sequence)) for sequence in (2, 3)]
    third = key(first=150)
    ends.a.use(third, ends.second)
    ends.b.use(ends.second, third)
    assert ends.over(rtp(4)) == rtp(4)
    assert ends.b.unprotect_rtp(late[0] or b"") == rtp(2)
    assert ends.b.unprotect_rtp(late[0] or b"") is None and ends.b.replayed == 1
    assert ends.b.forged == 0
    ends.now += OVERLAP
    assert ends.b.unprotect_rtp(late[1] or b"") is None and ends.b.forged == 1


def test_a_forgery_is_counted_once_while_there_are_two_keys() -> None:
    ends = Ends()
    ends.b.use(ends.second, key(first=150))
    assert ends.b.unprotect_rtp(rtp()) is None and ends.b.forged == 1
    ends.b.use(ends.second, key(first=151))
    assert ends.b.forged == 1


def test_a_rollback_goes_on_under_the_key_before_with_its_history() -> None:
    ends = Ends()
    protected = ends.a.protect_rtp(rtp(1))
    assert ends.b.unprotect_rtp(protected or b"") == rtp(1)
    sending = ends.b.sending
    ends.b.use(key(first=150), key(first=151))
    assert ends.b.sending is not sending
    ends.b.use(ends.second, ends.first)
    assert ends.b.sending is sending
    assert ends.b.unprotect_rtp(protected or b"") is None and ends.b.replayed == 1
    assert ends.over(rtp(2)) == rtp(2)


def test_the_same_keys_again_change_nothing() -> None:
    ends = Ends()
    sending, receiving = ends.a.sending, ends.a.receiving
    ends.a.use(ends.first, ends.second)
    assert ends.a.sending is sending and ends.a.receiving is receiving


def test_rtp_and_rtcp_under_different_keys() -> None:
    one, two = Ends(), Ends(SUITES[2])
    a, b = SplitProtection(one.a, two.a), SplitProtection(one.b, two.b)
    assert b.unprotect_rtp(a.protect_rtp(rtp()) or b"") == rtp()
    assert b.unprotect_rtcp(a.protect_rtcp(rtcp()) or b"") == rtcp()
    assert one.a.sending is not None and one.a.sending.rtcp == 0


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylibsrtp", None)
    with pytest.raises(MissingExtra, match=r"twisted-sip\[srtp\]") as caught:
        srtp_library()
    assert caught.value.extra == "srtp"
    with pytest.raises(MissingExtra):
        ReceivingContext(key())


def test_keys_in_text() -> None:
    profile = PROFILES[SUITES[0]]
    made = key()
    assert decoded(profile, made.text) == made.key_salt
    assert decoded(profile, made.text.rstrip("=")) == made.key_salt
    assert decoded(profile, made.text[4:]) is None and decoded(profile, "a") is None
    assert made.text not in repr(made)


def test_suites_are_known_by_name() -> None:
    assert profiles_of(("aes_cm_128_hmac_sha1_80",)) == (PROFILES["AES_CM_128_HMAC_SHA1_80"],)
    for wrong in ((), ("F8_128_HMAC_SHA1_80",)):
        with pytest.raises(LocalProtocolError):
            profiles_of(wrong)


def test_a_key_never_begins_again_whatever_came_between() -> None:
    """RFC 3711 section 9.1: no index twice under one key."""
    ends = Ends()
    sent = {ends.a.protect_rtcp(rtcp())}
    for first in (1, 101, 201, 1, 201, 101, 1):
        ends.a.use(key(first=first), ends.second)
        for _ in range(3):
            sent.add(ends.a.protect_rtcp(rtcp()))
    assert len(sent) == 22 and None not in sent
    for first in range(100):
        ends.a.use(key(SUITES[1], first), ends.second)
    assert len(ends.a._used) <= 16
