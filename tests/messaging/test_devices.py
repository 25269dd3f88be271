"""Which devices a user has, and which ways lead to them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.location import Binding
from twisted_sip.interfaces.routing import Target
from twisted_sip.interfaces.transport_kind import TCP, UDP
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.messaging.devices import Device, Devices, came_safely

BOB = "sip:bob@example.com"


class Location:
    def __init__(self, bindings: dict[str, list[Binding]]) -> None:
        self.bindings = bindings

    def lookup(self, aor: str) -> Deferred[list[Binding]]:
        return succeed(self.bindings.get(aor, []))


def target_of(binding: Binding) -> Target:
    uri = parse_uri(binding.contact)
    if not isinstance(uri, SIPURI):
        raise RemoteProtocolError("no")
    return Target(uri=uri, path=binding.path, instance=binding.instance, aor=binding.aor, key=binding.key)


def devices(contacts: dict[str, list[Any]], aor: str = BOB, **how: Any) -> list[Device]:
    """Return the devices of *aor*; a contact is a URI, or a URI and further fields of the binding."""
    bindings: dict[str, list[Binding]] = {}
    for owner, given in contacts.items():
        for number, one in enumerate(given):
            contact, fields = one if isinstance(one, tuple) else (one, {})
            made = {"key": contact, "registered_at": -float(number), **fields}
            bindings.setdefault(owner, []).append(
                Binding(aor=owner, contact=contact, call_id="c", cseq=1, expires_at=1e9, **made)
            )
    found = Devices(Location(bindings), target_of, lambda uri: getattr(uri, "host", "") == "example.com")  # type: ignore[arg-type]
    results: list[list[Device]] = []
    ensureDeferred(found.of(aor, **how)).addCallback(results.append)
    return results[0]


def uris(found: list[Device]) -> list[list[str]]:
    return [[str(way.uri) for way in device.ways] for device in found]


def test_bindings_of_one_instance_are_one_device() -> None:
    instance = {"instance": "<urn:uuid:1>"}
    found = devices(
        {BOB: [("sip:a@x", instance | {"key": "1"}), "sip:b@x", ("sip:c@x", instance | {"key": "2"}), "tel:+1"]}
    )
    assert [device.id for device in found] == ["<urn:uuid:1>", "sip:b@x"]
    assert uris(found) == [["sip:a@x", "sip:c@x"], ["sip:b@x"]]


def test_no_target_twice_and_not_too_many() -> None:
    assert uris(devices({BOB: ["sip:a@x", ("sip:a@x", {"key": "other"}), "sip:b@x"]})) == [["sip:a@x"], ["sip:b@x"]]
    assert uris(devices({BOB: ["sip:a@x", "sip:b@x", "sip:c@x"]}, most=2)) == [["sip:a@x"], ["sip:b@x"]]


def test_contacts_that_lead_to_other_users_of_ours() -> None:
    carol, dave = "sip:carol@example.com", "sip:dave@example.com"
    contacts = {
        BOB: [carol, "sip:b@x", "sip:example.com", f"{dave}?x=y"],
        carol: [BOB, dave, "sip:c@x"],
        dave: ["sip:d@x"],
    }
    assert uris(devices(contacts)) == [["sip:d@x"], ["sip:c@x"], ["sip:b@x"]]
    chain: dict[str, list[Any]] = {
        f"sip:u{n}@example.com": [f"sip:u{n + 1}@example.com", f"sip:{n}@x"] for n in range(20)
    }
    assert uris(devices(chain, "sip:u0@example.com"))[0] == ["sip:8@x"]


def test_sips_stays_sips() -> None:
    contacts: dict[str, list[Any]] = {BOB: ["sip:a@x", "sips:b@x", ("sips:c@x", {"path": ("<sip:p>",)})]}
    assert uris(devices(contacts, secure=True)) == [["sips:b@x"], ["sips:c@x"]]
    found = devices(contacts)
    assert uris(found) == [["sip:a@x"], ["sip:b@x"], ["sip:c@x"]]
    assert [device.ways[0].secure for device in found] == [False, True, False]


class FakeFlow:
    def __init__(self, kind: Any) -> None:
        self.kind = kind


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        (Target(uri=parse_uri("sip:a@x")), False),
        (Target(uri=parse_uri("sip:a@x;transport=udp")), False),
        (Target(uri=parse_uri("sip:a@x;transport=tcp")), True),
        (Target(uri=parse_uri("sip:a@x;transport=ws")), True),
        (Target(uri=parse_uri("sips:a@x")), True),
        (Target(uri=parse_uri("sip:a@x"), secure=True), True),
        (Target(uri=parse_uri("sip:a@x;transport=tcp"), path=("<sip:p>",)), False),
        (Target(uri=parse_uri("tel:+1")), False),
        (Target(uri=parse_uri("sip:a@x"), flow=FakeFlow(TCP)), True),  # type: ignore[arg-type]
        (Target(uri=parse_uri("sip:a@x;transport=tcp"), flow=FakeFlow(UDP)), False),  # type: ignore[arg-type]
    ],
)
def test_ways_that_control_congestion(target: Target, safe: bool) -> None:
    assert Device(id="x", ways=(target,)).congestion_safe is safe
    assert Device(id="x", ways=(Target(uri=parse_uri("sips:a@x")), target)).congestion_safe is safe


@pytest.mark.parametrize(
    ("vias", "safe"),
    [
        (["SIP/2.0/TCP a"], True),
        (["SIP/2.0/tls a, SIP/2.0/WSS b"], True),
        (["SIP/2.0/TCP a", "SIP/2.0/UDP b"], False),
        (["SIP/2.0/TCP a", "nonsense"], False),
    ],
)
def test_hops_that_control_congestion(vias: list[str], safe: bool) -> None:
    assert came_safely(Request("MESSAGE", BOB, [("via", via) for via in vias])) is safe
