"""What identifies a transaction: RFC 3261 section 17.2.3 for servers, with the second half for RFC 2543 peers.

A server key leaves the method out: ACK must find its INVITE and CANCEL whatever it cancels (section 9.2); the layer
compares methods where the RFC wants them compared. Both kinds of key are one string, and never alike.
"""

from __future__ import annotations

from twisted_sip.message.request import Request

#: A branch that starts with this was made by an RFC 3261 client and is unique (section 8.1.1.7).
MAGIC_COOKIE = "z9hG4bK"

_COOKIE = MAGIC_COOKIE.lower()
_COOKIE_SIZE = len(MAGIC_COOKIE)


def server_key(request: Request) -> str:
    """Return the key of the server transaction that *request* belongs to, whatever its method.

    :raises RemoteProtocolError: the header fields that make the key are missing or malformed.
    """
    via = request.headers.parsed.get("via") or request.top_via
    # Parameter values are case-insensitive (section 7.3.1).
    branch = via.branch.lower()
    if branch[:_COOKIE_SIZE] == _COOKIE and len(branch) > _COOKIE_SIZE:
        return f"{branch}\n{via.sent_by}"
    # No cookie, or nothing but the cookie, which identifies nothing (RFC 4475 section 3.2.1 allows this way out).
    return old_key(request, request.to.tag)


def is_old(key: str) -> bool:
    """Tell whether *key* was made by :func:`old_key`."""
    return key.startswith("\n")


def old_key(request: Request, to_tag: str | None) -> str:
    """Return the key by the rules for RFC 2543 clients (section 17.2.3, second half).

    :param to_tag: the To tag to compare: the request's own, or the response's for an INVITE that awaits its ACK.
    :raises RemoteProtocolError: the header fields that make the key are missing or malformed.
    """
    via = request.top_via
    return "\n".join(
        (
            "",
            via.transport,
            via.sent_by,
            via.branch.lower(),
            request.uri_text,
            to_tag or "",
            request.from_.tag or "",
            request.call_id,
            str(request.cseq.number),
        )
    )


def merge_key(request: Request) -> tuple[str, str, int, str]:
    """Return what copies of one request have in common, whichever way they came (section 8.2.2.2).

    :raises RemoteProtocolError: the header fields that make the key are missing or malformed.
    """
    known = request.headers.parsed.get
    number, method = known("cseq") or request.cseq
    sender = known("from") or request.from_
    return sender.tag or "", known("call-id") or request.call_id, number, method
