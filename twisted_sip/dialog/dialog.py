"""The state of one dialog, and the requests and responses in it (RFC 3261 section 12, RFC 6665 section 4.4.1).

Sans-I/O: a dialog is made of the messages that establish it, makes requests, and judges those that come in. Which
usages share it is the business of :mod:`dialogs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from twisted_sip.dialog.dialog_snapshot import CSEQ_LIMIT, FITS, plain
from twisted_sip.dialog.remote_target import checked_route_set, target_of
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.builders import build_request
from twisted_sip.message.cseq import CSeq
from twisted_sip.message.header_map import HeaderMap
from twisted_sip.message.methods import METHODS
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.route_set import apply_route_set, route_set_of_uac, route_set_of_uas

#: The methods whose Contact is the remote target from then on: RFC 3261 section 12.2, RFC 3311 section 5.1, RFC 6665
#: section 4.4.1 (SUBSCRIBE and NOTIFY), RFC 3515 section 2.2.
TARGET_REFRESH = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))

#: The first number of a UAS that sends its first request (RFC 3261 section 8.1.1.5 leaves the choice).
FIRST_CSEQ = 1

_new = tuple.__new__


class DialogID(NamedTuple):
    """What a dialog is known by at one of its two sides (RFC 3261 section 12).

    :ivar call_id: the Call-ID.
    :ivar local_tag: our tag, empty where it is null.
    :ivar remote_tag: the peer's tag, empty where it is null (a peer of RFC 2543).
    """

    call_id: str
    local_tag: str
    remote_tag: str


class Dialog:
    """A dialog.

    :ivar call_id: the Call-ID.
    :ivar local_tag: our tag, empty where it is null.
    :ivar remote_tag: the peer's tag, empty where it is null (a peer of RFC 2543).
    :ivar local_uri: From or To of ours as it stood there, without its tag.
    :ivar remote_uri: From or To of the peer as it stood there, without its tag.
    :ivar local_cseq: the number of our last request, None before the first; may be set to continue behind a restart.
    :ivar remote_cseq: the number of the peer's last request, None before the first.
    :ivar route_set: Route values, nearest first, as they stood in Record-Route.
    :ivar remote_target: the URI of the peer's Contact.
    :ivar secure: made over TLS by a request for a ``sips`` URI; our Contacts must be ``sips`` URIs then.
    :ivar early: made by a provisional response, and not confirmed yet.
    :ivar id: what it is known by.
    """

    __slots__ = (
        "_fit",
        "call_id",
        "early",
        "id",
        "local_cseq",
        "local_tag",
        "local_uri",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "remote_uri",
        "route_set",
        "secure",
    )

    def __init__(
        self,
        *,
        call_id: str,
        local_tag: str,
        remote_tag: str,
        local_uri: str,
        remote_uri: str,
        local_cseq: int | None,
        remote_cseq: int | None,
        route_set: Sequence[str],
        remote_target: str,
        secure: bool = False,
        early: bool = False,
    ) -> None:
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.local_uri = local_uri
        self.remote_uri = remote_uri
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.route_set = tuple(route_set)
        self.remote_target = remote_target
        self.secure = secure
        self.early = early
        self.id = DialogID(call_id, local_tag, remote_tag)
        # SIP allows what requests of ours are made of.
        self._fit = False

    # -- establishment ------------------------------------------------------------

    @classmethod
    def as_uas(cls, request: Request, local_tag: str, *, early: bool = False) -> Dialog:
        """Return the dialog that our response to *request* establishes (RFC 3261 section 12.1.1).

        The response needs Record-Route as in the request (:func:`record_route_of`) and a Contact.

        :param local_tag: the To tag of the response.
        :param early: the response is a provisional one.
        :raises RemoteProtocolError: From, To, Contact or Record-Route is missing or malformed.
        """
        flow = request.flow
        secure = request.uri_text[:5].lower() == "sips:" and flow is not None and flow.kind.secure
        headers = request.headers
        known = headers.parsed.get
        sender = known("from") or request.from_
        # What Dialog() does, without the call: each call has one.
        made = cls.__new__(cls)
        made.call_id = call_id = known("call-id") or request.call_id
        made.local_tag = local_tag
        made.remote_tag = remote_tag = sender.tag
        made.local_uri = (known("to") or request.to).untagged
        made.remote_uri = sender.untagged
        made.local_cseq = None
        made.remote_cseq = (known("cseq") or request.cseq)[0]
        made.route_set = checked_route_set(request, route_set_of_uas) if "record-route" in headers.names else ()
        made.remote_target = target_of(request, secure)
        made.secure = secure
        made.early = early
        made.id = _new(DialogID, (call_id, local_tag, remote_tag))
        made._fit = False
        return made

    @classmethod
    def as_uac(cls, request: Request, response: Response) -> Dialog:
        """Return the dialog that *response* to our *request* establishes (RFC 3261 section 12.1.2).

        Requests for ``sips`` URIs leave over TLS alone, so the URI tells whether it is secure.

        :raises RemoteProtocolError: To, Contact or Record-Route of the response is missing or malformed.
        """
        secure = request.uri_text[:5].lower() == "sips:"
        known, told = request.headers.parsed.get, response.headers.parsed.get
        sender, recipient = known("from") or request.from_, told("to") or response.to
        # Equal to each other, but where a challenge was answered on the way.
        sent, answered = (known("cseq") or request.cseq)[0], (told("cseq") or response.cseq)[0]
        made = cls.__new__(cls)
        made.call_id = call_id = known("call-id") or request.call_id
        made.local_tag = local_tag = sender.tag
        made.remote_tag = remote_tag = recipient.tag
        made.local_uri = sender.untagged
        made.remote_uri = recipient.untagged
        made.local_cseq = sent if sent > answered else answered
        made.remote_cseq = None
        routed = "record-route" in response.headers.names
        made.route_set = checked_route_set(response, route_set_of_uac) if routed else ()
        made.remote_target = target_of(response, secure)
        made.secure = secure
        made.early = response.status < 200
        made.id = _new(DialogID, (call_id, local_tag, remote_tag))
        made._fit = False
        return made

    @classmethod
    def as_notified(cls, subscribe: Request, notify: Request) -> Dialog:
        """Return the subscriber's dialog that *notify* establishes for our *subscribe* (RFC 6665 section 4.4.1).

        The route set is that of the NOTIFY, whatever a response to the SUBSCRIBE says.

        :raises RemoteProtocolError: From, Contact or Record-Route of the NOTIFY is missing or malformed.
        """
        secure = subscribe.uri_text[:5].lower() == "sips:"
        return cls(
            call_id=subscribe.call_id,
            local_tag=subscribe.from_.tag,
            remote_tag=notify.from_.tag,
            local_uri=subscribe.from_.untagged,
            remote_uri=subscribe.to.untagged,
            local_cseq=subscribe.cseq.number,
            remote_cseq=notify.cseq.number,
            route_set=checked_route_set(notify, route_set_of_uas),
            remote_target=target_of(notify, secure),
            secure=secure,
        )

    def confirm(self, response: Response | None = None) -> None:
        """Leave the early state.

        :param response: at the UAC the 2xx: the route set is taken from it anew (RFC 3261 section 13.2.2.4), and the
            remote target (section 12.2.1.2).
        :raises RemoteProtocolError: Contact or Record-Route of the response is malformed; nothing has changed then.
        """
        if response is not None:
            names = response.headers.names
            route_set = checked_route_set(response, route_set_of_uac) if "record-route" in names else ()
            if "contact" in names:
                self.remote_target = target_of(response, self.secure)
            self.route_set = route_set
        self.early = False

    # -- requests of ours -----------------------------------------------------------

    def request(
        self,
        method: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        cseq: int | None = None,
        max_forwards: int = 70,
    ) -> Request:
        """Return a request in this dialog (RFC 3261 section 12.2.1.1), with Route and Request-URI in place.

        A target refresh request needs a Contact among *headers*: a ``sips`` URI where the dialog is secure.

        :param cseq: the number of the request that an ACK acknowledges; leave it out for the next number.
        :raises LocalProtocolError: a value that SIP does not allow, an ACK without *cseq*, or no number is left
            (section 12.2.1.1: numbers do not wrap around).
        """
        if cseq is None:
            if method == "ACK":
                raise LocalProtocolError("an ACK has the CSeq number of what it acknowledges")
            cseq = FIRST_CSEQ if self.local_cseq is None else self.local_cseq + 1
            if cseq >= CSEQ_LIMIT:
                raise LocalProtocolError("no CSeq number is left in this dialog")
            next_cseq: int | None = cseq
        else:
            next_cseq = self.local_cseq
        if max_forwards == 70 and method in METHODS and (self._fit or self._fits()):
            made = self._made(method, cseq, headers, body)
        else:
            made = build_request(
                method,
                self.remote_target,
                from_=_with_tag(self.local_uri, self.local_tag),
                to=_with_tag(self.remote_uri, self.remote_tag),
                call_id=self.call_id,
                cseq=cseq,
                max_forwards=max_forwards,
                headers=headers,
                body=body,
            )
        if self.route_set or "route" in made.headers.names:
            apply_route_set(made, self.route_set, self.remote_target)
        self.local_cseq = next_cseq
        return made

    def _fits(self) -> bool:
        """Tell at a glance whether SIP allows what requests of ours are made of."""
        target = self.remote_target
        texts = f"{self.local_uri}{self.local_tag}{self.remote_uri}{self.remote_tag}{self.call_id}{target}"
        marked = not target or " " in target or "<" in target or ">" in target
        self._fit = texts.isprintable() and not marked
        return self._fit

    def _made(self, method: str, cseq: int, headers: Iterable[tuple[str, str]], body: bytes) -> Request:
        """As build_request does it, for those who fit."""
        local_tag, remote_tag = self.local_tag, self.remote_tag
        made = Request.__new__(Request)
        made.method = method
        made.uri_text = self.remote_target
        made.known_uri = None
        made.headers = fields = HeaderMap.__new__(HeaderMap)
        fields.names = ["max-forwards", "from", "to", "call-id", "cseq"]
        fields.lines = [
            "Max-Forwards: 70",
            f"From: {self.local_uri};tag={local_tag}" if local_tag else f"From: {self.local_uri}",
            f"To: {self.remote_uri};tag={remote_tag}" if remote_tag else f"To: {self.remote_uri}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
        ]
        fields.parsed = {"call-id": self.call_id, "cseq": _new(CSeq, (cseq, method))}
        if headers:
            fields.extend(headers)
        made.body = body
        made.flow = None
        return made

    def response_received(self, response: Response) -> None:
        """Take note of a *response* to a request of ours (RFC 3261 section 12.2.1.2).

        A 2xx to a target refresh request sets the remote target; a challenge answered on the way has used up numbers.

        :raises RemoteProtocolError: its Contact is malformed; the remote target stays as it is.
        """
        number = response.cseq.number
        if self.local_cseq is None or number > self.local_cseq:
            self.local_cseq = number
        if 200 <= response.status < 300:
            self.refresh_target(response)

    # -- requests of the peer ---------------------------------------------------------

    def receive(self, request: Request, *, refresh: bool = True) -> None:
        """Judge a *request* of the peer in this dialog and take note of it (RFC 3261 section 12.2.2).

        :param refresh: set the remote target at once. Otherwise call :meth:`refresh_target` once the request is
            accepted: one that is rejected changes nothing.
        :raises RemoteProtocolError: it is out of order or a replay (status 500), or its Contact is malformed; nothing
            has changed then.
        """
        number, method = request.headers.parsed.get("cseq") or request.cseq
        if method in ("ACK", "CANCEL"):
            # They have the number of the request that they belong to.
            return
        if self.remote_cseq is not None and number <= self.remote_cseq:
            # Retransmissions end in the transaction floor, so an equal number is no better than a lower one.
            raise RemoteProtocolError("CSeq Out Of Order", status=500, header="CSeq")
        if refresh:
            self.refresh_target(request)
        self.remote_cseq = number

    def refresh_target(self, message: Request | Response) -> bool:
        """Set the remote target if *message* is a target refresh request, or a response to one, with a Contact.

        :return: True if the remote target is another one now.
        :raises RemoteProtocolError: the Contact is malformed; the remote target stays as it is.
        """
        if "contact" not in message.headers.names:
            return False
        method = message.method if isinstance(message, Request) else message.cseq.method
        if method not in TARGET_REFRESH:
            return False
        target = target_of(message, self.secure)
        changed = target != self.remote_target
        self.remote_target = target
        return changed

    # -- restarts ---------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return {name: plain(getattr(self, name)) for name in FITS}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Dialog:
        """Return the dialog of a :meth:`snapshot`.

        :raises LocalProtocolError: it is none.
        """
        try:
            fields = {name: state[name] for name in FITS}
        except KeyError as error:
            raise LocalProtocolError(f"no snapshot of a dialog: {error.args[0]} is missing") from error
        for name, value in fields.items():
            if not FITS[name](value):
                raise LocalProtocolError(f"no snapshot of a dialog: {name} is {value!r}")
        return cls(**fields)

    def __repr__(self) -> str:
        return f"<Dialog {self.call_id} {self.local_tag} {self.remote_tag}>"


def record_route_of(request: Request) -> list[tuple[str, str]]:
    """Return the Record-Route header fields for the response that makes a dialog: those of *request*, parameters and
    order kept (RFC 3261 section 12.1.1)."""
    return [("record-route", value) for value in request.headers.all("record-route")]


def _with_tag(address: str, tag: str) -> str:
    return f"{address};tag={tag}" if tag else address
