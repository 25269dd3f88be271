"""Who may have a call transferred, take its place, join it (RFC 3515 section 5.2, RFC 3891 section 8, RFC 4538)."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.agent.entitlement import is_number
from twisted_sip.message.uri import SIPURI

from .agents import OPEN, Scene, events
from .script import OFFER, Script
from .stranger import Stranger

PAYS = "<sip:+1900555@198.51.100.9>"


@pytest.fixture
def scene() -> Any:
    made = Scene()
    made.network.conditions.delay = (0.01, 0.01)
    yield made
    made.stop()


@pytest.fixture
def served() -> Any:
    """At a server that asks its users who they are."""
    made = Scene(server=True)
    made.network.conditions.delay = (0.01, 0.01)
    yield made
    made.stop()


# -- Replaces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("whom", ["known", "servers", "nobody", "anybody"])
def test_a_stranger_takes_no_call_over(scene: Scene, whom: str) -> None:
    """RFC 3891 section 8: to know the identifiers is not enough."""
    victim = Stranger(scene, 9, accept_replaces=whom)
    tag = victim.up()
    evil = Stranger(scene, 8, victim.bob)
    status = evil.request("INVITE", ("replaces", f"c1;to-tag={tag};from-tag=f"), call_id="evil", cseq=1, body=OFFER)
    scene.run(0.3)
    taken = whom == "anybody"
    assert status.status == (200 if taken else 403) and victim.call.over == taken
    assert ("Replaced" in events(victim.call)) == taken


def test_a_call_that_ends_before_its_place_is_taken(scene: Scene) -> None:
    """While somebody is asked whether it may be: 603, and the program hears nothing of a call that is over."""
    party = Stranger(scene, 9, accept_replaces="anybody")
    tag = party.up()
    asked: Deferred[bool] = Deferred()
    party.bob.accept_replaces = lambda call, incoming: asked
    replaces = ("replaces", f"c1;to-tag={tag};from-tag=f")
    party.request("INVITE", replaces, call_id="late", cseq=1, body=OFFER, wait=False)
    party.request("BYE", to_tag=tag, cseq=9, wait=False)
    asked.callback(True)
    scene.run()
    assert party.peer.expect(603).call_id == "late" and len(party.bob.arrived) == 1


@pytest.mark.parametrize("field", [("referred-by", "<sip:x9@198.51.100.9>"), None, ("referred-by", "nonsense<")])
@pytest.mark.parametrize(("whom", "host"), [("known", 9), ("known", 8), ("servers", 9)])
def test_the_party_and_whom_it_sends(scene: Scene, field: Any, whom: str, host: int) -> None:
    """RFC 3891 section 3."""
    first = Stranger(scene, 9, accept_replaces=whom)
    tag = first.up()
    other = first if host == 9 else Stranger(scene, host, first.bob)
    headers = [("replaces", f"c1;to-tag={tag};from-tag=f"), *([field] if field else [])]
    answer = other.request("INVITE", *headers, call_id="c2", tag="z", cseq=1, body=OFFER, final=False)
    sent_by_party = field is not None and "x9" in field[1]
    wanted = whom == "known" and (sent_by_party or host == 9)
    assert answer.status == (200 if wanted else 403)


def test_the_party_that_we_have_called(scene: Scene) -> None:
    script = Script(scene)
    script.established()
    value = ("replaces", f"{script.call.id};to-tag={script.call.dialog.local_tag};from-tag=a")
    script.alice.does = lambda call: call.answer()
    stranger = Stranger(scene, 9, script.alice, user="x", peer=script.peer)
    uri = script.invite.contacts[0].uri.text
    answer = stranger.request("INVITE", value, call_id="c2", tag="z", cseq=1, body=OFFER, final=False, uri=uri)
    assert answer.status == 200 and script.call.over
    script.end()


def attended(scene: Scene, **settings: Any) -> tuple[Any, ...]:
    alice, bob, carol = (scene.agent(name, n, **settings) for n, name in enumerate(("alice", "bob", "carol"), 1))
    first, second = scene.established(alice, bob)[0], scene.established(alice, carol)[0]
    bob.does = carol.does = lambda call: call.answer()
    done: list[Any] = []
    first.transfer(second).done.addBoth(done.append)
    scene.run(3)
    return done, bob, carol


def test_attended_transfers_by_way_of_the_server(served: Scene) -> None:
    """The defaults leave everything to users of the same server."""
    done, bob, carol = attended(served)
    assert done == [200]
    [ours], [theirs] = bob.calls, carol.calls
    assert ours.established and theirs.established and theirs.identity == "sip:bob@example.com"


def test_nobody_is_transferred(served: Scene) -> None:
    done, bob, _ = attended(served, accept_transfers="nobody")
    assert done[0].value.status == 603 and not [call for call in bob.calls if call.outgoing]


def test_pickup_by_way_of_the_server(served: Scene) -> None:
    alice, bob, carol = (served.agent(name, n) for n, name in enumerate(("alice", "bob", "carol"), 1))
    bob.does = lambda call: call.ring()
    call = alice.call(bob.uri)
    served.run()
    picked = carol.call(alice.uri, replaces=bob.arrived[0].replaces_value(early_only=True))
    served.run(2)
    assert picked.established and call.over and alice.arrived[-1].replaces is call


def test_past_the_servers(served: Scene) -> None:
    """A call that our servers guard is not taken over past them, whomever the Referred-By names."""
    alice, bob = served.agent("alice", 1), served.agent("bob", 2)
    call, other = served.established(alice, bob)
    assert other.dialog.route_set
    evil = Stranger(served, 8, bob)
    fields = [("replaces", str(call.replaces_value())), ("referred-by", f"<{alice.uri}>")]
    answer = evil.request(
        "INVITE", *fields, call_id="evil", cseq=1, body=OFFER, uri=f"sip:{bob.accounts[0].contact_user}@198.51.100.2"
    )
    assert answer.status == 403 and call.established
    # Ours as well: alice has made the call.
    back = [("replaces", str(other.replaces_value())), ("referred-by", f"<{bob.uri}>")]
    third = Stranger(served, 7, alice)
    answer = third.request(
        "INVITE", *back, call_id="evil2", cseq=1, body=OFFER, uri=f"sip:{alice.accounts[0].contact_user}@198.51.100.1"
    )
    assert answer.status == 403 and call.established


@pytest.mark.parametrize(
    ("asserted", "wanted"),
    [
        ("<sip:boss@elsewhere.example>", "sip:boss@elsewhere.example"),
        ("<tel:+15550100>", "tel:+15550100"),
        ("<nonsense", ""),
        ("<mailto:a@b>", ""),
        (None, ""),
    ],
)
def test_servers_by_address(scene: Scene, asserted: str | None, wanted: str) -> None:
    """Who comes by way of servers of ours is who they say (RFC 3325)."""
    trunk = Stranger(scene, 9, servers=("198.51.100.9",))
    trunk.bob.does = lambda call: call.ring()
    fields = [] if asserted is None else [("p-asserted-identity", asserted)]
    trunk.request("INVITE", *fields, cseq=1, body=OFFER, wait=False)
    assert trunk.call.identity == wanted
    assert trunk.bob.is_from_servers(trunk.call.wire.came_by)


# -- REFER ---------------------------------------------------------------------------------------------


def test_a_stranger_has_nobody_called(scene: Scene) -> None:
    """RFC 3515 section 5.2: by policy, properly authenticated requests alone."""
    caller = Stranger(scene, 9)
    tag = caller.up()
    answer = caller.request("REFER", ("refer-to", PAYS), to_tag=tag, cseq=5)
    assert answer.status == 603 and not [call for call in caller.bob.calls if call.outgoing]


@pytest.mark.parametrize(
    ("target", "settings", "status"),
    [
        ("<sip:y@198.51.100.9>", {}, 202),
        (PAYS, {}, 603),
        ("<tel:+1900555>", {}, 603),
        ("<sip:y@elsewhere.example>", {}, 603),
        ("<sip:y@elsewhere.example>", {"transfer_targets": ("elsewhere.example",)}, 202),
        ("<tel:+1900555>", {"transfer_targets": ("198.51.100.1",)}, 202),
        ("<tel:+1900555>", {"transfer_targets": ("*",)}, 202),
        ("<sip:y@198.51.100.9>", {"accept_transfers": "servers"}, 603),
        ("<sip:y@198.51.100.9>", {"accept_transfers": "nobody", "transfer_targets": ("*",)}, 603),
        ("<sip:y@198.51.100.77?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>", {}, 603),
        ("<sip:y@198.51.100.77?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>", {"accept_transfers": "anybody"}, 202),
    ],
)
def test_where_those_whom_we_call_may_send_us(scene: Scene, target: str, settings: Any, status: int) -> None:
    script = Script(scene, **settings)
    script.established()
    assert script.request("REFER", ("refer-to", target), ("refer-sub", "false")).status == status
    script.end()
    scene.run(40)


def test_a_refer_past_the_servers(served: Scene) -> None:
    """Whoever knows the tags of a call that runs by our servers is not its party."""
    alice, bob = served.agent("alice", 1), served.agent("bob", 2)
    call, other = served.established(alice, bob)
    evil = Stranger(served, 8, bob)
    answer = evil.request(
        "REFER",
        ("refer-to", "<sip:alice@example.com>"),
        call_id=call.id,
        tag=call.dialog.local_tag,
        to_tag=call.dialog.remote_tag,
        cseq=1000,
        uri=f"sip:{bob.accounts[0].contact_user}@198.51.100.2",
    )
    assert answer.status == 603 and other.established
    assert not [one for one in bob.calls if one.outgoing]


def test_a_target_dialog_that_was_not_kept_secret(scene: Scene) -> None:
    """RFC 4538 section 8: a TLS dialog, or an identity that is proved."""
    caller = Stranger(scene, 9)
    caller.up()
    bob_call = caller.call
    bob_call.identity = "sip:friend@198.51.100.9"
    field = ("target-dialog", f"c1;local-tag={bob_call.dialog.local_tag};remote-tag=f")
    fields = [
        field,
        ("refer-to", "<sip:y@198.51.100.9?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>"),
        ("refer-sub", "false"),
    ]
    assert caller.request("REFER", *fields, call_id="r1", cseq=1).status == 603
    bob_call.dialog.secure = True
    assert caller.request("REFER", *fields, call_id="r2", cseq=1).status == 202
    bob_call.dialog.secure = False
    scene.run(40)


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("sip:+15550100@a", True),
        ("sip:%2B15550100@a", True),
        ("sip:5550100@a", True),
        ("sip:555-01.00;phone-context=+1@a", True),
        ("sip:*675550100@a", True),
        ("sip:alice@a;user=phone", True),
        ("sip:100042@a", False),
        ("sip:alice@a", False),
        ("sip:a", False),
        ("sip:abc1234567@a", False),
    ],
)
def test_numbers(uri: str, wanted: bool) -> None:
    assert is_number(SIPURI.parse(uri)) is wanted


def test_all_doors_open(scene: Scene) -> None:
    caller = Stranger(scene, 9, **OPEN)
    tag = caller.up()
    answer = caller.request("REFER", ("refer-to", PAYS), ("refer-sub", "false"), to_tag=tag, cseq=5)
    assert answer.status == 202
    scene.run(40)


class Prover:
    """A link of the chain that has asked everybody who he is."""

    def process(self, incoming: Any) -> None:
        incoming.user = "sip:carol@example.com"


def test_who_was_authenticated_here(scene: Scene) -> None:
    caller = Stranger(scene, 9)
    tag = caller.up()
    caller.bob.element.chain.insert(0, Prover())
    carol = Stranger(scene, 8, caller.bob)
    fields = [("replaces", f"c1;to-tag={tag};from-tag=f")]
    assert carol.request("INVITE", *fields, call_id="c2", cseq=1, body=OFFER, final=False).status == 200
    assert caller.bob.arrived[1].identity == "sip:carol@example.com"


@pytest.mark.parametrize("party", ["tel:+15550100", "mailto:x@y"])
def test_parties_of_other_schemes(scene: Scene, party: str) -> None:
    """A number may be the party; what is no address of calls is nobody."""
    caller = Stranger(scene, 9)
    caller.address = f"<{party}>"
    tag = caller.up()
    other = Stranger(scene, 8, caller.bob)
    fields = [("replaces", f"c1;to-tag={tag};from-tag=f"), ("referred-by", f"<{party}>")]
    status = other.request("INVITE", *fields, call_id="c2", tag="z", cseq=1, body=OFFER, final=False).status
    assert status == (200 if party.startswith("tel") else 403)


def test_a_party_behind_a_strange_proxy(scene: Scene) -> None:
    """The same address says nothing there."""
    caller = Stranger(scene, 9)
    caller.bob.does = lambda call: call.answer()
    further = ("via", "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKother")
    tag = caller.request("INVITE", further, body=OFFER, cseq=1).to.tag
    caller.request("ACK", cseq=1, to_tag=tag, wait=False)
    fields = [("replaces", f"c1;to-tag={tag};from-tag=f")]
    assert caller.request("INVITE", *fields, call_id="c2", tag="z", cseq=1, body=OFFER).status == 403
