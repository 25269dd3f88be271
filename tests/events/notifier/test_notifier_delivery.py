"""NOTIFYs: one at a time, in order, paced (RFC 6665 section 4.2.2)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.event_package import Authorization, Notification
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.response import Response

ALICE = "sip:alice@example.com"


def state_of(notify: Any) -> str:
    return str(notify.typed("subscription-state"))


def test_one_notify_at_a_time_and_the_last_state_in_the_end(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    first = watcher.notify(status=None)
    for text in ("two", "three", "four"):
        desk.package.put(text)
    desk.network.advance(0.3)
    assert [m.cseq.number for m in watcher.peer.messages if m.cseq.method == "NOTIFY"][-1] == first.cseq.number
    watcher.peer.answer(first, 200, to_tag=watcher.tag)
    notify = watcher.notify()
    assert notify.body == b"four" and notify.cseq.number == first.cseq.number + 1
    watcher.quiet()


def test_a_slow_package_is_asked_again_when_its_answer_is_old(desk: Any) -> None:
    watcher = desk.subscribed()
    answers: list[Deferred[Notification]] = []
    desk.package.telling = lambda subscription: answers.append(Deferred()) or answers[-1]
    desk.package.put("one")
    desk.package.put("two")
    assert len(answers) == 1
    answers[0].callback(Notification(body=b"one"))
    assert watcher.notify().body == b"one"
    desk.network.advance(0.1)
    assert len(answers) == 2
    # Ended meanwhile: what was said of an active subscription is not told to one that is over.
    desk.notifier.terminate(desk.only(), "rejected")
    answers[1].callback(Notification(body=b"two"))
    assert len(answers) == 3
    answers[2].callback(Notification(body=b"over"))
    notify = watcher.notify()
    assert notify.body == b"over" and state_of(notify) == "terminated;reason=rejected"
    desk.package.telling = None


def test_headers_of_the_package(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.telling = lambda subscription: Notification(headers=(("Require", "eventlist"),), etag="v1")
    desk.notifier.notify(desk.only())
    notify = watcher.notify()
    assert notify.headers.first("require") == "eventlist" and notify.headers.first("sip-etag") == "v1"
    desk.package.telling = lambda subscription: Notification(etag="no token")
    desk.notifier.notify(desk.only())
    assert watcher.notify().headers.first("sip-etag") not in ("no token", "v1")


def test_the_package_ends_a_subscription(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.notifier.terminate(desk.only(), "noresource", retry_after=60)
    assert state_of(watcher.notify()) == "terminated;reason=noresource;retry-after=60"
    watcher.quiet()
    assert not desk.stored() and desk.package.changes[-1] == "terminated noresource"


def test_many_watchers_are_told_at_a_pace(make_desk: Any) -> None:
    desk = make_desk(notify_rate=10.0, notify_burst=5)
    watchers = [desk.subscribed(f"user{number}") for number in range(20)]
    desk.network.advance(1)
    desk.package.put("one")
    desk.package.put("two")
    assert desk.notifier.counts()["waiting"] == 15
    desk.network.advance(0.05)
    told = [sum(not isinstance(m, Response) for m in watcher.peer.messages) for watcher in watchers]
    assert sum(told) == 20 + 5
    for watcher in watchers:
        assert watcher.notify().body in (b"one", b"two")
    desk.network.advance(2)
    for watcher in watchers[:5]:
        # They were told the first text at once and the second in their turn.
        assert watcher.notify().body == b"two"


def test_a_watcher_hears_down_its_own_connection(desk: Any) -> None:
    watcher = desk.watcher(tcp=True)
    assert watcher.subscribe(600, contact="Contact: <sip:bob@192.0.2.200:9;transport=tcp>").status == 200
    notify = watcher.notify()
    assert notify.headers.first("contact") == "<sip:notifier@192.0.2.1:5060;transport=tcp>"
    desk.package.put("x" * 20_000)
    assert len(watcher.notify().body) == 20_000


def test_long_notifies_over_datagrams_go_down_the_flow(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.put("x" * 5_000)
    assert len(watcher.notify().body) == 5_000


def test_the_composition_knows_another_way(make_desk: Any) -> None:
    desk = make_desk()
    ways: list[Any] = []
    desk.flow_for = lambda subscription: ways.append(subscription.flow)
    desk.restart()
    watcher = desk.watcher(tcp=True)
    watcher.subscribe(600)
    watcher.notify()
    token = desk.only().flow

    watcher.peer.close()
    desk.network.advance(1)
    desk.package.put("one")
    desk.network.advance(1)
    assert ways == [token]
    desk.network.advance(700)


def test_through_a_proxy_the_route_set_leads(desk: Any) -> None:
    watcher = desk.watcher()
    proxy = desk.watcher("proxy")
    route = "Record-Route: <sip:192.0.2.12;lr>"
    watcher.send(watcher.text(600, more=route))
    response = watcher.peer.expect(200)
    assert response.headers.first("record-route") == "<sip:192.0.2.12;lr>"
    notify = proxy.peer.expect("NOTIFY")
    assert notify.headers.first("route") == "<sip:192.0.2.12;lr>"
    assert notify.uri_text == "sip:bob@192.0.2.11;transport=udp"
    assert desk.only().flow == "" and desk.only().way is None
    proxy.peer.answer(notify, 200, to_tag=watcher.tag)


def test_two_vias_in_one_line_are_two(desk: Any) -> None:
    watcher = desk.watcher()
    via = "Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKa;rport, SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKb"
    watcher.subscribe(600, via=via)
    watcher.notify()
    assert desk.only().flow == ""


def test_a_notify_may_move_the_watcher(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.put("one")
    watcher.notify(200, [("contact", "<sip:bob@192.0.2.11:5070>")])
    desk.package.put("two")
    assert watcher.notify(200, [("contact", "<tel:1>")]).uri_text == "sip:bob@192.0.2.11:5070"
    desk.package.put("three")
    assert watcher.notify().uri_text == "sip:bob@192.0.2.11:5070"


def test_rights_that_change(desk: Any) -> None:
    watcher = desk.subscribed()
    desk.package.decision = Authorization(detail="polite")
    desk.package.due.clear()
    desk.notifier.reauthorize("presence", ALICE)
    assert state_of(watcher.notify()).startswith("active") and desk.package.due
    desk.network.advance(0.1)
    desk.notifier.reauthorize("presence", ALICE)
    watcher.quiet()
    desk.package.decision = Authorization(state="terminated", status=403)
    desk.notifier.reauthorize("presence", ALICE)
    assert state_of(watcher.notify()) == "terminated;reason=rejected"
    assert not desk.stored()


def test_decisions_that_take_their_time(desk: Any, failures: Any) -> None:
    watcher = desk.subscribed()
    answers: list[Deferred[Any]] = []
    desk.package.decision = lambda subscription: answers.append(Deferred()) or answers[-1]
    desk.notifier.reauthorize("presence", ALICE)
    desk.notifier.reauthorize("presence", ALICE)
    answers[1].callback(Authorization(detail=2))
    watcher.notify()
    # An older answer that comes later does not count.
    answers[0].callback(Authorization(state="terminated"))
    watcher.quiet()
    for decision in (lambda subscription: 1 / 0, lambda subscription: "nonsense", lambda subscription: Deferred()):
        desk.package.decision = decision
        desk.notifier.reauthorize("presence", ALICE)
        watcher.quiet(11)
    nonsense: Deferred[Any] = Deferred()
    nonsense.callback("nonsense")
    desk.package.decision = nonsense
    desk.notifier.reauthorize("presence", ALICE)
    assert desk.only().state == "active" and len(failures.texts) == 4
    failures.texts.clear()


def test_a_decision_that_comes_too_late(desk: Any) -> None:
    watcher = desk.subscribed()
    answers: list[Deferred[Any]] = []
    desk.package.decision = lambda subscription: answers.append(Deferred()) or answers[-1]
    desk.notifier.reauthorize("presence", ALICE)
    desk.notifier.terminate(desk.only(), "noresource")
    watcher.notify()
    answers[0].callback(Authorization(state="pending"))
    watcher.quiet()


def test_what_is_not_there_is_left_alone(desk: Any) -> None:
    desk.notifier.changed("none", ALICE)
    desk.notifier.changed("presence", ALICE)
    desk.notifier.reauthorize("none", ALICE)
    assert list(desk.notifier.subscriptions("none")) == []
    assert desk.notifier.package("presence") is desk.package and desk.notifier.package("none") is None
    assert desk.notifier.events == ("presence",)


def test_numbers_are_reserved_in_blocks(make_desk: Any) -> None:
    desk = make_desk(cseq_block=8)
    watcher = desk.subscribed(expires=6000)
    commits = desk.store.commits
    for number in range(40):
        desk.package.put(str(number))
        notify = watcher.notify()
        desk.network.advance(0.1)
        assert notify.cseq.number < desk.stored()[0].cseq_limit
    assert desk.store.commits - commits <= 8


def test_no_number_is_used_that_is_not_reserved(make_desk: Any, failures: Any) -> None:
    desk = make_desk(cseq_block=4)
    watcher = desk.subscribed(expires=6000)
    desk.store.broken = StoreError("gone")
    told = 1
    for number in range(6):
        desk.package.put(str(number))
        desk.network.advance(0.1)
        for message in watcher.peer.messages:
            if not isinstance(message, Response) and message.cseq.number > told:
                told = message.cseq.number
                watcher.peer.answer(message, 200, to_tag=watcher.tag)
    limit = desk.stored()[0].cseq_limit
    assert told == limit - 1
    desk.store.broken = None
    desk.network.advance(6)
    assert watcher.peer.messages[-1].body == b"5" and watcher.peer.messages[-1].cseq.number == limit
    watcher.peer.answer(watcher.peer.messages[-1], 200, to_tag=watcher.tag)
    failures.texts.clear()


def test_subscriptions_that_share_a_dialog_share_its_numbers(make_desk: Any) -> None:
    desk = make_desk(cseq_block=8)
    watcher = desk.subscribed(event="Event: presence;id=1", expires=6000)
    watcher.subscribe(6000, event="Event: presence;id=2")
    watcher.notify()
    first = desk.notifier.subscriptions("presence")[0]
    for number in range(30):
        desk.network.advance(0.1)
        desk.notifier.notify(first)
        notify = watcher.notify()
        assert all(notify.cseq.number < record.cseq_limit for record in desk.stored())
        if number == 15:
            watcher.subscribe(6000, event="Event: presence;id=2")
            watcher.notify()


def test_versions_count_up(desk: Any) -> None:
    desk.subscribed()
    subscription = desk.only()
    assert [subscription.next_version() for _ in range(3)] == [0, 1, 2]
    subscription.memory["sent"] = 1
    assert subscription.memory == {"sent": 1}
    subscription.memory = {}
    assert subscription.memory == {} and "presence" in repr(subscription)


def test_news_that_wait_for_their_turn_do_not_put_off_the_end(make_desk: Any) -> None:
    desk = make_desk(notify_rate=1.0, notify_burst=1)
    watchers = [desk.subscribed(f"user{number}", expires=60, event="Event: presence;min-rate=1") for number in range(3)]
    desk.network.advance(70)
    assert not desk.notifier.counts()["subscriptions"]
    assert all(not isinstance(watcher.peer.messages[-1], Response) for watcher in watchers)


def test_contacts_are_remembered_but_not_for_ever(desk: Any) -> None:
    class Flow:
        kind = UDP

        def __init__(self, number: int) -> None:
            self.sent_by = f"192.0.2.1:{number}"

    lines = {desk.notifier.delivery.contact_line(Flow(number), number % 2 == 1) for number in range(1, 1100)}  # type: ignore[arg-type]
    assert len(lines) == 1099 and len(desk.notifier.delivery.contact_line.__self__._lines) < 1002
    assert "Contact: <sips:notifier@192.0.2.1:1>" in lines
