"""Request lines and status lines (RFC 3261 sections 7.1 and 7.2).

They repeat: the same phones are called, the same answers given. What the latest ones said is kept.
"""

from __future__ import annotations

from typing import TypeAlias

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.grammar import is_token
from twisted_sip.message.kept import Kept
from twisted_sip.message.methods import METHODS
from twisted_sip.message.uri import SIPURI, URI, parse_uri

#: What is wrong with a status line of another version.
OTHER_VERSION = "Version Not Supported"


#: What an ordinary start line says: the method (empty for a response), the Request-URI or the reason phrase, the
#: Request-URI as read (None for a response), and the status code (0 for a request). A plain tuple, since taking others
#: apart is slow.
StartLine: TypeAlias = tuple[str, str, URI | None, int]


def read_status_line(start: str) -> tuple[int, str, str]:
    """Return status, reason phrase and what is wrong."""
    version, _, rest = start.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0":
        return 0, reason, OTHER_VERSION
    if len(code) != 3 or not code.isascii() or not code.isdigit() or not 100 <= int(code) <= 699:
        return 0, reason, "Malformed status code"
    return int(code), reason, ""


def is_request_uri(text: str) -> bool:
    """Tell whether *text* may be a Request-URI, whatever its scheme."""
    return bool(text) and not (" " in text or "\t" in text or "<" in text) and ":" in text


def _read(start: str) -> StartLine | None:
    """Return what *start* says, None if there is anything about it that has to be looked at closely."""
    if "\r" in start or "\n" in start or "\0" in start:
        return None
    if start[:4].upper() == "SIP/":
        status, reason, wrong = read_status_line(start)
        return None if wrong else ("", reason, None, status)
    method, _, rest = start.partition(" ")
    text, _, version = rest.rpartition(" ")
    if version != "SIP/2.0" or (method not in METHODS and not is_token(method)) or not is_request_uri(text):
        return None
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return None
    if isinstance(uri, SIPURI) and uri.headers:
        return None
    return method, text, uri, 0


#: Start line -> what it says, None for one that is not ordinary.
START_LINES: Kept[str, StartLine | None] = Kept(_read, 4096)
