"""Somebody at an address of his own who sends whatever he likes to an agent, bob unless told otherwise."""

from __future__ import annotations

from typing import Any

from twisted_sip.message.builders import build_request
from twisted_sip.message.response import Response

from .agents import Scene
from .script import OFFER


class Stranger:
    """A scripted caller."""

    def __init__(
        self, scene: Scene, number: int, agent: Any = None, *, user: str = "", peer: Any = None, **settings: Any
    ) -> None:
        self.scene = scene
        self.bob = agent or scene.agent("bob", 1, **settings)
        self.host = f"198.51.100.{number}"
        self.address = f"<sip:{user or f'x{number}'}@{self.host}>"
        self.peer = peer or scene.peer(number)
        self.number = 0
        self.to = next(iter(self.bob.element.transports.addresses.all)).address

    @property
    def call(self) -> Any:
        """The first call that the agent has had."""
        return self.bob.arrived[0]

    def request(
        self,
        method: str,
        *headers: tuple[str, str],
        call_id: str = "c1",
        tag: str = "f",
        to_tag: str = "",
        cseq: int = 0,
        body: bytes = b"",
        kind: str = "application/sdp",
        branch: str = "",
        uri: str = "",
        to: str = "",
        wait: bool = True,
        final: bool = True,
    ) -> Response:
        """Send a request; return the first response that is final, or any from 101 on."""
        self.number += 1
        branch = branch or f"z9hG4bK{self.host[-1]}q{self.number}"
        fields = [
            ("via", f"SIP/2.0/UDP {self.host};branch={branch}"),
            ("contact", f"<sip:x@{self.host}>"),
            ("supported", "100rel") if method == "INVITE" and not final else ("user-agent", "x"),
            *headers,
        ]
        if body:
            fields.append(("content-type", kind))
        request = build_request(
            method,
            uri or f"sip:bob@{self.to.host}",
            from_=f"{self.address};tag={tag}",
            to=(to or f"<sip:bob@{self.to.host}>") + (f";tag={to_tag}" if to_tag else ""),
            call_id=call_id,
            cseq=cseq or self.number,
            headers=fields,
            body=body,
        )
        self.peer.send(request, (self.to.host, self.to.port))
        if not wait:
            self.scene.run(0.1)
            return None  # type: ignore[return-value]
        lowest = 200 if final else 101

        def fits(message: Any) -> bool:
            return isinstance(message, Response) and branch in message.headers.first("via") and message.status >= lowest

        found: Response = self.peer.expect(fits, within=5)
        return found

    def up(self) -> str:
        """Have a call with the agent, which answers this one alone; return its tag."""
        self.bob.does = lambda call: call.answer()
        tag: str = self.request("INVITE", body=OFFER, cseq=1).to.tag
        self.request("ACK", cseq=1, to_tag=tag, wait=False)
        self.bob.does = None
        return tag
