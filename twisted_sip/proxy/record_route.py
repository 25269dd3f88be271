"""Record-Route and Path values, and what our own Route values mean when they come back.

RFC 3261 section 16.6 step 4, RFC 5658 (double Record-Route between transports), RFC 5626 sections 5.1 and 5.3 (flow
tokens), RFC 3327. A token is good for one dialog. The flow in it belongs to one side of the dialog and counts for
requests from the other side.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from twisted_sip.element.tokens import DialogTokens
from twisted_sip.interfaces.flow import Flow
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

#: Sides of a dialog: who sent the request that set it up, and who received it.
CALLER, CALLEE = "a", "b"

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
        self, request: Request, came: Flow, goes: Flow, caller: FlowMark | None, callee: FlowMark | None
    ) -> tuple[str, ...]:
        """Return the Record-Route values to put before the others, topmost first.

        :param came: the flow over which the request came.
        :param goes: the flow over which it goes on.
        :param caller: the flow back to the caller, None if its Contact is reachable as written.
        :param callee: the flow to the callee, None if its Contact will be.
        """
        call_id, tag = request.call_id, request.from_.tag or ""
        secure = request.uri_text[:5].lower() == "sips:"
        make = self._tokens.make
        if came.kind is goes.kind and came.sent_by == goes.sent_by and (caller is None or callee is None):
            flow = caller.text(CALLER) if caller else callee.text(CALLEE) if callee else ""
            return (_uri(make(call_id, tag, flow), goes, secure),)
        # RFC 5658 section 5: one value facing each side.
        return (
            _uri(make(call_id, tag, callee.text(CALLEE) if callee else ""), goes, secure),
            _uri(make(call_id, tag, caller.text(CALLER) if caller else ""), came, secure),
        )

    def path(self, came: Flow, mark: FlowMark, outbound: bool) -> str:
        """Return the Path value for a REGISTER that goes on to another registrar (RFC 3327, RFC 5626 section 5.1)."""
        return _uri(self._tokens.make(*_PATH, mark.text(CALLEE)), came, False, ";ob" if outbound else "")

    def path_mark(self, own_routes: Sequence[SIPURI]) -> FlowMark | None:
        """Return the flow that a Route made of our own Path value names, None without one (RFC 5626 section 5.3)."""
        for uri in own_routes:
            token = uri.user or ""
            if self._tokens.dialog_valid(token, _PATH[0], _PATH[1], _PATH[1]):
                text = self._tokens.flow_of(token)
                if text:
                    return FlowMark.parse(text)
        return None

    def mark(self, request: Request, own_routes: Sequence[SIPURI]) -> FlowMark | None:
        """Return the flow that an in-dialog *request* goes to by its tokens, None if its URIs decide.

        :param own_routes: our own Route URIs that stood in it.
        """
        from_tag, to_tag = request.from_.tag or "", request.to.tag or ""
        for uri in own_routes:
            token = uri.user or ""
            if len(token) <= 16:
                continue
            text = self._tokens.flow_of(token)
            if not text:
                continue
            # The MAC names the caller's tag: whose request it is does not depend on where it came from.
            if text[0] == CALLEE and self._tokens.dialog_valid(token, request.call_id, from_tag, from_tag):
                return FlowMark.parse(text)
            if text[0] == CALLER and self._tokens.dialog_valid(token, request.call_id, to_tag, to_tag):
                return FlowMark.parse(text)
        return None


def _uri(user: str, flow: Flow, secure: bool, params: str = "") -> str:
    kind = flow.kind
    if secure and kind.secure:
        # Section 16.6 step 4: a sips Request-URI asks for sips in Record-Route.
        return f"<sips:{user}@{flow.sent_by};lr{params}>"
    if kind.token == "UDP":
        return f"<sip:{user}@{flow.sent_by};lr{params}>"
    return f"<sip:{user}@{flow.sent_by};transport={kind.parameter};lr{params}>"
