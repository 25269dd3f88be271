"""Who an agent is when it sends: address, credentials, Contact and the way out.

RFC 3261 sections 8.1.1 and 8.1.2, RFC 3608 section 6.1, RFC 5626 section 4.3, RFC 5627 section 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.agent.registration import Registration
from twisted_sip.auth.client import DigestClient
from twisted_sip.element.sending import ClientCredentials
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.transport_kind import UDP
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.route_set import own_route_set
from twisted_sip.message.uri import SIPURI

#: Who has no name (RFC 3323 section 4.1.1.3).
ANONYMOUS = NameAddr.parse('"Anonymous" <sip:anonymous@anonymous.invalid>')


class Account:
    """An identity to send requests as.

    :ivar address: what stands in From, without a tag.
    :ivar contact_user: the user part of Contact.
    :ivar credentials: what answers challenges, None without.
    :ivar registration: what it is registered by, None where it is not.
    :ivar calls: how many calls it has.
    """

    def __init__(
        self,
        address: NameAddr,
        *,
        contact_user: str,
        credentials: ClientCredentials | None = None,
        registration: Registration | None = None,
        route: Iterable[str] = (),
    ) -> None:
        """Make an account.

        :param credentials: a DigestClient without realms answers the domain of *address* alone from now on.
        :param route: Route values for requests outside of dialogs, where there is no registration to tell.
        :raises LocalProtocolError: one of them is none.
        """
        self.address = address
        self.contact_user = contact_user
        self.credentials = credentials
        self.registration = registration
        self.calls = 0
        self._route = own_route_set(route)
        if isinstance(credentials, DigestClient):
            credentials.belong_to(self.domain)

    def __repr__(self) -> str:
        return f"<Account {self.address}>"

    @property
    def aor(self) -> str:
        """The address-of-record as a registrar's key."""
        uri = self.address.uri
        return uri.address_of_record if isinstance(uri, SIPURI) else str(uri)

    @property
    def domain(self) -> str:
        """The domain of the address-of-record, empty if there is none."""
        uri = self.address.uri
        return uri.host if isinstance(uri, SIPURI) else ""

    @property
    def route(self) -> tuple[str, ...]:
        """Route values for a request outside of dialogs, nearest first."""
        return self.registration.route if self.registration is not None else self._route

    @property
    def flow(self) -> Flow | None:
        """The flow that such a request leaves by, None to look for one (RFC 5626 section 4.3).

        With an outbound proxy it is the flow that was registered by: the proxy knows us by it.
        """
        best = self.registration.best if self.registration is not None else None
        return best.flow if best is not None and best.proxy is not None else None

    def is_ours(self, uri: SIPURI) -> bool:
        """Tell whether requests to *uri* are for this account."""
        return uri.user == self.contact_user or (
            uri.user is not None and isinstance(self.address.uri, SIPURI) and uri.user == self.address.uri.user
        )

    def contact(self, flow: Flow, *, secure: bool = False, anonymous: bool = False, local: bool = False) -> str:
        """Return the Contact URI for a message that leaves by *flow*.

        :param secure: the dialog is secure: a ``sips`` URI (RFC 3261 section 8.1.1.8).
        :param anonymous: it must not tell who we are (RFC 5627 section 4.4).
        :param local: our address, whatever the registrar says.
        """
        registration = None if local else self.registration
        if registration is not None:
            gruu = registration.temporary_gruu if anonymous else registration.gruu
            if gruu and (not secure or gruu[:5].lower() == "sips:"):
                return gruu
        user = self.contact_user
        made = f"{'sips' if secure else 'sip'}:{user}@{flow.sent_by}"
        if not secure and flow.kind is not UDP:
            made += f";transport={flow.kind.parameter}"
        if registration is not None and any(known.grant and known.grant.outbound for known in registration.flows):
            # RFC 5626 section 4.3: what follows in this dialog comes over this flow.
            made += ";ob"
        return made
