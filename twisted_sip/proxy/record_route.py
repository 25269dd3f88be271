"""Record-Route and Path values, and what our own Route values mean when they come back.

RFC 3261 section 16.6 step 4, RFC 5658 (double Record-Route between transports), RFC 5626 sections 5.1 and 5.3 (flow
tokens), RFC 3327. A token is good for one dialog. The flow in it belongs to one side of the dialog and counts for
requests from the other side.

Whoever has a token may send requests in its dialog unchallenged, so where a stranger gets one it leads to the two ends
of that dialog and nowhere else: no Request-URI or Route of a later request counts. One of our own users who has called
a stranger may follow target refreshes and other proxies' Routes, over the flow that the call was made by. Where nothing
but its Request-URI decides where a request goes, admission asks its sender now and then (element.tokens).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from twisted_sip.element.tokens import TOKEN_WITHOUT_FLOW, DialogTokens
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.flow import Flow
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.proxy.loop import is_first_hop
from twisted_sip.proxy.reachability import reachable

#: Sides of a dialog: who sent the request that set it up, and who received it.
CALLER, CALLEE = "a", "b"

#: What stands for the two sides in the tokens of a dialog. FREE: between our own users. PINNED: a stranger has called,
#: the flows are all there is. GUARDED: a stranger was called; the caller may send elsewhere over the flow in its token.
FREE, PINNED, GUARDED = (CALLER, CALLEE), ("A", "B"), ("A", "C")

#: Stands for Call-ID and tag in the token of a Path value, which is good for any dialog. No Call-ID or tag holds a line
#: end, so that no such token passes for that of a dialog.
_PATH = ("path\n", "path\n")


@attrs.frozen(slots=True)
class FlowMark:
    """The flow to one peer as written into a token.

    :ivar flow: Flow.token.
    :ivar aor: the address-of-record whose binding the flow serves, to find a new flow after the old one is lost, or
        empty.
    :ivar key: Binding.key, or empty.
    """

    flow: str
    aor: str = ""
    key: str = ""

    def text(self, side: str) -> str:
        return f"{side}{self.flow}\n{self.aor}\n{self.key}" if self.aor else f"{side}{self.flow}"

    @classmethod
    def parse(cls, text: str) -> FlowMark:
        flow, _, rest = text[1:].partition("\n")
        aor, _, key = rest.partition("\n")
        return cls(flow, aor, key)


class RecordRouting:
    """Writes and reads our Record-Route and Path URIs.

    :param tokens: makes and checks the tokens.
    """

    __slots__ = ("_tokens",)

    def __init__(self, tokens: DialogTokens) -> None:
        self._tokens = tokens

    def values(
        self,
        request: Request,
        came: Flow,
        goes: Flow,
        caller: FlowMark | None,
        callee: FlowMark | None,
        sides: tuple[str, str] = FREE,
    ) -> tuple[str, ...]:
        """Return the Record-Route values to put before the others, topmost first.

        :param came: the flow over which the request came.
        :param goes: the flow over which it goes on.
        :param caller: the flow back to the caller, None if its Contact is reachable as written.
        :param callee: the flow to the callee, None if its Contact will be.
        :param sides: FREE, or PINNED or GUARDED, with both flows.
        """
        call_id, tag = request.call_id, request.from_.tag or ""
        secure = (goes.kind.secure or came.kind.secure) and (
            request.uri_text[:5].lower() == "sips:" or _routed_securely(request)
        )
        make = self._tokens.make
        parties = self._tokens.parties(request)
        if came.kind is goes.kind and came.sent_by == goes.sent_by and (caller is None or callee is None):
            flow = caller.text(sides[0]) if caller else callee.text(sides[1]) if callee else ""
            return (_uri(make(call_id, tag, flow, parties), goes, secure),)
        # RFC 5658 section 5: one value facing each side.
        return (
            _uri(make(call_id, tag, callee.text(sides[1]) if callee else "", parties), goes, secure),
            _uri(make(call_id, tag, caller.text(sides[0]) if caller else "", parties), came, secure),
        )

    def path(self, came: Flow, mark: FlowMark, outbound: bool) -> str:
        """Return the Path value for a REGISTER that goes on to another registrar (RFC 3327, RFC 5626 section 5.1)."""
        return _uri(self._tokens.make(*_PATH, mark.text(CALLEE), ages=False), came, False, ";ob" if outbound else "")

    def caller_mark(
        self,
        incoming: IncomingRequest,
        pinned: bool,
        is_local_uri: Callable[[URI], bool],
        key_of_flow: Callable[[str, str], str],
    ) -> FlowMark | None:
        """Return the flow back to the caller if its Contact is unreachable as written, or *pinned*, else None.

        :param key_of_flow: gives the key of the binding of an address-of-record that came over the flow with a token.
        """
        request, flow = incoming.request, incoming.flow
        if pinned:
            return FlowMark(flow.token)
        if "contact" not in request.headers.names:
            return None
        if not is_first_hop(request):
            # It came through another proxy, whose Record-Route or Path leads back.
            return None
        if not flow.kind.stream:
            contacts = request.contacts
            uri = contacts[0].uri if contacts else None
            remote = flow.remote
            if isinstance(uri, SIPURI) and (
                # The usual case of reachable(): it says where it is.
                (uri.host == remote.host and (uri.port or 5060) == remote.port)
                or reachable(uri, flow.kind.token, str(remote))
            ):
                # A GRUU is reached by way of us.
                if (";" in uri.text and "gr" in uri.params) or not is_local_uri(uri):
                    return None
            return FlowMark(flow.token)
        if not incoming.user:
            return FlowMark(flow.token)
        return FlowMark(flow.token, incoming.user, key_of_flow(incoming.user, flow.token))

    def add_path(self, request: Request, came: Flow) -> None:
        """Put our Path into a REGISTER that goes to another registrar (RFC 3327 section 5.2, RFC 5626 section 5.1)."""
        if "path" not in [tag.lower() for tag in request.headers.elements("supported")]:
            return
        try:
            outbound = is_first_hop(request) and any("reg-id" in contact.params for contact in request.contacts)
        except RemoteProtocolError:
            outbound = False
        request.headers.prepend("path", self.path(came, FlowMark(came.token), outbound))

    def path_mark(self, own_routes: Sequence[SIPURI]) -> FlowMark | None:
        """Return the flow that a Route made of our own Path value names, None without one (RFC 5626 section 5.3)."""
        for uri in own_routes:
            token = uri.user or ""
            if self._tokens.dialog_valid(token, _PATH[0], _PATH[1], _PATH[1]):
                text = self._tokens.flow_of(token)
                if text:
                    return FlowMark.parse(text)
        return None

    def held(self, own_routes: Sequence[SIPURI]) -> bool:
        """Tell whether the tokens in *own_routes* are those of a dialog with a stranger."""
        return any(self._tokens.flow_of(uri.user)[:1].isupper() for uri in own_routes if uri.user)

    def mark(
        self, request: Request, own_routes: Sequence[SIPURI], came: Flow, flow_of: Callable[[FlowMark], Flow | None]
    ) -> FlowMark | None:
        """Return the flow that an in-dialog *request* goes to by its tokens, None if its URIs decide.

        :param own_routes: our own Route URIs that stood in it.
        :param came: the flow over which it came.
        :param flow_of: gives the open flow that a mark names.
        :raises RemoteProtocolError: its tokens are for the other direction of a dialog with a stranger (403).
        """
        for uri in own_routes:
            if len(uri.user or "") > TOKEN_WITHOUT_FLOW:
                break
        else:
            # The usual case: both Contacts are reachable as written.
            return None
        call_id, from_tag, to_tag = request.call_id, request.from_.tag or "", request.to.tag or ""
        valid = self._tokens.dialog_valid
        held = False
        guarded: FlowMark | None = None
        # Our own Routes are taken off together. A request that came through here more than once while it set the dialog
        # up left several: the last one faces the peer.
        for uri in reversed(own_routes):
            token = uri.user or ""
            if len(token) <= TOKEN_WITHOUT_FLOW:
                continue
            text = self._tokens.flow_of(token)
            if not text:
                continue
            side = text[0]
            held = held or side.isupper()
            # The MAC names the caller's tag: whose request it is does not depend on where it came from.
            if side in "aA":
                if valid(token, call_id, to_tag, to_tag):
                    return FlowMark.parse(text)
            elif valid(token, call_id, from_tag, from_tag):
                if side != GUARDED[1]:
                    return FlowMark.parse(text)
                guarded = guarded or FlowMark.parse(text)
        if guarded is not None:
            # The stranger knows the tokens and both tags too, so the caller is known by the flow alone.
            if any(flow_of(mark) == came for mark in self._of_caller(call_id, from_tag, own_routes)):
                return None
            return guarded
        if held:
            raise RemoteProtocolError("Not a request of this dialog", status=403)
        return None

    def _of_caller(self, call_id: str, tag: str, own_routes: Sequence[SIPURI]) -> list[FlowMark]:
        """Return the flows to the side that set a dialog up, whose tag is *tag*."""
        found = []
        for uri in own_routes:
            text = self._tokens.flow_of(uri.user or "")
            if text[:1] == GUARDED[0] and self._tokens.dialog_valid(uri.user or "", call_id, tag, tag):
                found.append(FlowMark.parse(text))
        return found


def _routed_securely(request: Request) -> bool:
    if "route" not in request.headers.names:
        return False
    routes = request.routes
    return bool(routes) and isinstance(routes[0].uri, SIPURI) and routes[0].uri.secure


def _uri(user: str, flow: Flow, secure: bool, params: str = "") -> str:
    kind = flow.kind
    if secure and kind.secure:
        # Section 16.6 step 4: sips in the Request-URI or the topmost Route asks for sips in Record-Route.
        return f"<sips:{user}@{flow.sent_by};lr{params}>"
    if kind.token == "UDP":
        return f"<sip:{user}@{flow.sent_by};lr{params}>"
    return f"<sip:{user}@{flow.sent_by};transport={kind.parameter};lr{params}>"
