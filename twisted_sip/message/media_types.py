"""What a body is and what a peer takes: media types, codings, languages and dispositions.

RFC 3261 sections 20.1 (Accept), 20.2 (Accept-Encoding), 20.3 (Accept-Language), 20.11 (Content-Disposition) and 20.15
(Content-Type).
"""

from __future__ import annotations

from typing import ClassVar

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import is_token
from twisted_sip.message.parameterized import Parameters, TokenWithParams, parameter


class MediaType(TokenWithParams):
    """Content-Type (RFC 3261 section 20.15): ``type/subtype`` and parameters.

    :ivar token: ``type/subtype`` as written, without white space.
    """

    __slots__ = ()

    header: ClassVar[str] = "Content-Type"
    _wildcards = False

    def __init__(self, token: str, params: Parameters = ()) -> None:
        """Make a value to send: ``MediaType("application/sdp")``.

        :raises LocalProtocolError: it is no media type, or a parameter cannot be sent.
        """
        if not self._is_legal(token):
            raise LocalProtocolError(f"{token!r} is no media type: type/subtype is required")
        super().__init__("a", params)
        self.token = token

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """Return the value in *text*; white space around the slash is legal (SLASH, RFC 3261 section 25.1).

        :raises RemoteProtocolError: it is malformed.
        """
        token, mark, rest = text.partition(";")
        if " " in token or "\t" in token:
            token = "/".join(part.strip(" \t") for part in token.split("/", 1))
        return super().parse(token + mark + rest)

    @classmethod
    def _is_legal(cls, token: str) -> bool:
        kind, _, subtype = token.partition("/")
        if "*" in (kind, subtype) and (not cls._wildcards or subtype != "*"):
            return False
        return is_token(kind) and is_token(subtype)

    @property
    def type(self) -> str:
        """The type in lower case: ``multipart``."""
        return self.key.partition("/")[0]

    @property
    def subtype(self) -> str:
        """The subtype in lower case: ``mixed``."""
        return self.key.partition("/")[2]

    @property
    def charset(self) -> str:
        """The character set in lower case, ``utf-8`` where none is given (RFC 3261 section 20.15)."""
        return parameter(self.params, "charset").lower() or "utf-8"

    @property
    def boundary(self) -> str:
        """The boundary of a multipart body (RFC 2046 section 5.1.1), empty if there is none."""
        return parameter(self.params, "boundary")


class MediaRange(MediaType):
    """One element of Accept (RFC 3261 section 20.1): a media type, ``type/*`` or ``*/*``, with a q-value."""

    __slots__ = ()

    header = "Accept"
    _wildcards = True

    def matches(self, media_type: MediaType) -> bool:
        """Tell whether *media_type* is in this range; its parameters are not looked at."""
        if self.type == "*":
            return True
        return self.type == media_type.type and self.subtype in ("*", media_type.subtype)


class Coding(TokenWithParams):
    """One element of Accept-Encoding (RFC 3261 section 20.2): a content coding or ``*``, with a q-value."""

    __slots__ = ()

    header = "Accept-Encoding"


class LanguageRange(TokenWithParams):
    """One element of Accept-Language (RFC 3261 section 20.3): a language range or ``*``, with a q-value."""

    __slots__ = ()

    header = "Accept-Language"


class ContentDisposition(TokenWithParams):
    """Content-Disposition (RFC 3261 section 20.11)."""

    __slots__ = ()

    header = "Content-Disposition"

    @property
    def required(self) -> bool:
        """True unless ``handling=optional`` stands there: required is what holds without it."""
        return parameter(self.params, "handling").lower() != "optional"
