"""The call flow of RFC 4662 section 6, with the messages of the RFC."""

from __future__ import annotations

from typing import Any

from twisted_sip.documents.resource_lists import DisplayName, Entry, ResourceList
from twisted_sip.documents.rls_services import RLSService
from twisted_sip.message.multipart import parse_multipart
from twisted_sip.message.response import Response
from twisted_sip.testing.peer import Peer, connect

LIST = "sip:adam-buddies@pres.vancouver.example.com"
BOB, DAVE = "sip:bob@pres.vancouver.example.com", "sip:dave@pres.vancouver.example.com"
ED, FRIENDS = "sip:ed@dallas.example.net", "sip:adam-friends@stockholm.example.org"

SUBSCRIBE = """SUBSCRIBE sip:adam-buddies@pres.vancouver.example.com SIP/2.0
Via: SIP/2.0/TCP terminal.vancouver.example.com;
  branch=z9hG4bKwYb6QREiCL
Max-Forwards: 70
To: <sip:adam-buddies@pres.vancouver.example.com>
From: <sip:adam@pres.vancouver.example.com>;tag=ie4hbb8t
Call-ID: cdB34qLToC@terminal.vancouver.example.com
CSeq: 322723822 SUBSCRIBE
Contact: <sip:terminal.vancouver.example.com>
Event: presence
Expires: 7200
Supported: eventlist
Accept: application/pidf+xml
Accept: application/rlmi+xml
Accept: multipart/related
Accept: multipart/signed
Accept: application/pkcs7-mime
Content-Length: 0
"""

SIGNED_TYPE = """multipart/signed;
    protocol="application/pkcs7-signature";
    micalg=sha1;boundary="l3WMZaaL8NpQWGnQ4mlU\""""
SIGNED = """--l3WMZaaL8NpQWGnQ4mlU
Content-Transfer-Encoding: binary
Content-ID: <ZPvJHL@stockholm.example.org>
Content-Type: multipart/related;type="application/rlmi+xml";
    start="<Cvjpeo@stockholm.example.org>";
    boundary="tuLLl3lDyPZX0GMr2YOo"

--tuLLl3lDyPZX0GMr2YOo
Content-Transfer-Encoding: binary
Content-ID: <Cvjpeo@stockholm.example.org>
Content-Type: application/rlmi+xml;charset="UTF-8"

<?xml version="1.0" encoding="UTF-8"?>
<list xmlns="urn:ietf:params:xml:ns:rlmi"
      uri="sip:adam-friends@stockholm.example.org" version="1"
      fullState="true">
  <name xml:lang="en">Buddy List at COM</name>
  <name xml:lang="de">Liste der Freunde an COM</name>
  <resource uri="sip:joe@stockholm.example.org">
    <name>Joe Thomas</name>
    <instance id="1" state="active"
              cid="mrEakg@stockholm.example.org"/>
  </resource>
  <resource uri="sip:mark@stockholm.example.org">
    <name>Mark Edwards</name>
    <instance id="1" state="active"
              cid="KKMDmv@stockholm.example.org"/>
  </resource>
</list>

--tuLLl3lDyPZX0GMr2YOo
Content-Transfer-Encoding: binary
Content-ID: <mrEakg@stockholm.example.org>
Content-Type: application/pidf+xml;charset="UTF-8"

<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
    entity="sip:joe@stockholm.example.org">
  <tuple id="x823a4">
    <status>
      <basic>open</basic>
    </status>
    <contact priority="1.0">sip:joe@stockholm.example.org</contact>
  </tuple>
</presence>

--tuLLl3lDyPZX0GMr2YOo
Content-Transfer-Encoding: binary
Content-ID: <KKMDmv@stockholm.example.org>
Content-Type: application/pidf+xml;charset="UTF-8"

<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
    entity="sip:mark@stockholm.example.org">
  <tuple id="z98075">
    <status>
      <basic>closed</basic>
    </status>
  </tuple>
</presence>

--tuLLl3lDyPZX0GMr2YOo--

--l3WMZaaL8NpQWGnQ4mlU
Content-Transfer-Encoding: binary
Content-ID: <K9LB7k@stockholm.example.org>
Content-Type: application/pkcs7-signature

[PKCS #7 signature here]

--l3WMZaaL8NpQWGnQ4mlU--
"""


