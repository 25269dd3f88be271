"""What a PUBLISH asks for, read and checked on its own (RFC 3903 sections 4 and 6, steps 2 to 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted_sip.message.grammar import is_token
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
    """A PUBLISH without what depends on the publications there are; the steps are to be taken in their order.

    :ivar package: the event package.
    :ivar if_match: the entity-tag of SIP-If-Match, empty without one.
    :ivar expires: the seconds granted; 0 removes.
    :ivar content_type: the media type of the body in lower case, without parameters; empty without a body.
    :ivar body: the body.
    """

    __slots__ = ("_request", "body", "content_type", "expires", "if_match", "package")

    def __init__(self, request: Request, packages: Sequence[str]) -> None:
        """Read *request*: steps 2 and 3.

        :param packages: the event packages that are published here.
        :raises PublishRefused: it cannot be done, whatever is published.
        :raises RemoteProtocolError: a header field is malformed (400).
        """
        headers = request.headers
        if "require" in headers.names and (required := headers.elements("require")):
            # RFC 3261 section 8.2.2.3: before anything of this method.
            raise PublishRefused(420, "", [("unsupported", ", ".join(required))])
        # Section 4.1: a single one. Its parameters mean nothing here: those of RFC 6665 tell subscriptions apart.
        events = headers.all("event")
        if len(events) == 1 and events[0] in packages:
            # Most say no more than that.
            self.package = events[0]
        else:
            event = request.typed("event")
            # Step 2; templates are not published (section 10).
            if event is None or event.token not in packages:
                raise PublishRefused(489, "", [("allow-events", ", ".join(packages))])
            self.package = event.token
        self._request = request
        self.if_match = ""
        if "sip-if-match" in headers.names:
            etags = headers.elements("sip-if-match")
            if len(etags) > 1:
                # Step 3: one entity-tag at most.
                raise PublishRefused(400, "More than one SIP-If-Match header field")
            self.if_match = etags[0] if etags and is_token(etags[0]) else request.typed("sip-if-match") or ""
        self.expires = 0
        self.content_type = ""
        self.body = request.body

    def check_terms(self, settings: PresenceSettings, types: Sequence[str]) -> None:
        """Steps 4 and 5, as far as they go without looking into the body.

        :param types: the media types that are taken.
        :raises PublishRefused: 423, 413, 415, 400.
        :raises RemoteProtocolError: a header field is malformed (400).
        """
        self.expires = self._granted(settings)
        if self.body:
            self._check_body(settings, types)
        elif not self.if_match:
            # Section 4.2: an initial publication has a body.
            raise PublishRefused(400, "Missing body of an initial publication")

    def _granted(self, settings: PresenceSettings) -> int:
        asked = self._request.expires
        if asked is None:
            return min(settings.default_expires, settings.max_expires)
        if 0 < asked < settings.min_expires:
            raise PublishRefused(423, "", [("min-expires", str(settings.min_expires))])
        return min(asked, settings.max_expires)

    def _check_body(self, settings: PresenceSettings, types: Sequence[str]) -> None:
        if len(self.body) > settings.max_body:
            raise PublishRefused(413)
        request = self._request
        headers = request.headers
        if "content-encoding" in headers.names and any(
            coding.lower() != "identity" for coding in request.typed("content-encoding")
        ):
            raise PublishRefused(415, "", [("accept-encoding", "identity")])
        told = headers.all("content-type")
        if len(told) == 1 and told[0] in types:
            self.content_type = told[0]
            return
        media = request.typed("content-type")
        self.content_type = "" if media is None else media.key
        if self.content_type not in types:
            # Step 5, RFC 3261 section 21.4.13.
            raise PublishRefused(415, "", [("accept", ", ".join(types))])
