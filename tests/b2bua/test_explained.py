"""Why transfers and redirections come to nothing is kept, as all that is decided about calls is."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_sip.agent.referral import Referral
from twisted_sip.element.decisions import Decisions
from twisted_sip.interfaces.call_policy import CallPolicy
from twisted_sip.message.builders import build_request
from twisted_sip.storage.call_policy_memory import MemoryCallPolicyStore

from .scene import Scene

CAROL = "sip:carol@example.com"
NOTHING = "the transfer to sip:{0}@example.com comes to nothing: {1}"


class Explained(Scene):
    """Keeps decisions."""

    def __init__(self, **how: Any) -> None:
        self.policies = MemoryCallPolicyStore()
        super().__init__(policies=self.policies, **how)
        element = self.b2bua.element
        self.decisions = element.decisions = Decisions(element.timers.now)
        for number, name in enumerate(("alice", "bob", "carol", "dave"), 1):
            self.agent(name, number).does = lambda call: call.answer()

    def told(self, call: Any, *rooms: str) -> list[tuple[str, str, str]]:
        """Return what was decided about *call*: method, text, key."""
        rooms = rooms or ("policy", "b2bua", "location", "route")
        return [(one.method, one.text, one.key) for one in self.decisions.call(call.id) if one.room in rooms]

    def transferred(self, by: Any, to: str = "carol") -> list[Any]:
        """Have the peer of *by* transferred, and return the final status."""
        done: list[Any] = []
        transfer = by.transfer(f"sip:{to}@example.com")
        transfer.done.addCallbacks(done.append, lambda failure: done.append(failure.value.status))
        self.run(3)
        return done


@pytest.fixture
def scene() -> Any:
    made = Explained()
    yield made
    made.stop()


def test_a_policy(scene: Explained) -> None:
    scene.policies.set(CAROL, CallPolicy(forward_always="sip:dave@example.com"))
    scene.policies.set("sip:dave@example.com", CallPolicy(do_not_disturb=True))
    call, other = scene.established(scene.agents["alice"], scene.agents["bob"])
    expected = [
        ("REFER", "sip:carol@example.com has it forwarded to sip:dave@example.com", "policy.forward_always"),
        ("REFER", "sip:dave@example.com: 480 Do Not Disturb", "policy.do_not_disturb"),
        ("REFER", NOTHING.format("carol", "480 Do Not Disturb"), ""),
    ]
    # Both of them may have the other one transferred: each in a dialog of its own.
    for by in (call, other):
        assert scene.transferred(by) == [480]
        assert scene.told(by, "policy", "b2bua") == expected


def test_a_circle(scene: Explained) -> None:
    scene.policies.set(CAROL, CallPolicy(forward_always="sip:dave@example.com"))
    scene.policies.set("sip:dave@example.com", CallPolicy(forward_always=CAROL))
    call, _ = scene.established(scene.agents["alice"], scene.agents["bob"])
    assert scene.transferred(call) == [482]
    circle = ("482: forwarded in a circle, or too often: ", "policy.forward_always")
    told = scene.told(call, "policy")
    assert told[-1][1].startswith(circle[0]) and told[-1][2] == circle[1]
    straight = scene.agents["alice"].call(CAROL)
    scene.run(3)
    assert straight.ending.status == 482
    told = scene.told(straight, "policy")
    assert told[-1][1].startswith(circle[0]) and told[-1][2] == circle[1] and len(told) == 6


def test_nobody_there(scene: Explained) -> None:
    call, _ = scene.established(scene.agents["alice"], scene.agents["bob"])
    assert scene.transferred(call, "nobody") == [480]
    assert scene.told(call)[-2:] == [
        ("REFER", "480: sip:nobody@example.com is not registered", "server.domains"),
        ("REFER", NOTHING.format("nobody", "480 Temporarily Unavailable"), ""),
    ]


def test_refused_by_the_target(scene: Explained) -> None:
    scene.agents["carol"].does = lambda call: call.reject(486)
    call, _ = scene.established(scene.agents["alice"], scene.agents["bob"])
    assert scene.transferred(call) == [486]
    assert scene.told(call)[-1] == ("REFER", NOTHING.format("carol", "486 Busy Here"), "")


def test_what_the_settings_say() -> None:
    scene = Explained(settings={"transfers": False})
    alice, bob = scene.agents["alice"], scene.agents["bob"]
    call, _ = scene.established(alice, bob)
    assert scene.transferred(call) == [603]
    assert scene.told(call, "b2bua", "answer") == [
        ("REFER", "603: transfers are not carried out", "b2bua.transfers"),
        ("REFER", "603 Decline", ""),
    ]
    instead = scene.agents["dave"].call(bob.uri, replaces=call.replaces_value())
    scene.run(3)
    assert instead.ending.status == 403
    assert scene.told(instead, "b2bua") == [("INVITE", "403: nobody takes the place of another one", "b2bua.transfers")]
    scene.stop()


def test_strangers() -> None:
    scene = Explained(trusts_everybody=False)
    call, _ = scene.established(scene.agents["alice"], scene.agents["bob"])
    request = build_request(
        "REFER", "sip:example.com", from_="<sip:eve@example.net>;tag=1", to="<sip:example.com>", call_id="r", cseq=1,
        headers=[("refer-to", f"<{CAROL}>")],
    )  # fmt: skip
    [leg] = [one for one in scene.b2bua.calls if not one.outgoing]
    referral = Referral(request, leg)
    referral.outside = True
    assert scene.b2bua.accept_transfer(leg, referral) is False
    assert scene.b2bua.accept_transfer(None, Referral(request, None)) is False
    assert [(one.text, one.key) for one in scene.decisions.call("r")] == [
        ("603: strangers have nobody transferred", "auth.required"),
        ("603: it is in no call that could be transferred", ""),
    ]
    instead = scene.agents["dave"].call("sip:bob@example.com", replaces=call.replaces_value())
    scene.run(3)
    assert instead.ending.status == 403
    assert scene.told(instead, "b2bua") == [("INVITE", "403: strangers take the place of nobody", "auth.required")]
    scene.stop()


def test_calls_that_cannot_be_joined(scene: Explained) -> None:
    """One call is not two."""
    call, _ = scene.established(scene.agents["alice"], scene.agents["bob"])
    done: list[Any] = []
    call.transfer(call).done.addCallback(done.append)
    scene.run(3)
    assert done == [481]
    assert scene.told(call, "b2bua") == [("REFER", "481: not transferred: there is no call with two who talk", "")]


@pytest.mark.parametrize(
    ("redirects", "to", "text"),
    [
        ("own", "sip:x@example.net", "redirected to sip:x@example.net, which is not followed"),
        ("none", CAROL, "redirected to sip:carol@example.com, which is not followed"),
    ],
)
def test_redirections_that_are_not_followed(redirects: str, to: str, text: str) -> None:
    scene = Explained(settings={"redirects": redirects})
    scene.agents["bob"].does = lambda call: call.redirect(to)
    call = scene.agents["alice"].call("sip:bob@example.com")
    scene.run(3)
    assert call.ending.status == 480
    assert scene.told(call, "b2bua") == [("INVITE", text, "b2bua.redirects")]
    scene.stop()


def test_a_redirection_to_whom_it_does_not_suit(scene: Explained) -> None:
    scene.policies.set(CAROL, CallPolicy(do_not_disturb=True))
    scene.agents["bob"].does = lambda call: call.redirect(CAROL, "sip:nobody@example.com")
    call = scene.agents["alice"].call("sip:bob@example.com")
    scene.run(3)
    assert call.ending.status == 480
    assert scene.told(call)[-4:] == [
        ("INVITE", "redirected to sip:carol@example.com", "b2bua.redirects"),
        ("INVITE", "sip:carol@example.com: 480 Do Not Disturb", "policy.do_not_disturb"),
        ("INVITE", "redirected to sip:nobody@example.com", "b2bua.redirects"),
        ("INVITE", "480: sip:nobody@example.com is not registered", "server.domains"),
    ]


def test_a_forwarding_to_nobody(scene: Explained) -> None:
    scene.policies.set(CAROL, CallPolicy(forward_always="sip:nobody@example.com"))
    call = scene.agents["alice"].call(CAROL)
    scene.run(3)
    assert call.ending.status == 480
    assert scene.told(call)[-2:] == [
        ("INVITE", "sip:carol@example.com has it forwarded to sip:nobody@example.com", "policy.forward_always"),
        ("INVITE", "480: sip:nobody@example.com is not registered", "server.domains"),
    ]
