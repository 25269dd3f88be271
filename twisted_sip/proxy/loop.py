"""Loop detection (RFC 3261 section 16.6 step 8, RFC 5393 section 4.2).

The branch of each Via value that a proxy adds ends in a hash of everything its routing depends on. A request that
comes back with the same hash is in a loop; with another one it is a legal spiral.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.request import Request
from twisted_sip.message.via import Via

#: The usual Max-Forwards lines, none of them 0, and what goes out instead: nothing to take apart or put together.
ONE_LESS = {f"Max-Forwards: {left}": f"Max-Forwards: {left - 1}" for left in range(1, 256)}

#: What stands between the unique part of a branch and its loop part, which both are hexadecimal. A letter: a branch of
#: letters and digits alone is quick to read when the response brings it back.
SEPARATOR = "x"

#: Fields beside Request-URI, tags, Call-ID and CSeq that our routing may depend on (RFC 5393 section 4.2.1).
ROUTING_FIELDS = ("route", "proxy-require", "proxy-authorization")
_NO_ROUTING_FIELD = frozenset(ROUTING_FIELDS).isdisjoint

#: A copy of it is cheaper than a new one.
_HASH = hashlib.blake2s(digest_size=6)


def is_first_hop(request: Request) -> bool:
    """Tell whether *request*, as it came in, has one Via value: it comes from a user agent."""
    headers = request.headers
    return headers.names.count("via") == 1 and "," not in headers.lines[headers.names.index("via")]


def loop_part(request: Request, plain: bool = False) -> str:
    """Return the hash of what the routing of *request*, as it came in, depends on.

    :param plain: it is known to have no header fields that its routing depends on, beside those that all have.
    """
    headers = request.headers
    # Most of it has been read by now: without the calls.
    known = headers.parsed.get
    from_, to = known("from") or request.from_, known("to") or request.to
    call_id, cseq = known("call-id") or request.call_id, known("cseq") or request.cseq
    text = f"{request.uri_text}\n{call_id}\n{cseq[0]}\n{from_.tag}\n{to.tag}"
    if not plain and not _NO_ROUTING_FIELD(headers.names):
        text = "\n".join([text, *(value for name in ROUTING_FIELDS for value in headers.all(name))])
    made = _HASH.copy()
    made.update(text.encode("utf-8", "surrogateescape"))
    return made.hexdigest()


def is_loop(request: Request, part: str, is_own: Callable[[Via], bool]) -> bool:
    """Tell whether *request*, whose loop part is *part*, has been here in the same shape (RFC 5393 section 4.2.2).

    :param is_own: tells whether a Via value is one of ours.
    """
    names = request.headers.names
    if names.count("via") == 1 and "," not in request.headers.lines[names.index("via")]:
        # is_first_hop(), without the call.
        return False
    try:
        vias = request.vias
    except RemoteProtocolError:
        # A Via below the topmost one that cannot be read is not ours.
        return False
    return any(is_own(via) and (via.branch or "").rpartition(SEPARATOR)[2] == part for via in vias)


def hops_used(request: Request) -> bool:
    """Tell whether Max-Forwards is 0 (section 16.3 step 3)."""
    headers = request.headers
    names = headers.names
    return (
        "max-forwards" in names
        and headers.lines[names.index("max-forwards")] not in ONE_LESS
        and request.max_forwards == 0
    )
