"""TURN messages, and messages over streams (RFC 8656 sections 12 and 18)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.stun.binding import binding_request, decode_address, encode_address
from twisted_sip.stun.credentials import nonce_features, password_algorithms
from twisted_sip.stun.framing import STUNFramer
from twisted_sip.stun.integrity import sign, verified
from twisted_sip.stun.message import (
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    SOFTWARE,
    STUNMessage,
    parse_stun,
)
from twisted_sip.stun.turn import (
    LIFETIME,
    channel_data,
    channel_number,
    lifetime,
    parse_channel_data,
    parse_channel_number,
    parse_lifetime,
)

ID = bytes(range(12))


def test_channel_data() -> None:
    assert channel_data(0x4000, b"abc") == b"\x40\0\0\3abc"
    assert channel_data(0x4FFF, b"abc", padded=True) == b"\x4f\xff\0\3abc\0"
    assert parse_channel_data(b"\x40\0\0\3abc\0") == (0x4000, b"abc")
    for data in (b"", b"\x40\0\0\4abc", b"\x50\0\0\0"):
        with pytest.raises(RemoteProtocolError):
            parse_channel_data(data)
    for number, payload in ((0x3FFF, b""), (0x5000, b""), (0x4000, bytes(65536))):
        with pytest.raises(LocalProtocolError):
            channel_data(number, payload)


def test_values() -> None:
    assert parse_channel_number(channel_number(0x4001)) == 0x4001
    with pytest.raises(RemoteProtocolError):
        parse_channel_number(b"\x40")
    assert parse_lifetime(STUNMessage(4, 0, ID, ((LIFETIME, lifetime(600)),))) == 600
    assert parse_lifetime(STUNMessage(4, 0, ID)) is None
    with pytest.raises(RemoteProtocolError):
        parse_lifetime(STUNMessage(4, 0, ID, ((LIFETIME, b"1"),)))
    assert decode_address(encode_address("2001:db8::1", 7)) == ("2001:db8::1", 7)


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_framer(step: int) -> None:
    messages = [binding_request(ID), channel_data(0x4000, b"abcde"), channel_data(0x4001, b""), binding_request(ID)]
    stream = b"".join(each + bytes(-len(each) % 4) for each in messages)
    framer = STUNFramer()
    found = []
    for place in range(0, len(stream), step):
        found += framer.feed(stream[place : place + step])
    assert found == messages
    assert framer.held == 0


def test_framer_refuses_what_is_neither() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        STUNFramer().feed(b"\x16\x03\x01\0\x05")
    assert caught.value.fatal


def test_what_follows_integrity_is_ignored() -> None:
    message = STUNMessage(1, 0, ID, ((SOFTWARE, b"a"),))
    for kinds in ((MESSAGE_INTEGRITY,), (MESSAGE_INTEGRITY_SHA256,), (MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256)):
        signed = parse_stun(sign(message, b"key", kinds))
        late = STUNMessage(1, 0, ID, (*signed.attributes, (SOFTWARE, b"late"), (MESSAGE_INTEGRITY, bytes(20))))
        data = late.to_bytes()
        assert parse_stun(data) == signed
        assert all(verified(data, b"key", kind) for kind in kinds)


@given(st.binary(max_size=120))
def test_parsers_raise_what_they_declare(data: bytes) -> None:
    whole = b"\0\1" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + ID + data
    for each in (data, whole):
        for parse in (parse_stun, parse_channel_data, decode_address, STUNFramer().feed, parse_channel_number):
            with contextlib.suppress(RemoteProtocolError):
                parse(each)  # type: ignore[operator]
        verified(each, b"key", MESSAGE_INTEGRITY)
        nonce_features(each)
        nonce_features(b"obMatJos2" + each)
        password_algorithms(each)


@given(st.lists(st.tuples(st.integers(0x7000, 0x7FFF), st.binary(max_size=20)), max_size=6), st.binary(min_size=1))
def test_signed_messages_round_trip(attributes: list[tuple[int, bytes]], key: bytes) -> None:
    message = STUNMessage(1, 2, ID, tuple(attributes))
    data = sign(message, key, (MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256), fingerprint=True)
    assert verified(data, key, MESSAGE_INTEGRITY) and verified(data, key, MESSAGE_INTEGRITY_SHA256)
    # But for the length in the header, which parse_stun checks.
    for place in (0, 9, 21):
        broken = bytearray(data)
        broken[place] ^= 1
        assert not verified(bytes(broken), key, MESSAGE_INTEGRITY_SHA256)
    assert parse_stun(data).attributes[: len(attributes)] == tuple(attributes)
