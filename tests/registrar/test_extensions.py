"""Path, Service-Route, Outbound and GRUUs (RFC 3327, 3608, 5626, 5627)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.gruu import gruu_instance, instance_key, public_gruu
from twisted_sip.message.uri import SIPURI
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.registrar.settings import RegistrarSettings
from twisted_sip.storage.location_memory import MemoryLocationStore

AOR = "sip:alice@example.com"
PHONE = "<sip:alice@192.0.2.7:5062>"
UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
FLOW = f'{PHONE};+sip.instance="<{UUID}>";reg-id=1'
OUTBOUND = ("supported", "outbound, path")
EDGE = ("path", "<sip:token@edge.example.net;lr;ob>")
INNER = ("path", "<sip:inner.example.net;lr>")


def test_path_is_kept_and_returned_in_order(client: Any, store: MemoryLocationStore) -> None:
    headers = [("supported", "path"), INNER, ("path", "<sip:b.example.net;lr>, <sip:c.example.net;lr>")]
    response = client.register(PHONE, headers=headers, vias=3)
    path = ["<sip:inner.example.net;lr>", "<sip:b.example.net;lr>", "<sip:c.example.net;lr>"]
    assert response.headers.elements("path") == path
    (binding,) = store.lookup(AOR)
    assert list(binding.path) == path
    assert binding.flow == "", "the flow leads to a proxy"


def test_path_without_support(client: Any, make_client: Callable[..., Any]) -> None:
    response = client.register(PHONE, headers=[INNER])
    assert (response.status, response.headers.first("unsupported")) == (420, "path")
    assert client.register(PHONE, headers=[INNER, ("require", "path")]).status == 200
    assert make_client(path_without_support=True).register(PHONE, headers=[INNER], cseq=9).status == 200


def test_service_route_is_in_every_200(make_client: Callable[..., Any]) -> None:
    client = make_client(service_route=("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"))
    for response in (client.register(PHONE), client.register()):
        assert response.headers.all("service-route") == ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    assert "service-route" not in client.register(PHONE, cseq=1).headers


def test_outbound_binds_to_instance_and_reg_id(client: Any, store: MemoryLocationStore, stream_flow: Any) -> None:
    response = client.register(FLOW, headers=[OUTBOUND])
    assert (response.headers.first("require"), response.headers.first("flow-timer")) == ("outbound", "29")
    client.flow = stream_flow
    moved = FLOW.replace("192.0.2.7:5062", "198.51.100.1:40000")
    response = client.register(moved, headers=[OUTBOUND], call_id="after a restart", cseq=1)
    assert response.headers.first("flow-timer") == "120"
    (binding,) = store.lookup(AOR)
    assert (binding.key, binding.flow, binding.reg_id) == (f"{UUID}|1", "stream-1", 1)
    assert (binding.contact, binding.instance) == ("sip:alice@198.51.100.1:40000", f"<{UUID}>")
    response = client.register(moved.replace("reg-id=1", "reg-id=2"), headers=[OUTBOUND], call_id="second flow")
    assert len(response.contacts) == 2
    assert f'+sip.instance="<{UUID}>";reg-id=2' in response.headers.all("contact")[1]
    response = client.register(f"{moved};expires=0", headers=[OUTBOUND], call_id="x")
    assert [binding.reg_id for binding in store.lookup(AOR)] == [2]


def test_outbound_that_is_not_said_to_be_supported_is_applied_but_not_required(
    client: Any, store: MemoryLocationStore
) -> None:
    response = client.register(FLOW)
    assert "require" not in response.headers
    assert store.lookup(AOR)[0].reg_id == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([OUTBOUND], 439),
        ([OUTBOUND, INNER], 439),
        ([OUTBOUND, EDGE], 200),
        ([OUTBOUND, INNER, EDGE], 200),
        ([OUTBOUND, EDGE, INNER], 439),
        ([("supported", "path"), INNER], 200),
    ],
)
def test_the_first_hop_must_support_outbound(
    client: Any, store: MemoryLocationStore, headers: list[tuple[str, str]], status: int
) -> None:
    response = client.register(FLOW, headers=headers, vias=2)
    assert response.status == status
    if status == 439:
        assert response.reason == "First Hop Lacks Outbound Support"
        assert not store.lookup(AOR)
    else:
        applied = EDGE in headers
        assert response.headers.first("require") == ("outbound" if applied else None)
        assert "flow-timer" not in response.headers
        assert store.lookup(AOR)[0].reg_id == (1 if applied else 0)


def test_reg_id_without_instance_is_ignored(client: Any, store: MemoryLocationStore) -> None:
    response = client.register(f"{PHONE};reg-id=1", headers=[OUTBOUND])
    assert "require" not in response.headers
    assert store.lookup(AOR)[0].key == "sip:alice@192.0.2.7:5062"


def test_a_flow_is_registered_alone(client: Any, store: MemoryLocationStore) -> None:
    other = "<sip:alice@192.0.2.9>"
    assert client.register(FLOW, other, headers=[OUTBOUND]).status == 400
    assert client.register(other).status == 200
    assert client.register(FLOW, f"{other};expires=0", headers=[OUTBOUND]).status == 200
    assert len(store.lookup(AOR)) == 1


def test_outbound_switched_off(make_client: Callable[..., Any], store: MemoryLocationStore) -> None:
    client = make_client(outbound=False)
    response = client.register(FLOW, headers=[("require", "outbound")])
    assert (response.status, response.headers.first("unsupported")) == (420, "outbound")
    assert client.register(FLOW, headers=[OUTBOUND]).status == 200
    assert store.lookup(AOR)[0].reg_id == 0


def test_a_public_gruu_for_who_supports_it(client: Any, make_client: Callable[..., Any]) -> None:
    contact = f'{PHONE};+sip.instance="<{UUID}>"'
    supported = [("supported", "gruu")]
    response = client.register(f'{contact};pub-gruu="sip:forged@example.com"', headers=supported)
    assert response.headers.all("contact") == [f'{contact};expires=3600;pub-gruu="{AOR};gr={UUID}"']
    assert "pub-gruu" not in (client.register(contact).headers.first("contact") or "")
    assert "pub-gruu" not in (client.register(PHONE, headers=supported).headers.first("contact") or "")
    response = client.register(
        contact.replace("sip:", "sips:", 1), headers=supported, uri="sips:example.com", aor="sips:alice@example.com"
    )
    assert f'pub-gruu="sips:alice@example.com;gr={UUID}"' in (response.headers.first("contact") or "")
    without = make_client(gruu=False)
    assert "pub-gruu" not in (without.register(contact, headers=supported, cseq=99).headers.first("contact") or "")


@pytest.mark.parametrize("instance", [f"<{UUID}>", "<urn:x-odd:a b;c=d?e%>", "plain", "<urn:uuid:ABC>"])
def test_a_gruu_tells_its_instance(instance: str) -> None:
    uri = SIPURI.parse(public_gruu(AOR, instance))
    assert gruu_instance(uri) == instance_key(instance)
    assert uri.address_of_record == AOR


def test_instances_are_compared_as_their_urns_are() -> None:
    assert instance_key("<urn:uuid:ABC>") == instance_key("<URN:UUID:abc>")
    assert instance_key("<urn:other:ABC>") != instance_key("<urn:other:abc>")
    assert gruu_instance(SIPURI.parse(AOR)) is None
    assert gruu_instance(SIPURI.parse(f"{AOR};gr")) is None


@pytest.mark.parametrize(
    "settings",
    [{"default_expires": 0}, {"min_expires": 7201}, {"max_contacts": 0}, {"service_route": ("<sip:a>\r\nX: y",)}],
)
def test_settings_that_make_no_sense(settings: Any) -> None:
    with pytest.raises(LocalProtocolError):
        RegistrarSettings(**settings)


def test_what_is_supported_is_told() -> None:
    clock = Clock()
    everything = RegistrarService(MemoryLocationStore(clock), clock, lambda uri: True)
    assert everything.extensions() == ("path", "outbound", "gruu")
    plain = RegistrarSettings(outbound=False, gruu=False)
    assert RegistrarService(MemoryLocationStore(clock), clock, lambda uri: True, plain).extensions() == ("path",)
