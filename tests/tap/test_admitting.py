"""Admission by a composed server: whoever writes a MESSAGE says who it is, in a dialog too."""

from __future__ import annotations

import random
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.client import DigestClient
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor
from twisted_sip.interfaces.flow import Address
from twisted_sip.interfaces.processing import TAKEN
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.storage.credentials_memory import MemoryCredentialStore
from twisted_sip.tap.admitting import ServerAdmission

BOB = "sip:bob@example.com"


class Flow:
    remote = Address("198.51.100.7", 5070)


class Incoming:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.flow = Flow()
        self.user = ""
        self.admitted = False
        self.own_routes: list[Any] = []
        self.answers: list[tuple[int, list[tuple[str, str]]]] = []
        self.notes: list[tuple[str, ...]] = []

    def note(self, *what: str) -> None:
        self.notes.append(what)

    def respond(self, status: int, reason: str = "", headers: Any = (), body: bytes = b"") -> None:
        self.answers.append((status, list(headers)))

    respond_statelessly = respond


class World:
    def __init__(self, **settings: Any) -> None:
        self.element = Element(Clock(), domains=["example.com"])
        credentials = MemoryCredentialStore()
        credentials.add("alice", "example.com", "secret")
        authenticator = Authenticator.build(
            credentials, AuthSettings(**settings), Clock().seconds, random.Random(3).randbytes
        )
        self.link = ServerAdmission(self.element.domains, self.element.dialog_tokens, authenticator)
        self.link.claims = (self.claims,)
        self.entry = EntryProcessor(self.element.domains)

    def claims(self, request: Request) -> bool:
        return request.method == "MESSAGE" and self.element.domains.is_local_uri(request.uri)

    def request(self, uri: str = BOB, method: str = "MESSAGE", user: str = "alice", *more: str) -> Request:
        token = self.element.dialog_tokens.make("call", "f")
        return Request(
            method,
            uri,
            [
                ("From", f"<sip:{user}@example.com>;tag=f"),
                ("To", "<sip:bob@example.com>;tag=t"),
                ("Call-ID", "call"),
                ("CSeq", f"2 {method}"),
                ("Route", f"<sip:{token}@example.com;lr>"),
                *(("Route", route) for route in more),
            ],
        )

    def run(self, request: Request) -> tuple[Any, Incoming]:
        incoming: Any = Incoming(request.copy())
        assert self.entry.process(incoming) is None
        return self.link.process(incoming), incoming


def test_a_dialog_does_not_tell_who_writes() -> None:
    world = World()
    request = world.request()
    verdict, incoming = world.run(request)
    assert verdict is TAKEN and not incoming.admitted
    ((status, headers),) = incoming.answers
    assert status == 401
    again = DigestClient("alice", "secret").authorize(request, Response(401, headers=headers))
    assert again is not None
    verdict, incoming = world.run(again)
    assert (verdict, incoming.admitted, incoming.user) == (None, True, "sip:alice@example.com")


def test_strangers_in_a_dialog_are_strangers() -> None:
    world = World()
    request = world.request()
    request.headers.set("from", "<sip:eve@example.net>;tag=f")
    verdict, incoming = world.run(request)
    assert (verdict, incoming.admitted, incoming.user) == (None, True, "")


def test_where_everybody_is_trusted() -> None:
    world = World(required=False)
    verdict, incoming = world.run(world.request())
    assert (verdict, incoming.admitted, incoming.answers) == (None, True, [])


@pytest.mark.parametrize(
    ("uri", "method", "more"),
    [
        # To a Contact, and to a GRUU, which stands for one: the proxy forwards it.
        ("sip:bob@192.0.2.77", "MESSAGE", []),
        (f"{BOB};gr=urn:uuid:1", "MESSAGE", []),
        (BOB, "BYE", []),
        (BOB, "MESSAGE", ["<sip:192.0.2.77;lr>"]),
    ],
)
def test_what_is_forwarded_in_a_dialog_is_admitted_by_its_token(uri: str, method: str, more: list[str]) -> None:
    world = World()
    verdict, incoming = world.run(world.request(uri, method, "alice", *more))
    assert (verdict, incoming.admitted, incoming.user) == (None, True, "")
