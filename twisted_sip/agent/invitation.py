"""The INVITE of a call: who calls whom, by which way, in whose place (RFC 3261 sections 8.1.1 and 13.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from twisted_sip.agent.account import Account
from twisted_sip.agent.call import Call
from twisted_sip.agent.outgoing_leg import OutgoingLeg
from twisted_sip.agent.wire import Wire
from twisted_sip.dialog.session_terms import SessionBody, SessionTerms
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.builders import build_request
from twisted_sip.message.header_names import canonical
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.request import Request
from twisted_sip.message.route_set import apply_route_set, own_route_set
from twisted_sip.message.transfer import Replaces
from twisted_sip.message.uri import SIPURI, URI, TelURI, parse_uri

if TYPE_CHECKING:
    from twisted_sip.agent.user_agent import UserAgent

#: What stands once in each request, and nobody adds (RFC 3261 section 8.1.1).
_MADE_HERE = frozenset(("via", "from", "to", "call-id", "cseq", "max-forwards"))
#: The most of Max-Forwards (section 20.22).
_MOST_HOPS = 255
#: The most of Expires (section 20.19).
_LONGEST_EXPIRES = 2**32 - 1


class Invitation:
    """Makes the INVITEs of one call: the same Call-ID, From and To, whatever the target of a redirection."""

    def __init__(
        self,
        account: Account,
        uri: URI | str,
        *,
        from_: NameAddr | str | None,
        headers: Iterable[tuple[str, str]],
        replaces: Replaces | None,
        join: str | None,
        route: Sequence[str] | None,
        max_forwards: int,
        anonymous: bool,
        random_text: Callable[[], str],
    ) -> None:
        """Look at what is wanted.

        :raises LocalProtocolError: a value that SIP does not allow.
        """
        self.account = account
        self.target = target_of(uri, account)
        local = NameAddr.given(from_ or account.address)
        self.local = local.without("tag")
        self.remote = NameAddr.build(self.target)
        self.anonymous = anonymous
        self._route = account.route if route is None else own_route_set(route)
        self._hops = max_forwards
        self._tag = random_text()
        self.call_id = random_text() + random_text()
        self._headers = list(headers)
        for name, _ in self._headers:
            if canonical(name) in _MADE_HERE:
                raise LocalProtocolError(f"{name} is no header field to add: it is made of what is asked for")
        if not 0 <= max_forwards <= _MOST_HOPS:
            raise LocalProtocolError(f"max_forwards: {max_forwards} is not from 0 to {_MOST_HOPS}")
        if anonymous:
            # RFC 3325 sections 9.2 and 9.3.
            self._headers += [("privacy", "id"), ("p-preferred-identity", f"<{account.address.uri_text}>")]
        if replaces is not None and join is not None:
            raise LocalProtocolError("a call cannot replace one and join another")
        if replaces is not None:
            self._headers += [("replaces", str(replaces)), ("require", "replaces")]
        if join is not None:
            self._headers += [("join", join), ("require", "join")]

    def make(self, uri: str, cseq: int) -> Request:
        """Return the INVITE to *uri*."""
        request = build_request(
            "INVITE",
            uri,
            from_=self.local.with_("tag", self._tag),
            to=self.remote,
            call_id=self.call_id,
            cseq=cseq,
            max_forwards=self._hops,
            headers=self._headers,
        )
        if self._route:
            apply_route_set(request, self._route, uri)
        return request

    def call(self, agent: UserAgent, body: SessionBody | None, terms: SessionTerms, timeout: float | None) -> Call:
        """Return the call, ready to start.

        :param timeout: seconds that it may ring, None for what *terms* say.
        """
        if timeout is not None and not 0 < timeout <= _LONGEST_EXPIRES:
            raise LocalProtocolError(f"a call rings for more than 0 seconds, and {_LONGEST_EXPIRES} at most")
        uri = str(self.target)
        wire = Wire(agent.element, self.account, anonymous=self.anonymous)
        wire.hops = self._hops
        if self._route != self.account.route:
            wire.outside = None
        call = Call(
            agent,
            self.account,
            wire,
            id=self.call_id,
            outgoing=True,
            local=self.local,
            remote=self.remote,
            request=self.make(uri, 1),
            body=body,
        )
        expires = None if timeout is None else max(1, round(timeout))
        call.leg = OutgoingLeg(call, wire, self.make, uri, terms, expires=expires)
        return call


def target_of(uri: URI | str, account: Account) -> URI:
    """Return whom to call.

    A ``tel`` URI becomes a SIP URI at the domain of *account* (RFC 3261 section 19.1.6).

    :raises LocalProtocolError: it is no SIP URI, and none can be made of it.
    """
    try:
        found = parse_uri(uri) if isinstance(uri, str) else uri
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
    if isinstance(found, TelURI):
        if not account.domain:
            raise LocalProtocolError(f"{found} needs a domain to be called at")
        number = str(found).partition(":")[2]
        return SIPURI.parse(f"sip:{number}@{account.domain};user=phone")
    if not isinstance(found, SIPURI):
        raise LocalProtocolError(f"{found} is nothing that can be called")
    if found.headers or "method" in found.params:
        # Section 19.1.1: neither may stand in a Request-URI.
        return found.replace(headers="", params=found.params.without("method"))
    return found
