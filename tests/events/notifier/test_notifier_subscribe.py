"""SUBSCRIBE outside of a dialog: what is taken, what is refused, what is passed on (RFC 6665 section 4.2.1)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.errors import RemoteProtocolError, StoreError, StoreFull
from twisted_sip.interfaces.event_package import Authorization
from twisted_sip.message.request import Request


def test_a_subscription_is_made_and_told_at_once(desk: Any) -> None:
    desk.package.texts["sip:alice@example.com"] = "hello"
    watcher = desk.watcher()
    response = watcher.subscribe(600)
    assert response.status == 200 and response.expires == 600
    assert response.headers.first("allow-events") == "presence"
    assert str(response.contacts[0].uri) == "sip:notifier@192.0.2.1:5060;transport=udp"
    notify = watcher.notify()
    assert notify.uri_text == "sip:bob@192.0.2.11;transport=udp"
    assert str(notify.typed("subscription-state")) == "active;expires=600"
    assert notify.headers.first("event") == "presence"
    assert notify.body == b"hello" and notify.headers.first("content-type") == "text/plain"
    assert notify.from_.tag == response.to.tag and notify.to.tag == watcher.tag
    assert notify.call_id == watcher.call_id and notify.cseq.number == 1
    assert notify.headers.first("contact") == "<sip:notifier@192.0.2.1:5060;transport=udp>"
    assert notify.headers.first("sip-etag")
    assert len(desk.stored()) == 1 and desk.package.changes == ["active"]
    desk.package.put("news")
    assert watcher.notify().body == b"news"
    assert desk.notifier.counts() == {
        "subscriptions": 1, "foreign": 0, "watchers": 1, "resources": 1, "waiting": 0,
        "events": {"presence": {"active": 1}},
    }  # fmt: skip


def test_the_response_comes_before_the_notify(desk: Any) -> None:
    watcher = desk.watcher()
    watcher.send(watcher.text())
    desk.network.advance(0.2)
    kinds = [isinstance(message, Request) for message in watcher.peer.messages]
    assert kinds == [False, True]
    watcher.notify()


@pytest.mark.parametrize(
    ("expires", "granted"), [(None, 3600), (100_000, 86_400), (60, 60), (3600, 3600), (2**32 - 1, 86_400)]
)
def test_the_time_that_is_granted(desk: Any, expires: int | None, granted: int) -> None:
    watcher = desk.watcher()
    assert watcher.subscribe(expires).expires == granted
    watcher.notify()


@pytest.mark.parametrize("min_expires", [120, 7200])
def test_too_brief(make_desk: Any, min_expires: int) -> None:
    desk = make_desk(min_expires=min_expires)
    watcher = desk.watcher()
    response = watcher.subscribe(59)
    assert (response.status, response.headers.first("min-expires")) == (423, str(min(min_expires, 3600)))
    assert watcher.subscribe(3600).status == 200
    watcher.notify()


def test_events_that_are_not_served(desk: Any) -> None:
    watcher = desk.watcher()
    assert watcher.subscribe(event="Event: dialog").status == 404, "passed on, and nobody took it"
    assert watcher.subscribe(event="").status == 404
    desk.claims_all = True
    for event in ("Event: dialog", "", "Event: Presence", "Event: presence.winfo"):
        response = watcher.subscribe(event=event)
        assert (response.status, response.headers.first("allow-events")) == (489, "presence")
    assert watcher.subscribe(event="Event: pres..ence").status == 400
    assert watcher.subscribe(event="Event: presence\nEvent: presence").status == 400


def test_others_uris_are_passed_on(desk: Any) -> None:
    desk.claims_all = True
    watcher = desk.watcher()
    assert watcher.subscribe(start="SUBSCRIBE sip:alice@example.org SIP/2.0").status == 404
    assert watcher.subscribe(start="SUBSCRIBE tel:+1 SIP/2.0").status == 404
    # Another device's dialog.
    assert watcher.subscribe(to="To: <sip:alice@example.com>;tag=x").status == 404
    assert watcher.subscribe(to="To: <sip:alice@example.org>;tag=x", start="SUBSCRIBE sip:x@y.z SIP/2.0").status == 404
    contact = "SUBSCRIBE sip:notifier@192.0.2.1 SIP/2.0"
    assert watcher.subscribe(to="To: <sip:alice@example.com>;tag=x", start=contact).status == 481
    assert not desk.package.asked


def test_other_methods_are_passed_on(desk: Any) -> None:
    watcher = desk.watcher()
    assert watcher.subscribe(start="OPTIONS sip:alice@example.com SIP/2.0", cseq="CSeq: 1 OPTIONS").status == 404


@pytest.mark.parametrize(
    ("changes", "status", "header", "value"),
    [
        ({"more": "Require: 100rel, path"}, 420, "unsupported", "100rel, path"),
        ({"more": "Accept: application/pidf+xml"}, 406, "accept", "text/plain, text/html"),
        ({"more": "Accept: "}, 406, "accept", "text/plain, text/html"),
        ({"more": "Accept: text/*;q=0"}, 406, "accept", "text/plain, text/html"),
        ({"more": "Accept: text"}, 400, "", ""),
        ({"more": "Suppress-If-Match: a b"}, 400, "", ""),
        ({"more": "Content-Encoding: gzip\nContent-Type: text/plain", "body": "x"}, 415, "accept-encoding", "identity"),
        ({"body": "x"}, 415, "accept", ""),
        ({"contact": ""}, 400, "", ""),
        ({"contact": "Contact: *"}, 400, "", ""),
        ({"expires": "Expires: soon"}, 400, "", ""),
    ],
)
def test_what_is_refused(desk: Any, changes: dict[str, str], status: int, header: str, value: str) -> None:
    watcher = desk.watcher()
    response = watcher.subscribe(**changes)
    assert response.status == status
    if header:
        assert response.headers.first(header) == value
    watcher.quiet()
    assert not desk.stored() and not desk.package.changes


def test_bodies_that_the_package_knows(make_desk: Any, package_type: Any) -> None:
    desk = make_desk()
    desk.package.body_types = ("application/Simple-Filter+xml",)
    desk.package.option_tags = ("EventList",)
    desk.package.response_headers = lambda subscription: [("require", "eventlist")]
    desk.restart(desk.package)
    watcher = desk.watcher()
    content = "Content-Type: application/simple-filter+xml;charset=utf-8"
    response = watcher.subscribe(more=f"{content}\nRequire: eventlist\nSupported: path, Eventlist", body="<x/>")
    assert response.status == 200 and response.headers.first("require") == "eventlist"
    watcher.notify()
    subscription = desk.only()
    assert subscription.body == ("application/simple-filter+xml;charset=utf-8", b"<x/>")
    assert subscription.supported == ("path", "eventlist")
    other = desk.watcher("carol")
    response = other.subscribe(more="Content-Type: text/plain", body="x")
    assert (response.status, response.headers.first("accept")) == (415, "application/simple-filter+xml")
    optional = "Content-Type: text/plain\nContent-Disposition: render;handling=optional"
    assert other.subscribe(more=optional, body="x").status == 200
    other.notify()
    assert desk.notifier.subscriptions("presence")[1].body == ("", b"")


def test_what_the_watcher_accepts(desk: Any) -> None:
    accepts = {
        "text/html;q=0.5, text/plain": ("text/plain", "text/html"),
        "*/*;q=0.1, text/html": ("text/html", "text/plain"),
        "text/html;q=0, text/*": ("text/plain",),
        "application/pidf+xml, TEXT/plain": ("application/pidf+xml", "text/plain"),
        "text/plain, " + "a" * 300 + "/b": ("text/plain", "a" * 300 + "/b"),
    }
    for number, (accept, expected) in enumerate(accepts.items()):
        watcher = desk.watcher(f"user{number}")
        assert watcher.subscribe(more=f"Accept: {accept}").status == 200
        watcher.notify()
        assert desk.notifier.subscriptions("presence")[-1].accept == expected
    desk.subscribed("plain")
    assert desk.notifier.subscriptions("presence")[-1].accept == ("text/plain",)


def test_resources_that_are_not_there(desk: Any) -> None:
    desk.package.resources = lambda resource: resource != "sip:alice@example.com"
    watcher = desk.watcher()
    assert watcher.subscribe().status == 404
    watcher.quiet()


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (Authorization(state="terminated", reason="rejected", status=603), 603),
        (Authorization(state="terminated"), 403),
        (Authorization(status=404), 404),
    ],
)
def test_watchers_that_are_rejected(desk: Any, decision: Authorization, status: int) -> None:
    desk.package.decision = decision
    watcher = desk.watcher()
    assert watcher.subscribe().status == status
    watcher.quiet()
    assert not desk.stored() and not desk.package.changes and not len(desk.notifier.dialogs)


def test_a_package_may_refuse_with_a_status_of_its_own(desk: Any) -> None:
    def refuse(subscription: Any) -> Authorization:
        raise RemoteProtocolError("Bad Filter", status=488)

    desk.package.decision = refuse
    assert desk.watcher().subscribe().status == 488


def test_a_watcher_may_have_to_wait(desk: Any) -> None:
    desk.package.decision = Authorization(state="pending")
    desk.package.texts["sip:alice@example.com"] = "secret"
    watcher = desk.watcher()
    assert watcher.subscribe().status == 200
    notify = watcher.notify()
    assert str(notify.typed("subscription-state")) == "pending;expires=600" and notify.body == b""
    desk.package.decision = Authorization()
    desk.notifier.reauthorize("presence", "sip:alice@example.com")
    notify = watcher.notify()
    assert notify.typed("subscription-state").state == "active" and notify.body == b"secret"
    assert desk.package.changes == ["pending", "active"]
    assert [record.state for record in desk.stored()] == ["active"]


def test_packages_may_take_their_time(desk: Any) -> None:
    answers: list[Deferred[Any]] = []

    def later(*args: Any) -> Deferred[Any]:
        answers.append(Deferred())
        return answers[-1]

    async def telling(subscription: Any) -> Any:
        await later()
        return desk.package.plain(subscription)

    desk.package.resources = desk.package.decision = later
    desk.package.telling = telling
    watcher = desk.watcher()
    watcher.send(watcher.text())
    watcher.quiet(0.3)
    answers.pop().callback(True)
    answers.pop().callback(Authorization())
    watcher.peer.expect(200)
    desk.network.advance(1)
    answers.pop().callback(None)
    assert watcher.notify().body == b"none"
    desk.package.telling = None


def test_a_slow_refusal_is_one(desk: Any) -> None:
    answers: list[Deferred[Any]] = []
    desk.package.resources = lambda resource: answers.append(Deferred()) or answers[-1]
    watcher = desk.watcher()
    watcher.send(watcher.text())
    desk.network.advance(0.1)
    answers[0].callback(False)
    watcher.peer.expect(404)


def test_what_could_not_be_stored_is_not_acknowledged(desk: Any, failures: Any) -> None:
    watcher = desk.watcher()
    for error, status in ((StoreError("gone"), 500), (StoreFull("full"), 503)):
        desk.store.broken = error
        response = watcher.subscribe()
        assert response.status == status
        assert (response.headers.first("retry-after") is not None) == (status == 503)
        desk.network.advance(1)
    watcher.quiet()
    assert not desk.notifier.counts()["subscriptions"] and not len(desk.notifier.dialogs)
    assert not desk.package.changes
    desk.store.broken = None
    assert watcher.subscribe().status == 200
    watcher.notify()
    assert len(failures.texts) == 2
    failures.texts.clear()


def test_nothing_is_sent_before_it_is_stored(desk: Any) -> None:
    desk.store.slow = True
    watcher = desk.watcher()
    watcher.send(watcher.text())
    watcher.quiet(0.3)
    desk.package.put("meanwhile")
    watcher.quiet(0.3)
    desk.store.slow = False
    desk.store.write()
    watcher.peer.expect(200)
    assert watcher.notify().body == b"meanwhile"
    watcher.quiet()


def test_limits(make_desk: Any) -> None:
    desk = make_desk(max_subscriptions=4, max_per_watcher=2, max_per_resource=3, retry_after=7)
    first = desk.subscribed("one")
    first.again()
    bob = "SUBSCRIBE sip:bob@example.com SIP/2.0"
    assert first.subscribe(start=bob).status == 200
    first.notify()
    first.again()
    response = first.subscribe(start="SUBSCRIBE sip:carol@example.com SIP/2.0")
    assert (response.status, response.headers.first("retry-after")) == (503, "7"), "one watcher has two"
    desk.subscribed("two")
    desk.subscribed("three")
    assert desk.watcher("four").subscribe().status == 503, "one resource has three"
    assert desk.watcher("four").subscribe(start=bob).status == 503, "there are four in all"


def test_the_table_of_dialogs_is_limited(desk: Any) -> None:
    desk.notifier.dialogs.limit = 1
    desk.subscribed("one")
    assert desk.watcher("two").subscribe().status == 503
    assert desk.notifier.counts()["subscriptions"] == 1


def test_a_merged_request_is_refused(desk: Any) -> None:
    watcher = desk.watcher()
    watcher.send(watcher.text())
    desk.network.advance(0.3)
    watcher.cseq -= 1
    other_branch = f"Via: SIP/2.0/UDP {watcher.host};branch=z9hG4bKother;rport"
    watcher.send(watcher.text(via=other_branch))
    watcher.peer.expect(482)
    watcher.peer.answer(next(m for m in watcher.peer.messages if isinstance(m, Request)), 200, to_tag=watcher.tag)
    assert desk.notifier.counts()["subscriptions"] == 1


def test_who_the_watcher_is(desk: Any) -> None:
    desk.users = lambda request: "sip:proved@example.com"
    desk.subscribed("claimed")
    assert desk.only().watcher == "sip:proved@example.com" and desk.only().authenticated
    desk.users = lambda request: ""
    watcher = desk.watcher()
    assert watcher.subscribe(**{"from": f"From: <tel:+1>;tag={watcher.tag}"}).status == 200
    watcher.notify()
    assert desk.notifier.subscriptions("presence")[1].watcher == "tel:+1"


def test_claims_tell_what_is_answered_here(desk: Any) -> None:
    watcher = desk.subscribed()
    from twisted_sip.message.parser import parse_message
    from twisted_sip.testing.peer import on_the_wire

    def claimed(**changes: str) -> bool:
        return desk.notifier.claims(parse_message(on_the_wire(watcher.text(**changes))))

    assert claimed() and not claimed(start="OPTIONS sip:alice@example.com SIP/2.0", cseq="CSeq: 9 OPTIONS")
    assert claimed(start="SUBSCRIBE sip:somewhere@192.0.2.99 SIP/2.0"), "in a dialog of ours, wherever it says"
    assert not claimed(start="SUBSCRIBE sip:x@192.0.2.99 SIP/2.0", to="To: <sip:alice@example.com>")


def test_templates_are_not_in_allow_events(desk: Any, package_type: Any) -> None:
    # RFC 6665 section 4.4.4.
    desk.restart(package_type("presence.winfo"))
    desk.claims_all = True
    watcher = desk.watcher()
    response = watcher.subscribe(event="Event: presence.winfo")
    assert response.status == 200 and "allow-events" not in response.headers.names
    watcher.notify()
    watcher.again()
    response = watcher.subscribe()
    assert response.status == 489 and "allow-events" not in response.headers.names
