"""An event state compositor by script, and the publisher that it tests (RFC 3903)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.events.published_state import PublishedState
from twisted_sip.events.publishing import Publisher
from twisted_sip.message.request import Request
from twisted_sip.testing.scripted_sending import ScriptedElement, ScriptedOutgoing


class ScriptedCompositor:
    """A publisher over an element that sends nothing, and the other side of it.

    :ivar lost: the statuses that *on_lost* was called with.
    :ivar results: what the Deferreds given to :meth:`keep` have fired with; of failures the status.
    """

    def __init__(self, **how: Any) -> None:
        self.element = ScriptedElement()
        self.publisher = Publisher(self.element, **how)  # type: ignore[arg-type]
        self.lost: list[int] = []
        self.results: list[Any] = []

    @property
    def sent(self) -> list[ScriptedOutgoing]:
        """What the publisher has sent."""
        return self.element.sender.sent

    @property
    def request(self) -> Request:
        """What it has sent last."""
        return self.sent[-1].request

    def field(self, name: str) -> str | None:
        """Return a header field of what it has sent last."""
        return self.request.headers.first(name)

    def make(self, uri: str = "sip:presentity@example.com", **how: Any) -> PublishedState:
        """Return a publication; *how* is as for Publisher.publication."""
        how.setdefault("from_", "<sip:presentity@example.com>")
        how.setdefault("on_lost", self.lost.append)
        return self.publisher.publication(uri, "presence", **how)

    def keep(self, deferred: Deferred[Any]) -> None:
        """Keep the result: what it fires with, or the status that it fails with."""
        deferred.addCallbacks(self.results.append, lambda failure: self.results.append(failure.value.status))

    def accept(self, etag: str = "dx200xyz", expires: int = 1800) -> None:
        """Accept the PUBLISH sent last."""
        headers = [("expires", str(expires))]
        self.sent[-1].answer(200, *headers, *([("sip-etag", etag)] if etag else []))

    def refuse(self, status: int, *headers: Any) -> None:
        """Refuse the PUBLISH sent last."""
        self.sent[-1].answer(status, *headers)

    def published(self, **how: Any) -> PublishedState:
        """Return a publication that lasts for 1800 s."""
        made = self.make(**how)
        self.keep(made.publish(b"open", "application/pidf+xml"))
        self.accept()
        assert self.results.pop() == "dx200xyz"
        return made

    def check_empty(self) -> None:
        """Check that nothing is left of any publication."""
        assert len(self.publisher) == 0
        assert self.publisher.turns == 0
        assert self.element.timers.pending == 0
