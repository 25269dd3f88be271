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
    :ivar key: the key of the configuration that caused it, empty where none did.
    """

    def __init__(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = (), *, key: str = ""
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)
        self.key = key


class PublishRequest:
    """A PUBLISH without what depends on the publications there are; the steps are to be taken in their order.

    :ivar package: the event package.
    :ivar if_match: the entity-tag of SIP-If-Match, empty without one.
    :ivar expires: the seconds granted; 0 removes.
    :ivar content_type: the media type of the body in lower case, without parameters; empty without a body.
    :ivar body: the body.
    """

    __slots__ = ("_lines", "_request", "body", "content_type", "expires", "if_match", "package")

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
        # Lines of the usual spelling say what they say without being read; where a name comes twice all are read.
        lines = dict(zip(headers.names, headers.lines, strict=True))
        self._lines = lines if len(lines) == len(headers.names) else {}
        line = self._lines.get("event", "")
        # Section 4.1: a single one. Its parameters mean nothing here: those of RFC 6665 tell subscriptions apart.
        if line[:7] == "Event: " and line[7:] in packages:
            self.package = line[7:]
        else:
            event = request.typed("event")
            # Step 2; templates are not published (section 10).
            if event is None or event.token not in packages:
                raise PublishRefused(489, "", [("allow-events", ", ".join(packages))])
            self.package = event.token
        self._request = request
        self.if_match = ""
        if "sip-if-match" in headers.names:
            line = self._lines.get("sip-if-match", "")
            if line[:14] == "SIP-If-Match: " and line[14:].isalnum() and line.isascii():
                self.if_match = line[14:]
            else:
                self.if_match = _etag_in(request)
        self.expires = 0
        self.content_type = ""
        self.body = request.body

    def check_terms(self, settings: PresenceSettings, types: Sequence[str]) -> None:
        """Steps 4 and 5, as far as they go without looking into the body.

        :param types: the media types that are taken.
        :raises PublishRefused: 423, 413, 415, 400.
        :raises RemoteProtocolError: a header field is malformed (400).
        """
        line = self._lines.get("expires", "")
        usual = line[:9] == "Expires: " and len(line) < 19 and line[9:].isdecimal() and line.isascii()
        self.expires = self._granted(settings, int(line[9:]) if usual else self._request.expires)
        body = self.body
        if body:
            line = self._lines.get("content-type", "")
            if (
                line[:14] == "Content-Type: "
                and line[14:] in types
                and len(body) <= settings.max_body
                and "content-encoding" not in self._lines
            ):
                self.content_type = line[14:]
            else:
                self._check_body(settings, types)
        elif not self.if_match:
            # Section 4.2: an initial publication has a body.
            raise PublishRefused(400, "Missing body of an initial publication")

    @staticmethod
    def _granted(settings: PresenceSettings, asked: int | None) -> int:
        if asked is None:
            return min(settings.default_expires, settings.max_expires)
        if 0 < asked < settings.min_expires:
            raise PublishRefused(423, "", [("min-expires", str(settings.min_expires))], key="presence.min_expires")
        return min(asked, settings.max_expires)

    def _check_body(self, settings: PresenceSettings, types: Sequence[str]) -> None:
        if len(self.body) > settings.max_body:
            raise PublishRefused(413, key="presence.max_body")
        request = self._request
        headers = request.headers
        if "content-encoding" in headers.names and any(
            coding.lower() != "identity" for coding in request.typed("content-encoding")
        ):
            raise PublishRefused(415, "", [("accept-encoding", "identity")])
        media = request.typed("content-type")
        self.content_type = "" if media is None else media.key
        if self.content_type not in types:
            # Step 5, RFC 3261 section 21.4.13.
            raise PublishRefused(415, "", [("accept", ", ".join(types))])


def _etag_in(request: Request) -> str:
    """Return the entity-tag that *request* names, empty for none.

    :raises PublishRefused: there are several (400).
    :raises RemoteProtocolError: it is malformed (400).
    """
    etags = request.headers.elements("sip-if-match")
    if len(etags) > 1:
        # Step 3: one entity-tag at most.
        raise PublishRefused(400, "More than one SIP-If-Match header field")
    return etags[0] if etags and is_token(etags[0]) else request.typed("sip-if-match") or ""
