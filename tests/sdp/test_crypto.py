"""Keys, certificates and candidates in attributes."""

from __future__ import annotations

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.sdp.crypto import Crypto, SRTPKey
from twisted_sip.sdp.fingerprint import Fingerprint, Setup
from twisted_sip.sdp.ice import Candidate, check_credentials, parse_remote_candidates

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


def test_crypto() -> None:
    text = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4 FEC_ORDER=FEC_SRTP -X"
    found = Crypto.parse(text)
    assert str(found) == text
    assert found.attribute.name == "crypto"
    assert found.keys == (SRTPKey(KEY, "2^20", 1, 4), SRTPKey(KEY, "2^20", 2, 4))
    assert found.mandatory_params == {"FEC_ORDER"}
    assert KEY not in repr(found) + repr(found.keys)
    built = Crypto.build(2, "F8_128_HMAC_SHA1_32", SRTPKey(KEY), session_params=("WSH=64",))
    assert str(built) == f"2 F8_128_HMAC_SHA1_32 inline:{KEY} WSH=64"
    spaced = Crypto.parse(f" 1  S  inline:{KEY};  inline:{KEY}  WSH=64 ")
    assert len(spaced.keys) == 2 and spaced.session_params == ("WSH=64",)
    assert Crypto.parse("1 S other:x").keys == ()


def test_key_lifetimes() -> None:
    assert SRTPKey.parse(f"{KEY}|1:4") == SRTPKey(KEY, mki=1, mki_length=4)
    for text in (KEY, f"{KEY}|2^20", f"{KEY}|1:4", f"{KEY}|1000|7:128"):
        assert str(SRTPKey.parse(text)) == text
    assert [SRTPKey(KEY, text).packets for text in ("", "2^20", "2^999", "1000")] == [None, 1 << 20, 1 << 64, 1000]


@pytest.mark.parametrize(
    "text",
    ["", "1 S", "x S inline:a", "1234567890 S inline:a", "1 S- inline:a", "1 S nokey", "1 S ;", "1 S inline:a \x01"],
)
def test_malformed_crypto(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Crypto.parse(text)


@pytest.mark.parametrize("text", ["", "k!y", "k|x", "k|1:0", "k|1:129", "k|2^20|1", "k|2^20|1:4|5", "k|1:4|2^20"])
def test_malformed_key(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SRTPKey.parse(text)
    assert caught.value.status == 488


def test_crypto_that_cannot_be_sent() -> None:
    for make in [
        lambda: Crypto(-1, "S", ("inline:a",)),
        lambda: Crypto(1, "S S", ("inline:a",)),
        lambda: Crypto(1, "S", ()),
        lambda: Crypto(1, "S", ("inline:a b",)),
        lambda: Crypto(1, "S", ("inline:a",), ("a b",)),
        lambda: SRTPKey("a b"),
        lambda: SRTPKey(KEY, "soon"),
        lambda: SRTPKey(KEY, mki=1),
    ]:
        with pytest.raises(LocalProtocolError):
            make()


def test_fingerprint() -> None:
    found = Fingerprint.parse("SHA-256  ab:cd ")
    assert str(found) == "sha-256 AB:CD"
    assert found.digest == b"\xab\xcd"
    assert Fingerprint.of("SHA-256", b"\xab\xcd") == found
    assert found.attribute.name == "fingerprint"
    for text in ("", "sha-1", "sha-1 A", "sha-1 AB:C", "sha-1 AB:", "sh(a AB"):
        with pytest.raises(RemoteProtocolError):
            Fingerprint.parse(text)
    with pytest.raises(LocalProtocolError):
        Fingerprint("sha-1", "x")


def test_setup() -> None:
    assert Setup.ACTPASS.answers[0] is Setup.ACTIVE
    assert Setup.ACTIVE.answers[0] is Setup.PASSIVE
    assert Setup.PASSIVE.answers[0] is Setup.ACTIVE
    assert str(Setup.HOLDCONN) == "holdconn" and Setup.HOLDCONN.answers == (Setup.HOLDCONN,)


@pytest.mark.parametrize(
    "text",
    [
        "1 1 UDP 2130706431 203.0.113.141 8998 typ host",
        "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
        "a+/ 2 TCP 1 2001:db8::1 9 typ host tcptype active generation 0",
        "1 1 udp 2122260223 4f1c.local 55000 typ host generation 0 network-cost 999",
    ],
)
def test_candidate(text: str) -> None:
    found = Candidate.parse(text)
    assert str(found) == text
    assert found.attribute.value == text
    assert Candidate.parse(f" candidate:{text}") == found
    assert found.has_address is (".local" not in text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 1 UDP 1 192.0.2.3 4 host typ",
        "1 0 UDP 1 192.0.2.3 4 typ host",
        "1 257 UDP 1 192.0.2.3 4 typ host",
        "1 1 UDP 4294967296 192.0.2.3 4 typ host",
        "1 1 UDP 1 192.0.2.3 65536 typ host",
        "1 1 UDP 1 192.0.2.3 4 typ host raddr 192.0.2.3 rport x",
        "1 1 U(P 1 192.0.2.3 4 typ host",
        f"{'f' * 33} 1 UDP 1 192.0.2.3 4 typ host",
        "1 1 UDP 1 192.0.2.3 4 typ host ext \u00e4",
        "1 1 UDP 1 192.0.2.3 4 typ host raddr \x01",
    ],
)
def test_malformed_candidate(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Candidate.parse(text)


def test_remote_candidates_and_credentials() -> None:
    text = "1 192.0.2.3 45664 2 192.0.2.3 45665"
    assert " ".join(map(str, parse_remote_candidates(text))) == text
    for bad in ("", "1 2", "0 192.0.2.3 1", "1 192.0.2.3 x"):
        with pytest.raises(RemoteProtocolError):
            parse_remote_candidates(bad)
    check_credentials("8hhY", "asd88fgpdd777uzjYhagZg")
    for ufrag, password in (("abc", "a" * 22), ("abcd", "a" * 21), ("ab-d", "a" * 22)):
        with pytest.raises(LocalProtocolError):
            check_credentials(ufrag, password)
