"""What a ledger makes of single requests and responses: session timers, errors in dialogs, odd identifiers."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from twisted_sip.calls.ledger import CallLedger
from twisted_sip.calls.settings import LedgerSettings
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.interfaces.routing import IForwardingPolicy, Retarget, Target
from twisted_sip.message.builders import response_to
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.storage.accounting_memory import MemoryAccounting

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"


def is_local(uri: URI) -> bool:
    return isinstance(uri, SIPURI) and uri.host == "example.com"


class Desk:
    """A ledger and its sink."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.sink = MemoryAccounting()
        self.ledger = CallLedger(self.clock, is_local, self.sink, lambda: "m", LedgerSettings(max_duration=600))

    def request(self, method: str = "INVITE", to_tag: str = "", from_tag: str = "f", **more: Any) -> Request:
        fields = [
            ("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            ("from", f"<{ALICE}>;tag={from_tag}"),
            ("to", f"<{BOB}>" + (f";tag={to_tag}" if to_tag else "")),
            ("call-id", more.get("call_id", "c")),
            ("cseq", f"1 {method}"),
            *more.get("headers", ()),
        ]
        return Request(method, more.get("uri", BOB), fields)

    def told(
        self,
        request: Request,
        status: int,
        tag: str = "t",
        *headers: tuple[str, str],
        by: Any = "flow",
        target: Target | None = None,
    ) -> Any:
        """The proxy forwards a response to *request*, which comes from *target*; return its context."""
        response = response_to(request, status, "", headers, b"", tag)
        response.flow = by
        target = target or Target(uri=parse_uri("sip:bob@192.0.2.5"), aor=BOB)
        branch = SimpleNamespace(target=target, final=response)
        context = SimpleNamespace(
            request=request, calls=request.method == "INVITE", in_dialog=bool(request.to.tag), rang_at=0.0, record=None,
            incoming=SimpleNamespace(user=""), began_at=self.clock.seconds(), branches=[branch],
            given_up=False,
        )  # fmt: skip
        self.ledger.response(response, context)
        return context

    def sent(self, request: Request) -> None:
        self.ledger.branch(request, Target(uri=request.uri), SimpleNamespace(request=request, user=""))  # type: ignore[arg-type]

    @property
    def last(self) -> CallRecord:
        return self.sink.records[-1]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    verifyObject(IForwardingPolicy, made.ledger)
    yield made
    made.clock.pump([30] * 30)
    assert not len(made.ledger.calls) and not made.sink.under_way and not made.clock.getDelayedCalls()


def test_sessions_are_over_when_they_are_not_refreshed(desk: Desk) -> None:
    desk.told(desk.request(), 200, "t", ("session-expires", "90"))
    assert desk.sink.under_way["m-1"].interval == 122.0
    desk.clock.advance(60)
    desk.told(desk.request("UPDATE", "t"), 200, "t", ("session-expires", "90;refresher=uac"))
    refreshed = desk.clock.seconds()
    desk.clock.pump([30] * 4)
    assert not desk.sink.records
    desk.clock.pump([30] * 2)
    assert (desk.last.reason, desk.last.known_until, desk.last.ended_by) == ("session timer", refreshed, "network")
    # What is not understood, or longer than any call may last, is no limit.
    for value in ("soon", "90000"):
        desk.told(desk.request(call_id=value), 200, "t", ("session-expires", value))
        assert all(record.interval == 0.0 for record in desk.sink.under_way.values())


@pytest.mark.parametrize("status", [481, 408])
def test_errors_in_a_dialog_end_it(desk: Desk, status: int) -> None:
    desk.told(desk.request(), 200)
    desk.told(desk.request("INFO", "t"), 404)
    desk.told(desk.request("INFO", "t"), 100)
    desk.told(desk.request("INFO", "x"), status)
    assert not desk.sink.records
    desk.told(desk.request("INFO", "t"), status)
    desk.told(desk.request("INFO", "t"), status)
    assert (desk.last.result, desk.last.reason) == ("answered", f"{status} in the call") and len(desk.sink.records) == 1


def test_a_bye_that_finds_no_way_ends_it_one_that_is_not_believed_does_not(desk: Desk) -> None:
    desk.told(desk.request(), 200)
    bye = desk.request("BYE", to_tag="f", from_tag="t", headers=[("reason", 'SIP;cause=200;text="off"')])
    desk.told(bye, 407, by=None)
    desk.told(bye, 200)
    assert not desk.sink.records
    desk.told(bye, 430, by=None)
    assert (desk.last.ended_by, desk.last.reason) == ("callee", 'SIP;cause=200;text="off"')


def test_challenges_and_what_follows_the_answer_are_no_end(desk: Desk) -> None:
    desk.told(desk.request(), 407)
    desk.told(desk.request(), 401)
    desk.ledger.refused(SimpleNamespace(user="", request=desk.request()), response_to(desk.request(), 407))  # type: ignore[arg-type]
    desk.ledger.refused(SimpleNamespace(user="", request=desk.request(to_tag="t")), response_to(desk.request(), 480))  # type: ignore[arg-type]
    assert not desk.sink.records
    context = desk.told(desk.request(), 200)
    desk.ledger.response(response_to(desk.request(), 500), context)
    assert not desk.sink.records and len(desk.sink.under_way) == 1


def test_long_identifiers_are_no_way_around(desk: Desk) -> None:
    long = {"call_id": "c" * 5000, "from_tag": "f" * 5000}
    uri = f"sip:{'b' * 5000}@example.com"
    desk.told(desk.request(uri=uri, **long), 200, "t" * 5000)
    record = desk.sink.under_way["m-1"]
    assert max(len(record.call_id), len(record.caller_tag), len(record.callee), len(record.callee_tag)) <= 512
    desk.sent(desk.request("BYE", "t" * 4999, **long))
    assert not desk.sink.records
    desk.sent(desk.request("BYE", "t" * 5000, **long))
    assert desk.last.result == "answered"


def test_two_calls_that_cannot_be_told_apart_have_a_record_each(desk: Desk) -> None:
    desk.told(desk.request(), 200)
    desk.told(desk.request(), 200)
    bye = desk.request("BYE", "t")
    desk.sent(bye)
    desk.sent(bye)
    assert len(desk.sink.records) == 1 and len(desk.sink.under_way) == 1


def test_what_is_not_understood_ends_nothing(desk: Desk) -> None:
    desk.told(desk.request(), 200)
    broken = desk.request("BYE", "t")
    broken.headers = HeaderMap([("from", "<<"), ("to", f"<{BOB}>;tag=t"), ("call-id", "c")])
    desk.sent(broken)
    desk.sent(desk.request("INFO", "t"))
    assert len(desk.sink.under_way) == 1


def test_calls_for_help_and_to_numbers(desk: Desk) -> None:
    for uri in ("urn:service:sos", "tel:+4930123456"):
        desk.told(desk.request(uri=uri, call_id=uri), 200)
        desk.sent(desk.request("BYE", "t", call_id=uri))
        assert desk.last.callee == uri and desk.last.callee_user == BOB
    desk.told(desk.request(uri="urn:service:sos"), 503, by=None)
    assert (desk.last.result, desk.last.ended_by) == ("failed", "server")


@pytest.mark.parametrize("status", [200, 486])
def test_whom_a_route_leads_out_to_is_no_user_of_ours(desk: Desk, status: int) -> None:
    number = "sip:0301234567@example.com"
    gateway = Target(uri=parse_uri("sip:0301234567@192.0.2.50"), configured=True)
    desk.told(desk.request(uri=number, call_id="1"), status, target=gateway)
    desk.sent(desk.request("BYE", "t", call_id="1"))
    assert (desk.last.callee, desk.last.callee_user) == (number, "")
    # Who has calls forwarded there was called all the same.
    forwarded = attrs.evolve(gateway, steps=(Retarget(parse_uri(BOB), gateway.uri),))
    desk.told(desk.request(call_id="2"), status, target=forwarded)
    desk.sent(desk.request("BYE", "t", call_id="2"))
    assert desk.last.callee_user == BOB


@pytest.mark.parametrize("status", [404, 480])
def test_a_bye_that_the_proxy_refuses_itself_ends_it(desk: Desk, status: int) -> None:
    # Whom it is for has registered anew meanwhile: its GRUU leads nowhere.
    desk.told(desk.request(), 200)
    bye = desk.request("BYE", "t")
    incoming: Any = SimpleNamespace(user="", request=bye)
    desk.ledger.refused(incoming, response_to(bye, 401))
    assert not desk.sink.records
    desk.ledger.refused(incoming, response_to(bye, status))
    assert (desk.last.result, desk.last.ended_by) == ("answered", "caller")