def served(peer: Peer, uri: str, tag: str) -> Any:
    """Check messages 5 and 9, answer with 6 and 10."""
    request = peer.expect("SUBSCRIBE")
    assert request.uri_text == uri and str(request.from_.uri) == "sip:adam@pres.vancouver.example.com"
    assert list(request.typed("supported")) == ["eventlist"] and request.expires == 3600
    assert request.headers.elements("accept") == [
        "application/pidf+xml",
        "application/rlmi+xml",
        "multipart/related",
        "multipart/signed",
        "application/pkcs7-mime",
    ]
    contact = [("contact", f"<sip:{peer.address.host}>"), ("expires", "3600")]
    peer.answer(request, 200, contact, to_tag=tag)
    return request


def notify(peer: Peer, subscribe: Any, tag: str, rest: str) -> None:
    """Send messages 7 and 11, take 8 and 12."""
    peer.send(
        f"""NOTIFY {subscribe.contacts[0].uri} SIP/2.0
Via: SIP/2.0/UDP {peer.address.host};branch=z9hG4bK{tag}
Max-Forwards: 70
From: <{subscribe.to.uri}>;tag={tag}
To: <{subscribe.from_.uri}>;tag={subscribe.from_.tag}
Call-ID: {subscribe.call_id}
CSeq: 1002640632 NOTIFY
Contact: <sip:{peer.address.host}>
Event: presence
Require: eventlist
{rest}""",
        ("192.0.2.1", 5060),
    )
    response: Response = peer.expect(lambda message: isinstance(message, Response))
    assert response.status == 200


def test_the_flow(make_site: Any) -> None:
    site = make_site(domain="pres.vancouver.example.com")
    site.dns.a("dallas.example.net", "203.0.113.1").a("stockholm.example.org", "203.0.113.2")
    dallas, stockholm = (Peer(site.network.node(f"203.0.113.{number}")) for number in (1, 2))
    names = {BOB: "Bob Smith", DAVE: "Dave Jones", ED: "Ed at NET", FRIENDS: "My Friends at ORG"}
    entries = tuple(Entry(uri, DisplayName(name)) for uri, name in names.items())
    members = ResourceList("", entries, DisplayName("Buddy List at COM", "en"))
    site.put_services(RLSService(uri=LIST, members=members), owner="sip:adam@pres.vancouver.example.com")
    site.publish("bob")
    site.publish("dave", "closed")

    watcher = site.watcher("sip:adam@pres.vancouver.example.com")
    terminal = watcher.peer = connect(site.network.node("192.0.2.200"), ("192.0.2.1", 5060))
    terminal.send(SUBSCRIBE)
    # 2.
    response = terminal.expect(200)
    assert response.expires == 7200 and list(response.typed("require")) == ["eventlist"]
    # 3.
    state = watcher.told()
    assert (
        state.full
        and state.uri == LIST
        and [(name.text, name.lang) for name in state.names] == [("Buddy List at COM", "en")]
    )
    assert [(each.uri, each.names[0].text, len(each.instances)) for each in state.resources] == [
        (BOB, "Bob Smith", 1),
        (DAVE, "Dave Jones", 1),
        (ED, "Ed at NET", 0),
        (FRIENDS, "My Friends at ORG", 0),
    ]
    assert watcher.table.basic(BOB) == "open" and watcher.table.basic(DAVE) == "closed"
    # 5 to 8, 9 to 12.
    first, second = served(dallas, ED, "e45TmHTh"), served(stockholm, FRIENDS, "JenZ40P3")
    notify(dallas, first, "e45TmHTh", "Subscription-State: pending;expires=3600\n")
    notify(
        stockholm,
        second,
        "JenZ40P3",
        f"Subscription-State: active;expires=3600\nContent-Type: {SIGNED_TYPE}\n\n{SIGNED}",
    )
    # 13.
    state = watcher.told()
    assert not state.full and state.version == 1 and [each.uri for each in state.resources] == [ED, FRIENDS]
    assert watcher.table.state(ED) == "pending" and watcher.table.rows[ED][1] is None
    assert watcher.table.state(FRIENDS) == "active"
    # The signed body is what it was, byte by byte (section 7.3).
    request = next(message for message in reversed(terminal.messages) if message.body)
    assert SIGNED.replace("\n", "\r\n").encode() in request.body
    part = parse_multipart(request.headers.first("content-type") or "", request.body).parts[1]
    assert part.content_type.key == "multipart/signed" and part.content_id == state.resources[1].instances[0].cid
    watcher.quiet()
