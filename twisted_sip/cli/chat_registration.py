"""The registration of a chat: so that messages come here while it runs (RFC 3261 section 10.2)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from twisted_sip.cli.client import ClientOptions, too_late
from twisted_sip.dialog.subscription_terms import min_expires_of, refresh_delay
from twisted_sip.element.element import Element
from twisted_sip.element.reply import Reply
from twisted_sip.errors import SIPError
from twisted_sip.events.subscriber import contact_uri
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.builders import build_request
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI
from twisted_sip.transaction.timers import Timer

#: Seconds to register for: what is left of a chat that is killed is gone soon.
_EXPIRES = 600
#: Seconds until the next try after one that failed.
_PATIENCE = 30.0
#: Seconds for the server to take our leave.
_FAREWELL = 3.0


class _Registering(Reply):
    """A REGISTER on its way: its Contact is the address that it leaves from."""

    __slots__ = ("_params", "_user", "contact")

    def __init__(self, user: str, params: str) -> None:
        super().__init__(None)
        self._user = user
        self._params = params
        self.contact = ""

    def prepare(self, request: Request, flow: Flow) -> None:
        self.contact = f"<{contact_uri(request, flow, self._user)}>"
        request.headers.set("contact", self.contact + self._params)


class Registration:
    """One binding, refreshed while it is wanted.

    :ivar contact_user: the user part of our Contact, which nobody guesses: requests for others are none of ours.
    :ivar service_route: Route values for what is sent (RFC 3608).
    """

    def __init__(self, element: Element, options: ClientOptions, lost: Callable[[str], object]) -> None:
        """Make a registration that is not begun.

        :param lost: called with what went wrong when a refresh fails; it is tried again.
        """
        self.contact_user = element.random_text()
        self.service_route: tuple[str, ...] = ()
        self.options = options
        self._element = element
        self._lost = lost
        self._call_id = element.random_text() + element.random_text()
        self._tag = element.random_text()
        self._cseq = 0
        self._expires = _EXPIRES
        self._timer: Timer | None = None
        self._ended = False

    async def register(self) -> Response:
        """Register; return the final response. After a 2xx it is refreshed until :meth:`end`.

        :raises SIPError: there was no response.
        """
        response = await self._send(self._expires)
        if response.status == 423 and (wanted := min_expires_of(response, self._expires)) is not None:
            self._expires = wanted
            response = await self._send(self._expires)
        if 200 <= response.status < 300 and not self._ended:
            self.service_route = tuple(response.headers.elements("service-route"))
            self._refresh_after(refresh_delay(self._granted(response)))
        return response

    async def end(self) -> None:
        """Take the binding back, as far as the server answers."""
        self._ended = True
        if self._timer is None:
            return
        self._timer.cancel()
        try:
            await self._send(0, min(self.options.timeout, _FAREWELL))
        except SIPError:
            # It ends by itself.
            return

    def _send(self, expires: int, patience: float = 0.0) -> Deferred[Response]:
        options, element = self.options, self._element
        self._cseq += 1
        identity = options.identity
        request = build_request(
            "REGISTER",
            SIPURI.parse(f"{identity.scheme}:{identity.host}"),
            from_=NameAddr.parse(f"<{identity}>;tag={self._tag}"),
            to=f"<{identity}>",
            call_id=self._call_id,
            cseq=self._cseq,
        )
        reply = _Registering(self.contact_user, f";expires={expires}")
        reply.outgoing = element.sender.send(request, reply, uri=options.proxy, credentials=options.digest)

        def answered(response: Response) -> Response:
            # What was challenged was sent once more, with a higher number.
            assert reply.outgoing is not None
            self._cseq = max(self._cseq, reply.outgoing.request.cseq.number)
            return response

        patience = patience or options.timeout
        result = reply.result.addTimeout(patience, element.reactor, too_late(patience))
        return result.addCallback(answered)

    def _granted(self, response: Response) -> int:
        """Return for how many seconds the binding of ours lasts (RFC 3261 section 10.2.4)."""
        for contact in response.contacts:
            uri = contact.uri
            granted = contact.params.get("expires") or ""
            if isinstance(uri, SIPURI) and uri.user == self.contact_user and granted.isascii() and granted.isdigit():
                return int(granted)
        return self._expires

    def _refresh_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._element.timers.start(float(seconds), self._refresh)

    def _refresh(self) -> None:
        Deferred.fromCoroutine(self._try_again())

    async def _try_again(self) -> None:
        try:
            response = await self.register()
            problem = "" if 200 <= response.status < 300 else f"{response.status} {response.reason}"
        except SIPError as error:
            problem = str(error) or type(error).__name__
        if problem and not self._ended:
            self._lost(problem)
            self._refresh_after(_PATIENCE)
