"""Where a proxied request goes: targets, the router that finds them, and the policy for each branch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from twisted_sip.interfaces.flow import Address, Flow
from twisted_sip.interfaces.location import Binding
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response
from twisted_sip.message.uri import URI


@attrs.frozen(slots=True, kw_only=True, eq=False)
class Failover:
    """What a target needs that is one of several ways to the same end: a gateway of a group.

    :ivar statuses: the final responses after which the next target is tried; any other one ends the search. No answer
        and no way to it lead on in any case.
    :ivar no_response: seconds in which the first response has to come, a 100 (Trying) too; then the next target is
        tried. 0 waits for Timer B or F.
    :ivar outcome: told how it went: the status, and whether the target itself has said so (else it gave no response, or
        could not be reached).
    :ivar began: told a name of each INVITE that is sent there, None where nobody counts them.
    :ivar ended: told the name when that has come to nothing.
    :ivar name: what people call it.
    :ivar key: its key in the configuration, or empty.
    """

    statuses: frozenset[int]
    no_response: float = 0.0
    outcome: Callable[[int, bool], object]
    began: Callable[[str], object] | None = None
    ended: Callable[[str], object] | None = None
    name: str = ""
    key: str = ""


@attrs.frozen(slots=True)
class Retarget:
    """One step from whom a request was for to where it goes (RFC 7044 section 10.4: a mapping to another user).

    :ivar uri: whom it was for.
    :ivar to: where it goes on.
    :ivar reason: why, in the words of RFC 5806 section 4 (``unconditional``, ``user-busy`` ...), where a user has calls
        forwarded; else empty.
    :ivar how: ``mp`` for a mapping to another user, ``rc`` for another address of the same one (RFC 7044 section 5);
        empty where that is not known: a redirection that does not say so.
    :ivar diversions: Diversion values that came with a redirection (RFC 5806 section 5.2).
    """

    uri: URI
    to: URI
    reason: str = ""
    how: str = "mp"
    diversions: tuple[str, ...] = ()


class Ended(NamedTuple):
    """How a branch has ended.

    :ivar status: the final response.
    :ivar made_here: the target has not said so itself: it gave no response, or could not be reached.
    :ivar alerted: it has given a provisional response other than 100.
    :ivar rang_out: it has rung for as long as it may, and was cancelled.
    """

    status: int
    made_here: bool = False
    alerted: bool = False
    rang_out: bool = False


class Onward(Protocol):
    """Where a request goes when nobody has taken it at the targets that have this."""

    def after(self, ended: Sequence[Ended]) -> Awaitable[Sequence[Target] | Response] | None:
        """Return what to await for further targets, or for a response that says why there are none; None for nowhere.

        :param ended: how the branches to those targets have ended, none with a 2xx.
        """


class RingTime(float):
    """Seconds for which an INVITE may ring, with the key of the configuration that says so: for Target.no_answer.

    :ivar key: the key.
    """

    __slots__ = ("key",)

    key: str

    def __new__(cls, seconds: float, key: str) -> RingTime:
        """Return *seconds* with their *key*."""
        made = super().__new__(cls, seconds)
        made.key = key
        return made


@attrs.frozen(slots=True, kw_only=True)
class Target:
    """One place to which a proxy may send a request (RFC 3261 section 16.5).

    :ivar uri: the Request-URI to use.
    :ivar q: preference in thousandths; equal values are tried in parallel, lower ones afterwards (section 16.6).
    :ivar flow: the flow to use whatever the URI says, or None.
    :ivar flow_lost: the binding's flow is gone and nothing may stand in for it (RFC 5626 section 5.3: 430).
    :ivar path: Route values to put before it, topmost first (RFC 3327 section 5.3).
    :ivar instance: the instance of the device: bindings of one instance are alternatives, never forked to together
        (RFC 5626 section 6), or empty.
    :ivar secure: go there over secure transports alone, though the Request-URI is ``sip``: the contact was ``sips``
        (RFC 5630 section 5.3).
    :ivar no_answer: seconds for which an INVITE may ring there; then it is cancelled, and goes on to the targets that
        are less preferred. 0 for as long as Timer C lets it.
    :ivar aor: the address-of-record whose binding this is, or empty.
    :ivar key: Binding.key, or empty.
    :ivar waking: wakes the device first (RFC 8599), where it sleeps; the Deferred fires with the target as it is then,
        with None where the device does not come. None for a device that is awake.
    :ivar failover: how to go on to the targets that are less preferred, None for the usual way: after any failure but
        6xx.
    :ivar binding: the binding whose contact this is, None for other targets.
    :ivar steps: who had the request go there, from the Request-URI on; empty where the target is a contact of whom it
        is for, or what one route says.
    :ivar onward: where the request goes when nobody takes it there, None for nowhere.
    :ivar configured: the operator leads there, so it may be a gateway: what users and strangers name may not.
    """

    uri: URI
    q: int = 1000
    flow: Flow | None = None
    flow_lost: bool = False
    path: tuple[str, ...] = ()
    instance: str = ""
    secure: bool = False
    no_answer: float = 0.0
    aor: str = ""
    key: str = ""
    failover: Failover | None = None
    waking: Callable[[], Deferred[Target | None]] | None = attrs.field(default=None, eq=False)
    binding: Binding | None = attrs.field(default=None, eq=False, repr=False)
    steps: tuple[Retarget, ...] = ()
    onward: Onward | None = attrs.field(default=None, eq=False)
    configured: bool = False


#: Told of a request, its target, the address that it is about to leave for, and how it came; raises RemoteProtocolError
#: where it may not.
Guard = Callable[[Request, Target, Address, IncomingRequest], None]


class IRouter(Interface):
    """Decides where a request that is not in a dialog goes.

    One that has an attribute ``for_methods`` is asked about requests of those methods alone, as IRequestProcessor is.
    One whose attribute ``screens`` is true is asked about GRUUs of our users too (RFC 5627 section 6.1).

    One that has a method ``screen(incoming)``, with what ``route`` returns, is asked by it about each of our users to
    whom a target of another router, or the contact of another user, leads a request that is not in a dialog; the
    Request-URI of *incoming* is that user then.
    """

    def route(incoming: IncomingRequest) -> Sequence[Target] | Response | Awaitable[Sequence[Target] | Response]:
        """Return the targets, or the response that says why there are none (404, 480, 302 ...), or a Deferred or
        coroutine that gives them."""


class IForwardingPolicy(Interface):
    """Has the last word on each request and response that a proxy forwards: privacy, identity, header policy.

    One that has a method ``refused(incoming, response)``, too, is told of each request that there was no way for.

    One that has an attribute ``for_methods`` sees, of requests outside of dialogs and of their responses, those of
    these methods alone, as IRequestProcessor does. Of requests in a dialog it sees all. Which policies see a request,
    and what comes of it, is decided when it comes.
    """

    def branch(request: Request, target: Target, incoming: IncomingRequest) -> None:
        """Change *request*, the copy about to be sent to *target* (RFC 3261 section 16.6), in place."""

    def response(response: Response, context: Any) -> Deferred[Any] | None:
        """Change *response*, about to be forwarded upstream (RFC 3261 section 16.7), in place.

        :param context: what is known of the request (twisted_sip.proxy.upstream.Upstream).
        :return: None; or, for a 2xx to an INVITE, what it waits for: it goes when that has fired, even with a failure.
            One Deferred may be given for many responses.
        """
