"""Admission as a composed server does it: with the parts that answer requests themselves, and with the users known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.interfaces.credentials import ICredentialStore
from twisted_sip.interfaces.processing import IncomingRequest, Verdict
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI, parse_uri
from twisted_sip.proxy.gateways.live import LiveGateway
from twisted_sip.proxy.service import ProxyService
from twisted_sip.tap.configuration import Configuration


def _nobody(host: str) -> None:
    return None


def _open_to_all(incoming: IncomingRequest) -> bool:
    return False


class ServerAdmission(AdmissionProcessor):
    """Asks with 401 where the server is the UAS, with 407 where the proxy forwards.

    :ivar forwards: whether there is a proxy; without one every request ends here.
    :ivar claims: tell whether a request is for them.
    :ivar gateway_at: gives the gateway of ours at an address that may call our users.
    :ivar users_only: tells whether a request for an address in our domains goes where strangers may not go.
    """

    forwards = True
    claims: tuple[Callable[[Request], bool], ...] = ()
    gateway_at: Callable[[str], LiveGateway | None] = staticmethod(_nobody)
    users_only: Callable[[IncomingRequest], bool] = staticmethod(_open_to_all)

    def follow(self, configuration: Configuration) -> None:
        """Take over what *configuration* says of certificates and third parties."""
        self.certificates = configuration.tls.client_certificates != "none"
        self.third_party = configuration.registrar.third_party

    def answers_itself(self, request: Request) -> bool:
        """Tell whether this server answers *request* itself (RFC 3261 section 22.1)."""
        # What a part finds malformed is told before anybody is asked who it is.
        return super().answers_itself(request) or any(claims(request) for claims in self.claims) or not self.forwards

    def _stranger(self, incoming: IncomingRequest, for_us: bool) -> Verdict:
        """A request that does not claim to be from one of our users: it may be from a gateway."""
        gateway = self.gateway_at(incoming.flow.remote.host) if for_us else None
        if gateway is not None:
            incoming.note("admission", "from the gateway {0}", f"{gateway.key}.inbound", gateway.settings.label)
            return self._admit_unproved(incoming)
        return super()._stranger(incoming, for_us)

    def _hidden(self, incoming: IncomingRequest, for_us: bool) -> SIPURI | None:
        """Ask callers of numbers that are for users alone, and no gateway that may call our users: its callers are
        anonymous at times."""
        found = super()._hidden(incoming, for_us)
        if not for_us:
            return found
        if found is None:
            return super()._hidden(incoming, False) if self.users_only(incoming) else None
        names = incoming.request.headers.names
        if "proxy-authorization" in names or "authorization" in names:
            return found
        return None if self.gateway_at(incoming.flow.remote.host) is not None else found

    def _by_our_routes(self, incoming: IncomingRequest, to_tag: str) -> Verdict | Deferred[Verdict]:
        """A request with Routes of ours.

        A MESSAGE for an address-of-record is taken here, whatever dialog it stands in. The token of a dialog tells that
        it may be forwarded, not who sent it: that is asked for.
        """
        verdict = super()._by_our_routes(incoming, to_tag)
        request = incoming.request
        if (
            verdict is None
            and incoming.admitted
            and not incoming.user
            and request.method == "MESSAGE"
            and any(route.user for route in incoming.own_routes)
            and not _is_gruu(request.uri)
            and self._for_us(incoming)
            and self.answers_itself(request)
        ):
            incoming.admitted = False
            return self._outside(incoming)
        return verdict


def _is_gruu(uri: URI) -> bool:
    """Tell whether *uri* is a GRUU: in a dialog it means a device, as a Contact does (RFC 5627)."""
    return isinstance(uri, SIPURI) and "gr" in uri.params


class KnownUsers:
    """Tells whether there is a user with an address-of-record; where nobody has to prove who he is, everybody is one.

    :param credentials: where users are kept.
    :param settings: gives the settings of authentication that hold.
    """

    def __init__(self, credentials: ICredentialStore, settings: Callable[[], AuthSettings]) -> None:
        self._credentials = credentials
        self._settings = settings

    def __call__(self, aor: str) -> bool | Deferred[bool]:
        return self._look(aor) if self._settings().required else True

    def is_taken(self, aor: str) -> bool | Deferred[bool]:
        """Tell whether *aor* is somebody's, who has a password for it; nobody's where nobody needs one."""
        return self._look(aor) if self._settings().required else False

    def _look(self, aor: str) -> bool | Deferred[bool]:
        uri = parse_uri(aor)
        if not isinstance(uri, SIPURI) or not uri.user:
            return False
        found: Any = self._credentials.lookup(uri.user, self._settings().realm or uri.host.strip("[]"))
        if isinstance(found, Deferred):
            return found.addCallback(lambda credential: credential is not None)
        return found is not None


def path_admits(proxy: ProxyService | None) -> Callable[[IncomingRequest], bool]:
    """Return what admits requests whose Route is our own Path value: they are for the user behind it (RFC 5626 section
    5.3)."""
    if proxy is None:
        return lambda incoming: False
    return lambda incoming: proxy.record_routing.path_mark(incoming.own_routes) is not None
