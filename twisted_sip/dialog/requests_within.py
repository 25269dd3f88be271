"""Requests in a dialog that neither modify nor end a session: INFO and others (RFC 3261 section 12.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted_sip.dialog.client_request import ClientRequest
from twisted_sip.dialog.dialogs import Effect, effect_of
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.dialog.session import Session


class GenericRequest:
    """A request whose outcome somebody waits for."""

    __slots__ = ("_done", "_session")

    def __init__(self, session: Session, done: Callable[[Response | None, int], object] | None) -> None:
        self._session = session
        self._done = done

    def response_received(self, outgoing: ClientRequest, response: Response) -> None:
        """The final response, and what it destroys (RFC 5057 section 5.1)."""
        if response.status < 200:
            return
        if response.status < 300:
            self._session.refresh_target(response)
        self._over(outgoing, response, response.status)

    def failed(self, outgoing: ClientRequest, status: int) -> None:
        """There is none."""
        self._over(outgoing, None, status)

    def _over(self, outgoing: ClientRequest, response: Response | None, status: int) -> None:
        session = self._session
        done, self._done = self._done, None
        if done is not None:
            done(response, status)
        effect = effect_of(status, outgoing.method)
        if session.over or effect is Effect.TRANSACTION:
            return
        if effect is Effect.DIALOG:
            session.dialogs.destroy(session.dialog.id, status)
        elif outgoing.method == "INFO":
            session.end_with_bye("timeout" if status == 408 else "dialog", status, by="network")
