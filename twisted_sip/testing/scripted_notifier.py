"""A notifier by script, and the subscriber that it tests (RFC 6665 section 4)."""

from __future__ import annotations

from typing import Any

from twisted_sip.dialog.subscriber import Notified
from twisted_sip.events.subscriber import Subscriber
from twisted_sip.events.subscription import Subscription
from twisted_sip.interfaces.processing import Verdict
from twisted_sip.message.builders import build_request
from twisted_sip.testing.scripted_sending import ScriptedElement, ScriptedIncoming, ScriptedOutgoing


class ScriptedNotifier:
    """A subscriber over an element that sends nothing, and the notifier's side of it.

    :ivar told: what the subscriptions made by :meth:`subscribe` were told.
    :ivar verdict: what the subscriber said to the last NOTIFY.
    """

    def __init__(self, **how: Any) -> None:
        self.element = ScriptedElement()
        self.subscriber = Subscriber(self.element, **how)  # type: ignore[arg-type]
        self.told: list[Notified] = []
        self.verdict: Verdict = None
        self._cseq = 8774

    @property
    def sent(self) -> list[ScriptedOutgoing]:
        """What the subscriber has sent."""
        return self.element.sender.sent

    @property
    def last(self) -> ScriptedOutgoing:
        """What it has sent last."""
        return self.element.sender.last

    def subscribe(self, **how: Any) -> Subscription:
        """Have it subscribe; *how* is as for Subscriber.subscribe."""
        how.setdefault("from_", "<sip:user@example.com>")
        how.setdefault("on_notify", self.told.append)
        how.setdefault("expires", 600)
        event = how.pop("event", "presence")
        return self.subscriber.subscribe(how.pop("uri", "sip:resource@example.com"), event, **how)

    def notify(self, state: str, *headers: Any, tag: str = "ffd2", body: bytes = b"", **how: Any) -> ScriptedIncoming:
        """The notifier sends a NOTIFY for the SUBSCRIBE sent last; return how it is answered."""
        self._cseq += 1
        subscribe = how.pop("subscribe", self.last.request)
        request = build_request(
            "NOTIFY",
            subscribe.contacts[0].uri,
            from_=f"<sip:resource@example.com>;tag={tag}",
            to=str(subscribe.from_),
            call_id=subscribe.call_id,
            cseq=self._cseq,
            headers=[
                ("event", how.pop("event", "presence")),
                ("subscription-state", state),
                ("contact", "sip:server.example.com"),
                *headers,
            ],
            body=body,
        )
        incoming = ScriptedIncoming(request)
        self.verdict = self.subscriber.process(incoming)
        return incoming

    def accept(self, expires: int = 600, status: int = 200) -> None:
        """Accept the SUBSCRIBE sent last."""
        self.last.answer(status, ("expires", str(expires)), ("contact", "sip:server.example.com"), to_tag="ffd2")

    def active(self, **how: Any) -> Subscription:
        """Return a subscription that has had its first NOTIFY."""
        made = self.subscribe(**how)
        self.accept()
        assert self.notify("active;expires=600").status == 200
        return made

    def states(self) -> list[str]:
        """Return the states told."""
        return [notified.state for notified in self.told]

    def check_empty(self) -> None:
        """Check that nothing is left of any subscription."""
        assert len(self.subscriber) == 0
        assert len(self.subscriber.dialogs) == 0
        assert self.subscriber.awaited == 0
        assert self.element.timers.pending == 0
