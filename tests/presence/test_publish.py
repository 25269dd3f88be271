"""PUBLISH as a peer sees it: statuses, header fields, and what is left behind (RFC 3903 sections 4, 6 and 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed

from twisted_sip.documents.pidf import Presence
from twisted_sip.element.decisions import Decisions
from twisted_sip.errors import StoreError, StoreFull
from twisted_sip.presence.service import PresenceService

ALICE = "sip:alice@example.com"
OPEN = Presence(ALICE).with_status("open", id="phone")
BUSY = Presence(ALICE).with_status("open", activity="busy", id="phone")
DIFF = "application/pidf-diff+xml"


def published(desk: Any) -> list[bytes]:
    return [each.body for each in desk.service.publications.of(ALICE, "presence")]


def test_the_four_operations(desk: Any, alice: Any) -> None:
    first = alice.publish(OPEN)
    assert (first.status, first.headers.first("expires")) == (200, "3600")
    assert first.headers.first("sip-etag") and "contact" not in first.headers.names
    assert first.to.tag and published(desk) == [OPEN.to_xml()]
    tags = [alice.etag]
    for body, expires in ((None, 1800), (BUSY, 900), (None, 60)):
        response = alice.publish(body, expires=expires)
        assert (response.status, response.headers.first("expires")) == (200, str(expires))
        tags.append(alice.etag)
    # Section 6 step 6: a new one each time.
    assert len(set(tags)) == 4
    assert published(desk) == [BUSY.to_xml()]
    gone = alice.publish(expires=0)
    assert (gone.status, gone.headers.first("expires")) == (200, "0")
    assert gone.headers.first("sip-etag") not in ("", *tags)
    assert published(desk) == [] and not len(desk.service.publications)


def test_a_refresh_leaves_the_state_alone(desk: Any, alice: Any) -> None:
    alice.publish(OPEN)
    at = desk.service.publications.of(ALICE, "presence")[0].published_at
    desk.network.advance(10)
    alice.publish()
    (kept,) = desk.service.publications.of(ALICE, "presence")
    assert kept.published_at == at and kept.body == OPEN.to_xml() and kept.publisher == ALICE
    desk.network.advance(10)
    alice.publish(BUSY)
    (kept,) = desk.service.publications.of(ALICE, "presence")
    assert kept.published_at > at + 20


def test_several_publications_stand_beside_each_other(desk: Any, alice: Any) -> None:
    alice.publish(OPEN)
    alice.publish(BUSY, if_match="")
    assert published(desk) == [OPEN.to_xml(), BUSY.to_xml()]


def test_it_expires(desk: Any, alice: Any) -> None:
    alice.publish(OPEN, expires=60)
    assert desk.service.presence_of(ALICE).basic == "open"
    desk.network.advance(59)
    assert desk.service.presence_of(ALICE).basic == "open"
    desk.network.advance(2)
    assert desk.service.presence_of(ALICE).basic == "closed"
    assert alice.publish(expires=60).status == 412


@pytest.mark.parametrize(
    ("how", "status", "field"),
    [
        # Step 2, section 10: templates and other packages.
        ({"event": "presence.winfo"}, 489, ("allow-events", "presence")),
        ({"event": "dialog"}, 489, ("allow-events", "presence")),
        ({"event": ""}, 489, ("allow-events", "presence")),
        # Step 3 comes before the others.
        ({"if_match": "forged", "expires": 1}, 412, None),
        ({"if_match": "forged", "content_type": "text/plain"}, 412, None),
        ({"if_match": "*"}, 412, None),
        # Step 4.
        ({"expires": 59}, 423, ("min-expires", "60")),
        # Step 5.
        ({"body": None}, 400, None),
        ({"content_type": "text/plain"}, 415, ("accept", "application/pidf+xml, application/pidf-diff+xml")),
        ({"content_type": ""}, 415, ("accept", "application/pidf+xml, application/pidf-diff+xml")),
        ({"uri": "sip:bob@example.com"}, 403, None),
        ({"uri": "sip:example.com"}, 404, None),
    ],
)
def test_refusals(desk: Any, alice: Any, how: Any, status: int, field: Any) -> None:
    response = alice.publish(**{"body": OPEN, **how})
    assert response.status == status
    if field:
        assert response.headers.first(field[0]) == field[1]
    assert desk.store.commits == 0 and not len(desk.service.publications)


@pytest.mark.parametrize(
    ("line", "status", "field"),
    [
        ("Require: 100rel, foo", 420, ("unsupported", "100rel, foo")),
        ("Content-Encoding: gzip", 415, ("accept-encoding", "identity")),
        ("SIP-If-Match: one\nSIP-If-Match: two", 400, None),
        ("SIP-If-Match: one, two", 400, None),
        ("Event: presence", 400, None),
    ],
)
def test_refusals_by_header_fields(desk: Any, alice: Any, line: str, status: int, field: Any) -> None:
    response = alice.publish(OPEN, line)
    assert response.status == status
    if field:
        assert response.headers.first(field[0]) == field[1]
    assert desk.store.commits == 0


@pytest.mark.parametrize(
    ("event", "uri"),
    [
        ("presence;id=7", ALICE),
        ("presence;foo=bar;baz", ALICE),
        ("presence", "sip:alice@example.com;transport=udp"),
        ("presence", "sips:alice@example.com"),
        ("presence", "sip:%61lice@EXAMPLE.com"),
        ("presence", "pres:alice@example.com"),
    ],
)
def test_parameters_and_other_uris_of_the_same_user(desk: Any, alice: Any, event: str, uri: str) -> None:
    assert alice.publish(OPEN, "Content-Encoding: identity", event=event, uri=uri).status == 200
    assert published(desk) == [OPEN.to_xml()]


def test_foreign_schemes_and_domains(desk: Any, alice: Any) -> None:
    for uri in ("pres:alice@example.net", "pres:example.com", "pres:<", "im:alice@example.com", "tel:+358555123456"):
        assert alice.publish(OPEN, uri=uri).status in (400, 404, 416), uri
    assert alice.publish(OPEN, uri="sip:alice@example.net").status == 404
    assert desk.store.commits == 0


def test_expires_is_bounded_and_has_a_default(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(default_expires=300, min_expires=0, max_expires=600).start()
    alice = desk.user("alice")
    for asked, granted in ((None, 300), (86_400, 600), (1, 1)):
        assert alice.publish(OPEN, expires=asked).headers.first("expires") == str(granted)
    desk.service.settings = attrs.evolve(desk.settings, default_expires=900, max_expires=800)
    assert alice.publish(OPEN, if_match="", expires=None).headers.first("expires") == "800"


def test_what_lives_no_time_leaves_nothing_behind(desk: Any, alice: Any) -> None:
    bob = desk.user("bob")
    watching = bob.watched()
    response = alice.publish(OPEN, expires=0)
    assert response.status == 200 and response.headers.first("sip-etag")
    assert desk.store.commits == 0
    watching.quiet(2.0)


def test_publications_of_others(desk: Any, alice: Any) -> None:
    """Who knows an entity-tag of somebody else cannot use it."""
    alice.publish(OPEN)
    bob = desk.user("bob")
    for uri in (ALICE, "sip:bob@example.com"):
        for expires in (0, 600):
            assert bob.publish(None, uri=uri, if_match=alice.etag, expires=expires).status in (403, 412)
    assert published(desk) == [OPEN.to_xml()]


def test_strangers_publish_nothing(make_desk: Callable[..., Any]) -> None:
    desk = make_desk().start()
    desk.believes = lambda request: False
    assert desk.user("alice").publish(OPEN).status == 403
    assert desk.user("alice", "example.net").publish(OPEN, uri=ALICE).status == 403
    assert desk.store.commits == 0


def test_where_nobody_has_to_prove_anything_from_is_believed(make_desk: Callable[..., Any]) -> None:
    desk = make_desk()
    desk.authenticated = False
    desk.start()
    assert desk.user("alice").publish(OPEN).status == 200
    assert desk.user("bob").publish(OPEN, uri=ALICE).status == 403
    odd = desk.user("bob")
    assert odd.publish(OPEN, uri=ALICE, **{"from": "From: <tel:+358555123456>;tag=1"}).status == 403


# -- limits ------------------------------------------------------------------------------


def test_a_body_that_is_too_long(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(max_body=1000).start()
    alice = desk.user("alice")
    long = OPEN.with_note("x" * 1000)
    assert alice.publish(long).status == 413
    assert alice.publish(OPEN).status == 200
    assert alice.publish(long).status == 413
    assert published(desk) == [OPEN.to_xml()]


def test_which_limit_it_was_is_told_to_those_who_ask(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(max_publications_per_user=1, max_publications=2, max_body=1000, min_expires=60).start()
    decisions = desk.element.decisions = Decisions(desk.network.clock.seconds)
    alice = desk.user("alice")
    assert alice.publish(OPEN, expires=59).status == 423
    assert alice.publish(OPEN.with_note("x" * 1000)).status == 413
    assert alice.publish(OPEN).status == 200
    assert alice.publish(BUSY, if_match="").status == 503
    assert desk.user("bob").publish(OPEN.with_entity("sip:bob@example.com")).status == 200
    assert desk.user("carol").publish(OPEN).status == 503
    calls = dict.fromkeys(decisions.find(""))
    told = [one for call_id in calls for one in decisions.call(call_id) if one.room == "presence"]
    assert sorted((one.text[:3], one.key) for one in told) == [
        ("413", "presence.max_body"),
        ("423", "presence.min_expires"),
        ("503", "presence.max_publications"),
        ("503", "presence.max_publications_per_user"),
    ]


def test_no_room(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(max_publications_per_user=2, max_publications=3).start()
    alice, bob = desk.user("alice"), desk.user("bob")
    for number in range(2):
        device = Presence("sip:alice@example.com").with_status("open", id=f"d{number}")
        assert alice.publish(device, if_match="").status == 200
    refused = alice.publish(OPEN, if_match="")
    assert (refused.status, refused.headers.first("retry-after")) == (503, "30")
    # What is there may change.
    assert alice.publish(BUSY).status == 200
    assert bob.publish(OPEN.with_entity("sip:bob@example.com")).status == 200
    assert desk.user("carol").publish(OPEN).status == 503
    bob.publish(expires=0)
    assert desk.user("dave").publish(OPEN).status == 200


def test_a_disk_that_fails(desk: Any, alice: Any, failures: Any) -> None:
    bob = desk.user("bob")
    watching = bob.watched()
    for error, status in ((StoreError("the disk is full"), 500), (StoreFull("busy"), 503)):
        desk.store.broken = error
        assert alice.publish(OPEN).status == status
        assert published(desk) == [] and not len(desk.service.publications)
    desk.store.broken = None
    assert alice.publish(OPEN).status == 200
    watching.notify()
    desk.store.broken = StoreError("the disk is full")
    for body, expires in ((BUSY, 600), (None, 600), (None, 0)):
        assert alice.publish(body, expires=expires).status == 500
        assert published(desk) == [OPEN.to_xml()]
    watching.quiet(1.0)
    desk.store.broken = None
    # All is as before: the entity-tag, too.
    assert alice.publish(BUSY).status == 200
    failures.texts.clear()


def test_nothing_is_acknowledged_or_told_before_it_is_durable(desk: Any, alice: Any) -> None:
    watching = desk.user("bob").watched()
    desk.store.slow = True
    alice.publish(OPEN, wait=False)
    alice.peer.expect_nothing(within=2.0)
    watching.quiet(1.0)
    assert published(desk) == [] and desk.service.presence_of(ALICE).basic == "closed"
    desk.store.write()
    assert alice.response().status == 200
    assert watching.presence().basic == "open"


def test_of_two_with_one_entity_tag_the_second_is_told_so(desk: Any, alice: Any) -> None:
    alice.publish(OPEN)
    desk.store.slow = True
    alice.publish(BUSY, wait=False)
    assert alice.publish(OPEN).status == 412
    desk.store.write()
    assert alice.response().status == 200
    assert published(desk) == [BUSY.to_xml()]


# -- by several ways, and in order -------------------------------------------------------


def test_what_comes_by_two_ways_is_published_once(desk: Any, alice: Any) -> None:
    """RFC 3261 section 8.2.2.2."""
    same = {"from": f"From: <{ALICE}>;tag=1", "call_id": "Call-ID: forked", "cseq": "CSeq: 1 PUBLISH"}
    assert alice.publish(OPEN, if_match="", **same).status == 200
    assert alice.publish(OPEN, if_match="", **same).status == 482
    assert len(published(desk)) == 1


class Slow(PresenceService):
    """Decides about publishers when a test says."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.asked: list[Deferred[bool]] = []

    def authorize_publisher(self, incoming: Any, resource: str) -> Any:
        self.asked.append(Deferred())
        return self.asked[-1]


