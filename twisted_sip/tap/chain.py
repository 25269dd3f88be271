"""What requests meet in a server: the links of its chain, from the look at its load to the proxy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted_sip.auth.authenticator import Authenticator
from twisted_sip.auth.nonces import Nonces
from twisted_sip.element.element import Element
from twisted_sip.element.entry import EntryProcessor, OptionsProcessor
from twisted_sip.element.limits import OverloadProcessor
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.methods import METHODS
from twisted_sip.proxy.identity import IdentityPolicy, trusts
from twisted_sip.proxy.policy_router import PolicyRouter
from twisted_sip.proxy.service import ProxyService
from twisted_sip.registrar.service import RegistrarService
from twisted_sip.storage.credentials_http import HTTPCredentialStore
from twisted_sip.tap.admitting import KnownUsers, ServerAdmission, path_admits

if TYPE_CHECKING:
    from twisted_sip.tap.composition import Server
    from twisted_sip.transport.receiver import Watcher

#: What a registrar that forwards nothing answers.
_REGISTRAR_METHODS = ("REGISTER", "OPTIONS", "CANCEL")


def build_chain(server: Server, element: Element) -> list[Any]:
    """Build the chain of *server*, whose stores are open; note its authenticator, registrar and proxy in it.

    :returns: the links that serve; Twisted services among them are to become services of the server.
    """
    authenticator = _authenticator(server)
    registrar = _registrar(server, element)
    # Users behind a proxy register there.
    services: list[Any] = [registrar] if server.registers else []
    for part in server.parts:
        services += part.links(server, element)
    if server.forwards:
        server.proxy = make_proxy(server, element)
        services.append(server.proxy)
    admission = ServerAdmission(element.domains, element.dialog_tokens, authenticator, path_admits(server.proxy))
    admission.forwards = server.forwards
    admission.claims = tuple(part.claims for part in server.parts)
    admission.follow(server.configuration)
    admission.domain = server.domains[0]
    entry = EntryProcessor(element.domains, [scheme for part in server.parts for scheme in part.schemes()])
    entry.knows = server.routing.calls_for_help
    element.chain[:] = [
        OverloadProcessor(server.gauge),
        entry,
        *[link for part in server.parts for link in part.front_links()],
        admission,
        _options(server, element, registrar),
        *services,
    ]
    admission.gateway_at = server.routing.gateway_at
    admission.users_only = server.routing.users_only
    server.admission = admission
    watch_messages(server, element)
    return services


def watch_messages(server: Server, element: Element) -> None:
    """Have the trace and the parts see each message, and decisions be noted, where the server keeps them."""
    trace = server.trace
    element.decisions = server.decisions
    watchers = [] if trace is None else [(trace.sent, trace.seen)]
    watchers += [watcher for part in server.parts for watcher in part.watchers()]
    element.message_sent = _each([sent for sent, _ in watchers])
    element.message_seen = _each([seen for _, seen in watchers])


def _each(watchers: Sequence[Watcher]) -> Watcher | None:
    """Return what tells all *watchers*; None where there are none, which costs nothing."""
    if len(watchers) < 2:
        return watchers[0] if watchers else None
    first, *others = watchers

    def tell(message: Any, data: bytes, flow: Flow) -> None:
        first(message, data, flow)
        for watcher in others:
            watcher(message, data, flow)

    return tell


def _authenticator(server: Server) -> Authenticator:
    assert server.credentials is not None
    auth = server.configuration.auth
    nonces = Nonces(os.urandom, server.reactor.seconds, auth.nonce_lifetime, auth.max_nonces)
    credentials: Any = server.credentials
    if auth.credentials_url:
        credentials = HTTPCredentialStore(auth.credentials_url, server.reactor)
    server.authenticator = Authenticator(credentials, nonces, server.bans, auth)
    server.user_known = KnownUsers(credentials, lambda: server.configuration.auth)
    return server.authenticator


def _registrar(server: Server, element: Element) -> RegistrarService:
    assert server.location is not None
    registrar = server.registrar_class(
        server.location, server.reactor, element.domains.is_local_uri, server.configuration.registrar
    )
    registrar.element = element
    registrar.is_user = server.user_known
    server.registrar = registrar
    return registrar


def make_proxy(server: Server, element: Element) -> ProxyService:
    """Make the proxy of *server*, or of one that only wants to know where requests go."""
    assert server.location is not None and server.call_policies is not None
    configuration = server.configuration
    server.trusted = trusts(configuration.proxy.trusted)
    proxy = server.proxy_class(
        element,
        server.location,
        settings=configuration.proxy,
        routers=[
            *[router for part in server.parts for router in part.routers(server, element)],
            PolicyRouter(
                server.call_policies,
                element.domains.is_local_uri,
                server.reactor.seconds,
                lambda: proxy,
                element.temporary_gruus.owner_of,
                server.routing.calls_for_help,
            ),
        ],
        policies=[
            # Asked of the server each time: the networks may change.
            IdentityPolicy(lambda host: server.trusted(host), element.domains.is_local_uri),
            *[policy for part in server.parts for policy in part.policies()],
        ],
    )
    proxy.guard = server.routing.guard
    return proxy


def _options(server: Server, element: Element, registrar: RegistrarService) -> OptionsProcessor:
    parts = server.parts
    methods = METHODS if server.forwards else [*_REGISTRAR_METHODS, *[m for part in parts for m in part.methods()]]
    events = ", ".join([event for part in parts for event in part.events()])
    return OptionsProcessor(
        element.domains,
        lambda: (*registrar.extensions(), *[tag for part in parts for tag in part.extensions()]),
        dict.fromkeys(methods),
        [("allow-events", events)] if events else (),
    )
