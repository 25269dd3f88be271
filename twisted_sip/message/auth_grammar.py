"""The grammar of auth-params: how ``name=value`` lists of challenges and credentials are read and written.

RFC 3261 section 25.1 (auth-param) and RFC 7616 sections 3.3 to 3.5. One pass over the text, in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value, is_token, quote
from twisted_sip.message.parameterized import refuse

_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]++"
SCHEME = re.compile(rf"[ \t]*+({_TOKEN})(?:[ \t]++|$)")
# Lenient: an unquoted value may hold any character but a separator of the list itself (nonce=abc== uri=sip:a).
_PARAM_TEXT = rf'[ \t,]*+({_TOKEN})[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|([^ \t,"]*+))(?=[ \t,]|$)'
_PARAM = re.compile(_PARAM_TEXT, re.DOTALL)
# All of them at once, where there is no backslash, which costs less. From what is no parameter on the rest is one find
# without a name, so that it is read once.
_PARAMS = re.compile(rf'[ \t,]*+({_TOKEN})[ \t]*+=[ \t]*+(?:"([^"]*+)"|([^ \t,"]*+))(?=[ \t,]|$)|.+', re.DOTALL).findall
TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]++=*+[ \t]*+$")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

# A second one of these could mean one thing to us and another to the next element, so it is refused.
_SINGLE_NAMES = (
    "realm domain nonce opaque stale algorithm qop charset userhash username username* uri response cnonce nc nextnonce"
    " rspauth"
)
_SINGLE = frozenset(_SINGLE_NAMES.split())
BARE_IN_CHALLENGE = frozenset(("stale", "algorithm", "charset", "userhash"))
BARE_IN_CREDENTIALS = frozenset(("algorithm", "qop", "nc", "charset", "userhash", "username*"))


def parse_auth_params(text: str, start: int, header: str) -> dict[str, str]:
    """Return the auth-params of *text* from *start* on, names in lower case, values unquoted, in order."""
    if "\\" not in text:
        # The usual list, read in one go; whatever is odd about it is found out below.
        found_all = _PARAMS(text, start)
        params = {name.lower(): quoted or bare for name, quoted, bare in found_all}
        if len(params) == len(found_all) and "" not in params:
            return params
    params = {}
    end = len(text)
    position = start
    match = _PARAM.match
    while position < end:
        found = match(text, position)
        if found is None:
            if not text[position:].strip(" \t,"):
                break
            refuse(header, "bad parameter")
        name, quoted, bare = found.groups()
        name = name.lower()
        if quoted is None:
            value = bare
        else:
            value = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
        if name not in params:
            params[name] = value
        elif name in _SINGLE:
            refuse(header, f"{name} stands twice")
        position = found.end()
    return params


def has_forbidden(text: str) -> bool:
    """Tell whether *text* holds CR, LF or NUL; a regular expression takes ten times as long."""
    return "\r" in text or "\n" in text or "\0" in text


def build_auth_params(params: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in dict(params).items():
        if not is_token(name):
            raise LocalProtocolError(f"{name!r} is no auth-param name")
        check_value(value)
        made[name.lower()] = value
    return made


def format_auth_params(params: Mapping[str, str], bare: frozenset[str]) -> str:
    return ", ".join(
        f"{name}={value}" if name in bare and is_token(value) else f"{name}={quote(value)}"
        for name, value in params.items()
    )


def is_nonce_count(text: str) -> bool:
    # Lenient: RFC 7616 section 3.4 wants eight digits.
    return 0 < len(text) <= 8 and not text.strip("0123456789abcdefABCDEF")


def decode_extended(text: str, header: str) -> str:
    """Return the user name of a ``username*`` value: ``UTF-8'en'J%C3%A4s`` (RFC 7616 section 3.4, RFC 8187)."""
    charset, _, rest = text.partition("'")
    language, mark, encoded = rest.partition("'")
    if charset.upper() != "UTF-8" or not mark or not (language + encoded).isascii():
        refuse(header, "bad username*")
    try:
        name = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        refuse(header, "bad username*")
    if has_forbidden(name):
        refuse(header, "bad username*")
    return name
