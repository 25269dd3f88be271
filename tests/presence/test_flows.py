"""The flows of RFC 3903 section 15, RFC 3856 section 8 and RFC 3857 section 5, with the messages of their texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.winfo import WinfoDocument
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP
from twisted_sip.message.response import Response
from twisted_sip.testing.peer import Peer, StreamAcceptor, connect
from twisted_sip.transport.stream import SIPFactory

HOST = "192.0.2.1"


def response(peer: Any) -> Response:
    found: Response = peer.expect(lambda message: isinstance(message, Response))
    return found


def with_body(head: str, presence: Presence) -> bytes:
    """Fill in the body and its length where the RFC has "..."."""
    body = presence.to_xml()
    lines = [line.strip() if not line.startswith("       ;") else line for line in head.strip().splitlines()]
    text = "\r\n".join(lines).replace("Content-Length: ...", f"Content-Length: {len(body)}")
    return text.encode() + b"\r\n\r\n" + body


def test_rfc_3903_section_15(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(max_expires=1800).start()
    presentity = "sip:presentity@example.com"
    watcher, pua = Peer(desk.network.node("192.0.2.11")), Peer(desk.network.node("192.0.2.12"))
    # M1; the Contact is an address here, since there is no DNS.
    watcher.send(
        """SUBSCRIBE sip:presentity@example.com SIP/2.0
Via: SIP/2.0/UDP host.example.com;branch=z9hG4bKnashds7
To: <sip:presentity@example.com>
From: <sip:watcher@example.com>;tag=12341234
Call-ID: 12345678@host.example.com
CSeq: 1 SUBSCRIBE
Max-Forwards: 70
Expires: 3600
Event: presence
Contact: sip:user@192.0.2.11
Content-Length: 0

""",
        (HOST, 5060),
    )
    m2 = response(watcher)
    assert m2.status == 200 and m2.headers.first("expires") == "3600" and m2.contacts and m2.to.tag
    m3 = watcher.expect("NOTIFY")
    assert str(m3.uri) == "sip:user@192.0.2.11"
    assert m3.headers.first("subscription-state") == "active;expires=3600"
    assert (m3.from_.tag, m3.to.tag, m3.call_id) == (m2.to.tag, "12341234", "12345678@host.example.com")
    assert m3.headers.first("content-type") == "application/pidf+xml" and m3.headers.first("event") == "presence"
    assert Presence.parse(m3.body).basic == "closed"
    watcher.answer(m3, 200)
    # M5.
    opened = Presence(presentity).with_status("open", id="a")
    m5 = """PUBLISH sip:presentity@example.com SIP/2.0
      Via: SIP/2.0/UDP pua.example.com;branch=z9hG4bK652hsge
      To: <sip:presentity@example.com>
      From: <sip:presentity@example.com>;tag=1234wxyz
      Call-ID: 81818181@pua.example.com
      CSeq: 1 PUBLISH
      Max-Forwards: 70
      Expires: 3600
      Event: presence
      Content-Type: application/pidf+xml
      Content-Length: ..."""
    pua.send(with_body(m5, opened), (HOST, 5060))
    m6 = response(pua)
    assert m6.status == 200 and m6.headers.first("expires") == "1800"
    etag = m6.headers.first("sip-etag")
    m7 = watcher.expect("NOTIFY")
    assert m7.body == opened.to_xml() and m7.cseq.number == m3.cseq.number + 1
    watcher.answer(m7, 200)
    # M9: a refresh, of which watchers hear nothing.
    desk.network.advance(1700)
    pua.send(
        f"""PUBLISH sip:presentity@example.com SIP/2.0
Via: SIP/2.0/UDP pua.example.com;branch=z9hG4bK771ash02
To: <sip:presentity@example.com>
From: <sip:presentity@example.com>;tag=1234kljk
Call-ID: 98798798@pua.example.com
CSeq: 1 PUBLISH
Max-Forwards: 70
SIP-If-Match: {etag}
Expires: 3600
Event: presence
Content-Length: 0

