"""Resources elsewhere: subscriptions on behalf of a watcher (RFC 4662 sections 2, 4.5 and 7)."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.message.response import Response
from twisted_sip.presence.lists.server import ResourceListServer
from twisted_sip.testing.peer import Peer

BOB = "sip:bob@example.com"
ED = "sip:ed@example.net"
EVE = "sip:eve@example.net"
PIDF = "application/pidf+xml"


class Elsewhere:
    """A scripted notifier for example.net."""

    def __init__(self, site: Any, host: str = "203.0.113.5", domain: str = "example.net") -> None:
        site.dns.a(domain, host)
        self.peer = Peer(site.network.node(host))
        self.cseq = 0

    def subscribed(self, status: int = 200, expires: int = 3600) -> Any:
        """Answer the next SUBSCRIBE and return it."""
        request = self.peer.expect("SUBSCRIBE")
        headers = [("expires", str(expires)), ("contact", f"<sip:{self.peer.address.host}>")]
        self.peer.answer(request, status, headers if status == 200 else (), to_tag="there")
        return request

    def notify(
        self,
        subscribe: Any,
        state: str = "active;expires=3600",
        body: str = "",
        content_type: str = PIDF,
        extra: str = "",
    ) -> Response:
        """Send a NOTIFY for *subscribe* and return the response."""
        self.cseq += 1
        contact = subscribe.contacts[0].uri
        text = f"""NOTIFY {contact} SIP/2.0
