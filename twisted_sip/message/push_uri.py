"""Contact URIs that say how their device is woken (RFC 8599 section 13): for registrars and proxies alone."""

from __future__ import annotations

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI, URI, parse_uri

#: What a push service is told; ``pn-purr`` tells nobody anything.
_SECRET = ("pn-provider", "pn-param", "pn-prid")


def _may_tell(text: str) -> bool:
    """Tell whether it is worth looking for such parameters in *text*; their names may be escaped."""
    return "%" in text or "pn-" in text.lower()


def without_push(uri: URI) -> URI:
    """Return *uri* as others may see it: with it nobody can have its device woken."""
    if not isinstance(uri, SIPURI) or not _may_tell(uri.text):
        return uri
    params = uri.params
    for name in _SECRET:
        params = params.without(name)
    return uri.replace(params=params)


def text_without_push(text: str) -> str:
    """Return the URI in *text* as others may see it."""
    if not _may_tell(text):
        return text
    try:
        return str(without_push(parse_uri(text)))
    except RemoteProtocolError:
        # Nobody has registered this, so nobody misses it.
        return text.partition(";")[0]
