"""One INVITE that passed, with its calls and the users whom it was sent to (RFC 4235 section 3.7.1)."""

from __future__ import annotations

from twisted_sip.interfaces.calls import Call
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.response import Response
from twisted_sip.message.uri import SIPURI


class Invitation:
    """An INVITE with its calls.

    :ivar key: Call-ID and tag of the caller.
    :ivar calls: what it has made, those that are over left out.
    :ivar made: how many calls it has made in all.
    :ivar user: who has proved to have sent it, or empty.
    :ivar targets: where it was sent, with the user of ours whom each stands for, or an empty string.
    """

    __slots__ = ("calls", "key", "made", "targets", "user")

    def __init__(self, key: tuple[str, str], user: str) -> None:
        self.key = key
        self.user = user
        self.calls: list[Call] = []
        self.made = 0
        self.targets: list[tuple[str, Target]] = []

    def call_with(self, callee_tag: str) -> Call | None:
        """Return the call with this tag of the callee."""
        for call in self.calls:
            if call.callee_tag == callee_tag:
                return call
        return None

    def waiting_for(self, aor: str) -> Call | None:
        """Return the call to *aor* that has no tag of the callee yet."""
        for call in self.calls:
            if not call.callee_tag and call.callee_aor == aor:
                return call
        return None

    def aor_of(self, response: Response) -> str:
        """Return the user of ours at whose device *response* was made, or an empty string.

        Where several were asked, the flow by which it came tells, then the Contact, else it was the last one.
        """
        aor, _ = self.targets[-1]
        if len(self.targets) == 1 or all(other == aor for other, _ in self.targets):
            return aor
        flow = response.flow
        if flow is not None:
            for aor, target in self.targets:
                if target.flow is not None and target.flow == flow:
                    return aor
            for aor, target in self.targets:
                uri = target.uri
                if target.flow is None and isinstance(uri, SIPURI):
                    if uri.host.strip("[]") == flow.remote.host and (uri.port or 5060) == flow.remote.port:
                        return aor
        contact = response.headers.first("contact") or ""
        for aor, target in self.targets:
            if str(target.uri) in contact:
                return aor
        return self.targets[-1][0]