Via: SIP/2.0/UDP {self.peer.address.host};branch=z9hG4bKn{self.cseq}{id(self)}
Max-Forwards: 70
From: {subscribe.headers.first("to").partition(";")[0]};tag=there
To: {subscribe.headers.first("from")}
Call-ID: {subscribe.call_id}
CSeq: {self.cseq} NOTIFY
Contact: <sip:{self.peer.address.host}>
Event: presence
Subscription-State: {state}"""
        if content_type == LIST:
            text += "\nRequire: eventlist"
        text += (f"\nContent-Type: {content_type}" if body else "") + f"\n\n{body}"
        self.peer.send(text, ("192.0.2.1", 5060))
        response: Response = self.peer.expect(lambda message: isinstance(message, Response))
        return response


@pytest.fixture
def listed(site: Any) -> Any:
    site.put_list(BOB, ED)
    return site


def pidf(basic: str, uri: str = ED) -> str:
    return (
        f'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{uri}"><tuple id="t"><status>'
        f"<basic>{basic}</basic></status></tuple></presence>"
    )


def test_a_buddy_elsewhere(listed: Any) -> None:
    there = Elsewhere(listed)
    watcher = listed.subscribed()
    # Nothing is known yet (section 4.5).
    assert watcher.table.state(ED) == "" and watcher.table.state(BOB) == "active"
    subscribe = there.subscribed()
    assert subscribe.uri_text == ED and str(subscribe.from_.uri) == "sip:adam@example.com"
    assert list(subscribe.typed("supported")) == ["eventlist"]
    assert subscribe.headers.elements("accept") == [PIDF, "application/rlmi+xml", "multipart/related"]
    assert there.notify(subscribe, "pending;expires=3600").status == 200
    assert [each.uri for each in watcher.told().resources] == [ED]
    assert watcher.table.state(ED) == "pending"
    assert there.notify(subscribe, body=pidf("open")).status == 200
    watcher.told()
    assert watcher.table.state(ED) == "active" and watcher.table.basic(ED) == "open"
    # The same once more is no news.
    assert there.notify(subscribe, body=pidf("open")).status == 200
    watcher.quiet()
    # Without a body it is what it was.
    assert there.notify(subscribe).status == 200
    watcher.quiet()
    assert watcher.subscribe().status == 200
    assert watcher.told().full and watcher.table.basic(ED) == "open"
    assert watcher.subscribe(expires=0).status == 200
    watcher.told_the_end()
    assert watcher.table.basic(ED) == "open"
    assert there.subscribed(expires=0).expires == 0
    assert there.notify(subscribe, "terminated;reason=timeout").status == 200
    assert not listed.lists.counts()["back-end subscriptions"]


def test_active_without_a_body_is_not_told(listed: Any) -> None:
    there = Elsewhere(listed)
    watcher = listed.subscribed()
    assert there.notify(there.subscribed()).status == 200
    watcher.quiet()
    assert watcher.table.state(ED) == ""


@pytest.mark.parametrize(
    ("status", "shown"),
    [(403, "rejected"), (404, "noresource"), (489, "noresource"), (421, "rejected"), (603, "rejected")],
)
def test_refused_elsewhere(listed: Any, status: int, shown: str) -> None:
    there = Elsewhere(listed)
    watcher = listed.subscribed()
    there.subscribed(status)
    watcher.told()
    assert watcher.table.state(ED) == f"terminated {shown}"
    # Tried again when the watcher asks, but not at once.
    assert watcher.subscribe().status == 200
    watcher.told()
    there.peer.skip()
    there.peer.expect_nothing(within=3)
    listed.network.advance(400)
    assert watcher.subscribe().status == 200
    watcher.told()
    listed.network.advance(400)
    watcher.peer.skip()
    assert watcher.subscribe().status == 200
    watcher.told()
    subscribe = there.subscribed()
    there.notify(subscribe, body=pidf("open"))
    watcher.told()
    assert watcher.table.basic(ED) == "open"


def test_ended_elsewhere(listed: Any) -> None:
    there = Elsewhere(listed)
    watcher = listed.subscribed()
    subscribe = there.subscribed()
    there.notify(subscribe, body=pidf("open"))
    watcher.told()
    there.notify(subscribe, "terminated;reason=rejected")
    watcher.told()
    assert watcher.table.state(ED) == "terminated rejected"
    there.peer.expect_nothing(within=30)


def test_lost_elsewhere_and_made_again(listed: Any) -> None:
    there = Elsewhere(listed)
    watcher = listed.subscribed()
    subscribe = there.subscribed()
    there.notify(subscribe, body=pidf("open"))
    watcher.told()
    there.notify(subscribe, "terminated;reason=deactivated")
    watcher.told()
    assert watcher.table.state(ED) == "terminated deactivated"
    there.notify(there.subscribed(), body=pidf("closed"))
    watcher.told()
    assert watcher.table.state(ED) == "active" and watcher.table.basic(ED) == "closed"


def test_one_for_all_lists_of_a_watcher_none_for_others(listed: Any) -> None:
    there = Elsewhere(listed)
    first = listed.subscribed()
    there.notify(there.subscribed(), body=pidf("open"))
    first.told()
    second = listed.subscribed()
    assert second.table.basic(ED) == "open"
    assert listed.lists.counts()["back-end subscriptions"] == 1
    # Section 7.2.
    listed.put_list(ED, uri="sip:bobs@example.com", owner=BOB)
    third = listed.subscribed("sip:bobs@example.com", BOB)
    assert str(there.subscribed().from_.uri) == BOB and third.table.state(ED) == ""
    assert listed.lists._back_ends.counts() == {"sip:adam@example.com": 1, BOB: 1}
    assert first.subscribe(expires=0).status == 200
    first.told_the_end()
    assert listed.lists.counts()["back-end subscriptions"] == 2


def test_as_many_as_are_allowed(make_site: Any) -> None:
    site = make_site(max_back_ends_per_watcher=1)
    there = Elsewhere(site)
    site.put_list(ED, EVE)
    watcher = site.subscribed()
    assert watcher.table.state(ED) == "" and watcher.table.state(EVE) == "terminated giveup"
    there.subscribed(404)
    site.subscriber.limit = 0
    site.lists.settings = type(site.settings)(max_back_ends=1)
    site.put_list(BOB)
    watcher.told()
    site.put_list(ED, EVE)
    watcher.told()
    assert [watcher.table.state(uri) for uri in (ED, EVE)] == ["terminated giveup"] * 2


@pytest.mark.parametrize("settings", [{"remote": False}, {}])
def test_without_subscriptions_elsewhere(make_site: Any, settings: dict[str, Any]) -> None:
    site = make_site(**settings)
    site.put_list(BOB, ED)
    if not settings:
        site.lists._back_ends = None
    watcher = site.subscribed()
    assert watcher.table.state(ED) == "terminated giveup" and watcher.table.state(BOB) == "active"


def test_a_fetch_asks_nobody_elsewhere(listed: Any) -> None:
    there = Elsewhere(listed)
    watcher = listed.watcher()
    assert watcher.subscribe(expires=0).status == 200
    watcher.told_the_end()
    there.peer.expect_nothing()


def test_who_is_not_ours_is_not_vouched_for(make_site: Any) -> None:
    class Open(ResourceListServer):
        def authorize_list(self, resource: str, owner: str, watcher: str) -> bool:
            return True

    site = make_site()
    site.server_class = Open
    site.restart()
    site.put_list(ED)
    there = Elsewhere(site)
    site.subscribed(uri="sip:eve@example.org")
    # Section 7.1.2.
    assert str(there.subscribed(403).from_.uri) == "sip:adam-buddies@example.com"


def rlmi(version: int, full: str, resource: str = "sip:joe@example.net") -> str:
    return f"""--b
