"""Limits of users and calls, prepaid calls (grants that are asked for again), and how records are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail

from twisted_sip.b2bua.b2bua import B2BUA
from twisted_sip.b2bua.header_policy import HeaderPolicy
from twisted_sip.b2bua.settings import B2BUASettings
from twisted_sip.element.decisions import Decisions
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError, StoreError
from twisted_sip.interfaces.accounting import CallRecord, LegRecord
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.proxy.routes.emergency import EmergencyCalls, EmergencySettings
from twisted_sip.proxy.static_routes import StaticRouter
from twisted_sip.storage.accounting_json_lines import JSONLinesAccounting

from .scene import Scene


class Prepaid(B2BUA):
    """Grants what a test says, one after the other."""

    grants: Any = ()

    def authorize_call(self, call: Any) -> Any:
        grant = self.grants.pop(0)
        if isinstance(grant, Exception):
            raise grant
        return grant


@pytest.mark.parametrize(
    ("grant", "status"),
    [(0, 403), (False, 403), (RemoteProtocolError("Payment Required", status=402), 402), (ValueError("oops"), 500)],
    ids=str,
)
def test_not_granted(grant: Any, status: int) -> None:
    scene = Scene(kind=Prepaid)
    scene.b2bua.grants = [grant]
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri)
    scene.run(2)
    assert call.ending.status == status and not bob.arrived
    scene.stop()


@pytest.mark.parametrize(
    ("grants", "seconds"),
    [
        ([10, 10, 0], 20),
        ([10, ValueError("oops")], 10),
        ([10, RemoteProtocolError("no", status=402)], 10),
        ([10, None], 100),
        ([True], 100),
    ],
    ids=str,
)
def test_granted(grants: list[Any], seconds: int) -> None:
    scene = Scene(kind=Prepaid)
    scene.b2bua.grants = list(grants)
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, other = scene.established(alice, bob)
    scene.run(seconds - 3)
    assert call.established and other.established
    if seconds < 100:
        scene.run(5)
        assert call.ending.reason == other.ending.reason == "Credit Exhausted"
        assert seconds - 1 < scene.accounting.records[-1].seconds < seconds + 1
    scene.stop()


def test_a_grant_that_comes_late() -> None:
    """What was left when it was asked for has been talked meanwhile."""
    scene = Scene(kind=Prepaid)
    later: Deferred[float] = Deferred()
    scene.b2bua.grants = [10, later, 0]
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    scene.run(8.8)
    later.callback(10)
    scene.run(10.5)
    assert call.over
    assert scene.accounting.records[-1].seconds == pytest.approx(20, abs=0.1)
    scene.stop()


def test_a_grant_that_comes_after_the_end() -> None:
    scene = Scene(kind=Prepaid)
    later: Deferred[float] = Deferred()
    scene.b2bua.grants = [10, later]
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    scene.run(9.5)
    call.hangup()
    scene.run()
    later.callback(10)
    scene.stop()


def test_calls_of_a_user() -> None:
    scene = Scene(settings={"max_calls_per_user": 1})
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    call, _ = scene.established(alice, bob)
    element = scene.b2bua.element
    decisions = element.decisions = Decisions(element.timers.now)
    second = alice.call(carol.uri)
    third = carol.call(bob.uri)
    scene.run(2)
    assert (second.ending.status, third.ending.status) == (486, 486)
    told = [one for call_id in decisions.find("") for one in decisions.call(call_id) if one.room == "b2bua"]
    assert sorted((one.text, one.key) for one in told) == [
        (f"486: {uri} has as many calls as one may have", "b2bua.max_calls_per_user") for uri in (alice.uri, bob.uri)
    ]
    call.hangup()
    scene.run()
    scene.established(carol, bob)
    scene.stop()


def test_calls_in_all() -> None:
    scene = Scene(settings={"max_calls": 1})
    alice, bob, carol = scene.agent("alice", 1), scene.agent("bob", 2), scene.agent("carol", 3)
    scene.established(alice, bob)
    element = scene.b2bua.element
    decisions = element.decisions = Decisions(element.timers.now)
    call = carol.call(alice.uri)
    scene.run(2)
    assert call.ending.status == 503
    told = [one.key for one in decisions.call(decisions.newest() or "") if one.room == "b2bua"]
    assert told == ["b2bua.max_calls"]
    scene.stop()


def test_room_for_all_of_them() -> None:
    """Each has two dialogs at least."""
    scene = Scene(settings={"max_calls": 20_000})
    b2bua = scene.b2bua
    assert b2bua.dialogs.limit >= 40_000
    b2bua.configure(attrs.evolve(b2bua.b2bua_settings, max_calls=50_000), trusts_everybody=True)
    assert b2bua.dialogs.limit >= 100_000
    scene.stop()


@pytest.mark.parametrize(("number", "over"), [("112", False), ("bob", True)])
def test_calls_for_help_last(number: str, over: bool) -> None:
    """Nobody who calls for help is cut off."""
    scene = Scene(settings={"max_duration": 60.0})
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer()
    emergency = EmergencyCalls(None, EmergencySettings(to=(bob.uri,)), scene.b2bua.element.domains.is_local_uri)
    scene.b2bua._routing.static = StaticRouter([], emergency=emergency)
    call = alice.call(f"sip:{number}@example.com")
    scene.run(70)
    assert call.over is over
    scene.stop()


def test_too_many_hops() -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call = alice.call(bob.uri, max_forwards=0)
    scene.run(2)
    assert call.ending.status == 483
    scene.stop()


def test_stopping_ends_calls_and_keeps_their_records() -> None:
    scene = Scene()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    bob.does = lambda call: call.ring()
    ringing = alice.call(bob.uri)
    scene.run(2)
    scene.b2bua.stopService()
    scene.run(2)
    assert call.over and ringing.ending.status == 480
    assert sorted(record.result for record in scene.accounting.records) == ["answered", "failed"]
    scene.stop()


class Broken:
    """Keeps nothing."""

    def __init__(self) -> None:
        self.asked = 0

    def answered(self, record: CallRecord) -> Any:
        self.asked += 1
        raise StoreError("full")

    def ended(self, record: CallRecord) -> Any:
        self.asked += 1
        return fail(StoreError("full"))


def test_a_sink_that_fails_ends_no_call() -> None:
    scene = Scene()
    scene.b2bua.accounting = sink = Broken()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    call, _ = scene.established(alice, bob)
    call.hangup()
    scene.run()
    assert sink.asked == 2
    scene.stop()


class Slow(Broken):
    """Has the answer wait."""

    def __init__(self) -> None:
        super().__init__()
        self.hold: Deferred[None] = Deferred()

    def answered(self, record: CallRecord) -> Any:
        return self.hold


def test_the_caller_is_answered_when_the_record_is_durable() -> None:
    scene = Scene()
    scene.b2bua.accounting = sink = Slow()
    alice, bob = scene.agent("alice", 1), scene.agent("bob", 2)
    bob.does = lambda call: call.answer()
    call = alice.call(bob.uri)
    scene.run(3)
    assert not call.established
    sink.hold.callback(None)
    scene.run(1)
    assert call.established
    call.hangup()
    scene.run()
    scene.stop()


def record(id: str, **how: Any) -> CallRecord:
    legs = (LegRecord(call_id="c", incoming=True, uri="sip:a@b", began=1.0),)
    return CallRecord(id=id, caller="sip:a@b", callee="sip:c@d", set_up=1.0, legs=legs, **how)


def test_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JSONLinesAccounting(path, lambda: 9.0)
    sink.answered(record("1", answered=2.0))
    sink.ended(record("1", answered=2.0, ended=5.0, result="answered", status=200))
    sink.answered(record("2", answered=3.0))
    sink.close()
    sink.close()
    with path.open("ab") as file:
        file.write(b'{"id": "3", "resu')
    again = JSONLinesAccounting(path, lambda: 9.0)
    path.rename(tmp_path / "old")
    again.ended(record("4", result="refused", ended=4.0))
    again.reopen()
    again.ended(record("5", result="refused", ended=4.0))
    again.close()
    lines = []
    for line in (tmp_path / "old").read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            lines.append({"id": "half"})
    assert [(line["id"], line.get("result")) for line in lines] == [
        ("1", ""), ("1", "answered"), ("2", ""), ("half", None), ("2", "interrupted"), ("4", "refused"),
    ]  # fmt: skip
    assert lines[1]["seconds"] == 3.0 and lines[1]["legs"][0]["call_id"] == "c" and lines[4]["ended"] == 9.0
    assert json.loads(path.read_text())["id"] == "5"
    with pytest.raises(StoreError):
        again.ended(record("6"))
    with pytest.raises(StoreError):
        JSONLinesAccounting(tmp_path, lambda: 9.0)


def test_header_policy() -> None:
    headers = HeaderMap([("subject", "a"), ("organization", "b"), ("x-a", "c"), ("via", "d"), ("x-b", "e")])
    assert HeaderPolicy().fields(headers) == [("organization", "b"), ("subject", "a")]
    policy = HeaderPolicy.build(add=["X-A"], remove=["organization"], set={"X-B": "7", "subject": "z"})
    assert policy.fields(headers) == [("subject", "a"), ("x-a", "c")]
    assert policy.invite_fields(headers) == [("x-a", "c"), ("x-b", "7"), ("subject", "z")]
    assert HeaderPolicy().fields(HeaderMap([("via", "d")])) == []
    for wrong in ({"add": ["via"]}, {"add": ["a b"]}, {"set": {"Contact": "x"}}, {"set": {"x": "a\r\nb"}}):
        with pytest.raises(LocalProtocolError):
            HeaderPolicy.build(**wrong)


def test_other_settings_are_told_to_peers() -> None:
    scene = Scene()
    b2bua = scene.b2bua
    assert b2bua.terms.session_expires == 1800 and "100rel" not in b2bua._unreliable_terms.supported
    b2bua.configure(B2BUASettings(session_expires=600), trusts_everybody=False)
    assert b2bua.terms.session_expires == 600 == b2bua._unreliable_terms.session_expires
    scene.stop()
