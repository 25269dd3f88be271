"""What a PUBLISH asks for, read and checked on its own (RFC 3903 sections 4 and 6, steps 2 to 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted_sip.message.request import Request
from twisted_sip.presence.settings import PresenceSettings


class PublishRefused(Exception):
    """A PUBLISH that is answered with something else than 200.

    :ivar status: the response's status.
    :ivar reason: its reason phrase, empty for the usual one.
    :ivar headers: header fields of it, (name, value).
    """

    def __init__(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)


class PublishRequest:
    """A PUBLISH without what depends on the publications there are.

    :ivar package: the event package.
    :ivar if_match: the entity-tag of SIP-If-Match, empty without one.
    :ivar expires: the seconds granted; 0 removes.
    :ivar content_type: the media type of the body in lower case, without parameters; empty without a body.
    :ivar body: the body.
    """

    __slots__ = ("body", "content_type", "expires", "if_match", "package")

    def __init__(
        self, request: Request, settings: PresenceSettings, packages: Sequence[str], types: Sequence[str]
    ) -> None:
        """Read *request*.

        :param packages: the event packages that are published here.
        :param types: the media types that are taken.
        :raises PublishRefused: it cannot be done, whatever is published.
        :raises RemoteProtocolError: a header field is malformed (400).
        """
        headers = request.headers
        event = request.typed("event")
        # Step 2; templates are not published (section 10).
        if event is None or event.token not in packages:
            raise PublishRefused(489, "", [("allow-events", ", ".join(packages))])
        self.package: str = event.token
        if "require" in headers.names and (required := headers.elements("require")):
            raise PublishRefused(420, "", [("unsupported", ", ".join(required))])
        if len(headers.elements("sip-if-match")) > 1:
            # Section 6 step 3: one entity-tag at most.
            raise PublishRefused(400, "More than one SIP-If-Match header field")
        self.if_match: str = request.typed("sip-if-match") or ""
        self.expires = self._expires(request, settings)
        self.body = request.body
        self.content_type = ""
        if self.body:
            self._check_body(request, settings, types)
        elif not self.if_match:
            # Section 4.2: an initial publication has a body.
            raise PublishRefused(400, "Missing body of an initial publication")

    def _expires(self, request: Request, settings: PresenceSettings) -> int:
        """Step 4."""
        asked = request.expires
        if asked is None:
            return settings.default_expires
        if asked and asked < settings.min_expires:
            raise PublishRefused(423, "", [("min-expires", str(settings.min_expires))])
        return min(asked, settings.max_expires)

    def _check_body(self, request: Request, settings: PresenceSettings, types: Sequence[str]) -> None:
        if len(self.body) > settings.max_body:
            raise PublishRefused(413)
        headers = request.headers
        if "content-encoding" in headers.names and headers.elements("content-encoding") not in ([], ["identity"]):
            raise PublishRefused(415, "", [("accept-encoding", "identity")])
        media = request.typed("content-type")
        self.content_type = "" if media is None else f"{media.type}/{media.subtype}".lower()
        if self.content_type not in types:
            # Step 5, RFC 3261 section 21.4.13.
            raise PublishRefused(415, "", [("accept", ", ".join(types))])