""",
        (HOST, 5060),
    )
    m10 = response(pua)
    assert m10.status == 200 and m10.headers.first("sip-etag") not in (None, etag)
    watcher.expect_nothing(within=5.0)
    # M11.
    m11 = f"""PUBLISH sip:presentity@example.com SIP/2.0
      Via: SIP/2.0/UDP pua.example.com;branch=z9hG4bKcdad2
      To: <sip:presentity@example.com>
      From: <sip:presentity@example.com>;tag=54321mm
      Call-ID: 5566778@pua.example.com
      CSeq: 1 PUBLISH
      Max-Forwards: 70
      SIP-If-Match: {m10.headers.first("sip-etag")}
      Expires: 3600
      Event: presence
      Content-Type: application/pidf+xml
      Content-Length: ..."""
    busy = opened.with_person(activities=["busy"])
    pua.send(with_body(m11, busy), (HOST, 5060))
    m12 = response(pua)
    assert m12.status == 200 and m12.headers.first("sip-etag") not in (etag, m10.headers.first("sip-etag"))
    m13 = watcher.expect("NOTIFY")
    assert m13.body == busy.to_xml()
    watcher.answer(m13, 200)
    watcher.expect_nothing(within=3.0)


def test_rfc_3856_section_8(make_desk: Callable[..., Any]) -> None:
    desk = make_desk().start()
    desk.node.listenTCP(5060, SIPFactory(desk.element), interface=HOST)
    desk.element.transports.listening(TCP, Address(HOST, 5060))
    node = desk.network.node("192.0.2.11")
    StreamAcceptor(node)
    watcher = connect(node, (HOST, 5060))
    # F1
    watcher.send(
        """SUBSCRIBE sip:resource@example.com SIP/2.0
Via: SIP/2.0/TCP watcherhost.example.com;branch=z9hG4bKnashds7
To: <sip:resource@example.com>
From: <sip:user@example.com>;tag=xfg9
Call-ID: 2010@watcherhost.example.com
CSeq: 17766 SUBSCRIBE
Max-Forwards: 70
Event: presence
Accept: application/pidf+xml
Contact: <sip:user@192.0.2.11;transport=tcp>
Expires: 600
Content-Length: 0

"""
    )
    f2 = response(watcher)
    assert f2.status == 200 and f2.headers.first("expires") == "600"
    f3 = watcher.expect("NOTIFY")
    assert f3.headers.first("subscription-state") == "active;expires=600"
    assert f3.from_.tag == f2.to.tag and f3.to.tag == "xfg9"
    watcher.answer(f3, 200)
    # The presence agent hears of it by other means.
    desk.network.advance(57)
    there = Presence("sip:resource@example.com").with_status("open", note="In the office")
    done: list[str] = []
    desk.service.publish("sip:resource@example.com", there).addCallback(done.append)
    f5 = watcher.expect("NOTIFY")
    assert f5.headers.first("subscription-state") == "active;expires=543"
    assert f5.cseq.number == f3.cseq.number + 1 and f5.body == there.to_xml() and done
    watcher.answer(f5, 200)
    desk.network.advance(1)
    watcher.close()


def test_rfc_3857_section_5(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_handling="confirm").start()
    # A comes before Joe looks.
    a = desk.user("A").watched("sip:joe@example.com")
    joe = Peer(desk.network.node("192.0.2.34"))
    joe.send(
        """SUBSCRIBE sip:joe@example.com SIP/2.0
Via: SIP/2.0/UDP pc34.example.com;branch=z9hG4bKnashds7
From: sip:joe@example.com;tag=123aa9
To: sip:joe@example.com
Call-ID: 9987@pc34.example.com
CSeq: 9887 SUBSCRIBE
Contact: sip:joe@192.0.2.34
Event: presence.winfo
Max-Forwards: 70

""",
        (HOST, 5060),
    )
    accepted = response(joe)
    assert accepted.status == 200 and accepted.headers.first("expires") == "3600"
    first = joe.expect("NOTIFY")
    assert first.headers.first("content-type") == "application/watcherinfo+xml"
    document = WinfoDocument.parse(first.body)
    assert document.full and document.version == 0
    (known,) = document.lists
    assert (known.resource, known.package) == ("sip:joe@example.com", "presence")
    (watcher,) = known.watchers
    assert (watcher.uri, watcher.status, watcher.event) == ("sip:A@example.com", "pending", "subscribe")
    joe.answer(first, 200)
    # Joe authorises A by some means.
    desk.put(
        "pres-rules",
        """<ruleset xmlns="urn:ietf:params:xml:ns:common-policy"><rule id="a">
        <conditions><identity><one id="sip:A@example.com"/></identity></conditions>
        <actions><s:sub-handling xmlns:s="urn:ietf:params:xml:ns:pres-rules">allow</s:sub-handling></actions>
        </rule></ruleset>""",
        "sip:joe@example.com",
    )
    assert str(a.notify().headers.first("subscription-state")).startswith("active")
    second = joe.expect("NOTIFY", within=6.0)
    document = WinfoDocument.parse(second.body)
    assert not document.full and document.version == 1
    (changed,) = document.lists[0].watchers
    assert (changed.id, changed.status, changed.event) == (watcher.id, "active", "approved")
    joe.answer(second, 200)
