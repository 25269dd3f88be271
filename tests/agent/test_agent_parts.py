"""Parts of an agent on their own: accounts, what is asked of requests, references to dialogs, registrations twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from twisted_sip.agent.account import Account
from twisted_sip.agent.dialog_reference import joined_by, target_dialog_of
from twisted_sip.agent.registration import Registration
from twisted_sip.agent.registration_events import RegistrationState
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.agent.screening import answer_after, is_anonymous, is_unreadable
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.transport_kind import TCP, TLS, UDP
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

from .conftest import RegistrarScene


def request(*headers: tuple[str, str], from_: str = "<sip:x@y>;tag=1", body: bytes = b"") -> Request:
    return build_request(
        "INVITE", "sip:a@b", from_=from_, to="<sip:a@b>", call_id="c", cseq=1, headers=headers, body=body
    )


def flow(kind: Any) -> Any:
    return SimpleNamespace(kind=kind, sent_by="192.0.2.1:5060")


def test_contacts() -> None:
    account = Account(NameAddr.parse("<sip:alice@example.com>"), contact_user="u", route=["<sip:p;lr>"])
    assert account.contact(flow(UDP)) == "sip:u@192.0.2.1:5060"
    assert account.contact(flow(TCP)) == "sip:u@192.0.2.1:5060;transport=tcp"
    assert account.contact(flow(TLS), secure=True) == "sips:u@192.0.2.1:5060"
    assert (account.route, account.flow, repr(account)) == (("<sip:p;lr>",), None, "<Account <sip:alice@example.com>>")
    assert account.is_ours(SIPURI.parse("sip:alice@anywhere")) and not account.is_ours(SIPURI.parse("sip:example.com"))
    registered: Any = SimpleNamespace(
        gruu="sip:alice@example.com;gr=1",
        temporary_gruu="",
        flows=[SimpleNamespace(grant=SimpleNamespace(outbound=True))],
        route=(),
        best=None,
    )
    account.registration = registered
    assert account.contact(flow(UDP)) == "sip:alice@example.com;gr=1"
    # A secure dialog needs a sips URI, and who is anonymous one that does not tell.
    assert account.contact(flow(TLS), secure=True) == "sips:u@192.0.2.1:5060;ob"
    assert account.contact(flow(UDP), anonymous=True) == "sip:u@192.0.2.1:5060;ob"


def test_what_is_asked_of_a_request() -> None:
    assert not is_anonymous(request())
    assert is_anonymous(request(from_="<sip:anonymous@anonymous.invalid>;tag=1"))
    assert not is_anonymous(
        request(("p-asserted-identity", "<sip:x@y>"), from_="<sip:anonymous@anonymous.invalid>;tag=1")
    )
    assert is_anonymous(request(from_="<tel:+1>;tag=1")) and is_anonymous(request(from_="<sip:;>;tag=1"))
    accept = ("application/sdp",)
    assert not is_unreadable(request(), accept) and not is_unreadable(request(body=b"x"), accept)
    text = ("content-type", "text/plain")
    assert is_unreadable(request(text, body=b"x"), accept)
    optional = ("content-disposition", "render;handling=optional")
    assert not is_unreadable(request(text, optional, body=b"x"), accept)
    assert answer_after(request(("call-info", "<sip:x>;answer-after=600"))) == 60.0
    assert answer_after(request(("alert-info", "<urn:x>;info=other"))) is None


def test_references_to_dialogs() -> None:
    assert joined_by(request(("join", "c@d;from-tag=2;to-tag=1;x=y"))) == (("c@d", "1", "2"), False)
    # RFC 3891 section 3: a peer without tag.
    assert target_dialog_of(request(("target-dialog", "c;local-tag=1;remote-tag=0"))) == ("c", "1", "")
    for text in ("c;local-tag=1", 'c;local-tag="', ";local-tag=1;remote-tag=2"):
        assert target_dialog_of(request(("target-dialog", text))) is None
    with pytest.raises(RemoteProtocolError):
        joined_by(request(("join", "a;to-tag=1;from-tag=2"), ("join", "b;to-tag=1;from-tag=2")))


def test_a_registration_that_is_asked_twice(registrar: RegistrarScene) -> None:
    registration = registrar.register()
    again: list[Any] = []
    registration.start().addCallback(again.append)
    registration.refresh()
    assert not registrar.peer.arrivals
    registrar.accept(registrar.expect())
    assert again == [registration] and "registered" in repr(registration) and "bound" in repr(registration.flows[0])
    seen: list[Any] = []
    forget = registration.observe(seen.append)
    forget()
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    registrar.answer(registrar.expect(), 200)
    registration.stop().addCallback(over.append)
    assert len(over) == 2 and not seen
    registration.refresh()
    assert registration.state is RegistrationState.ENDED and registrar.silent(60)


def test_a_registration_that_never_began(registrar: RegistrarScene) -> None:
    registration = Registration(registrar.element, "sip:a@b", keeper=registrar.keeper)
    over: list[Any] = []
    registration.stop().addCallback(over.append)
    assert over and registration.state is RegistrationState.ENDED


def test_refusals_of_a_registrar_that_are_late(registrar: RegistrarScene) -> None:
    """The answer to a REGISTER that was given up changes nothing."""
    registration = registrar.register(settings=RegistrationSettings(farewell=1.0))
    first = registrar.expect()
    registration.stop()
    registrar.network.advance(2)
    registrar.accept(first)
    assert registration.state is RegistrationState.ENDED and not registration.registered
    assert registrar.leftovers() == {}
