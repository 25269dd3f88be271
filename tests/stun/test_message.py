"""STUN messages on the wire (RFC 8489 sections 5 and 14)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.stun.binding import (
    binding_answer,
    binding_request,
    decode_xor_address,
    encode_xor_address,
    mapped_address,
)
from twisted_sip.stun.message import (
    BINDING,
    ERROR,
    ERROR_CODE,
    MAPPED_ADDRESS,
    REQUEST,
    SOFTWARE,
    SUCCESS,
    UNKNOWN_ATTRIBUTES,
    STUNMessage,
    looks_like_stun,
    parse_stun,
)

ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")

# The mapped addresses of the well-known sample responses, for the transaction ID above.
XOR_IPV4 = bytes.fromhex("0001a147e112a643")
XOR_IPV6 = bytes.fromhex("0002a1470113a9faa5d3f179bc25f4b5bed2b9d9")


def test_request_bytes() -> None:
    assert binding_request(ID) == bytes.fromhex("000100002112a442") + ID


def test_known_xor_addresses() -> None:
    assert decode_xor_address(XOR_IPV4, ID) == ("192.0.2.1", 32853)
    assert decode_xor_address(XOR_IPV6, ID) == ("2001:db8:1234:5678:11:2233:4455:6677", 32853)
    assert encode_xor_address("192.0.2.1", 32853, ID) == XOR_IPV4
    assert encode_xor_address("2001:db8:1234:5678:11:2233:4455:6677", 32853, ID) == XOR_IPV6


def test_scope_is_left_out() -> None:
    host, port = decode_xor_address(encode_xor_address("fe80::1%eth0", 9, ID), ID)
    assert (host, port) == ("fe80::1", 9)


@pytest.mark.parametrize("host", ["192.0.2.7", "::1"])
@pytest.mark.parametrize("fingerprint", [False, True])
def test_answer(host: str, fingerprint: bool) -> None:
    request = STUNMessage(BINDING, REQUEST, ID, ((SOFTWARE, b"phone"),)).to_bytes(fingerprint=fingerprint)
    data = binding_answer(request, host, 40000)
    assert data is not None
    answer = parse_stun(data)
    assert (answer.method, answer.message_class, answer.transaction_id) == (BINDING, SUCCESS, ID)
    assert mapped_address(answer) == (host, 40000)
    assert (data[-8:-4] == b"\x80\x28\x00\x04") is fingerprint


def test_unknown_required_attribute_is_420() -> None:
    data = binding_answer(STUNMessage(BINDING, REQUEST, ID, ((0x7001, b"abc"),)).to_bytes(), "192.0.2.1", 1)
    assert data is not None
    answer = parse_stun(data)
    assert answer.message_class == ERROR
    assert answer.first(ERROR_CODE) == b"\0\0\x04\x14Unknown Attribute"
    assert answer.first(UNKNOWN_ATTRIBUTES) == b"\x70\x01"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 4,
        binding_request(ID)[:-1],
        binding_request(ID) + b"\0\0\0\0",
        b"\x01\x01" + binding_request(ID)[2:],  # a success response
        b"\0\x11" + binding_request(ID)[2:],  # an indication
        b"\0\x03" + binding_request(ID)[2:],  # TURN Allocate
        b"\0\x01\0\x04" + binding_request(ID)[4:] + b"\x80\x22\0\x01",  # an attribute without its value
    ],
)
def test_no_answer(data: bytes) -> None:
    assert binding_answer(data, "192.0.2.1", 1) is None


def test_types_and_classes_round_trip() -> None:
    for method in (0x001, 0x00F, 0x070, 0xF80, 0xFFF):
        for message_class in range(4):
            made = STUNMessage(method, message_class, ID, ((SOFTWARE, b"abcde"), (0x8070, b"")))
            assert parse_stun(made.to_bytes()) == made
            assert parse_stun(made.to_bytes(fingerprint=True)) == made


def test_wrong_fingerprint() -> None:
    data = bytearray(STUNMessage(BINDING, REQUEST, ID).to_bytes(fingerprint=True))
    data[-1] ^= 1
    with pytest.raises(RemoteProtocolError, match="FINGERPRINT"):
        parse_stun(bytes(data))


def test_mapped_address_without_xor() -> None:
    plain = STUNMessage(BINDING, SUCCESS, ID, ((MAPPED_ADDRESS, b"\0\x01\x13\xc4\xc0\0\x02\x01"),))
    assert mapped_address(plain) == ("192.0.2.1", 5060)
    assert mapped_address(STUNMessage(BINDING, SUCCESS, ID)) is None


@pytest.mark.parametrize("value", [b"", b"\0\x01", b"\0\x03\0\0\0\0\0\0", b"\0\x02\0\0\0\0\0\0"])
def test_malformed_address(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_xor_address(value, ID)


def test_refused_values() -> None:
    with pytest.raises(LocalProtocolError):
        binding_request(b"short")
    with pytest.raises(LocalProtocolError):
        encode_xor_address("example.com", 1, ID)


def test_sip_is_not_stun() -> None:
    assert not looks_like_stun(b"OPTIONS sip:a@b SIP/2.0\r\n")
    assert looks_like_stun(binding_request(ID))


def test_messages_of_nothing_but_attributes_are_refused() -> None:
    def many(count: int) -> bytes:
        return STUNMessage(BINDING, REQUEST, bytes(12), ((0x7000, b""), (0x7001, b"")) * count).to_bytes()

    assert binding_answer(many(65), "192.0.2.1", 5060) is None
    answer = binding_answer(many(64), "192.0.2.1", 5060)
    assert answer is not None
    assert parse_stun(answer).first(UNKNOWN_ATTRIBUTES) == b"\x70\x00\x70\x01"
