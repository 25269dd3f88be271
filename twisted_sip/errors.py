"""Every exception the library raises on purpose, in one place.

A peer's mistake is :class:`RemoteProtocolError` and carries the SIP status that answers it; a caller's mistake is
:class:`LocalProtocolError`. The others tell what failed below: a transport, a resolver, a store, a configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SIPError(Exception):
    """The root of every exception that this library raises on purpose."""


class RemoteProtocolError(SIPError):
    """A peer sent something that SIP does not allow.

    :ivar status: the response status that answers it (RFC 3261 section 21), 400 unless a better one is known.
    :ivar reason: the reason phrase; names the header field at fault where there is one.
    :ivar header: the header field at fault in its canonical spelling, or an empty string.
    :ivar message: the message at fault as far as it could be read, so that it can be answered, or None.
    :ivar fatal: the stream it came over cannot be read on (RFC 3261 section 18.3).
    """

    def __init__(
        self, reason: str, *, status: int = 400, header: str = "", message: Any = None, fatal: bool = False
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.header = header
        self.message = message
        self.fatal = fatal


class MediaRefused(RemoteProtocolError):
    """An offer or an answer that the media of this call cannot be made with (RFC 3261 sections 13.3.1.3 and 20.43).

    :ivar warning_code: the warn-code for a Warning header field: 304, 305, 399 and others of RFC 3261 section 20.43.
    :ivar warning_text: its warn-text.
    """

    def __init__(self, reason: str, *, status: int = 488, warning_code: int = 304, warning_text: str = "") -> None:
        super().__init__(reason, status=status, header="")
        self.warning_code = warning_code
        self.warning_text = warning_text or reason


class LocalProtocolError(SIPError, ValueError):
    """The caller asked for something that SIP does not allow (a bad value, a CR or LF in it, an illegal move)."""


class TransportError(SIPError):
    """A message could not be handed to, or was refused by, the next hop (RFC 3261 section 18.4)."""


class MessageTooLarge(TransportError):
    """The message does not fit into one datagram of this transport (RFC 3261 section 18.1.1)."""


class ResolutionError(SIPError):
    """No server was found for a URI (RFC 3263)."""


class TransactionTimeout(SIPError):
    """Timer B, F or H fired (RFC 3261 section 17)."""


class TransactionLimitReached(SIPError):
    """There are as many transactions as there may be; the request is answered 503 statelessly."""


class RequestRefused(SIPError):
    """A request of ours was answered with something else than success, or with nothing at all.

    :ivar status: the status of the response; 408 after a timeout, 503 where it could not be sent.
    :ivar reason: what was asked for, and how it was answered.
    """

    def __init__(self, reason: str, *, status: int) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class StoreError(SIPError):
    """A store could not read or could not make a change durable."""


class StoreFull(StoreError):
    """A store has reached a limit that was set for it; nothing was changed, and later there may be room.

    :ivar key: the key of the configuration that has the limit, empty where none does.
    """

    def __init__(self, reason: str = "", *, key: str = "") -> None:
        super().__init__(reason)
        self.key = key


class QuotaExceeded(StoreFull):
    """One user has as much in a store as one may have; nothing was changed."""


class DocumentConflict(StoreError):
    """The document was changed by somebody else meanwhile (RFC 4825 section 7.11); nothing was changed."""


class DocumentError(SIPError):
    """A body is not what its media type promises: no XML, the wrong root, forbidden parts, or beyond a limit.

    :ivar reason: what is wrong, for a reason phrase or a log.
    :ivar too_large: it is beyond a limit of size or depth.
    """

    def __init__(self, reason: str, *, too_large: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.too_large = too_large


class MissingExtra(SIPError, ImportError):
    """A library that is not always installed is needed.

    :ivar extra: what brings it: ``pip install twisted-sip[extra]``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more than is installed: pip install twisted-sip[{extra}]")
        self.extra = extra


class ConfigurationError(SIPError):
    """A configuration that cannot be used.

    :ivar problems: one line for each fault, each as ``file: key: what is wrong, what would be right``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
