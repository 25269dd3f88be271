"""A party of a call that does what a test says, message by message."""

from __future__ import annotations

from typing import Any

from twisted_sip.message.builders import build_request
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

from .scene import HOST, Scene

TYPE = ("content-type", "application/sdp")
RELIABLE = ("supported", "100rel")


def sdp(port: int = 4000, *lines: str, version: int = 1, host: str = "198.51.100.9") -> bytes:
    """Return a session description."""
    head = ["v=0", f"o=- 1 {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return "\r\n".join([*head, f"m=audio {port} RTP/AVP 0", *lines, ""]).encode()


class Party:
    """A scripted user agent with one dialog at a time."""

    def __init__(self, scene: Scene, name: str, number: int) -> None:
        self.scene = scene
        self.name = name
        self.host = f"198.51.100.{number}"
        self.peer = scene.peer(number)
        self.contact = ("contact", f"<sip:{name}@{self.host}>")
        scene.bind(name, f"sip:{name}@{self.host}")
        self.uri = f"sip:{name}@example.com"
        self.call_id = f"call of {name}".replace(" ", "-")
        self.local = f"<{self.uri}>;tag={name}"
        self.remote = self.target = ""
        self.cseq = 0
        self.invite: Any = None
        self._branches = 0
        self._taken: set[tuple[str, int]] = set()

    # -- as the caller --------------------------------------------------------------------------

    def call(self, uri: str, *headers: tuple[str, str], body: bytes = b"") -> Request:
        """Send an INVITE."""
        self.remote = f"<{uri}>"
        self.target = uri
        self.invite = self.request("INVITE", *headers, body=body)
        return self.invite

    def response(self, status: int, method: str = "") -> Response:
        """Wait for a response, and take what it tells about the dialog."""

        def is_it(message: Any) -> bool:
            fits = isinstance(message, Response) and message.status == status
            return fits and (not method or message.cseq.method == method)

        found: Response = self.peer.expect(is_it)
        if found.to.tag and found.cseq.method in ("INVITE", "UPDATE"):
            self.remote = found.headers.first("to") or ""
            if found.headers.first("contact"):
                self.target = found.contacts[0].uri_text
        return found

    def ack(self, body: bytes = b"", cseq: int | None = None) -> None:
        """Acknowledge a 2xx."""
        self.request("ACK", body=body, cseq=cseq or self.invite.cseq.number)

    def prack(self, response: Response, body: bytes = b"") -> None:
        """Acknowledge a reliable provisional *response*."""
        value = f"{response.headers.first('rseq')} {response.cseq}"
        self.request("PRACK", ("rack", value), body=body)

    def cancel(self, invite: Request) -> None:
        """Cancel *invite*."""
        cancel = build_request(
            "CANCEL", invite.uri_text, from_=invite.from_, to=invite.to, call_id=invite.call_id,
            cseq=invite.cseq.number, headers=[("via", invite.headers.first("via") or "")],
        )  # fmt: skip
        self.peer.send(cancel, (HOST, 5060))

    # -- as the callee ---------------------------------------------------------------------------

    def invited(self) -> Request:
        """Wait for an INVITE that is new."""

        def is_new(message: Any) -> bool:
            if not isinstance(message, Request) or message.method != "INVITE":
                return False
            return (message.call_id, message.cseq.number) not in self._taken

        self.invite = invite = self.peer.expect(is_new)
        self._taken.add((invite.call_id, invite.cseq.number))
        if not invite.to.tag:
            self.call_id = invite.call_id
            self.local = f"{invite.headers.first('to')};tag={self.name}"
            self.remote = invite.headers.first("from")
        self.target = invite.contacts[0].uri_text
        return invite

    def answer(
        self, request: Request, status: int, *headers: tuple[str, str], body: bytes = b"", tag: str = ""
    ) -> None:
        """Answer *request*."""
        fields = [self.contact, *headers, *([TYPE] if body else [])]
        self.peer.answer(request, status, fields, body, to_tag=tag or self.name)

    def reliably(self, status: int, body: bytes = b"", rseq: int = 1) -> None:
        """Answer the INVITE with a provisional response that has to be acknowledged."""
        self.answer(self.invite, status, ("require", "100rel"), ("rseq", str(rseq)), body=body)

    # -- in the dialog -------------------------------------------------------------------------------

    def request(
        self, method: str, *headers: tuple[str, str], body: bytes = b"", cseq: int | None = None, to: Any = None
    ) -> Request:
        """Send a request in the dialog."""
        if cseq is None:
            self.cseq += 1
        self._branches += 1
        fields = [("via", f"SIP/2.0/UDP {self.host};branch=z9hG4bK{self.name}{self._branches}"), self.contact]
        request = build_request(
            method, self.target, from_=self.local, to=to or self.remote, call_id=self.call_id, cseq=cseq or self.cseq,
            headers=[*fields, *headers, *([TYPE] if body and not dict(headers).get("content-type") else [])],
            body=body,
        )  # fmt: skip
        self.peer.send(request, (HOST, 5060))
        return request

    def asked(self, method: str) -> Request:
        """Wait for a request."""
        found: Request = self.peer.expect(method)
        return found

    def bye(self) -> None:
        """Hang up."""
        self.request("BYE")
        self.response(200, "BYE")

    def offered(self, seconds: float) -> list[bytes]:
        """Return the descriptions that come in so many seconds."""
        self.peer.skip()
        seen = len(self.peer.messages)
        self.scene.run(seconds)
        return [one.body for one in self.peer.messages[seen:] if one.body]

    def silent(self, seconds: float = 3.0) -> list[str]:
        """Return the methods and statuses that come in so many seconds."""
        self.peer.skip()
        seen = len(self.peer.messages)
        self.scene.run(seconds)
        return [
            one.method if isinstance(one, Request) else str(one.status) for one in self.peer.messages[seen:]
        ]  # fmt: skip


class Talk:
    """A call between two scripted parties."""

    def __init__(self, scene: Scene, *, reliable: bool = False, allow: str = "") -> None:
        self.scene = scene
        self.alice = Party(scene, "alice", 7)
        self.bob = Party(scene, "bob", 8)
        self.headers = ([RELIABLE] if reliable else []) + ([("allow", allow)] if allow else [])

    def established(self, allow: str = "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK") -> Talk:
        """Both have agreed on media."""
        alice, bob = self.alice, self.bob
        alice.call(bob.uri, *self.headers, body=sdp(4000))
        invite = bob.invited()
        assert b"m=audio" in invite.body
        bob.answer(invite, 200, ("allow", allow), body=sdp(5000))
        bob.asked("ACK")
        alice.response(200, "INVITE")
        alice.ack()
        self.scene.run(0.5)
        return self

    def over(self) -> None:
        """Hang up at one side."""
        self.alice.request("BYE")
        self.bob.answer(self.bob.asked("BYE"), 200)
        self.alice.response(200, "BYE")
