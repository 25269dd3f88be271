"""What must hold for any input: no exception but the declared one, and exact round trips.

Each target takes bytes and raises nothing unless something is wrong. Hypothesis and the coverage-guided fuzzer share
them, and so does the command that repeats a failure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted_sip.auth.authenticator import Accepted, Authenticator, Refused
from twisted_sip.auth.authenticator import Challenge as ChallengeOutcome
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.auth_params import AuthenticationInfo, Challenge, Credentials
from twisted_sip.message.builders import response_to
from twisted_sip.message.framer import PING, StreamFramer
from twisted_sip.message.header_fields import FIELDS
from twisted_sip.message.limits import MessageLimits
from twisted_sip.message.parser import check_all, parse_message
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.storage.credentials_memory import MemoryCredentialStore

sys.path.insert(0, str(Path(__file__).parent.parent / "torture"))
NAMES = sorted(FIELDS)
#: Small, so that a fuzzer reaches them.
SMALL = MessageLimits(message=4096, head=2048, header_count=40, uri=200)


def text_of(data: bytes) -> str:
    """Return *data* as the parser decodes it."""
    return data.decode("utf-8", "surrogateescape")


def lines_of(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the lines of a head without Content-Length, and the rest behind the empty line."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and len(lines) > 1:
            lines[-1] += b"\r\n" + line
        else:
            lines.append(line)
    return [line for line in lines if line.partition(b":")[0].strip().lower() not in (b"content-length", b"l")], body


def is_exact(data: bytes, message: Request | Response) -> None:
    """Untouched, the message goes out as it came, with Content-Length set right (RFC 3261 section 20.14)."""
    out = message.to_bytes()
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")
    came, body = lines_of(data.removesuffix(b"\r\n") if b"\r\n\r\n" not in data else data)
    went, rest = lines_of(out)
    if isinstance(message, Response):
        # The version in any case, and a missing space, are read and sent right.
        assert went[0].split(b" ")[1] == came[0].split(b" ")[1]
        assert went[0].partition(b" ")[2].partition(b" ")[2] == came[0].partition(b" ")[2].partition(b" ")[2]
    else:
        start, _, version = came[0].rpartition(b" ")
        assert went[0] == start + b" " + version.upper(), (went[0], came[0])
    assert went[1:] == came[1:], (went, came)
    assert rest == message.body
    assert body.startswith(rest)
    again = parse_message(out)
    assert again.to_bytes() == out


def values_are_stable(message: Request | Response) -> None:
    """Every typed value reads back as it is written; nothing but RemoteProtocolError is raised."""
    for name in dict.fromkeys(message.headers.names):
        try:
            found = message.typed(name)
        except RemoteProtocolError:
            continue
        for value in found if isinstance(found, list) else [found]:
            is_stable(name, value)


def is_stable(name: str, value: Any) -> None:
    """str() of a typed value is read as the same value again."""
    field = FIELDS.get(name)
    if field is None or value is None:
        return
    text = str(value)
    again = field.parse(text)
    assert str(again) == text, (name, text, str(again))
    assert again == value or type(value).__eq__ is object.__eq__, (name, text)


def datagram(data: bytes) -> None:
    """parse_message and everything that can be asked of what it returns."""
    for limits in (None, SMALL):
        try:
            message = parse_message(data) if limits is None else parse_message(data, limits)
        except RemoteProtocolError as error:
            answerable(error)
            continue
        if limits is None:
            is_exact(data, message)
        try:
            check_all(message)
        except RemoteProtocolError as error:
            answerable(error)
        values_are_stable(message)
        copy = message.copy()
        copy.headers.remove_first_element("via")
        copy.to_bytes()


def answerable(error: RemoteProtocolError) -> None:
    """What an error carries can be answered, and the answer has one line for its status."""
    assert 400 <= error.status < 700
    if isinstance(error.message, Request) and "via" in error.message.headers.names:
        reason = "".join(char if char.isprintable() else "?" for char in error.reason)
        answer = response_to(error.message, error.status, reason, to_tag="tag").to_bytes()
        assert answer.partition(b"\r\n")[0] == f"SIP/2.0 {error.status} {reason}".encode()


def stream(data: bytes) -> None:
    """The framer gives the same however the stream is cut, and never raises."""
    step = data[0] + 1 if data else 1
    data = data[1:]
    whole = framed([data])
    assert whole == framed([data[place : place + 1] for place in range(len(data))])
    assert whole == framed([data[place : place + step] for place in range(0, len(data), step)])


def framed(pieces: list[bytes]) -> tuple[list[Any], bool, bool]:
    """Return what a framer makes of *pieces*, in a form that can be compared, and its state."""
    framer = StreamFramer(SMALL)
    events: list[Any] = []
    for piece in pieces:
        for event in framer.feed(piece):
            if isinstance(event, RemoteProtocolError):
                answerable(event)
                # How much of a head beyond the limit was at hand decides how its refusal is worded.
                events.append((event.status, event.fatal) if event.status == 513 else (event.reason, event.fatal))
            else:
                events.append("ping" if event is PING else event.to_bytes())  # type: ignore[union-attr]
        assert framer.buffered <= SMALL.message + len(piece)
    return events, framer.in_message, framer.failed


def header_value(data: bytes) -> None:
    """One value of one header field: the first octet says which."""
    if not data:
        return
    name = NAMES[data[0] % len(NAMES)]
    text = text_of(data[1:])
    for value in (text, text.replace("\r", "").replace("\n", "").strip(" \t")):
        try:
            parsed = FIELDS[name].parse(value)
        except RemoteProtocolError as error:
            assert error.header or error.reason
            continue
        if "\r" not in value and "\n" not in value:
            is_stable(name, parsed)


def uri(data: bytes) -> None:
    """URIs keep their text, and their canonical forms are fixed points."""
    text = text_of(data)
    try:
        parsed = parse_uri(text)
    except RemoteProtocolError:
        return
    assert str(parsed) == text
    if not isinstance(parsed, SIPURI):
        return
    assert parsed.equivalent(parse_uri(text))
    assert parsed.canonical() == SIPURI.parse(text).canonical()
    aor = parsed.address_of_record
    assert SIPURI.parse(aor).address_of_record == aor
    assert (parsed.transport, parsed.lr, parsed.maddr, parsed.secure) is not None
    again = parse_uri(str(parsed.replace(port=5070, headers="")))
    assert isinstance(again, SIPURI)
    assert (again.user, again.host, again.port, again.headers) == (parsed.user, parsed.host, 5070, "")
    assert again.params == parsed.params


def make_authenticator() -> Authenticator:
    """Return an authenticator that knows alice, on a clock that stands still."""
    store = MemoryCredentialStore()
    store.add("alice", "example.com", "wonderland")
    return Authenticator.build(store, AuthSettings(), lambda: 1000.0, lambda size: b"\x01" * size)


def auth(data: bytes) -> None:
    """Challenges, credentials, Authentication-Info, and the check of a request that has them."""
    if not data:
        return
    text = text_of(data[1:])
    authenticator = make_authenticator()
    # What an authenticator of this kind would have issued, so that a fuzzer gets past that test.
    text = text.replace("NONCE", authenticator.nonces.issue("192.0.2.7"))
    for kind in (Challenge, Credentials, AuthenticationInfo):
        try:
            parsed = kind.parse(text)
        except RemoteProtocolError:
            continue
        again = kind.parse(str(parsed))
        assert again == parsed and str(again) == str(parsed), (text, str(parsed))
        if isinstance(parsed, Credentials):
            assert (parsed.username, parsed.uri, parsed.qop, parsed.nc, parsed.response) is not None
        if isinstance(parsed, Challenge):
            assert (parsed.qop, parsed.stale, parsed.algorithm) is not None
    if "\r" in text or "\n" in text or "\0" in text:
        return
    proxy = bool(data[0] & 1)
    fields = [("proxy-authorization" if proxy else "authorization", text), ("call-id", "c"), ("cseq", "1 INVITE")]
    outcome = authenticator.check(
        Request("INVITE", "sip:example.com", fields), "192.0.2.7", "example.com", proxy, "alice"
    )
    assert isinstance(outcome, Accepted | ChallengeOutcome | Refused)
    assert not isinstance(outcome, Accepted)


def server(data: bytes) -> None:
    """A running server takes one datagram, and the same over a stream, and logs no failure."""
    # Not at the top: the other targets need none of it, and a fuzzer has to instrument what is imported.
    from torture_server import SERVER, Rig

    with Rig({"alice": "wonderland"} if data[:1] >= b"\x80" else None) as rig:
        rig.register("sip:user@example.com")
        rig.peer().send(data[1:], SERVER)
        peer = rig.connect()
        peer.send(data[1:])
        rig.network.advance(0.2)
        peer.close()
        rig.network.advance(40)
        rig.alive()


#: By name, in an order that a stored failure depends on: new ones come last.
TARGETS: dict[str, Callable[[bytes], None]] = {
    "datagram": datagram,
    "stream": stream,
    "header_value": header_value,
    "uri": uri,
    "auth": auth,
    "server": server,
}


def one_input(data: bytes) -> None:
    """Run the target that the first octet of *data* names on the rest."""
    if data:
        names = list(TARGETS)
        TARGETS[names[data[0] % len(names)]](data[1:])
