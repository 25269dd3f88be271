"""Offers and answers as SIP messages carry them (RFC 3261 section 13.2.1, RFC 3262 section 5, RFC 3311, RFC 6337).

What stands in a session description is no matter here: bodies are bytes with a media type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted_sip.dialog.session_terms import Header, SessionBody
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.kept import Kept
from twisted_sip.message.media_types import ContentDisposition, MediaType
from twisted_sip.message.message import Message
from twisted_sip.message.multipart import parse_multipart
from twisted_sip.message.request import Request

#: No offer is open; ours waits for its answer; the peer's waits for ours.
STABLE: Final = "stable"
OFFERED: Final = "offered"
OWED: Final = "owed"


_new = tuple.__new__

#: The media type of session descriptions.
SDP: Final = "application/sdp"


#: What says more of a body than its type.
_SAYING_MORE = frozenset(("content-disposition", "content-encoding"))


def is_plain(message: Message, media_type: str) -> bool:
    """Tell at a glance whether the body of *message* is of *media_type*, not coded, and nothing else is said of it."""
    headers = message.headers
    names = headers.names
    return (
        names.count("content-type") == 1
        and _MEDIA_TYPES[headers.lines[names.index("content-type")]] == media_type
        and _SAYING_MORE.isdisjoint(names)
    )


def _read_media_type(line: str) -> str:
    """Return the media type in a Content-Type *line* of the usual shape, in lower case; empty for any other."""
    beginning, _, value = line.lower().partition(": ")
    return value if beginning == "content-type" else ""


_MEDIA_TYPES: Kept[str, str] = Kept(_read_media_type, 256)


def session_body_of(message: Message) -> SessionBody | None:
    """Return the session description in *message*, None if there is none.

    It is the body, or a part of it, with the disposition ``session``, which application/sdp has without a word (RFC
    3261 section 13.2.1).

    :raises RemoteProtocolError: the body is malformed (400) or coded in a way that is not known (415).
    """
    if not message.body:
        return None
    if is_plain(message, SDP):
        return _new(SessionBody, (SDP, message.body))
    content_type: MediaType | None = message.typed("content-type")
    if content_type is None:
        return None
    disposition: ContentDisposition | None = message.typed("content-disposition")
    if content_type.type == "multipart":
        found = None
        for part in parse_multipart(content_type, message.body).leaves():
            if part.disposition_type == "session":
                found = SessionBody(str(part.content_type), part.body)
                break
    elif disposition.key == "session" if disposition is not None else content_type.key == "application/sdp":
        found = SessionBody(str(content_type), message.body)
    else:
        found = None
    if found is not None:
        coded = [coding.lower() for coding in message.headers.elements("content-encoding")]
        if any(coding.strip() != "identity" for coding in coded):
            raise RemoteProtocolError("Unsupported Content-Encoding", status=415, header="Content-Encoding")
    return found


class OfferTracker:
    """The offer/answer exchanges of one dialog: one after the other.

    :ivar state: STABLE, OFFERED or OWED.
    :ivar established: a first exchange is complete.
    :ivar exchanges: how many are complete.
    :ivar local: our description that is agreed, None before the first exchange.
    :ivar remote: the peer's.
    :ivar offer: the offer that is open.
    :ivar carrier: the transaction that it came or went in.
    :ivar requested: it went in a request of ours, not in a response.
    """

    # What there is at the beginning stands here: a session is made faster without a call for that.
    state: str = STABLE
    exchanges = 0
    local: SessionBody | None = None
    remote: SessionBody | None = None
    offer: SessionBody | None = None
    carrier: object = None
    requested = False
    _previewed: SessionBody | None = None

    @property
    def stable(self) -> bool:
        """True while no offer is open."""
        return self.state is STABLE

    @property
    def established(self) -> bool:
        """True once a first exchange is complete."""
        return self.exchanges > 0

    def awaits(self, carrier: object) -> bool:
        """Tell whether our offer, sent in *carrier*, waits for its answer."""
        return self.state is OFFERED and self.carrier is carrier

    def owes(self, carrier: object) -> bool:
        """Tell whether we owe an answer to the offer that came in *carrier*."""
        return self.state is OWED and self.carrier is carrier

    def offer_sent(self, body: SessionBody, carrier: object, *, requested: bool = True) -> None:
        """We make an offer.

        :raises LocalProtocolError: another one is open (RFC 3264 section 4).
        """
        if self.state is not STABLE:
            raise LocalProtocolError("an offer is open: no other one may be made")
        self.state = OFFERED
        self.requested = requested
        self.offer = body
        self.carrier = carrier
        self._previewed = None

    def offer_received(self, body: SessionBody, carrier: object) -> None:
        """The peer makes an offer.

        :raises RemoteProtocolError: another one is open: 491 if it is ours, else 500 (RFC 3311 section 5.2, RFC 6337
            section 4.3).
        """
        if self.state is not STABLE:
            ours = self.state is OFFERED and self.requested
            raise RemoteProtocolError("Request Pending" if ours else "An offer is open", status=491 if ours else 500)
        self.state = OWED
        self.offer = body
        self.carrier = carrier
        self._previewed = None

    def answer_sent(self, body: SessionBody) -> None:
        """We answer the peer's offer.

        :raises LocalProtocolError: there is none to answer.
        """
        if self.state is not OWED:
            raise LocalProtocolError("there is no offer to answer")
        self.local, self.remote = body, self.offer
        self.exchanges += 1
        self.state = STABLE
        self.offer = self.carrier = self._previewed = None

    def preview(self, body: SessionBody) -> bool:
        """A response that may be lost has what is going to be the answer (RFC 6337 section 3.1.1).

        :return: True if that is news.
        """
        if self._previewed is not None:
            return False
        self._previewed = body
        return True

    @property
    def previewed(self) -> SessionBody | None:
        """The preview of the answer to our offer, None without one."""
        return self._previewed

    def answer_received(self, body: SessionBody) -> SessionBody | None:
        """The peer answers our offer.

        :return: the answer where it is news. After a preview it is not, whatever it says now: the first one counts (RFC
            3261 section 13.2.1).
        """
        previewed = self._previewed
        self.local, self.remote = self.offer, previewed or body
        self.exchanges += 1
        self.state = STABLE
        self.offer = self.carrier = self._previewed = None
        return body if previewed is None else None

    def abandon(self, carrier: object) -> bool:
        """What *carrier* has offered comes to nothing.

        :return: False if its offer is not open.
        """
        if self.state is STABLE or self.carrier is not carrier:
            return False
        self.state = STABLE
        self.offer = self.carrier = self._previewed = None
        return True


class OfferReceived:
    """An offer of the peer that waits for our answer.

    :ivar body: the offer.
    :ivar carrier: where it stood: ``UPDATE``, ``PRACK``, ``1xx`` (a reliable one) or ``2xx``.
    :ivar request: the request that it stood in, None for a response.
    :ivar answered: it is answered, refused or out of date.
    """

    __slots__ = ("_accept", "_refuse", "answered", "body", "carrier", "request")

    def __init__(
        self,
        body: SessionBody,
        carrier: str,
        request: Request | None,
        accept: Callable[[SessionBody, list[Header]], None],
        refuse: Callable[[int, str, list[Header]], None],
    ) -> None:
        self.body = body
        self.carrier = carrier
        self.request = request
        self.answered = False
        self._accept = accept
        self._refuse = refuse

    def answer(self, body: SessionBody, headers: Iterable[Header] = ()) -> None:
        """Answer it: in a 200 to UPDATE or PRACK, in the PRACK for a provisional response, in the ACK for a 2xx.

        Without effect once it is out of date: the session is over, or the request was answered for want of an answer.
        """
        if not self.answered:
            self.answered = True
            self._accept(body, list(headers))

    def refuse(self, status: int = 488, reason: str = "", headers: Iterable[Header] = ()) -> None:
        """Refuse it (RFC 6337 section 2.3): with *status* in a request; in a response there is no way to do so, and the
        session ends."""
        if not self.answered:
            self.answered = True
            self._refuse(status, reason, list(headers))
