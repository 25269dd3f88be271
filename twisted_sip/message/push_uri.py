"""Contact URIs that say how their device is woken (RFC 8599 section 13): for registrars and proxies alone."""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI, URI, parse_uri

#: What a push service is told; ``pn-purr`` tells nobody anything.
_SECRET = ("pn-provider", "pn-param", "pn-prid")


def without_push(uri: URI) -> URI:
    """Return *uri* as others may see it: with it nobody can have its device woken."""
    if not isinstance(uri, SIPURI) or "pn-" not in uri.text.lower():
        return uri
    params = uri.params
    for name in _SECRET:
        params = params.without(name)
    return uri.replace(params=params)


def text_without_push(text: str) -> str:
    """Return the URI in *text* as others may see it."""
    if "pn-" not in text.lower():
        return text
    try:
        return str(without_push(parse_uri(text)))
    except RemoteProtocolError:
        # Nobody has registered this, so nobody misses it.
        return text.partition(";")[0]
