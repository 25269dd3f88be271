"""What a Request-URI asks for, as routes look at it: a user and a host (RFC 3261 section 19.1.6, RFC 3966)."""

from __future__ import annotations

import re
from typing import NamedTuple

from twisted_sip.message.escapes import unescape_user
from twisted_sip.message.uri import SIPURI, URI, TelURI

#: A telephone number as a user part: digits and visual separators (RFC 3966 section 5.1.1), then its parameters.
_NUMBER = re.compile(r"(\+?[-.()]*[0-9*#][-.()0-9*#]*)(?:;.*)?\Z", re.DOTALL).match
_SEPARATORS = str.maketrans("", "", "-.()")


class Dialled(NamedTuple):
    """What was asked for.

    :ivar user: the user part with every escape undone that may be; a number without visual separators and parameters.
    :ivar host: the host, the context of a local telephone number, or empty for a global one.
    """

    user: str
    host: str


def dialled(uri: URI) -> Dialled | None:
    """Return what *uri* asks for, None where it is neither a SIP nor a tel URI.

    Who is kept from ``0900*`` is kept from ``0-900-1``, ``%30900`` and ``0900;x`` as well: gateways take them for the
    same.
    """
    if isinstance(uri, SIPURI):
        user = uri.user or ""
        if "%" in user:
            user = unescape_user(user)
        if not user.isalnum():
            found = _NUMBER(user)
            if found is not None:
                user = found[1].translate(_SEPARATORS)
        return Dialled(user, uri.host)
    if isinstance(uri, TelURI) and not uri.mandatory_params:
        # The context of a local number is no prefix that would make a global one of it (RFC 3966 section 5.1.5).
        return Dialled(uri.digits, "" if uri.is_global else uri.phone_context)
    # RFC 3966 section 5.4: a tel URI with mandatory parameters, of which none is known here, must not be used.
    return None
