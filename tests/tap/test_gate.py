"""The gate before services that are being loaded, and users behind a proxy."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from twisted_sip.errors import RemoteProtocolError, StoreError
from twisted_sip.interfaces.location import ILocationStore, LocationChange
from twisted_sip.message.builders import build_request
from twisted_sip.tap.behind_proxy import BehindProxy, route_through
from twisted_sip.tap.gate import Gate
from twisted_sip.testing.scripted_sending import ScriptedIncoming

ALICE = "sip:alice@example.com"


def incoming(method: str = "PUBLISH") -> Any:
    request = build_request(method, ALICE, from_=f"<{ALICE}>;tag=1", to=f"<{ALICE}>", call_id="c", cseq=1)
    return ScriptedIncoming(request)


def results(deferred: Any) -> list[Any]:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


def test_it_opens() -> None:
    gate = Gate(["PUBLISH"])
    assert gate.process(incoming("INVITE")) is None
    waits = results(gate.process(incoming()))
    assert waits == [] and gate.waiting == 1
    gate.open()
    assert waits == [None] and gate.process(incoming()) is None and gate.waiting == 0


def test_it_shuts() -> None:
    gate = Gate(["PUBLISH"])
    waits = results(gate.process(incoming()))
    gate.shut()
    assert [each.status for each in waits] == [500]
    refused: Any = gate.process(incoming())
    assert refused.status == 500 and gate.process(incoming("INVITE")) is None


def test_who_gives_up_is_forgotten() -> None:
    gate = Gate(["PUBLISH"])
    waiter: Any = gate.process(incoming())
    waiter.addErrback(lambda failure: None)
    waiter.cancel()
    assert gate.waiting == 0
    gate.open()


@pytest.mark.parametrize(
    ("proxy", "route"),
    [
        ("sip:proxy.example.com", "<sip:proxy.example.com;lr>"),
        ("sip:192.0.2.7:5070;transport=tcp", "<sip:192.0.2.7:5070;transport=tcp;lr>"),
        ("sip:proxy.example.com;lr", "<sip:proxy.example.com;lr>"),
    ],
)
def test_everybody_is_reached_through_the_proxy(proxy: str, route: str) -> None:
    store = BehindProxy(proxy)
    verifyObject(ILocationStore, store)
    (binding,) = store.lookup(ALICE)
    assert (binding.aor, binding.contact, binding.path) == (ALICE, ALICE, (route,))
    assert list(store.bindings()) == [] and store.observe(lambda change: None)() is None
    failure = results(store.commit(LocationChange(ALICE)))[0]
    assert failure.check(StoreError)
    assert results(store.close()) == [None] and isinstance(store.close(), Deferred)


def test_a_proxy_that_is_no_uri() -> None:
    with pytest.raises(RemoteProtocolError):
        route_through("sip:")
