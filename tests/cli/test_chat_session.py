"""The chat over the simulated network: two chats through a server, and peers that do not know what it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from twisted_sip.auth.client import ANY_REALM, DigestClient
from twisted_sip.cli.chat_messages import enveloped
from twisted_sip.cli.chat_session import ChatSession, Line
from twisted_sip.cli.client import ClientOptions
from twisted_sip.element.element import Element
from twisted_sip.interfaces.flow import Address
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI
from twisted_sip.testing.fake_dns import FakeDNS
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer
from twisted_sip.testing.phone import leftovers
from twisted_sip.testing.server import SimulatedServer
from twisted_sip.transport.datagram import SIPDatagramProtocol
from twisted_sip.transport.resolver import Resolver

SERVER = SIPURI.parse("sip:192.0.2.1")


class Shown:
    """A view that remembers."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self.marks: list[tuple[str, str, str]] = []
        self.typings: list[bool] = []
        self.notices: list[str] = []

    def heard(self, sender: str, text: str, at: float) -> None:
        self.texts.append((sender, text))

    def said(self, line: Line) -> None:
        self.marks.append((line.text, line.mark, ""))

    def marked(self, line: Line) -> None:
        self.marks.append((line.text, line.mark, line.reason))

    def typing(self, active: bool) -> None:
        self.typings.append(active)

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Chat:
    """One side."""

    def __init__(self, network: Network, host: str, user: str, peer: str, password: str = "", **how: Any) -> None:
        self.network = network
        node = network.node(host)
        self.element = Element(
            node,
            resolver=Resolver(node, names=FakeDNS(), randbelow=network.random.randrange),
            random_bytes=network.random_bytes,
        )
        node.listenUDP(5060, SIPDatagramProtocol(self.element), interface=host, maxPacketSize=65535)
        identity = SIPURI.parse(f"sip:{user}@example.com")
        digest = DigestClient(user, password, realms=(ANY_REALM,)) if password else None
        self.view = Shown()
        options = ClientOptions(
            identity=identity, digest=digest, proxy=SERVER, timeout=20.0, insecure=False, show=False, as_json=False
        )
        self.session = ChatSession(self.element, options, SIPURI.parse(f"sip:{peer}@example.com"), self.view, **how)

    def done(self, work: Any) -> Any:
        """Let the network run until *work* is done; return its result."""
        deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.network.advance_until(lambda: bool(results))
        return results[0]

    def join(self) -> int:
        return int(self.done(self.session.registration.register())[0])

    def say(self, text: str) -> Line:
        line: Line = self.done(self.session.say(text))
        return line


PASSWORDS = {"alice": "a-secret", "bob": "b-secret"}


@pytest.fixture
def network() -> Network:
    return Network(1)


@pytest.fixture
def server(network: Network) -> SimulatedServer:
    return SimulatedServer(network, passwords=PASSWORDS)


@pytest.fixture
def make(network: Network, server: SimulatedServer) -> Callable[..., Chat]:
    hosts = iter(range(20, 40))

    def chat(user: str, peer: str, **how: Any) -> Chat:
        made = Chat(network, f"192.0.2.{next(hosts)}", user, peer, PASSWORDS[user], **how)
        assert made.join() == 200
        return made

    return chat


def test_texts_and_their_marks(make: Callable[..., Chat], network: Network) -> None:
    alice, bob = make("alice", "bob"), make("bob", "alice")
    for text in ("hello", "how are you?"):
        alice.session.say(text)
    network.advance(5)
    assert bob.view.texts == [("alice@example.com", "hello"), ("alice@example.com", "how are you?")]
    for text in ("hello", "how are you?"):
        marks = [mark for said, mark, _ in alice.view.marks if said == text]
        assert marks[0] == "sending"
        assert marks[-1] == "displayed"
        assert len(set(marks)) == len(marks)


def test_typing(make: Callable[..., Chat], network: Network) -> None:
    alice, bob = make("alice", "bob"), make("bob", "alice")
    alice.session.composer.typed()
    network.advance(2)
    assert bob.view.typings == [True]
    alice.session.say("hello")
    network.advance(2)
    assert bob.view.typings == [True, False]
    alice.session.composer.typed()
    alice.done(alice.session.when_idle())
    network.advance(20)
    assert bob.view.typings == [True, False, True, False]


def test_bare_texts(make: Callable[..., Chat], network: Network) -> None:
    alice, bob = make("alice", "bob", marks=False), make("bob", "alice")
    alice.session.composer.typed()
    assert alice.say("hello").mark == "sent"
    bob.say("marks, please")
    network.advance(5)
    assert bob.view.texts == [("alice@example.com", "hello")]
    assert bob.view.marks[-1] == ("marks, please", "sent", "")
    assert bob.view.typings == []


