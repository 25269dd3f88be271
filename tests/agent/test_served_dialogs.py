"""An agent tells of its calls: whom, what, and what is left of that (RFC 4235, RFC 5359 sections 2.16 and 2.17)."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import succeed

from twisted_sip.agent.call_events import Progress
from twisted_sip.agent.services import fetch
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.documents.dialog_info import MEDIA_TYPE, DialogInfoDocument
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.events.dialog_package import DialogView
from twisted_sip.events.notifier import Notifier
from twisted_sip.message.builders import build_request
from twisted_sip.message.response import Response
from twisted_sip.storage.subscription_memory import MemorySubscriptionStore
from twisted_sip.testing.observation import LoggedFailures
from twisted_sip.testing.peer import Peer

from .agents import Scene

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


@pytest.fixture
def scene() -> Iterator[Scene]:
    with LoggedFailures() as failures:
        made = Scene(server=True)
        yield made
        made.stop()
    assert not failures.texts


async def rings(call: Any) -> None:
    await call.ring()


def told(scene: Scene, watcher: Any, uri: str = BOB) -> Any:
    """Return what *watcher* is told of the calls of *uri*, or why not."""
    found: list[Any] = []
    fetch(watcher, uri, "dialog", MEDIA_TYPE, watcher.account_of_choice).addBoth(found.append)
    scene.run(2)
    return getattr(found[0], "value", None) or DialogInfoDocument.parse(found[0].body)


class Watching:
    """A subscription that is kept up."""

    def __init__(self, scene: Scene, watcher: Any, uri: str = BOB) -> None:
        self.documents: list[Any] = []
        account = watcher.account_of_choice
        self.subscription = watcher.subscriber.subscribe(
            uri,
            "dialog",
            from_=account.address,
            credentials=account.credentials,
            flow=account.flow,
            route=account.route,
            on_notify=lambda notified: self.documents.append(DialogInfoDocument.parse(notified.body)),
        )
        scene.run(2)

    @property
    def states(self) -> list[list[str]]:
        return [[one.state for one in document.dialogs] for document in self.documents]


# -- who is told what -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whom", "watcher", "details"),
    [
        ("own", "bob", True),
        ("own", "carol", None),
        ("servers", "carol", False),
        ("anybody", "carol", False),
        ("anybody", "bob", True),
    ],
)
def test_who_is_told(scene: Scene, whom: str, watcher: str, details: bool | None) -> None:
    bob, alice = scene.agent("bob", 1, dialog_watchers=whom), scene.agent("alice", 2)
    scene.established(alice, bob)
    # Another device of the same user, or somebody else.
    scene.agents["callee"] = bob
    other = scene.agent(watcher, 3)
    found = told(scene, other, bob.registrations[0].gruu)
    if details is None:
        assert found.status == 403
        return
    [dialog] = found.dialogs
    assert dialog.state == "confirmed" and found.entity == BOB
    assert bool(dialog.call_id) is details
    if details:
        assert dialog.direction == "recipient"
        assert dialog.remote.identities[0].uri == "sip:alice@example.com"
        assert "gr=" in dialog.remote.target.uri and "gr=" in dialog.local.target.uri


def test_strangers_prove_nothing(scene: Scene) -> None:
    """Past the servers anybody may call himself what he likes."""
    bob = scene.agent("bob", 1, dialog_watchers="servers", pickup_group=(CAROL,))
    carol = scene.agent("carol", 3)
    account = carol.account("sip:bob@example.com")
    found: list[Any] = []
    fetch(carol, "sip:bob@198.51.100.1", "dialog", MEDIA_TYPE, account).addBoth(found.append)
    scene.run(2)
    assert found[0].value.status == 403
    bob.settings = AgentSettings(dialog_watchers="anybody")
    fetch(carol, "sip:bob@198.51.100.1", "dialog", MEDIA_TYPE, account).addBoth(found.append)
    scene.run(2)
    assert DialogInfoDocument.parse(found[1].body).dialogs == ()


def test_nothing_is_served_unless_it_is_wanted(scene: Scene) -> None:
    bob, carol = scene.agent("bob", 1), scene.agent("carol", 3)
    assert bob.served is None and "SUBSCRIBE" not in bob.terms.allow
    assert told(scene, carol).status in (404, 405, 480, 489)
    bob.serve_dialogs()
    bob.serve_dialogs()
    assert ("allow-events", "dialog") in bob.terms.headers and "SUBSCRIBE" in bob.terms.allow
    assert told(scene, carol).status == 403


def test_the_hook_decides(scene: Scene) -> None:
    asked: list[Any] = []

    def decides(account: Any, watcher: str, proved: bool) -> Any:
        asked.append((account.aor, watcher, proved))
        return succeed(DialogView.IDLE)

    bob, carol = scene.agent("bob", 1, dialog_watchers="own"), scene.agent("carol", 3)
    bob.authorize_watcher = decides
    assert told(scene, carol).dialogs == ()
    assert asked == [(BOB, CAROL, True)]


@pytest.mark.parametrize("uri", ["sip:nobody", "tel:+1", "sip:Bob@EXAMPLE.com:5060"])
def test_a_group_is_one_of_users(uri: str) -> None:
    with pytest.raises(LocalProtocolError, match="pickup_group"):
        AgentSettings(pickup_group=(uri,))


# -- what calls look like ---------------------------------------------------------------------------------


def test_the_life_of_calls(scene: Scene) -> None:
    bob = scene.agents["caller"] = scene.agent("bob", 1, dialog_watchers="own")
    carol, other = scene.agent("carol", 3), scene.agent("bob", 4)
    watching = Watching(scene, other, bob.registrations[0].gruu)
    carol.does = rings
    call = bob.call(CAROL)
    scene.run(2)
    assert watching.states[-1] == ["early"]
    [dialog] = watching.documents[-1].dialogs
    assert dialog.direction == "initiator" and dialog.remote_tag and dialog.code == 180
    carol.arrived[0].answer()
    scene.run(2)
    assert watching.states[-1] == ["confirmed"]
    carol.arrived[0].hangup()
    scene.run(2)
    [dialog] = watching.documents[-1].dialogs
    assert (dialog.state, dialog.event) == ("terminated", "remote-bye") and call.over
    carol.does = lambda arrived: arrived.reject(603)
    bob.call(CAROL)
    scene.run(3)
    [dialog] = watching.documents[-1].dialogs
    assert (dialog.state, dialog.event, dialog.code) == ("terminated", "rejected", 603)
    # Whoever is refused at once was never there.
    count = len(watching.documents)
    bob.does = lambda arrived: arrived.reject(486)
    refused = carol.call(bob.registrations[0].gruu)
    scene.run(3)
    assert refused.over and len(watching.documents) == count


def test_a_call_that_is_replaced() -> None:
    known: dict[str, Any] = {}
    scene = Scene()
    bob, alice, carol = scene.agent("bob", 1), scene.agent("alice", 2), scene.agent("carol", 3)
    alice.serve_dialogs()
    alice.accept_replaces = lambda call, incoming: True
    scene.established(alice, bob)
    alice.served.calls.observe(lambda tracked: known.update({tracked.call_id: (tracked.state, tracked.event)}))
    before = alice.calls[0]
    carol.call(alice.uri, replaces=bob.arrived[0].replaces_value())
    scene.run(2)
    assert known[before.id] == ("terminated", "replaced")
    assert len(list(alice.served.calls.calls())) == len(alice.served.calls) == 1
    scene.stop()


def test_calls_that_there_are_already(scene: Scene) -> None:
    bob, alice, carol = scene.agent("bob", 1), scene.agent("alice", 2), scene.agent("carol", 3)
    scene.established(alice, bob)
    alice.does = rings
    bob.call("sip:alice@example.com")
    scene.run()
    bob.serve_dialogs()
    assert sorted(tracked.state for tracked in bob.served.calls.of(BOB)) == ["confirmed", "trying"]
    bob.calls[-1].log.add(Progress(status=180, reason=""))
    assert sorted(tracked.state for tracked in bob.served.calls.of(BOB)) == ["confirmed", "early"]
    assert bob.served.calls.of("sip:x@y") == [] and carol.served is None


def test_an_observer_that_fails_stops_nothing() -> None:
    scene = Scene()
    bob, alice = scene.agent("bob", 1), scene.agent("alice", 2)
    bob.serve_dialogs()
    states: list[str] = []
    calls = bob.served.calls
    ends = [calls.observe(lambda tracked: tracked.no_such_thing), calls.observe(lambda one: states.append(one.state))]
    with LoggedFailures() as failures:
        scene.established(alice, bob)
    assert states == ["confirmed"] and len(failures.texts) == 1
    for end in ends:
        end()
    bob.calls[0].hangup()
    assert states == ["confirmed"]
    scene.stop()


# -- what can be made of it ---------------------------------------------------------------------------------


def test_pickup_in_a_group(scene: Scene) -> None:
    """RFC 5359 section 2.16, by way of a proxy that proves who everybody is."""
    bob = scene.agent("bob", 1, dialog_watchers="own", pickup_group=(CAROL,))
    alice, carol = scene.agent("alice", 2), scene.agent("carol", 3)
    bob.does = rings
    alice.call(BOB)
    scene.run()
    picked: list[Any] = []
    carol.pick_up(BOB).addCallback(picked.append)
    scene.run(3)
    assert picked[0].established and not bob.calls
    assert [call.remote.uri_text for call in alice.calls] == [CAROL]


def test_a_call_back_needs_no_details(scene: Scene) -> None:
    """RFC 5359 section 2.17."""
    bob = scene.agent("bob", 1, dialog_watchers="servers", max_calls_per_account=1)
    alice, carol = scene.agent("alice", 2), scene.agent("carol", 3)
    scene.established(alice, bob)
    refused = carol.call(BOB)
    scene.run()
    assert refused.ending.status == 486
    waiting = carol.call_back(BOB)
    scene.run(5)
    assert waiting.call is None
    bob.does = lambda call: call.answer()
    alice.calls[0].hangup()
    scene.run(5)
    assert waiting.call is not None and waiting.call.established


# -- where it is served ---------------------------------------------------------------------------------------


def test_watchers_are_told_when_the_agent_stops(scene: Scene) -> None:
    bob, carol = scene.agent("bob", 1, dialog_watchers="servers"), scene.agent("carol", 3)
    watching = Watching(scene, carol)
    assert len(bob.element.chain) == 2
    bob.stopService()
    scene.run(10)
    assert len(watching.documents) == 2 and bob.element.chain == [] and bob.served.notifier is None
    bob.startService()
    scene.run(5)
    assert told(scene, carol).dialogs == ()
    watching.subscription.unsubscribe()
    scene.run()


def test_a_subscription_is_refreshed(scene: Scene) -> None:
    bob, carol = scene.agent("bob", 1, dialog_watchers="servers"), scene.agent("carol", 3)
    watching = Watching(scene, carol)
    watching.subscription.refresh()
    scene.run(2)
    assert len(watching.documents) == 2 and bob.served.notifier.counts()["subscriptions"] == 1


def test_another_notifier_tells_it(scene: Scene) -> None:
    from twisted_sip.agent.served_dialogs import ProvedWatchers, resource_of

    bob, carol = scene.agent("bob", 1), scene.agent("carol", 3)
    node = bob.element.reactor
    notifier = Notifier(
        bob.element, MemorySubscriptionStore(node), dialogs=bob.dialogs, resource_of=lambda uri: resource_of(bob, uri)
    )
    bob.serve_dialogs(notifier)
    bob.settings = AgentSettings(dialog_watchers="servers")
    notifier.start()
    bob.element.chain += [ProvedWatchers(bob, bob.dialogs), notifier]
    watching = Watching(scene, carol)
    watching.subscription.refresh()
    scene.run(2)
    assert len(watching.documents) == 2 and watching.documents[0].entity == BOB
    assert bob.served.notifier is None
    watching.subscription.unsubscribe()
    scene.run(2)
    notifier.stop()


def test_what_is_for_nobody_here(scene: Scene) -> None:
    bob, carol = scene.agent("bob", 1, dialog_watchers="anybody"), scene.agent("carol", 3)
    account = carol.account("sip:carol@198.51.100.3")
    found: list[Any] = []
    fetch(carol, "sip:else@198.51.100.1", "dialog", MEDIA_TYPE, account).addBoth(found.append)
    fetch(carol, "sip:bob@198.51.100.1", "presence", MEDIA_TYPE, account).addBoth(found.append)
    scene.run(2)
    assert sorted(failure.value.status for failure in found) == [404, 489]
    bob.accounts.clear()
    fetch(carol, "sip:any@198.51.100.1", "dialog", MEDIA_TYPE, account).addBoth(found.append)
    scene.run(2)
    assert DialogInfoDocument.parse(found[2].body).entity.endswith("@anonymous.invalid")


def subscribe(scene: Scene, peer: Any, to: str, *headers: tuple[str, str], tag: str = "", cseq: int = 1) -> Any:
    """Send a SUBSCRIBE past everything, and return the response."""
    fields = [
        ("via", f"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{cseq}{to}"),
        ("contact", "<sip:c@192.0.2.1>"),
        ("event", "dialog"),
        *headers,
    ]
    uri = f"sip:{to}@198.51.100.1"
    request = build_request(
        "SUBSCRIBE",
        uri,
        from_=f"<{CAROL}>;tag=1",
        to=f"<{BOB}>{f';tag={tag}' if tag else ''}",
        call_id="c",
        cseq=cseq,
        headers=fields,
    )
    peer.send(request, ("198.51.100.1", 5060))
    return peer.expect(lambda message: isinstance(message, Response) and message.cseq.number == cseq)


@pytest.mark.parametrize(("route", "status"), [((), 200), ((("record-route", "<sip:192.0.2.1;lr>"),), 403)])
def test_who_goes_on_past_the_servers(route: Any, status: int) -> None:
    """A server that stays out of the dialog cannot vouch for what follows in it; one that wants to be in it does."""
    scene = Scene()
    bob = scene.agent("bob", 1, servers=("192.0.2.1",), dialog_watchers="servers")
    bob.accounts.clear()
    bob.account(BOB, route=["<sip:192.0.2.1;lr>"])
    server, carol = Peer(scene.network.node("192.0.2.1")), Peer(scene.network.node("192.0.2.8"))
    answer = subscribe(scene, server, "bob", *route)
    assert answer.status == 200
    contact, tag = answer.contacts[0].uri.user, answer.to.tag
    assert subscribe(scene, carol, contact, tag=tag, cseq=2).status == status
    assert subscribe(scene, carol, contact, tag="other", cseq=3).status == 481
    assert subscribe(scene, server, contact, ("expires", "0"), tag=tag, cseq=4).status == 200
    scene.run(40)
    scene.stop()


def test_what_cannot_be_read_is_for_others() -> None:
    scene = Scene()
    bob = scene.agent("bob", 1, dialog_watchers="anybody")
    served = bob.served

    class Odd:
        method = "SUBSCRIBE"

        @property
        def uri(self) -> Any:
            raise RemoteProtocolError("Malformed Request-URI")

    incoming: Any = SimpleNamespace(request=Odd())
    assert served.process(incoming) is None
    incoming.request = SimpleNamespace(method="SUBSCRIBE", uri=None, to=SimpleNamespace(tag=""))
    assert served.process(incoming) is None
    served.stop()
    served.stop()
    assert served.process(incoming) is None
    served.farewell()
    scene.stop()
