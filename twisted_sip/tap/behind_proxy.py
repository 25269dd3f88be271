"""The users of a server that sits behind a proxy: whoever they are, they are reached by way of that proxy.

They register with the proxy. Who of them is there is not known here; that a message has arrived says its 2xx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from twisted_sip.errors import StoreError
from twisted_sip.interfaces.location import Binding, ILocationStore, LocationChange
from twisted_sip.message.uri import SIPURI, parse_uri

_FOR_EVER = float("inf")


def route_through(proxy: str) -> str:
    """Return the Route value that leads to *proxy*, a SIP URI (RFC 3261 section 19.1.1: by loose routing).

    :raises RemoteProtocolError: it is malformed.
    """
    uri = parse_uri(proxy)
    if isinstance(uri, SIPURI) and not uri.lr:
        uri = uri.replace(params=[*uri.params.items(), ("lr", None)])
    return f"<{uri}>"


@implementer(ILocationStore)
class BehindProxy:
    """A location store in which every user has one binding: the address-of-record itself, by way of the proxy.

    :param proxy: the SIP URI of the proxy.
    :raises RemoteProtocolError: it is malformed.
    """

    def __init__(self, proxy: str) -> None:
        self._path = (route_through(proxy),)

    def lookup(self, aor: str) -> Sequence[Binding]:
        return [
            Binding(aor=aor, key=aor, contact=aor, call_id="", cseq=0, expires_at=_FOR_EVER, path=self._path),
        ]

    def commit(self, change: LocationChange) -> Deferred[None]:
        return fail(StoreError("users register with the proxy"))

    def observe(self, observer: Callable[[LocationChange], None]) -> Callable[[], None]:
        return lambda: None

    def bindings(self) -> Iterable[Binding]:
        return ()

    def close(self) -> Deferred[None]:
        return succeed(None)