def test_nobody_is_there(make: Callable[..., Chat]) -> None:
    alice = make("alice", "bob")
    line = alice.say("hello")
    assert (line.mark, line.reason) == ("failed", "480 Temporarily Unavailable")


def test_the_server_is_gone(make: Callable[..., Chat], server: SimulatedServer, network: Network) -> None:
    alice = make("alice", "bob")
    server.node.crash()
    first, second = alice.session.say("hello"), alice.session.say("again")
    assert alice.done(second).mark == "failed"
    assert alice.done(first).reason
    network.advance(700)
    assert alice.view.notices[0].startswith("not registered any more: ")


def test_what_is_too_long(make: Callable[..., Chat], network: Network) -> None:
    alice, bob = make("alice", "bob"), make("bob", "alice")
    # With an envelope around it, it does not fit.
    assert alice.say("x" * 500).mark == "sent"
    assert alice.say("x" * 1300).reason == "it is longer than an instant message may be"
    network.advance(5)
    assert [text for _, text in bob.view.texts] == ["x" * 500]


def test_too_much_at_once(make: Callable[..., Chat]) -> None:
    alice = make("alice", "bob")
    lines = [alice.session.say(str(number)) for number in range(110)]
    assert alice.done(lines[-1]).reason == "too many messages wait for their turn"


def test_leaving(make: Callable[..., Chat], server: SimulatedServer, network: Network) -> None:
    alice = make("alice", "bob")
    alice.session.composer.typed()
    alice.done(alice.session.end())
    bob = make("bob", "alice")
    assert bob.say("hello").mark == "failed"
    network.advance(1000)
    assert not any(leftovers(alice.element).values())


def test_the_registration_goes_on(make: Callable[..., Chat], network: Network) -> None:
    alice = make("alice", "bob")
    network.advance(3000)
    bob = make("bob", "alice")
    assert bob.say("still there?").mark in ("sent", "delivered", "displayed")
    assert alice.view.texts
    assert alice.view.notices == []


def test_passwords(network: Network, server: SimulatedServer) -> None:
    chat = Chat(network, "192.0.2.20", "alice", "bob")
    assert chat.join() == 401
    chat.session.use(DigestClient("alice", "a-secret", realms=(ANY_REALM,)))
    assert chat.join() == 200
    # What was never registered need not be taken back.
    never = Chat(network, "192.0.2.21", "alice", "bob")
    assert never.done(never.session.end()) is None


# -- a scripted server ------------------------------------------------------------------


@pytest.fixture
def scripted(network: Network) -> tuple[Chat, Peer]:
    """A chat whose server is a script; it is registered."""
    server = Peer(network.node("192.0.2.1"))
    chat = Chat(network, "192.0.2.20", "alice", "bob")
    joining = Deferred.fromCoroutine(chat.session.registration.register())
    register = server.expect("REGISTER")
    server.answer(register, 423, headers=[("min-expires", "1200")])
    again = server.expect("REGISTER")
    assert again.contacts[0].params.get("expires") == "1200"
    contact = again.headers.first("contact")
    server.answer(again, 200, headers=[("contact", contact), ("service-route", "<sip:192.0.2.1;lr;x=1>")])
    chat.done(joining)
    return chat, server


def ask(chat: Chat, server: Peer, method: str = "MESSAGE", extra: str = "", body: str = "hi", **how: Any) -> Any:
    """Send a request to the chat; return the answer."""
    user = how.get("user", chat.session.registration.contact_user)
    sender = how.get("sender", "sip:bob@example.com")
    call_id = how.get("call_id", chat.element.random_text())
    server.skip()
    server.send(
        f"{method} sip:{user}@192.0.2.20:5060 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call_id}{method}"
        f"{how.get('branch', '')}\nMax-Forwards: 70\nFrom: <{sender}>;tag=1\nTo: <sip:alice@example.com>"
        f"{how.get('to_tag', '')}\nCall-ID: {call_id}\nCSeq: 1 {method}\n{extra}\n{body}",
        Address("192.0.2.20", 5060),
    )
    return server.expect(how["status"]) if how.get("status") else None