def test_they_are_processed_in_the_order_in_which_they_came(make_desk: Callable[..., Any]) -> None:
    desk = make_desk(Slow).start()
    alice = desk.user("alice")
    for body in (OPEN, BUSY):
        alice.publish(body, if_match="", wait=False)
    bob = desk.user("bob")
    bob.publish(OPEN, wait=False)
    desk.network.advance(0.1)
    asked = desk.service.asked
    # The second for alice waits for the first; bob waits for nobody.
    assert len(asked) == 2 and desk.service.compositor.turns == 2
    asked[1].callback(False)
    assert bob.response().status == 403
    asked[0].callback(True)
    desk.network.advance(0.1)
    assert alice.response().status == 200
    asked[2].callback(True)
    assert alice.response().status == 200
    assert published(desk) == [OPEN.to_xml(), BUSY.to_xml()]


def test_a_hook_may_answer_at_once_or_await(make_desk: Callable[..., Any]) -> None:
    class Own(PresenceService):
        def authorize_publisher(self, incoming: Any, resource: str) -> Any:
            if incoming.user == "sip:robot@example.com":
                return True
            return self.later(incoming.user == resource)

        async def later(self, answer: bool) -> bool:
            return await succeed(answer)

    desk = make_desk(Own).start()
    assert desk.user("robot").publish(OPEN, uri=ALICE).status == 200
    assert desk.user("bob").publish(OPEN, uri=ALICE).status == 403
    assert desk.user("alice").publish(BUSY).status == 200
    desk.store.slow = True
    dave = desk.user("dave")
    dave.publish(OPEN, wait=False)
    desk.network.advance(0.5)
    desk.store.write()
    assert dave.response().status == 200
    assert not desk.service.compositor.turns


