"""A registrar with a store in memory, and REGISTER requests for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.transport_kind import TCP, UDP, TransportKind
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.registrar.settings import RegistrarSettings
from twisted_sip.storage.location_memory import MemoryLocationStore

NOW = 1_800_000_000.0


def is_local_uri(uri: URI) -> bool:
    if not isinstance(uri, SIPURI):
        return False
    return (uri.host.lower(), uri.port or 5060) in (("example.com", 5060), ("192.0.2.1", 5060))


@attrs.define
class FakeFlow:
    kind: TransportKind = UDP
    remote: Address = attrs.Factory(lambda: Address("192.0.2.7", 5062))
    token: str = "flow-1"


@attrs.define
class FakeIncoming:
    request: Request
    flow: Any = attrs.Factory(FakeFlow)
    user: str = ""
    admitted: bool = False
    sent: list[Response] = attrs.Factory(list)
    send: Any = None

    notes: list[tuple[str, ...]] = attrs.Factory(list)

    def start_transaction(self) -> None:
        """Nothing retransmits here."""

    def note(self, *what: str) -> None:
        self.notes.append(what)


class Client:
    """One phone: sends REGISTERs to a registrar and returns the answers."""

    def __init__(self, service: RegistrarService) -> None:
        self.service = service
        self.cseq = 0
        self.flow = FakeFlow()
        self.user = ""

    def incoming(
        self,
        *contacts: str,
        aor: str = "sip:alice@example.com",
        uri: str = "sip:example.com",
        call_id: str = "one",
        cseq: int | None = None,
        vias: int = 1,
        headers: Iterable[tuple[str, str]] = (),
        method: str = "REGISTER",
    ) -> FakeIncoming:
        if cseq is None:
            cseq = self.cseq = self.cseq + 1
        fields = [("via", f"SIP/2.0/UDP 192.0.2.{n}:5062;branch=z9hG4bK{cseq}{n}") for n in range(7, 7 + vias)]
        fields += [
            ("max-forwards", "70"),
            ("from", "<sip:alice@example.com>;tag=f"),
            ("to", f"<{aor}>"),
            ("call-id", call_id),
            ("cseq", f"{cseq} {method}"),
            *[("contact", contact) for contact in contacts],
            *headers,
        ]
        return FakeIncoming(Request(method, uri, fields), self.flow, self.user)

    def send(self, *contacts: str, **how: Any) -> Any:
        """Return what process() returns."""
        return self.service.process(self.incoming(*contacts, **how))

    def register(self, *contacts: str, **how: Any) -> Response:
        """Return the answer, which must be there at once."""
        return answer(self.send(*contacts, **how))


def answer(verdict: Any) -> Response:
    if isinstance(verdict, Deferred):
        results: list[Any] = []
        verdict.addBoth(results.append)
        assert results, "no answer yet"
        verdict = results[0]
    assert isinstance(verdict, Response), verdict
    return verdict


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def store(clock: Clock) -> MemoryLocationStore:
    return MemoryLocationStore(clock)


@pytest.fixture
def make_service(clock: Clock, store: MemoryLocationStore) -> Callable[..., RegistrarService]:
    def make(
        cls: type[RegistrarService] = RegistrarService,
        location: Any = None,
        user_known: Any = None,
        **settings: Any,
    ) -> RegistrarService:
        return cls(
            location or store,
            clock,
            is_local_uri,
            RegistrarSettings(**settings),
            user_known=user_known,
            node="n1",
            make_tag=lambda: "totag",
        )

    return make


@pytest.fixture
def make_client(make_service: Callable[..., RegistrarService]) -> Callable[..., Client]:
    return lambda *args, **settings: Client(make_service(*args, **settings))


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


@pytest.fixture
def stream_flow() -> FakeFlow:
    return FakeFlow(TCP, Address("192.0.2.7", 40000), "stream-1")