def test_what_is_answered(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    assert ask(chat, server, status=200) is not None
    ask(chat, server, user="alice", status=404)
    ask(chat, server, extra="Require: x\n", status=420)
    assert "MESSAGE" in ask(chat, server, "OPTIONS", status=200).headers.first("allow")
    ask(chat, server, "SUBSCRIBE", status=405)
    ask(chat, server, to_tag=";tag=2", status=481)
    ask(chat, server, extra="Content-Encoding: gzip\n", status=415)
    assert "text/plain" in ask(chat, server, extra="Content-Type: text/html\n", status=415).headers.first("accept")
    ask(chat, server, extra="Content-Type: message/cpim\n", status=400)
    ask(chat, server, "ACK")
    server.expect_nothing()
    assert chat.view.texts == [("bob@example.com", "hi")]


def test_what_comes_twice_is_shown_once(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    ask(chat, server, call_id="same", status=200)
    ask(chat, server, call_id="same", branch="2", status=200)
    assert len(chat.view.texts) == 1
    for number in range(520):
        chat.session._seen[(str(number), "", 1)] = None
    ask(chat, server, status=200)
    assert len(chat.session._seen) <= 521


def test_others_are_heard_and_change_no_marks(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    typing = (
        '<?xml version="1.0"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state>'
        "</isComposing>"
    )
    kind = "Content-Type: application/im-iscomposing+xml\n"
    ask(chat, server, extra=kind, body=typing, sender="sip:carol@example.com", status=200)
    assert chat.view.typings == []
    ask(chat, server, extra=kind, body=typing, status=200)
    assert chat.view.typings == [True]
    ask(chat, server, sender="sip:carol@example.com", status=200)
    assert chat.view.texts == [("carol@example.com", "hi")]
    assert chat.view.typings == [True]


def said(chat: Chat, server: Peer, text: str) -> tuple[Any, Request]:
    saying = chat.session.say(text)
    return saying, server.expect("MESSAGE")


def test_a_peer_that_knows_no_envelopes(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    saying, message = said(chat, server, "hello")
    later = chat.session.say("later")
    assert message.headers.first("content-type") == "message/cpim"
    assert message.headers.first("route") == "<sip:192.0.2.1;lr;x=1>"
    server.answer(message, 415)
    bare = server.expect("MESSAGE")
    assert bare.body == b"hello"
    server.answer(bare, 200)
    assert chat.done(saying).mark == "sent"
    # What waited is not asked for twice.
    again = server.expect("MESSAGE")
    server.answer(again, 200 if again.body == b"later" else 415)
    if again.body != b"later":
        server.answer(server.expect("MESSAGE"), 200)
    assert chat.done(later).mark == "sent"


def test_a_peer_that_does_not_care_who_types(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    chat.session.composer.typed()
    server.answer(server.expect("MESSAGE"), 415)
    chat.done(chat.session.when_idle())
    chat.session.composer.cleared()
    chat.session.composer.typed()
    server.expect_nothing()


def imdn_for(message_id: str, category: str, status: str) -> str:
    return (
        '<?xml version="1.0"?><imdn xmlns="urn:ietf:params:xml:ns:imdn">'
        f"<message-id>{message_id}</message-id><datetime>2026-01-01T00:00:00Z</datetime>"
        f"<{category}-notification><status><{status}/></status></{category}-notification></imdn>"
    )


def test_marks(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    saying, message = said(chat, server, "hello")
    server.answer(message, 202)
    line = chat.done(saying)
    assert line.mark == "stored"
    kind = "Content-Type: message/imdn+xml\n"

    def tell(category: str, status: str, **how: Any) -> str:
        ask(chat, server, extra=kind, body=imdn_for(how.pop("id", line.id), category, status), status=200, **how)
        return str(line.mark)

    assert tell("delivery", "delivered", id="unknown") == "stored"
    assert tell("delivery", "delivered", sender="sip:carol@example.com") == "stored"
    assert tell("display", "displayed") == "displayed"
    # Nothing goes back.
    assert tell("delivery", "delivered") == "displayed"
    assert tell("display", "forbidden") == "displayed"
    assert tell("delivery", "failed") == "failed"
    assert tell("display", "displayed") == "failed"


def test_who_wrote_cannot_be_written_to(scripted: tuple[Chat, Peer]) -> None:
    chat, server = scripted
    body = enveloped("hello", "sip:b@example.com", "sip:a@example.com", "id1", 0.0).data.decode()
    ask(chat, server, extra="Content-Type: message/cpim\n", body=body, sender="tel:+1", status=200)
    assert chat.view.texts == [("+1", "hello")]


def test_an_old_line_is_forgotten(scripted: tuple[Chat, Peer]) -> None:
    chat, _ = scripted
    for number in range(500):
        chat.session._lines[str(number)] = Line("", 0.0, str(number))
    chat.session.say("hello")
    assert len(chat.session._lines) == 500