# -- partial publication (RFC 5264 with the documents of RFC 5262) --------------------------


def full(body: Presence, version: int = 1) -> bytes:
    text = body.to_xml().decode().split("?>", 1)[1]
    text = text.replace("<presence ", f'<p:pidf-full xmlns:p="urn:ietf:params:xml:ns:pidf-diff" version="{version}" ')
    return text.replace("</presence>", "</p:pidf-full>").encode()


def test_a_difference_changes_what_is_published(desk: Any, alice: Any) -> None:
    assert alice.publish(full(OPEN), content_type=DIFF).status == 200
    diff = (
        '<p:pidf-diff xmlns="urn:ietf:params:xml:ns:pidf" xmlns:p="urn:ietf:params:xml:ns:pidf-diff" version="2" '
        f'entity="{ALICE}"><p:replace sel="*/tuple[@id=\'phone\']/status/basic/text()">closed</p:replace>'
        "</p:pidf-diff>"
    )
    assert alice.publish(diff, content_type=DIFF).status == 200
    assert desk.service.presence_of(ALICE).basic == "closed"
    wrong = diff.replace("phone", "desk")
    refused = alice.publish(wrong, content_type=DIFF)
    assert refused.status == 400 and refused.reason.startswith("Partial presence does not fit")
    # A difference to nothing.
    assert alice.publish(diff, content_type=DIFF, if_match="").status == 400


def test_a_phone_that_publishes_before_it_has_its_entity_tag(desk: Any, alice: Any) -> None:
    for state in ("closed", "open"):
        body = Presence(ALICE).with_status(state, id="t1")
        assert alice.publish(body, "User-Agent: phone", if_match="").status == 200
    assert len(published(desk)) == 1
    # It has named it: another first one is another one.
    assert alice.publish(Presence(ALICE).with_status("closed", id="t1")).status == 200
    assert alice.publish(Presence(ALICE).with_status("open", id="t1"), if_match="").status == 200
    assert len(published(desk)) == 2


def test_two_agents_on_one_socket_are_two(desk: Any, alice: Any) -> None:
    body = Presence(ALICE).with_status("open", id="t1")
    alices = [("User-Agent: one",), ("User-Agent: two",), ("User-Agent: two", "Priority: normal")]
    for lines in alices:
        assert alice.publish(body, *lines, if_match="").status == 200
    other = Presence("pres:alice@example.com").with_status("open", id="t1")
    assert alice.publish(other, "User-Agent: one", if_match="").status == 200
    assert len(published(desk)) == 4
