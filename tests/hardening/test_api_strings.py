"""CR, LF or NUL in any text that a program gives raises, and never reaches the wire: nobody smuggles header fields or
messages through a program (a display name from a form, a reason from a database)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.agent.call import Call
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.errors import LocalProtocolError
from twisted_sip.events.publishing import Publisher
from twisted_sip.message.builders import build_request, cancel_for, response_to
from twisted_sip.message.capabilities import Feature
from twisted_sip.message.diversion import Diversion
from twisted_sip.message.event_fields import Event
from twisted_sip.message.multipart import BodyPart, build_multipart
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.registration_fields import ContactParam
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.transfer import ReferredBy, Replaces
from twisted_sip.message.uri import SIPURI
from twisted_sip.message.via import Via
from twisted_sip.testing.network import Network
from twisted_sip.testing.simulated_agent import SimulatedAgent

BAD = pytest.mark.parametrize(
    "bad", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "\r\n\r\nX-Evil: 1", "a\r\n"]
)
A, B = "sip:alice@192.0.2.21", "sip:bob@192.0.2.22"


def invite() -> Request:
    return build_request("INVITE", B, from_=f"<{A}>;tag=a", to=f"<{B}>", call_id="c", cseq=1)


#: What makes values and messages.
BUILDERS: dict[str, Callable[[str], Any]] = {
    "method": lambda bad: Request(bad, B),
    "request uri": lambda bad: Request("INVITE", f"sip:{bad}@b"),
    "replace first": lambda bad: invite().headers.replace_first_element("from", bad),
    "extend": lambda bad: invite().headers.extend([("x", "y"), ("subject", bad)]),
    "header name": lambda bad: Request("INVITE", B, [(bad, "x")]),
    "header value": lambda bad: Request("INVITE", B, [("subject", bad)]),
    "set header": lambda bad: invite().headers.set("subject", bad),
    "append header": lambda bad: invite().headers.append("subject", bad),
    "append header name": lambda bad: invite().headers.append(bad, "x"),
    "prepend header": lambda bad: invite().headers.prepend("route", bad),
    "set uri": lambda bad: invite().set_uri(f"sip:{bad}@b"),
    "reason phrase": lambda bad: Response(200, bad),
    "response header": lambda bad: Response(200, "", [("contact", bad)]),
    "response_to reason": lambda bad: response_to(invite(), 200, bad),
    "response_to header": lambda bad: response_to(invite(), 200, "", [("subject", bad)]),
    "response_to name": lambda bad: response_to(invite(), 200, "", [(bad, "x")]),
    "response_to tag": lambda bad: response_to(invite(), 200, to_tag=bad),
    "cancel header": lambda bad: cancel_for(invite(), [("reason", bad)]),
    "from": lambda bad: build_request("INVITE", B, from_=f'"{bad}" <{A}>', to=B, call_id="c", cseq=1),
    "to": lambda bad: build_request("INVITE", B, from_=A, to=f"<{bad}>", call_id="c", cseq=1),
    "call-id": lambda bad: build_request("INVITE", B, from_=A, to=B, call_id=bad, cseq=1),
    "build method": lambda bad: build_request(bad, B, from_=A, to=B, call_id="c", cseq=1),
    "build header": lambda bad: build_request("INVITE", B, from_=A, to=B, call_id="c", cseq=1, headers=[("x", bad)]),
    "display name": lambda bad: NameAddr.build(A, bad),
    "uri of an address": lambda bad: NameAddr.build(f"sip:{bad}"),
    "tag": lambda bad: NameAddr.build(A).with_("tag", bad),
    "parameter name": lambda bad: NameAddr.build(A).with_(bad, "x"),
    "uri user": lambda bad: SIPURI.parse(A).replace(user=bad),
    "uri host": lambda bad: SIPURI.parse(A).replace(host=bad),
    "uri parameter": lambda bad: SIPURI.parse(A).replace(params=SIPURI.parse(A).params.with_("x", bad)),
    "uri headers": lambda bad: SIPURI.parse(A).replace(headers=bad),
    "reason text": lambda bad: Reason.build("SIP", 200, bad),
    "reason protocol": lambda bad: Reason.build(bad, 200),
    "diversion": lambda bad: Diversion.build(A, bad),
    "referred-by": lambda bad: ReferredBy.build(A, bad),
    "replaces": lambda bad: Replaces(bad, "a", "b"),
    "feature": lambda bad: Feature.build("x", string=bad),
    "feature value": lambda bad: Feature.build("x", bad),
    "via host": lambda bad: Via.build("UDP", bad, 5060),
    "via branch": lambda bad: Via.build("UDP", "192.0.2.1", 5060, [("branch", bad)]),
    "event": lambda bad: str(Event(bad)),
    "multipart subtype": lambda bad: build_multipart([BodyPart(body=b"x")], bad),
    "multipart boundary": lambda bad: build_multipart([BodyPart(body=b"x")], boundary=bad),
    "multipart parameter": lambda bad: build_multipart([BodyPart(body=b"x")], params=[("start", bad)]),
    "multipart parameter name": lambda bad: build_multipart([BodyPart(body=b"x")], params=[(bad, "x")]),
    "multipart content-id": lambda bad: build_multipart([BodyPart(body=b"x", content_id=bad)]),
    "multipart header": lambda bad: build_multipart([BodyPart(body=b"x", headers=(("x-y", bad),))]),
    "multipart header name": lambda bad: build_multipart([BodyPart(body=b"x", headers=((bad, "y"),))]),
    "contact": lambda bad: ContactParam.build(f"sip:{bad}"),
}


@BAD
@pytest.mark.parametrize("what", BUILDERS)
def test_builders(what: str, bad: str) -> None:
    with pytest.raises(LocalProtocolError):
        BUILDERS[what](bad)


class Two:
    """Alice and bob, who has called her.

    :ivar call: alice's call to bob, which bob has answered.
    :ivar ringing: a call of bob's at alice's, which rings.
    """

    def __init__(self) -> None:
        self.network = Network(3, keep_trace=True)
        self.alice = SimulatedAgent(self.network, "192.0.2.21", "alice")
        self.bob = SimulatedAgent(self.network, "192.0.2.22", "bob")
        self.call: Call = self.alice.call(B)
        self.network.advance(1)
        self.bob.arrived[0].answer()
        self.network.advance(1)
        self.bob.call(A)
        self.network.advance(1)
        self.ringing: Call = self.alice.arrived[0]
        self.publisher = Publisher(self.alice.element)


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    yield Two()


#: What programs do with an agent.
AGENTS: dict[str, Callable[[Two, str], Any]] = {
    "call": lambda two, bad: two.alice.call(f"sip:{bad}@192.0.2.22"),
    "call header": lambda two, bad: two.alice.call(B, headers=[("subject", bad)]),
    "call header name": lambda two, bad: two.alice.call(B, headers=[(bad, "x")]),
    "call from": lambda two, bad: two.alice.call(B, from_=f'"{bad}" <{A}>'),
    "call route": lambda two, bad: two.alice.call(B, route=[f"<sip:192.0.2.22;x={bad}>"]),
    "call join": lambda two, bad: two.alice.call(B, join=bad),
    "message to": lambda two, bad: two.alice.message(f"sip:{bad}@192.0.2.22", "x"),
    "message type": lambda two, bad: two.alice.message(B, "x", content_type=bad),
    "message header": lambda two, bad: two.alice.message(B, "x", headers=[("subject", bad)]),
    "options": lambda two, bad: two.alice.options(f"sip:{bad}@192.0.2.22"),
    "refer": lambda two, bad: two.alice.refer(B, bad),
    "refer to": lambda two, bad: two.alice.refer(f"sip:{bad}@192.0.2.22", B),
    "account": lambda two, bad: two.alice.account(f'"{bad}" <{A}>'),
    "account uri": lambda two, bad: two.alice.account(f"sip:{bad}@example.com"),
    "account route": lambda two, bad: (
        two.alice.account("sip:x@example.com", route=[bad]),
        two.alice.call(B, account=two.alice.accounts.pop()),
    ),
    "register": lambda two, bad: two.alice.register(f"sip:{bad}@example.com"),
    "register name": lambda two, bad: two.alice.register(f'"{bad}" <sip:a@example.com>'),
    "register user": lambda two, bad: two.alice.register("sip:a@example.com", contact_user=bad),
    "register instance": lambda two, bad: two.alice.register("sip:a@example.com", instance=bad),
    "register header": lambda two, bad: two.alice.register("sip:a@example.com", headers=[("x", bad)]),
    "registrar": lambda two, bad: two.alice.register("sip:a@example.com", registrar=f"sip:{bad}"),
    "proxy": lambda two, bad: two.alice.register("sip:a@example.com", outbound_proxies=[f"sip:{bad}"]),
    "user agent": lambda two, bad: AgentSettings(user_agent=bad),
    "ring reason": lambda two, bad: two.ringing.ring(180, reason=bad),
    "ring header": lambda two, bad: two.ringing.ring(180, headers=[("subject", bad)]),
    "answer header": lambda two, bad: two.ringing.answer(headers=[("subject", bad)]),
    "reject reason": lambda two, bad: two.ringing.reject(486, bad),
    "reject header": lambda two, bad: two.ringing.reject(486, headers=[("subject", bad)]),
    "redirect": lambda two, bad: two.ringing.redirect(f"sip:{bad}@x"),
    "transfer": lambda two, bad: two.call.transfer(f"sip:{bad}@x"),
    "transfer header": lambda two, bad: two.call.transfer(B, headers=[("subject", bad)]),
    "call message type": lambda two, bad: two.call.message("x", bad),
    "call message header": lambda two, bad: two.call.message("x", headers=[("subject", bad)]),
    "send": lambda two, bad: two.call.send(bad),
    "send header": lambda two, bad: two.call.send("INFO", [("info-package", bad)]),
    "hang up": lambda two, bad: two.call.hangup(Reason.build("SIP", 200, bad)),
    "subscribe": lambda two, bad: two.alice.subscriber.subscribe(f"sip:{bad}@x", "presence", from_=A),
    "subscribe event": lambda two, bad: two.alice.subscriber.subscribe(B, bad, from_=A),
    "subscribe from": lambda two, bad: two.alice.subscriber.subscribe(B, "presence", from_=f'"{bad}" <{A}>'),
    "subscribe accept": lambda two, bad: two.alice.subscriber.subscribe(B, "presence", from_=A, accept=[bad]),
    "subscribe header": lambda two, bad: two.alice.subscriber.subscribe(B, "presence", from_=A, headers=[("x", bad)]),
    "subscribe contact": lambda two, bad: two.alice.subscriber.subscribe(B, "presence", from_=A, contact=bad),
    "subscribe route": lambda two, bad: two.alice.subscriber.subscribe(B, "presence", from_=A, route=[bad]),
    "subscribe etag": lambda two, bad: two.alice.subscriber.subscribe(B, "presence", from_=A, etag=bad),
    "publish": lambda two, bad: two.publisher.publication(f"sip:{bad}@192.0.2.22", "presence", from_=A).publish(
        b"x", "a/b"
    ),
    "publish event": lambda two, bad: two.publisher.publication(B, bad, from_=A).publish(b"x", "a/b"),
    "publish type": lambda two, bad: two.publisher.publication(B, "presence", from_=A).publish(b"x", bad),
    "publish route": lambda two, bad: two.publisher.publication(B, "presence", from_=A, route=[bad]).publish(
        b"x", "a/b"
    ),
    "publish from": lambda two, bad: two.publisher.publication(B, "presence", from_=f'"{bad}" <{A}>'),
    "publish header": lambda two, bad: two.publisher.publication(B, "presence", from_=A, headers=[("x", bad)]).publish(
        b"x", "a/b"
    ),
}


@BAD
@pytest.mark.parametrize("what", AGENTS)
def test_agents(two: Two, what: str, bad: str) -> None:
    two.network.trace.clear()
    failures: list[Any] = []
    with pytest.raises(LocalProtocolError):
        made = AGENTS[what](two, bad)
        if isinstance(made, Deferred):
            made.addErrback(failures.append)
        two.network.advance(1)
        if failures:
            failures[0].raiseException()
    two.network.advance(1)
    assert not [one[4] for one in two.network.trace if b"X-Evil" in one[4] or b"\0" in one[4]]
