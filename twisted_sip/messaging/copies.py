"""A message on its way through: the copy that goes to a device, the one that is kept, and the one made of that.

RFC 3261 section 16.6 steps 1 to 3, RFC 3327 section 5.3, RFC 5393 section 5.3.3, RFC 3428 sections 4 and 9. A message
that is kept goes out later with the Call-ID, From, To and CSeq that it came with, so that who gets it twice can tell,
but for a tag in its To: the dialog that it names is none that the device would know (RFC 3261 section 12.2.2: 481).
"""

from __future__ import annotations

import hashlib

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.message_store import StoredMessage
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.dates import SIPDate
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI

#: The Max-Forwards of requests that bring none (RFC 3261 section 16.6 step 3), and of those that begin here.
_MAX_FORWARDS = 70

#: What belongs to one hop, one transaction or one proof of identity, and is not kept with a message.
_NOT_KEPT = frozenset(
    (
        "via", "route", "record-route", "path", "max-forwards", "max-breadth", "from", "to", "call-id", "cseq",
        "contact", "content-length", "authorization", "proxy-authorization", "proxy-require", "p-asserted-identity",
        "p-preferred-identity", "history-info", "timestamp",
    )
)  # fmt: skip


def _request_uri(uri: URI) -> URI:
    """Return *uri* without what a Request-URI may not hold (RFC 3261 section 19.1.1, table 1)."""
    if isinstance(uri, SIPURI) and (uri.headers or "method" in uri.params):
        return uri.replace(headers="", params=uri.params.without("method"))
    return uri


def forwarded_copy(request: Request, target: Target, breadth: int, now: float) -> Request:
    """Return the copy of *request* for *target*.

    :param breadth: its Max-Breadth.
    :param now: seconds since the epoch; Date, which RFC 3428 table 1 lets a proxy add, where there is none.
    """
    copy = request.copy()
    copy.set_uri(_request_uri(target.uri))
    headers = copy.headers
    left = copy.max_forwards
    headers.set("max-forwards", str(_MAX_FORWARDS if left is None or left > 255 else left - 1))
    headers.set("max-breadth", str(breadth))
    if "date" not in headers.names:
        headers.append("date", str(SIPDate(now)))
    for value in reversed(target.path):
        headers.prepend("route", value)
    return copy


def kept_message(
    request: Request,
    recipient: str,
    sender: str,
    now: float,
    lifetime: float,
    max_lifetime: float,
    instance: str = "",
) -> StoredMessage | None:
    """Return *request* as it is kept, None if it expires at once or cannot be sent again as it came.

    Expires counts from Date where that stands there (RFC 3428 section 7); a Date in the future is a wrong clock.

    :param lifetime: seconds, where Expires is missing.
    :param max_lifetime: the most seconds.
    :param instance: the key of the one instance that it is for.
    :raises RemoteProtocolError: a header field is malformed.
    """
    expires = request.expires
    began = now
    if expires is not None:
        date = _date_of(request)
        began = now if date is None else min(date, now)
    headers = [(name, value) for name, value in request.headers if name.lower() not in _NOT_KEPT]
    if "date" not in request.headers.names:
        headers.append(("Date", str(SIPDate(now))))
    message = StoredMessage(
        key=_key_of(request, recipient, sender),
        recipient=recipient,
        sender=sender,
        from_value=request.headers.first("from") or "",
        to_value=request.headers.first("to") or "",
        call_id=request.call_id,
        cseq=request.cseq.number,
        received_at=now,
        expires_at=min(began + (lifetime if expires is None else expires), now + max_lifetime),
        headers=tuple(headers),
        body=request.body,
        instance=instance,
    )
    if message.expires_at <= now or (request.uri_text[:5].lower() == "sips:" and not is_secure(message)):
        return None
    try:
        request_for(message, Target(uri=request.uri))
    except LocalProtocolError:
        return None
    return message


def _date_of(request: Request) -> float | None:
    try:
        date: SIPDate | None = request.typed("date")
    except RemoteProtocolError:
        return None
    return None if date is None else float(date.timestamp)


def _key_of(request: Request, recipient: str, sender: str) -> str:
    """Return the key of a message: the same for the same one, should its sender not have had our answer."""
    texts = (recipient, sender, request.from_.tag, request.call_id, str(request.cseq.number))
    digest = hashlib.blake2s("\n".join(texts).encode("utf-8", "surrogateescape"), digest_size=16)
    digest.update(b"\n" + request.body)
    return digest.hexdigest()


def is_secure(message: StoredMessage) -> bool:
    """Tell whether *message* is for a ``sips`` URI and goes to ``sips`` contacts alone."""
    return NameAddr.parse(message.to_value).uri_text[:5].lower() == "sips:"


def _untagged(value: str) -> str:
    address = NameAddr.parse(value)
    return str(address.without("tag")) if address.tag else value


def request_for(message: StoredMessage, target: Target) -> Request:
    """Return the request that takes *message* to *target*; its sender adds the Via.

    :raises LocalProtocolError: it holds what cannot be sent.
    """
    return Request(
        "MESSAGE",
        _request_uri(target.uri),
        [
            *(("route", value) for value in target.path),
            ("max-forwards", str(_MAX_FORWARDS)),
            ("from", message.from_value),
            ("to", _untagged(message.to_value)),
            ("call-id", message.call_id),
            ("cseq", f"{message.cseq} MESSAGE"),
            *message.headers,
        ],
        message.body,
    )
