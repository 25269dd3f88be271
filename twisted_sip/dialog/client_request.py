"""A request of ours on its way: what the host sends, and where it hands the responses in (RFC 3261 section 12.2.1)."""

from __future__ import annotations

from typing import Protocol

from twisted_sip.dialog.dialog import Dialog
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response


class ClientRequestUser(Protocol):
    """Who waits for the outcome of a request."""

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """A response: provisional ones, a final one, for INVITE every 2xx."""

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """There is none: 408 after a timeout, 503 where it could not be sent."""


class ClientRequest:
    """A request of ours.

    :ivar request: the request, as last sent.
    :ivar method: its method.
    :ivar secure: it must leave over a secure transport (RFC 3261 section 12.1.2).
    :ivar within: it is in a dialog.
    :ivar done: it has had its final response or its failure.
    """

    __slots__ = ("_dialog", "_user", "done", "method", "request", "secure", "within")

    def __init__(self, request: Request, user: ClientRequestUser, dialog: Dialog | None = None) -> None:
        """Wrap *request*.

        :param dialog: the dialog that it is in.
        """
        self.request = request
        self.method = request.method
        self.secure = dialog.secure if dialog is not None else request.uri_text[:5].lower() == "sips:"
        self.within = dialog is not None
        self.done = False
        self._user = user
        self._dialog = dialog

    def sent(self, request: Request) -> None:
        """It leaves as *request*: another server is tried, or a challenge was answered.

        An answered challenge has used up a number that another request of the dialog may have by now; it is given the
        next one then (RFC 3261 section 22.2).
        """
        if request is self.request:
            return
        dialog = self._dialog
        if dialog is not None:
            number = request.cseq.number
            highest = dialog.local_cseq or 0
            if number != self.request.cseq.number and number <= highest:
                number = highest + 1
                request.headers.set("cseq", f"{number} {self.method}")
            dialog.local_cseq = max(highest, number)
        self.request = request

    def response_received(self, response: Response) -> None:
        """Take a *response*: every provisional one, the final one, for INVITE every 2xx."""
        status = response.status
        if self.done and not (self.method == "INVITE" and 200 <= status < 300):
            return
        if status >= 200:
            self.done = True
        self._user.response_received(self, response)

    def failed(self, status: int) -> None:
        """There is no response: 408 after a timeout, 503 where it could not be sent."""
        if not self.done:
            self.done = True
            self._user.failed(self, status)

    def __repr__(self) -> str:
        return f"<ClientRequest {self.request!r}>"
