"""Bodies and fields that are no good are refused with a reason, and nothing happens (RFC 3903 section 6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from twisted_sip.documents.pidf import Presence

ALICE = "sip:alice@example.com"
OPEN = Presence(ALICE).with_status("open")
PIDF_NS = "urn:ietf:params:xml:ns:pidf"
EMPTY = f'<presence xmlns="{PIDF_NS}" entity="{ALICE}"/>'

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 10))
    + f']><presence xmlns="{PIDF_NS}" entity="{ALICE}"><note>&lol9;</note></presence>'
)
BODIES = {
    "no XML": "there",
    "cut off": OPEN.to_xml()[:-20],
    "a doctype": f"<!DOCTYPE presence>{EMPTY}",
    "an external entity": f'<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>{EMPTY}',
    "billion laughs": LAUGHS,
    "another root": f'<tuple xmlns="{PIDF_NS}" id="a"/>',
    "another namespace": EMPTY.replace("pidf", "other"),
    "no namespace": f'<presence entity="{ALICE}"/>',
    "deep": f'<presence xmlns="{PIDF_NS}" entity="{ALICE}">' + "<a>" * 500 + "</a>" * 500 + "</presence>",
    "wrong encoding": f'<?xml version="1.0" encoding="UTF-8"?>{EMPTY}'.replace("alice", "al\xefce").encode("latin-1"),
    "an encoding nobody takes": f'<?xml version="1.0" encoding="EBCDIC-CP-US"?>{EMPTY}',
    "NUL": EMPTY.replace("alice", "al\0ice"),
    "an undeclared prefix": EMPTY.replace("/>", "><x:y/></presence>"),
    "twice the same attribute": EMPTY.replace("entity", 'entity="a" entity'),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_presence(desk: Any, alice: Any, name: str) -> None:
    watching = desk.user("bob").watched()
    assert alice.publish(OPEN).status == 200
    watching.notify()
    commits = desk.store.commits
    for if_match in ("", None):
        began = time.process_time()
        refused = alice.publish(BODIES[name], if_match=if_match)
        assert time.process_time() - began < 2.0
        assert refused.status == (413 if name == "deep" else 400)
        assert refused.reason not in ("", "Bad Request", "Request Entity Too Large")
    assert desk.store.commits == commits
    assert [each.body for each in desk.service.publications.of(ALICE, "presence")] == [OPEN.to_xml()]
    watching.quiet(1.0)


@pytest.mark.parametrize(("size", "status"), [(50_000, 200), (64_000, 413), (1 << 20, 513)])
def test_a_megabyte(make_desk: Callable[..., Any], size: int, status: int) -> None:
    """Over a stream: a datagram has no room for it."""
    from twisted_sip.interfaces.flow import Address
    from twisted_sip.interfaces.transport_kind import TCP
    from twisted_sip.message.response import Response
    from twisted_sip.testing.peer import connect
    from twisted_sip.transport.stream import SIPFactory

    desk = make_desk(max_body=60_000).start()
    alice = desk.user("alice")
    desk.node.listenTCP(5060, SIPFactory(desk.element), interface="192.0.2.1")
    desk.element.transports.listening(TCP, Address("192.0.2.1", 5060))
    stream = connect(desk.network.node("192.0.2.77"), ("192.0.2.1", 5060))
    body = OPEN.with_note("x" * size).to_xml()
    fields = ("Event: presence", "Expires: 600", "Content-Type: application/pidf+xml", f"Content-Length: {len(body)}")
    via = "Via: SIP/2.0/TCP 192.0.2.77;branch=z9hG4bKlarge"
    stream.send(alice.request("PUBLISH", ALICE, *fields, body=body, via=via))
    answer = stream.expect(lambda message: isinstance(message, Response), within=60.0)
    assert answer.status == status
    assert desk.store.commits == (1 if status == 200 else 0)
    desk.network.advance(1)
    stream.close()


def test_an_attribute_bomb_is_bounded(desk: Any, alice: Any) -> None:
    many = "".join(f' a{n}="x"' for n in range(5000))
    began = time.process_time()
    status = alice.publish(f'<presence xmlns="{PIDF_NS}" entity="{ALICE}"{many}/>').status
    assert time.process_time() - began < 2.0 and status in (200, 413)


@pytest.mark.parametrize(
    "field", ["Expires: soon", "Expires: -1", "Event: ;", "SIP-If-Match: a b", "Content-Type: pidf"]
)
def test_malformed_fields(desk: Any, alice: Any, field: str) -> None:
    name = field.partition(":")[0].lower()
    lines = ["Event: presence", "Expires: 600", "Content-Type: application/pidf+xml"]
    lines = [line for line in lines if not line.lower().startswith(name)]
    alice.send(alice.request("PUBLISH", ALICE, *lines, field, body=OPEN.to_xml()))
    assert alice.response().status == 400
    assert desk.store.commits == 0


def test_before_authentication_nothing_happens(make_desk: Callable[..., Any]) -> None:
    """What is wrong with a request is not looked at for somebody who may not send it."""
    desk = make_desk().start()
    alice = desk.user("alice")
    alice.publish(OPEN)
    commits, held = desk.store.commits, len(desk.service._composed)
    stranger = desk.user("mallory", "example.net")
    for body in (OPEN, LAUGHS):
        assert stranger.publish(body, uri=ALICE).status == 403
        assert stranger.publish(body, uri=ALICE, if_match=alice.etag).status == 403
        assert stranger.publish(None, uri=ALICE, if_match=alice.etag, expires=0).status == 403
    assert (desk.store.commits, len(desk.service._composed)) == (commits, held)
    # Of an answer to somebody who has proved nothing, nothing is kept either.
    assert not any(desk.element.transactions.counts().values()) or desk.network.advance(40) is None


def test_a_subscribe_that_is_replayed(desk: Any, alice: Any) -> None:
    """CSeq goes up in a dialog (RFC 3261 section 12.2.2)."""
    watching = desk.user("bob").watched()
    watching.subscribe(600)
    watching.notify()
    watching.cseq = 0
    assert watching.subscribe(0).status == 500
    watching.cseq = 5
    alice.publish(OPEN)
    assert watching.presence().basic == "open"
    # Somebody else goes on with it.
    watching.user.aor = "sip:mallory@example.com"
    assert watching.subscribe(0).status == 403


def test_subscribes_with_bodies_and_other_types(desk: Any, alice: Any) -> None:
    bob = desk.user("bob")
    assert bob.watch(ALICE, 600, "Accept: text/plain").status == 406
    assert bob.watch(ALICE, 600, "Require: foo").status == 420
    assert bob.watch(ALICE, 10).status == 423
    assert bob.watch(ALICE, 600, event="presence.winfo.winfo").status in (404, 489)
    assert bob.watched(ALICE, "Accept: */*").told
