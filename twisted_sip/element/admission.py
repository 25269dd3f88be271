"""Who may do what: the link of the chain that authenticates, and lets nobody use this element as an open relay.

RFC 3261 sections 10.3 (steps 3 and 4), 16.3 (step 6), 22 and 26.3.1. The rules, in order:

- CANCEL and ACK are never challenged (section 22.1). An ACK that may not be forwarded is dropped.
- In a dialog (To tag): a valid token of ours in a Route admits. One that is more than a day old, or was made for others
  than those in From and To, admits to the other end of its dialog alone: who wants to go elsewhere has to prove to be
  one of our users. A token that is not valid answers 481, since the dialog it names is not known here, a Request-URI or
  Route that leads elsewhere 403. What is left is for one of our own users and treated like a request outside of
  dialogs, so a To tag gets nobody past a challenge.
- Claims to be from one of our users (From, for REGISTER To) are challenged, with 401 where this element is the one
  addressed and 407 where it is asked to forward; the digest user must own the identity, else 403.
- An anonymous From (RFC 3323 section 4.1.1.3) may hide one of our users. Whoever sends credentials with it is asked for
  good ones, and so is who wants more than strangers may: the digest user is the identity then (RFC 3325 section 5), or
  that in P-Preferred-Identity. Who sends none is a stranger.
- Whoever has shown a certificate that proves the identity is not asked for credentials (RFC 5922 section 7.4).
- A REGISTER for somebody else (From, section 10.2) is for those who may do that (``third_party``), who prove who they
  are themselves.
- Requests from others are let in for our users alone, and refused, 403, where they are for anybody else.
- A Route that leads on past this element is for authenticated senders alone.

Without authentication (``required`` false, for trusted networks) claims to be one of our users are believed and nothing
is challenged; what is neither from nor for one of our users is refused all the same, and so are Routes that lead on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from twisted.internet.defer import Deferred
from zope.interface import implementer

from twisted_sip.auth.authenticator import Accepted, Authenticator, Challenge, Outcome
from twisted_sip.auth.credentials import consume_credentials, consume_credentials_where, user_of
from twisted_sip.element import admission_notes as notes
from twisted_sip.element.admission_seams import Ownership, ThirdPartyRule, TokenCheck
from twisted_sip.element.anonymous import credential_realms, is_anonymous, nobody_in, preferred_identity
from twisted_sip.element.certified import certified, registrant_of, speaks_for
from twisted_sip.element.standing import standing_of
from twisted_sip.interfaces.processing import TAKEN, IncomingRequest, IRequestProcessor, Verdict
from twisted_sip.message.escapes import escape_user
from twisted_sip.message.hosts import canonical_host, ipv4_bytes
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI

__all__ = ["AdmissionProcessor", "Ownership", "TokenCheck", "consume_credentials"]

#: Tells that a request has none of the header fields that matter here beside those that all have.
_PLAIN = frozenset(("route", "p-preferred-identity", "proxy-authorization")).isdisjoint

#: Longer names no host has (RFC 1035 section 2.3.4).
_MOST_HOST_CHARS = 255


@lru_cache(maxsize=256)
def _realm_of(host: str) -> str:
    return canonical_host(host).strip("[]")


def _no_route(incoming: IncomingRequest) -> bool:
    return False


@implementer(IRequestProcessor)
class AdmissionProcessor:
    """Authenticates, admits and refuses. Comes after the link that takes our own Routes off.

    A subclass may change :meth:`owns`, :meth:`realm_of`, :meth:`answers_itself`, :meth:`may_follow_route` and
    :meth:`believes`.

    :param domains: tells what is ours.
    :param tokens: knows our dialog tokens again.
    :param authenticator: checks credentials; its settings are those of this link too.
    :param route_admits: tells whether our own Route values in a request outside of dialogs lead to one of our users
        whatever its Request-URI says, as a Path token does (RFC 5626 section 5.3).
    :ivar domain: whose users those who call anonymously are asked to be, where the request names no domain of ours;
        empty to refuse them there.
    :ivar certificates: clients are asked for certificates, and what those prove needs no password.
    :ivar third_party: who may register contacts of others.
    """

    domain = ""
    certificates = False
    third_party: Sequence[ThirdPartyRule] = ()

    def __init__(
        self,
        domains: Ownership,
        tokens: TokenCheck,
        authenticator: Authenticator,
        route_admits: Callable[[IncomingRequest], bool] = _no_route,
    ) -> None:
        self._domains = domains
        self._tokens = tokens
        self._authenticator = authenticator
        self._route_admits = route_admits

    # -- decisions to override -----------------------------------------------------

    def realm_of(self, identity: SIPURI) -> str:
        """Return the realm for *identity*: the configured one, else its domain (RFC 3261 section 22.1).

        That of an IPv6 address has no brackets.
        """
        return self._authenticator.settings.realm or _realm_of(identity.host)

    def owns(self, user: str, realm: str, identity: SIPURI) -> bool:
        """Tell whether the digest user *user* of *realm* may speak as *identity*, which is one of ours."""
        return user == user_of(identity)

    def answers_itself(self, request: Request) -> bool:
        """Tell whether this element is the UAS of *request*, so that 401 is right, not 407 (RFC 3261 section 22.1).

        So it is for its own REGISTERs and what is addressed to no user.
        """
        uri = request.uri
        return (
            isinstance(uri, SIPURI)
            and self._domains.is_local_uri(uri)
            and (request.method == "REGISTER" or not uri.user)
        )

    def may_follow_route(self, incoming: IncomingRequest) -> bool:
        """Tell whether the authenticated sender of *incoming* may send it to the Route that is left in it.

        Yes, since the same sender may name any target in a Request-URI.
        """
        return True

    def believes(self, incoming: IncomingRequest, identity: SIPURI) -> bool:
        """Tell whether the claim to be *identity* is believed where authentication is switched off.

        Yes: that is for networks in which everybody is trusted, and phones in them may call the world.
        """
        return True

    # -- the way of a request ------------------------------------------------------

    def process(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """Pass on what is admitted; challenge or refuse the rest without keeping anything of it.

        :raises RemoteProtocolError: From, To or Call-ID is malformed (400).
        :raises StoreError: credentials cannot be read (500).
        """
        if incoming.admitted:
            return None
        request = incoming.request
        if request.method == "CANCEL":
            # The transaction layer has matched it or answered 481; it is never challenged (section 22.1).
            return None
        to_tag = (request.headers.parsed.get("to") or request.to).tag
        if incoming.own_routes:
            return self._by_our_routes(incoming, to_tag)
        if to_tag and request.method != "REGISTER":
            return self._lost_dialog(incoming)
        return self._outside(incoming)

    def _by_our_routes(self, incoming: IncomingRequest, to_tag: str) -> Verdict | Deferred[Verdict]:
        """A request that had Routes of ours."""
        request = incoming.request
        if not to_tag or request.method == "REGISTER":
            return self._outside(incoming)
        call_id, from_tag = request.call_id, request.from_.tag or ""
        for uri in incoming.own_routes:
            if uri.user and self._tokens.dialog_valid(uri.user, call_id, from_tag, to_tag):
                if not self._tokens.good(uri.user, request):
                    return self._old_dialog(incoming, call_id, from_tag, to_tag)
                incoming.note("admission", notes.IN_DIALOG)
                return self._admit_unproved(incoming)
        return self._lost_dialog(incoming)

    def _old_dialog(
        self, incoming: IncomingRequest, call_id: str, from_tag: str, to_tag: str
    ) -> Verdict | Deferred[Verdict]:
        """A request whose token is too old, or which names others than those who set the dialog up.

        Who has such a token could send anywhere with it for ever, in any name. So one of our users has to prove who it
        is, unless the token leads to the other end alone and the names are right.
        """
        request = incoming.request
        standing = standing_of(self._tokens, incoming, call_id, from_tag, to_tag)
        identity, other = request.from_.uri, request.to.uri
        if (
            request.method == "ACK"
            or (standing.bound and (standing.between or not self._is_user(identity)))
            or not self._authenticator.settings.required
        ):
            incoming.note("admission", notes.IN_DIALOG)
            return self._admit_unproved(incoming)
        if not standing.between:
            # RFC 4916: those who are in it may say so themselves.
            incoming.note("admission", notes.OTHER_PARTIES)
            return self._outside(incoming)
        near = [uri.host for uri in (identity, other) if isinstance(uri, SIPURI) and self._is_user(uri)]
        if not near and not self.domain:
            return self._outside(incoming)
        incoming.note("admission", notes.OLD_DIALOG, "auth.required")
        # Any of our users: whom the dialog was set up with need not be the name by which it was called.
        verdict = self._authenticate(incoming, nobody_in(near[0] if near else self.domain), anonymous=True)
        if isinstance(verdict, Deferred):
            return verdict.addCallback(self._renewed, incoming, standing.tokens)
        return self._renewed(verdict, incoming, standing.tokens)

    def _renewed(self, verdict: Verdict, incoming: IncomingRequest, tokens: Sequence[str]) -> Verdict:
        if incoming.admitted:
            for token in tokens:
                self._tokens.renew(token)
        return verdict

    def _lost_dialog(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        """A request with a To tag and without a valid token."""
        request = incoming.request
        if request.method != "ACK":
            if any(uri.user for uri in incoming.own_routes):
                # Section 12.2.2: makes the peer end its half of a dialog that nobody else knows.
                incoming.note("admission", notes.LOST_DIALOG)
                return self._refuse(incoming, 481)
            if not self._for_us(incoming):
                incoming.note("admission", notes.NO_DIALOG, "server.domains", request.uri_text)
                return self._refuse(incoming, 403)
        return self._outside(incoming)

    def _for_us(self, incoming: IncomingRequest) -> bool:
        """Tell whether the request goes to this element or one of our users and nowhere else."""
        request = incoming.request
        return "route" not in request.headers.names and self._domains.is_local_uri(request.uri)

    def _outside(self, incoming: IncomingRequest) -> Verdict | Deferred[Verdict]:
        request = incoming.request
        is_local_uri = self._domains.is_local_uri
        headers = request.headers
        names = headers.names
        plain = _PLAIN(names)
        routed = not plain and "route" in names
        method = request.method
        if method == "ACK":
            for_us = not routed and is_local_uri(request.known_uri or request.uri)
            # No answer could challenge or refuse it. For our own users it does no harm, elsewhere it does not go.
            if for_us:
                return self._admit_unproved(incoming)
            incoming.note("admission", notes.LOST_ACK, "server.domains")
            return TAKEN
        registers = method == "REGISTER" and not routed and is_local_uri(request.known_uri or request.uri)
        identity = request.to.uri if registers else (headers.parsed.get("from") or request.from_).uri
        if not (plain or registers) and "p-preferred-identity" in names:
            identity = preferred_identity(request, identity)
        if registers and not isinstance(identity, SIPURI):
            # Section 10.2: the address-of-record must be a SIP or SIPS URI (RFC 4475 section 3.3.4).
            incoming.respond_statelessly(400, "Malformed To header field: no SIP URI")
            return TAKEN
        if registers and self.third_party:
            identity = registrant_of(request, identity, self.third_party)
        if isinstance(identity, SIPURI) and (is_local_uri(identity) or self._is_ours(identity)):
            if self._authenticator.settings.required:
                return self._authenticate(incoming, identity)
            if routed or not self.believes(incoming, identity):
                incoming.note(
                    "admission", notes.ROUTED if routed else notes.NOT_BELIEVED, "auth.required", identity.text
                )
                return self._refuse(incoming, 403)
            incoming.note("admission", notes.BELIEVED, "auth.required", identity.text)
            incoming.believed = True
            if plain:
                # As _admit_unproved().
                incoming.admitted = True
                return None
            return self._admit_unproved(incoming)
        for_us = not registers and not routed and is_local_uri(request.uri)
        if not registers and is_anonymous(identity) and self._authenticator.settings.required:
            hidden = self._hidden(incoming, for_us)
            if hidden is not None:
                return self._authenticate(incoming, hidden, anonymous=True)
        return self._stranger(incoming, for_us)

    def _stranger(self, incoming: IncomingRequest, for_us: bool) -> Verdict:
        """A request that does not claim to be from one of our users."""
        if (
            not for_us
            and "route" not in incoming.request.headers.names
            and any(uri.user for uri in incoming.own_routes)
        ):
            for_us = self._route_admits(incoming)
        authenticator = self._authenticator
        foreign_callers = authenticator.settings.foreign_callers
        if self.certificates and for_us and speaks_for(incoming.flow, incoming.request.from_.uri):
            incoming.note("admission", notes.PEER, "tls.client_certificates")
            return self._admit_unproved(incoming)
        if not for_us or not foreign_callers or authenticator.bans.banned(incoming.flow.remote.host):
            incoming.note("admission", *notes.why_no_stranger(incoming, for_us, foreign_callers))
            return self._refuse(incoming, 403)
        incoming.note("admission", notes.STRANGER, "auth.foreign_callers")
        return self._admit_unproved(incoming)

    def _admit_unproved(self, incoming: IncomingRequest) -> Verdict:
        """Admit a request whose credentials, if it has any, nobody has looked at."""
        incoming.admitted = True
        request = incoming.request
        if "proxy-authorization" in request.headers.names:
            # RFC 3261 section 22.3: phones send them unasked, with the user name of a caller who is anonymous.
            consume_credentials_where(request, self._is_our_realm)
        return None

    def _hidden(self, incoming: IncomingRequest, for_us: bool) -> SIPURI | None:
        """Return an identity whose realm an anonymous caller is asked to prove one of our users in, None to take the
        caller for a stranger; it has no user.

        :param for_us: the request is for one of our users.
        """
        request = incoming.request
        name = "authorization" if self.answers_itself(request) else "proxy-authorization"
        given = credential_realms(request, name)
        names = [uri.host for uri in (request.to.uri, request.uri) if isinstance(uri, SIPURI) and self._is_ours(uri)]
        names += [self.domain] if self.domain else []
        configured = self._authenticator.settings.realm
        ours = next((realm for realm in given if self._is_our_realm(realm)), "")
        if ours and ours != configured:
            return nobody_in(ours)
        if not names or (for_us and not ours and self._authenticator.settings.foreign_callers):
            return None
        return nobody_in(names[0])

    def _is_our_realm(self, realm: str) -> bool:
        """Tell whether *realm* is the configured one or one of our domains."""
        if realm == self._authenticator.settings.realm:
            return bool(realm)
        # Only what may be the name of a host is asked for: the answers are remembered.
        host = f"[{realm}]" if ":" in realm else realm
        return 0 < len(realm) <= _MOST_HOST_CHARS and self._domains.is_local(host)

    def _is_ours(self, identity: SIPURI) -> bool:
        """Tell whether *identity*, whose URI as a whole is not ours, is in a domain of ours all the same.

        A port makes no other user of it: who is called would see our user's name. Phones on the same host as this
        element, with addresses in place of a domain, are not ours (see Domains).
        """
        host = identity.host
        return host[:1] != "[" and ipv4_bytes(host) is None and self._domains.is_local(host)

    def _is_user(self, identity: URI) -> bool:
        """Tell whether *identity* is that of a user of ours, as far as its URI tells."""
        return isinstance(identity, SIPURI) and (self._domains.is_local_uri(identity) or self._is_ours(identity))

    def _authenticate(
        self, incoming: IncomingRequest, identity: SIPURI, *, anonymous: bool = False
    ) -> Verdict | Deferred[Verdict]:
        """Have the sender prove to be *identity*; *anonymous*: any user in its domain."""
        request = incoming.request
        realm = self.realm_of(identity)
        if self.certificates:
            known = certified(incoming.flow, identity, anonymous)
            if known is not None and ("route" not in request.headers.names or self.may_follow_route(incoming)):
                return self._proved(incoming, known, realm, "tls.client_certificates")
        outcome = self._authenticator.check(
            request,
            incoming.flow.remote.host,
            realm,
            not self.answers_itself(request),
            user_of(identity),
            self._domains.is_local_uri,
        )
        # Every outcome is a tuple; whether something is a Deferred, an abstract class, takes longer to find out.
        if isinstance(outcome, tuple):
            return self._decide(outcome, incoming, identity, realm, anonymous)
        return outcome.addCallback(self._decide, incoming, identity, realm, anonymous)

    @staticmethod
    def _proved(incoming: IncomingRequest, identity: SIPURI, realm: str, key: str) -> Verdict:
        incoming.user = identity.address_of_record
        incoming.admitted = True
        incoming.note("admission", notes.PROVED, key, incoming.user)
        # RFC 3261 section 22.3: what was meant for us is for nobody behind us.
        consume_credentials(incoming.request, realm)
        return None

    def _decide(
        self, outcome: Outcome, incoming: IncomingRequest, identity: SIPURI, realm: str, anonymous: bool
    ) -> Verdict:
        if isinstance(outcome, Accepted):
            if anonymous:
                identity = identity.replace(user=escape_user(outcome.user))
            owner = self.owns(outcome.user, realm, identity)
            if not owner or ("route" in incoming.request.headers.names and not self.may_follow_route(incoming)):
                text, key = notes.NO_ROUTES if owner else notes.no_owner(incoming.request)
                incoming.note("admission", text, key, outcome.user, identity.text)
                # With a transaction: a retransmission would look like a replay of its credentials.
                incoming.respond(403)
                return TAKEN
            return self._proved(incoming, identity, realm, "auth.required")
        incoming.note("admission", *notes.why_unproved(incoming.request, outcome, realm, identity, self._authenticator))
        if isinstance(outcome, Challenge):
            incoming.respond_statelessly(outcome.status, headers=outcome.headers)
            return TAKEN
        incoming.respond_statelessly(outcome.status, outcome.reason)
        return TAKEN

    @staticmethod
    def _refuse(incoming: IncomingRequest, status: int) -> Verdict:
        incoming.respond_statelessly(status)
        return TAKEN
