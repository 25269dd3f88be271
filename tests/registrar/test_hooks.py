"""What a subclass may decide, and how those who wait keep their order (RFC 3261 section 10.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from twisted_sip.errors import RemoteProtocolError, StoreError, StoreFull
from twisted_sip.interfaces.location import Binding, LocationChange
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.interfaces.services import IRegistrar
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.storage.location_memory import MemoryLocationStore

AOR = "sip:alice@example.com"
PHONE = "<sip:alice@192.0.2.7:5062>"


class Waiting(RegistrarService):
    """Lets a test answer for the hook."""

    asked: list[tuple[Binding, Deferred[Binding | None]]]

    def accept_binding(self, incoming: Any, binding: Binding) -> Deferred[Binding | None]:
        answer: Deferred[Binding | None] = Deferred()
        self.asked.append((binding, answer))
        return answer


class SlowStore:
    """A store whose commits a test ends."""

    def __init__(self, store: MemoryLocationStore) -> None:
        self.store = store
        self.commits: list[Deferred[None]] = []

    def lookup(self, aor: str) -> Any:
        return self.store.lookup(aor)

    def commit(self, change: LocationChange) -> Deferred[None]:
        self.store.commit(change)
        self.commits.append(Deferred())
        return self.commits[-1]


class RemoteStore(SlowStore):
    """A store whose look-ups a test ends, too."""

    def __init__(self, store: MemoryLocationStore) -> None:
        super().__init__(store)
        self.lookups: list[Deferred[Any]] = []

    def lookup(self, aor: str) -> Any:
        found: Deferred[Any] = Deferred()
        self.lookups.append(found)
        return found.addCallback(lambda _: self.store.lookup(aor))


def results_of(verdict: Any) -> list[Any]:
    results: list[Any] = []
    verdict.addBoth(results.append)
    return results


def test_it_is_a_registrar(make_service: Callable[..., RegistrarService]) -> None:
    verifyObject(IRegistrar, make_service())


def test_a_subclass_may_change_a_binding_or_leave_it_out(
    make_client: Callable[..., Any], store: MemoryLocationStore
) -> None:
    class Choosy(RegistrarService):
        def accept_binding(self, incoming: Any, binding: Binding) -> Binding | None:
            return attrs.evolve(binding, q=500) if "192.0.2.7" in binding.contact else None

    response = make_client(Choosy).register(PHONE, "<sip:alice@192.0.2.8>")
    assert response.headers.all("contact") == [f"{PHONE};expires=3600;q=0.5"]
    assert [binding.q for binding in store.lookup(AOR)] == [500]


def test_a_subclass_may_refuse(make_client: Callable[..., Any], store: MemoryLocationStore) -> None:
    class Strict(RegistrarService):
        async def accept_binding(self, incoming: Any, binding: Binding) -> Binding | None:  # type: ignore[override]
            raise RemoteProtocolError("Not today", status=488)

    (failure,) = results_of(make_client(Strict).send(PHONE))
    assert failure.check(RemoteProtocolError) and failure.value.status == 488
    assert not store.lookup(AOR)


def test_a_subclass_may_add_header_fields(make_client: Callable[..., Any]) -> None:
    class Associated(RegistrarService):
        def response_headers(self, incoming: Any, aor: str) -> list[tuple[str, str]]:
            return [("P-Associated-URI", f"<{aor}>")]

    assert make_client(Associated).register(PHONE).headers.first("p-associated-uri") == f"<{AOR}>"


@pytest.mark.parametrize(("allowed", "known", "status"), [(True, True, 200), (False, True, 403), (True, False, 404)])
def test_hooks_may_answer_later(
    make_client: Callable[..., Any], store: MemoryLocationStore, allowed: bool, known: bool, status: int
) -> None:
    questions: list[Deferred[bool]] = []

    class Later(RegistrarService):
        def authorize(self, incoming: Any, aor: str) -> Deferred[bool]:
            questions.append(Deferred())
            return questions[-1]

    def user_known(aor: str) -> Deferred[bool]:
        questions.append(Deferred())
        return questions[-1]

    client = make_client(Later, user_known=user_known)
    results = results_of(client.send(PHONE))
    questions[0].callback(allowed)
    if allowed:
        assert not results
        questions[1].callback(known)
    assert [response.status for response in results] == [status]
    assert len(questions) == 1 + allowed, "each is asked once"
    assert len(store.lookup(AOR)) == (status == 200)


def test_only_unknown_users_wait(make_client: Callable[..., Any]) -> None:
    question: Deferred[bool] = Deferred()
    results = results_of(make_client(user_known=lambda aor: question).send(PHONE))
    question.callback(False)
    assert [response.status for response in results] == [404]


def test_those_behind_one_who_waits_keep_their_order(
    make_client: Callable[..., Any], store: MemoryLocationStore
) -> None:
    client = make_client(Waiting)
    asked: list[Any] = []
    client.service.asked = asked
    first = results_of(client.send(PHONE))
    second = results_of(client.send(f"{PHONE};expires=100"))
    other = results_of(client.send("<sip:bob@192.0.2.9>", aor="sip:bob@example.com"))
    third = results_of(client.send(f"{PHONE};expires=0"))
    assert [binding.aor for binding, _ in asked] == [AOR, "sip:bob@example.com"], "one by one for each user"
    asked[0][1].callback(asked[0][0])
    assert first[0].headers.all("contact") == [f"{PHONE};expires=3600"]
    assert not second and not third
    asked[2][1].callback(asked[2][0])
    assert second[0].headers.all("contact") == [f"{PHONE};expires=100"]
    assert third[0].headers.all("contact") == []
    assert not other
    asked[1][1].callback(None)
    assert other[0].headers.all("contact") == []
    assert not client.service._turns


def test_an_old_cseq_behind_one_who_waits_is_still_old(make_client: Callable[..., Any]) -> None:
    client = make_client(Waiting)
    asked: list[Any] = []
    client.service.asked = asked
    results = results_of(client.send(PHONE, cseq=5)), results_of(client.send(PHONE, cseq=4))
    asked[0][1].callback(asked[0][0])
    assert [answers[0].status for answers in results] == [200, 500]


def test_look_ups_may_wait(make_client: Callable[..., Any], store: MemoryLocationStore) -> None:
    remote = RemoteStore(store)
    client = make_client(location=remote)
    first, second = results_of(client.send(PHONE)), results_of(client.send("<sip:alice@192.0.2.8>"))
    assert len(remote.lookups) == 1, "the second has to see what the first does"
    remote.lookups[0].callback(None)
    assert len(remote.commits) == 1
    remote.lookups[1].callback(None)
    assert not first
    for commit in remote.commits:
        commit.callback(None)
    assert len(second[0].headers.all("contact")) == 2
    assert len(first[0].headers.all("contact")) == 1


def test_nothing_is_acknowledged_before_it_is_durable(
    make_client: Callable[..., Any], store: MemoryLocationStore
) -> None:
    slow = SlowStore(store)
    client = make_client(location=slow)
    results = results_of(client.send(PHONE))
    assert not results
    slow.commits[0].callback(None)
    assert results[0].status == 200
    assert client.register().status == 200, "a query commits nothing"
    assert client.register("*", headers=[("expires", "1")]).status == 400
    assert len(slow.commits) == 1


@pytest.mark.parametrize(
    ("error", "status", "retry_after"), [(StoreError("disk"), 500, None), (StoreFull("full"), 503, "30")]
)
def test_what_could_not_be_stored_is_not_acknowledged(
    make_client: Callable[..., Any], store: MemoryLocationStore, error: Exception, status: int, retry_after: str | None
) -> None:
    class Broken(SlowStore):
        def commit(self, change: LocationChange) -> Deferred[None]:
            return fail(error)

    response = make_client(location=Broken(store)).register(PHONE)
    assert (response.status, response.headers.first("retry-after")) == (status, retry_after)
    assert "contact" not in response.headers


def test_a_subclass_may_allow_third_parties(make_client: Callable[..., Any]) -> None:
    class Secretary(RegistrarService):
        def authorize(self, incoming: Any, aor: str) -> Deferred[bool]:
            return succeed(incoming.user == "sip:secretary@example.com")

    client = make_client(Secretary)
    client.user = "sip:secretary@example.com"
    assert client.register(PHONE).status == 200
    client.user = "sip:bob@example.com"
    assert client.register(PHONE).status == 403


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [(None, 200, None), (StoreError("disk"), 500, None), (StoreFull("full"), 503, "30")],
)
def test_a_store_may_tell_without_a_deferred(
    make_client: Callable[..., Any],
    store: MemoryLocationStore,
    error: Exception | None,
    status: int,
    retry_after: str | None,
) -> None:
    class Teller(SlowStore):
        told: list[Any] = []

        def commit_then(self, change: LocationChange, done: Any) -> None:
            self.told.append(done)

    teller = Teller(store)
    client = make_client(location=teller)
    incoming = client.incoming(PHONE)
    incoming.send = incoming.sent.append
    assert client.service.process(incoming) is TAKEN
    assert not incoming.sent and not teller.commits, "nothing is acknowledged that could be lost"
    teller.told[0](None if error is None else Failure(error))
    (response,) = incoming.sent
    assert (response.status, response.headers.first("retry-after")) == (status, retry_after)
    assert ("contact" in response.headers) is (status == 200)
