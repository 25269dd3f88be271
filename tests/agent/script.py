"""A peer by script, and the agent that it talks to."""

from __future__ import annotations

from typing import Any

from twisted_sip.message.builders import build_request
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

from .agents import SDP, Scene

AGENT = ("198.51.100.1", 5060)
OFFER = SDP.format(id=1, version=1, way="sendrecv").replace("\n", "\r\n").encode()
HELD = SDP.format(id=1, version=2, way="sendonly").replace("\n", "\r\n").encode()


class Script:
    """The peer of alice."""

    def __init__(self, scene: Scene, **settings: Any) -> None:
        self.scene = scene
        self.alice = scene.agent("alice", 1, **settings)
        self.peer = scene.peer()
        self.number = 0
        self.call: Any = None
        self.invite: Any = None

    def invited(self, **how: Any) -> Request:
        self.call = self.alice.call("sip:x@198.51.100.9", **how)
        self.invite = self.peer.expect("INVITE")
        return self.invite

    def answer(
        self, request: Request, status: int, tag: str = "a", body: bytes = b"", *headers: tuple[str, str]
    ) -> None:
        fields = [("contact", "<sip:x@198.51.100.9>"), ("allow", "INVITE, UPDATE, INFO, REFER"), *headers]
        if body:
            fields.append(("content-type", "application/sdp"))
        self.peer.answer(request, status, fields, body, to_tag=tag)
        self.scene.run(0.1)

    def established(self, **how: Any) -> Any:
        self.answer(self.invited(**how), 200, "a", OFFER)
        assert self.peer.expect("ACK") and self.call.established
        return self.call

    def request(self, method: str, *headers: tuple[str, str], body: bytes = b"", tag: str = "a") -> Response:
        """Send a request in the dialog; return its final response."""
        self.number += 1
        fields = [
            ("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKp{self.number}"),
            ("contact", "<sip:x@198.51.100.9>"),
            *headers,
        ]
        if body and not any(name == "content-type" for name, _ in headers):
            fields.append(("content-type", "application/sdp"))
        request = build_request(
            method,
            self.invite.contacts[0].uri,
            from_=f"<sip:x@198.51.100.9>;tag={tag}",
            to=str(self.invite.from_),
            call_id=self.invite.call_id,
            cseq=self.number,
            headers=fields,
            body=body,
        )
        self.peer.send(request, AGENT)
        found: Response = self.peer.expect(lambda message: isinstance(message, Response) and message.status >= 200)
        if method == "INVITE" and found.status < 300:
            ack = build_request(
                "ACK",
                self.invite.contacts[0].uri,
                from_=f"<sip:x@198.51.100.9>;tag={tag}",
                to=str(self.invite.from_),
                call_id=self.invite.call_id,
                cseq=self.number,
                headers=[("via", f"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKa{self.number}")],
            )
            self.peer.send(ack, AGENT)
        self.scene.run(0.1)
        return found

    def end(self) -> None:
        if self.call is not None and not self.call.over:
            self.call.hangup()
            self.scene.run(0.1)
        bye = [arrival.message for arrival in self.peer.arrivals if getattr(arrival.message, "method", "") == "BYE"]
        for request in bye:
            self.peer.answer(request, 200)