Content-ID: <r@example.net>
Content-Type: application/rlmi+xml

<list xmlns="urn:ietf:params:xml:ns:rlmi" uri="{ED}" version="{version}" fullState="{full}">
<resource uri="{resource}"/></list>
--b--
"""


LIST = 'multipart/related;type="application/rlmi+xml";start="<r@example.net>";boundary=b'


def test_a_list_elsewhere_is_passed_on_whole(listed: Any) -> None:
    there = Elsewhere(listed)
    watcher = listed.subscribed()
    subscribe = there.subscribed()
    there.notify(subscribe, body=rlmi(0, "true"), content_type=LIST)
    watcher.told()
    assert watcher.table.rows[ED][1].content_type.key == "multipart/related"
    # Of partial state some could get lost: the whole is asked for.
    there.notify(subscribe, body=rlmi(1, "false"), content_type=LIST)
    refresh = there.subscribed()
    assert refresh.to.tag == "there"
    watcher.quiet()
    there.notify(subscribe, body=rlmi(2, "true", "sip:mark@example.net"), content_type=LIST)
    watcher.told()
    assert b"mark" in watcher.table.rows[ED][1].parts[0].body
    # What cannot be read is passed on all the same, if it is no list.
    there.notify(subscribe, body="--b\nContent-Type: application/rlmi+xml\n\n<x/>\n--b--\n", content_type=LIST)


def test_bodies_that_are_too_much(make_site: Any) -> None:
    site = make_site(max_part=300, max_depth=1)
    site.put_list(ED)
    there = Elsewhere(site)
    watcher = site.subscribed()
    subscribe = there.subscribed()
    assert there.notify(subscribe, body="x" * 301).status == 413
    nested = f"--o\nContent-Type: {LIST}\n\n{rlmi(0, 'true')[:60]}\n--b--\n--o--\n"
    # Section 7.4.
    assert there.notify(subscribe, body=nested, content_type="multipart/mixed;boundary=o").status == 413
    watcher.quiet()


def test_lists_elsewhere_are_not_wanted(make_site: Any) -> None:
    site = make_site(remote_lists=False)
    site.put_list(ED)
    there = Elsewhere(site)
    site.subscribed()
    subscribe = there.subscribed(421)
    assert "supported" not in subscribe.headers and subscribe.headers.elements("accept") == [PIDF]
