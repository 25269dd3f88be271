"""What becomes of the registrations of ``twistd sip-ua``, in words: for the log and for the status page."""

from __future__ import annotations

from twisted.logger import Logger

from twisted_sip.agent.registration import Registration
from twisted_sip.agent.registration_events import (
    BindingExpired,
    FlowLost,
    Registered,
    RegistrationEvent,
    RegistrationRefused,
)
from twisted_sip.auth.client import DigestClient
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.auth_params import Challenge
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

_log = Logger()

_WRONG = "the password is wrong"
_NONE = "a password is asked for, give one with --password-file (password_file in a [[line]])"


class LineCredentials(DigestClient):
    """The password of a line, and what to tell people where it does not help.

    :ivar problem: why the last challenge was not answered, or would have been answered in vain.
    """

    problem = _WRONG

    def authorize(self, request: Request, response: Response) -> Request | None:
        """See ClientCredentials."""
        made = super().authorize(request, response)
        self.problem = _WRONG
        if made is None and not request.headers.all("authorization") and not request.headers.all("proxy-authorization"):
            strange = [realm for realm in _realms(response) if realm and not self._trusts(request, realm)]
            if strange:
                self.problem = f'the password is for other realms, trust this one with --realm "{strange[0]}"'
            else:
                self.problem = "it asks for a password in no way that is known here"
        return made


def _realms(response: Response) -> list[str]:
    found: list[str] = []
    for field in ("www-authenticate", "proxy-authenticate"):
        for text in response.headers.all(field):
            try:
                found.append(Challenge.parse(text).realm)
            except RemoteProtocolError:
                continue
    return found


class RegistrationLog:
    """Writes what becomes of a registration into the log, one line for each change.

    It is tried again whatever the refusal was, at longer and longer intervals: passwords are mended at registrars, too.

    :ivar trouble: what is wrong with it now, empty if nothing is.
    """

    def __init__(self, registration: Registration, credentials: LineCredentials | None) -> None:
        self.trouble = ""
        self._aor = str(registration.aor)
        self._registration = registration
        self._credentials = credentials
        self._missed: set[int] = set()

    def __call__(self, event: RegistrationEvent) -> None:
        """See Registration.observe."""
        if isinstance(event, Registered):
            self._registered(event)
        elif isinstance(event, RegistrationRefused):
            self._refused(event)
        elif isinstance(event, FlowLost):
            self._missed.add(event.reg_id)
            self.trouble = event.reason
            _log.warn("{aor}: {reason}", aor=self._aor, reason=event.reason, retry_in=event.retry_in)
        elif isinstance(event, BindingExpired):
            self._missed.add(event.reg_id)
            _log.warn("{aor}: the registration has run out", aor=self._aor)

    def _registered(self, event: Registered) -> None:
        missed = event.reg_id in self._missed
        self._missed.discard(event.reg_id)
        self.trouble = ""
        if missed or not event.refreshed:
            again = " again" if event.refreshed else ""
            _log.info(
                "{aor} registered{again} as {contact}", aor=self._aor, again=again, contact=event.contact,
                expires=event.expires,
            )  # fmt: skip

    def _refused(self, event: RegistrationRefused) -> None:
        self._missed.add(event.reg_id)
        self.trouble = f"{event.status} {event.reason}".strip()
        if event.status in (401, 407):
            self.trouble += f", {_NONE if self._credentials is None else self._credentials.problem}"
        held = self._registration.registered
        _log.warn(
            "{aor} {what}: {trouble}{next}", aor=self._aor, what="not refreshed" if held else "not registered",
            trouble=self.trouble, status=event.status, retry_in=event.retry_in,
            next="" if event.retry_in is None else f"; tries again in {event.retry_in:.0f} s",
        )  # fmt: skip

    @property
    def words(self) -> str:
        """How it is, for the status page: a binding that stands although it was not refreshed is told of as that."""
        state = self._registration.state.value
        if not self.trouble:
            return state
        held = self._registration.registered
        return f"{state}, not refreshed: {self.trouble}" if held else f"not registered: {self.trouble}"
