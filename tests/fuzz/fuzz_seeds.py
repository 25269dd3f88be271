"""What a fuzzer starts from: the torture messages, and values of every kind."""

from __future__ import annotations

from pathlib import Path

from fuzz_properties import NAMES, TARGETS

TORTURE = Path(__file__).parent.parent / "torture"

CREDENTIALS = (
    b'Digest username="alice", realm="example.com", nonce="NONCE", uri="sip:example.com", response='
    b'"0123456789abcdef0123456789abcdef", algorithm=MD5, cnonce="0a4f113b", qop=auth, nc=00000001, opaque="o\\"x"'
)
CHALLENGE = b'Digest realm="example.com", nonce="84a4cc6f", stale=TRUE, algorithm=SHA-256, qop="auth,auth-int"'
OTHERS = (
    b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    b"Digest username*=UTF-8''J%C3%A4s%C3%B8n, realm=a, nonce=b== uri=sip:c response=d,userhash=true",
    b'nextnonce="47364c23432d2e131a5fb210812c", qop=auth, rspauth="6629", cnonce="1", nc=00000001',
)
URIS = (
    b"sip:alice:secret@[2001:db8::1]:5070;transport=tcp;lr;maddr=239.255.255.1?subject=project%20x&priority=urgent",
    b"sips:%61lice;par=u%40example.net@EXAMPLE.com.",
    b"tel:+1-201-555-0123;phone-context=example.com;isub=1;ext=2",
    b"urn:service:sos",
    b"sip:null-%00-null@192.0.2.1",
)
VALUES = {
    "via": b"SIP / 2.0 / UDP [2001:db8::9:1]:5060 ;branch=z9hG4bKas3;received=[::1];rport=5;ttl=1;maddr=1.2.3.4",
    "from": b'"J \\"R\\" \\\\" <sip:j@example.com;x=y> ; tag = 98asjd8;p="q;r"',
    "contact": b'token1~` t2 <sip:a@b;lr>;q=0.33;expires=3600;+sip.instance="<urn:uuid:1>";reg-id=1',
    "cseq": b"4711 INVITE",
    "max-forwards": b"0068",
    "date": b"Sat, 13 Nov 2010 23:29:00 GMT",
    "warning": b'307 isi.edu "Session parameter not understood"',
    "retry-after": b"18000 (I'm in a \\(meeting) ;duration=3600",
    "content-type": b'multipart/mixed;boundary="a b"',
    "accept": b"application/sdp;level=1;q=0.5",
    "event": b"presence;id=4",
    "subscription-state": b"terminated;reason=timeout;retry-after=5",
    "rack": b"776656 1 INVITE",
    "reason": b'Q.850 ;cause=16 ;text="Terminated"',
    "replaces": b"98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff;early-only",
    "session-expires": b"4000;refresher=uac",
    "diversion": b'"Bob" <sip:bob@example.com>;reason=no-answer;counter=2;privacy=off',
    "accept-contact": b'*;methods="INVITE,!BYE";+x="#-4:+5.125";description="<PC>";require',
    "reject-contact": b'*;actor="msg-taker";video',
    "request-disposition": b"no-fork",
    "history-info": b"<sip:bob@example.com?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1",
    "referred-by": b'"a" <sip:r@ref.example>;cid="2UWQFN309shb3@ref.example"',
    "timestamp": b"54.21 0.5",
    "call-id": b"intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
    "authorization": CREDENTIALS,
    "www-authenticate": CHALLENGE,
    "privacy": b"header;session;critical",
    "mime-version": b"1.0",
    "accept-language": b"da, en-gb;q=0.8",
    "supported": b"path, outbound",
    "refer-to": b"<sip:bob@biloxi.example.com?Replaces=1%3Bto-tag%3D2>;method=INVITE",
    "path": b"<sip:TOKEN@example.com;lr;ob>",
}


def messages() -> list[bytes]:
    """Return the torture messages."""
    return [path.read_bytes() for path in sorted(TORTURE.glob("rfc*/*.dat"))]


def seeds() -> list[bytes]:
    """Return inputs for fuzz_properties.one_input."""
    number = {name: bytes([place]) for place, name in enumerate(TARGETS)}
    found = [number["datagram"] + message for message in messages()]
    found += [number["stream"] + b"\x07" + message + b"\r\n\r\n" + messages()[0] for message in messages()]
    found += [number["header_value"] + bytes([NAMES.index(name)]) + value for name, value in VALUES.items()]
    found += [number["uri"] + value for value in URIS]
    found += [number["auth"] + b"\x00" + value for value in (CREDENTIALS, CHALLENGE, *OTHERS)]
    found += [number["server"] + b"\x00" + message for message in messages()]
    return found
