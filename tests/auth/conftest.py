"""A registrar's worth of authentication on a clock that stands still, and requests with credentials."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.auth.authenticator import Authenticator, Challenge
from twisted_sip.auth.digest import digest_response, ha1, ha1s
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.interfaces.credentials import Credential
from twisted_sip.message.auth_params import Challenge as DigestChallenge
from twisted_sip.message.auth_params import Credentials
from twisted_sip.message.request import Request

REALM = "example.com"
SOURCE = "192.0.2.7"


class Store:
    """An ICredentialStore in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Credential] = {}
        self.asked: list[tuple[str, str]] = []
        #: What stands between the caller and the row, to make look-ups wait or fail.
        self.through: Callable[[Any], Any] = lambda found: found

    def add(self, user: str, password: str, algorithm: str = "") -> None:
        self.rows[user, REALM] = Credential(user, REALM, ha1s(user, REALM, password), algorithm)

    def lookup(self, user: str, realm: str) -> Any:
        self.asked.append((user, realm))
        return self.through(self.rows.get((user, realm)))


class World:
    """An authenticator, what it stands on, and clients of it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.store = Store()
        self.store.add("alice", "wonderland")
        self.settings = AuthSettings(**settings)
        self.random_bytes = random.Random(7).randbytes
        self.authenticator = self.boot()

    def boot(self) -> Authenticator:
        """Return an authenticator as it is after a restart."""
        return Authenticator.build(self.store, self.settings, self.clock.seconds, self.random_bytes)

    def request(
        self, *values: str, method: str = "REGISTER", uri: str = "sip:example.com", proxy: bool = False
    ) -> Request:
        name = "Proxy-Authorization" if proxy else "Authorization"
        return Request(
            method,
            uri,
            [
                ("Via", "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1"),
                ("From", "<sip:alice@example.com>;tag=1"),
                ("To", "<sip:alice@example.com>"),
                ("Call-ID", "a"),
                ("CSeq", f"1 {method}"),
                *((name, value) for value in values),
            ],
        )

    def check(self, *values: str, source: str = SOURCE, user: str = "alice", **request: Any) -> Any:
        proxy = request.get("proxy", False)
        return self.authenticator.check(self.request(*values, **request), source, REALM, proxy, user)

    def challenge(self, source: str = SOURCE, user: str = "alice") -> DigestChallenge:
        outcome = self.check(source=source, user=user)
        assert isinstance(outcome, Challenge)
        return DigestChallenge.parse(outcome.headers[0][1])

    def answer(
        self,
        challenge: DigestChallenge | None = None,
        user: str = "alice",
        password: str = "wonderland",
        *,
        nc: int = 1,
        qop: str = "auth",
        method: str = "REGISTER",
        uri: str = "sip:example.com",
        algorithm: str = "",
        source: str = SOURCE,
        **params: str,
    ) -> str:
        """Return credentials for *challenge*, a fresh one if it is None."""
        challenge = challenge or self.challenge(source, user)
        algorithm = algorithm or challenge.algorithm
        plain = algorithm.removesuffix("-sess")
        response = digest_response(
            ha1(user, REALM, password, plain),
            method,
            uri,
            challenge.nonce,
            algorithm=algorithm,
            qop=qop,
            nc=f"{nc:08x}",
            cnonce="c",
        )
        return str(
            Credentials.digest(
                username=user,
                realm=REALM,
                nonce=challenge.nonce,
                uri=uri,
                response=response,
                algorithm=algorithm,
                cnonce="c",
                nc=nc,
                qop=qop,
                params=params.items(),
            )
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> type[World]:
    return World
