"""The registration of a chat: so that messages come here while it runs (RFC 3261 section 10.2)."""

from __future__ import annotations

from collections.abc import Callable

from twisted_sip.agent.registration import Registration
from twisted_sip.agent.registration_events import BindingExpired, RegistrationEvent, RegistrationRefused
from twisted_sip.agent.registration_terms import RegistrationSettings
from twisted_sip.auth.client import DigestClient
from twisted_sip.cli.client import ClientOptions, too_late
from twisted_sip.element.element import Element
from twisted_sip.errors import RequestRefused

#: Seconds to register for: what is left of a chat that is killed is gone soon. And those for the server to take our
#: leave.
_SETTINGS = RegistrationSettings(expires=600, outbound=False, base_all_failed=15.0, farewell=3.0)


class ChatRegistration:
    """One binding, refreshed while it is wanted; see agent.registration."""

    def __init__(self, element: Element, options: ClientOptions, lost: Callable[[str], object]) -> None:
        """Make a registration that is not begun.

        :param lost: called with what went wrong when a refresh fails; it is tried again.
        """
        self._element = element
        self._timeout = options.timeout
        self._lost = lost
        self._told = True
        self._registration = Registration(
            element,
            options.identity,
            credentials=options.digest,
            outbound_proxies=() if options.proxy is None else (options.proxy,),
            settings=_SETTINGS,
        )
        self._registration.observe(self._happened)

    @property
    def contact_user(self) -> str:
        """The user part of our Contact, which nobody guesses: requests for others are none of ours."""
        return self._registration.contact_user

    @property
    def service_route(self) -> tuple[str, ...]:
        """Route values for what is sent (RFC 3608)."""
        return self._registration.service_route

    def use(self, digest: DigestClient) -> None:
        """Answer challenges with *digest* from now on."""
        self._registration.credentials = digest

    async def register(self) -> tuple[int, str]:
        """Register; return status and reason phrase of the outcome. After a 2xx it is refreshed until :meth:`end`.

        :raises SIPError: there was no response in time.
        """
        registration = self._registration
        if registration.wanted:
            registration.refresh()
        waiting = registration.start()
        waiting.addTimeout(self._timeout, self._element.reactor, too_late(self._timeout))
        try:
            await waiting
        except RequestRefused as refusal:
            return refusal.status, registration.flows[0].reason
        self._told = False
        return 200, "OK"

    async def end(self) -> None:
        """Take the binding back, as far as the server answers."""
        await self._registration.stop()

    def _happened(self, event: RegistrationEvent) -> None:
        """Tell of what goes wrong once it was right."""
        if self._told or not self._registration.wanted:
            return
        if isinstance(event, RegistrationRefused):
            self._lost(f"{event.status} {event.reason}")
        elif isinstance(event, BindingExpired):
            self._lost("nobody has answered")
