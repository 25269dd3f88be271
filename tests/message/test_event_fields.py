"""Event and Subscription-State."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.event_fields import Event, SubscriptionState


def test_event() -> None:
    found = Event.parse("presence.winfo.winfo ; ID=a7; x=y")
    assert (found.package, found.templates, found.id) == ("presence", ("winfo", "winfo"), "a7")
    assert found.match_key == ("presence.winfo.winfo", "a7")
    assert Event.parse(str(found)) == found
    assert Event.parse("reg").match_key == ("reg", "")
    # RFC 6665 section 8.2.1: byte by byte.
    assert Event.parse("Presence") != Event.parse("presence")


@pytest.mark.parametrize("text", ["", "a..b", ".a", "a.", "a b", "a;"])
def test_malformed_event(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Event header field"):
        Event.parse(text)


def test_subscription_state() -> None:
    found = SubscriptionState.parse("Terminated;Reason=Rejected;retry-after=30")
    assert found.terminated
    assert (found.state, found.reason, found.retry_after, found.expires) == ("terminated", "rejected", 30, None)
    active = SubscriptionState("active", [("expires", "600")])
    assert str(active) == "active;expires=600"
    assert SubscriptionState.parse("ACTIVE;expires=600") == active
    assert (active.terminated, active.expires, active.reason) == (False, 600, "")


@pytest.mark.parametrize("text", ["", "active;expires", "active;expires=x", "terminated;retry-after=-1"])
def test_malformed_subscription_state(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Subscription-State header field"):
        SubscriptionState.parse(text)
