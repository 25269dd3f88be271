"""The test vectors of RFC 5769 section 2 and RFC 8489 appendix B."""

from __future__ import annotations

import pytest

from twisted_sip.stun.binding import mapped_address
from twisted_sip.stun.credentials import nonce_features, password_algorithms
from twisted_sip.stun.integrity import (
    SHA256,
    integrity_kind,
    long_term_key,
    short_term_key,
    sign,
    userhash,
    verified,
)
from twisted_sip.stun.message import (
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PASSWORD_ALGORITHM,
    REALM,
    SOFTWARE,
    USERHASH,
    USERNAME,
    STUNMessage,
    has_fingerprint,
    parse_stun,
)

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
USER = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
# As corrected by erratum 6268: with a PASSWORD-ALGORITHM, another length and another HMAC.
LONG_TERM_SHA256 = bytes.fromhex(
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c394653547679363473"
    "41000000"
    "0014000b6578616d706c652e6f726700"
    "001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)


def test_sample_request() -> None:
    message = parse_stun(REQUEST)
    assert message.first(USERNAME) == b"evtj:h6vY"
    assert message.first(SOFTWARE) == b"STUN test client"
    assert integrity_kind(message) == MESSAGE_INTEGRITY
    assert has_fingerprint(REQUEST)
    assert verified(REQUEST, short_term_key(PASSWORD), MESSAGE_INTEGRITY)
    assert not verified(REQUEST, short_term_key(PASSWORD + "x"), MESSAGE_INTEGRITY)
    assert not verified(REQUEST, short_term_key(PASSWORD), MESSAGE_INTEGRITY_SHA256)


@pytest.mark.parametrize(
    ("data", "host"), [(IPV4_RESPONSE, "192.0.2.1"), (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677")]
)
def test_sample_responses(data: bytes, host: str) -> None:
    message = parse_stun(data)
    assert mapped_address(message) == (host, 32853)
    assert verified(data, short_term_key(PASSWORD), MESSAGE_INTEGRITY)


def test_sample_request_with_long_term_authentication() -> None:
    message = parse_stun(LONG_TERM)
    assert message.first(USERNAME) == USER.encode()
    key = long_term_key(USER, "example.org", "TheMatrIX")
    assert verified(LONG_TERM, key, MESSAGE_INTEGRITY)
    # It is padded with zeros, so it can be made anew, octet by octet.
    bare = STUNMessage(message.method, message.message_class, message.transaction_id, message.attributes[:-1])
    assert sign(bare, key, (MESSAGE_INTEGRITY,)) == LONG_TERM


def test_sample_request_with_sha256_and_userhash() -> None:
    message = parse_stun(LONG_TERM_SHA256)
    assert message.first(USERHASH) == userhash(USER, "example.org")
    assert message.first(NONCE) == b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"
    assert message.first(REALM) == b"example.org"
    assert password_algorithms(message.first(PASSWORD_ALGORITHM) or b"") == (SHA256,)
    key = long_term_key(USER, "example.org", "TheMatrIX", SHA256)
    assert verified(LONG_TERM_SHA256, key, MESSAGE_INTEGRITY_SHA256)
    assert nonce_features(message.first(NONCE) or b"") == 0x000002


def test_key_of_the_text() -> None:
    # RFC 8489 section 9.2.2.
    assert long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"
