"""Credentials that another service keeps, asked for over HTTP (RFC 7616; JSON by RFC 8259).

The service is asked ``GET URL?user=alice&realm=example.com`` and answers 404 where there is no such user, else 200 with
a JSON object: ``{"ha1": {"MD5": "...", "SHA-256": "..."}, "algorithm": "SHA-256"}``, where ``algorithm`` may be left
out. Everything else is a failure of the service, and the request that waits is answered 500, never let in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from zope.interface import implementer

from twisted_sip.errors import LocalProtocolError, StoreError
from twisted_sip.interfaces.credentials import ALGORITHMS, Credential, ICredentialStore
from twisted_sip.storage.http_answer import body_of

#: The largest answer that is read, in bytes.
_MOST = 16_384
_HEX_LENGTH = {"MD5": 32, "SHA-256": 64, "SHA-512-256": 64}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@implementer(ICredentialStore)
class HTTPCredentialStore:
    """Asks an HTTP service and remembers its answers for a moment."""

    def __init__(
        self,
        url: str,
        clock: IReactorTime,
        *,
        remember: float = 30.0,
        timeout: float = 5.0,
        max_remembered: int = 10_000,
        get: Callable[..., Deferred[Any]] = treq.get,
    ) -> None:
        """Make a store that asks at *url*.

        :param remember: seconds for which an answer holds, "no such user" included.
        :param timeout: seconds until an answer is given up.
        :param max_remembered: the most answers remembered.
        :param get: ``treq.get``, or what behaves like it.
        :raises LocalProtocolError: no http or https URL, or http to another host: HA1s are as good as passwords.
        """
        check_credentials_url(url)
        self._url = url
        self._clock = clock
        self._remember = remember
        self._timeout = timeout
        self._most = max_remembered
        self._get = get
        self._known: dict[tuple[str, str], tuple[float, Credential | None]] = {}
        self._asked: dict[tuple[str, str], list[Deferred[Credential | None]]] = {}

    def lookup(self, user: str, realm: str) -> Credential | Deferred[Credential | None] | None:
        """Return the credential of *user* in *realm*: a value where it is remembered, else a Deferred of it.

        The Deferred fails with StoreError where the service does not answer as it should.
        """
        key = (user, realm)
        known = self._known.get(key)
        if known is not None:
            if known[0] > self._clock.seconds():
                return known[1]
            del self._known[key]
        waiter: Deferred[Credential | None] = Deferred()
        waiting = self._asked.get(key)
        if waiting is not None:
            waiting.append(waiter)
            return waiter
        self._asked[key] = [waiter]
        # An answer may have no end.
        asked = Deferred.fromCoroutine(self._ask(user, realm)).addTimeout(self._timeout, self._clock)
        asked.addBoth(self._answer, key)
        return waiter

    async def _ask(self, user: str, realm: str) -> Credential | None:
        try:
            response = await self._get(
                self._url,
                params={"user": user.encode("utf-8", "surrogateescape"), "realm": realm},
                headers={"accept": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
                unbuffered=True,
            )
            body = await body_of(response, _MOST)
        except (ConnectError, ConnectingCancelledError, CancelledError, ResponseFailed, ResponseNeverReceived) as error:
            raise StoreError(f"{self._url}: no answer: {error or type(error).__name__}") from error
        if response.code == 404:
            return None
        if response.code != 200:
            raise StoreError(f"{self._url}: answered {response.code}, expected 200 or 404")
        return self._read(body, user, realm)

    def _read(self, body: bytes, user: str, realm: str) -> Credential:
        try:
            table = json.loads(body) if len(body) <= _MOST else None
        except ValueError:
            table = None
        hashes = table.get("ha1") if isinstance(table, dict) else None
        if not isinstance(hashes, dict) or not hashes or not all(map(_is_ha1, hashes, hashes.values())):
            raise StoreError(f'{self._url}: the answer is no JSON object with "ha1" by algorithm')
        assert isinstance(table, dict)
        algorithm = table.get("algorithm", "")
        if algorithm != "" and algorithm not in hashes:
            raise StoreError(f"{self._url}: there is no HA1 for the algorithm of the answer")
        return Credential(user, realm, {name: value.lower() for name, value in hashes.items()}, algorithm)

    def _answer(self, result: Any, key: tuple[str, str]) -> None:
        waiting = self._asked.pop(key)
        if result is None or isinstance(result, Credential):
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = (self._clock.seconds() + self._remember, result)
        for waiter in waiting:
            # A Failure given to callback is an errback.
            waiter.callback(result)

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()


def check_credentials_url(url: str) -> None:
    """Refuse what credentials are not asked for at.

    :raises LocalProtocolError: as :class:`HTTPCredentialStore`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LocalProtocolError(f"{url!r} is no http or https URL")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise LocalProtocolError(f"{url!r} would send HA1s in the clear: use https, or http to this host only")


def _is_ha1(name: object, value: object) -> bool:
    if name not in ALGORITHMS or not isinstance(value, str) or len(value) != _HEX_LENGTH[str(name)]:
        return False
    return all(char in "0123456789abcdefABCDEF" for char in value)
