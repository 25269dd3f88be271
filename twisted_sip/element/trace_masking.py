"""Takes the secrets out of a message before anybody is shown it: credentials, keys of media, passwords in URIs.

Enough is left to see that there were credentials, of which user and realm, and with which algorithm (RFC 7616
section 3.4); the values with which they could be used again or guessed (response, nonce, cnonce ...) are not.
"""

from __future__ import annotations

import re

MASK = "***"

#: Header fields whose auth-params are masked. Authentication-Info carries rspauth and nextnonce (RFC 7616 section 3.5).
_AUTH_FIELDS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "www-authenticate",
        "proxy-authenticate",
        "authentication-info",
        "proxy-authentication-info",
    }
)

#: auth-params that may be shown; every other value is masked, those not known yet too.
_SHOWN = frozenset({"username", "realm", "uri", "algorithm", "qop", "nc", "stale", "charset", "userhash", "domain"})

# Each takes time that grows with the length of the text and no faster, whatever a peer has written.
_TOKEN = r"A-Za-z0-9!#$%&'*+.^_`|~-"
_PARAM = re.compile(rf'(?<![{_TOKEN}])([{_TOKEN}]++)(\s*+=\s*+)("(?:[^"\\]++|\\.)*+"?|[^\s,;]++)', re.DOTALL)
_USER = re.compile(r"\bsips?:[^:?]++:(?=.)", re.IGNORECASE)
_SCHEME = re.compile(r"\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(\s+|$)")

#: Keys of media in SDP: SDES (RFC 4568), the k= line (RFC 4566 section 5.12), ICE passwords (RFC 8839 section 5.4).
_SDP_CRYPTO = re.compile(r"^(a=crypto:\S+ \S+ inline:)[^\s|;]+", re.MULTILINE)
_SDP_KEY = re.compile(r"^(k=(?:clear|base64|uri):)[^\r\n]*", re.MULTILINE)
_SDP_ICE = re.compile(r"^(a=ice-pwd:)[^\r\n]*", re.MULTILINE)


def masked(data: bytes) -> str:
    """Return the message *data* as text, secrets replaced by ``***``; bytes that are no UTF-8 become U+FFFD."""
    text = data.decode("utf-8", "replace")
    head, blank, body = text.partition("\r\n\r\n")
    if ":" in head:
        head = _masked_head(head)
    if "=" in body:
        body = _SDP_ICE.sub(rf"\1{MASK}", _SDP_KEY.sub(rf"\1{MASK}", _SDP_CRYPTO.sub(rf"\1{MASK}", body)))
    return head + blank + body


def _masked_head(head: str) -> str:
    out = []
    name = ""
    opened = False
    for line in head.split("\n"):
        if line[:1] not in (" ", "\t"):
            name = line.partition(":")[0].strip(" \t").lower()
            opened = True
        else:
            opened = False  # a folded line (RFC 3261 section 7.3.1) belongs to the field above
        out.append(_masked_auth_line(line, opened, name.endswith("authorization")) if name in _AUTH_FIELDS else line)
    return _without_passwords("\n".join(out))


def _without_passwords(text: str) -> str:
    """Mask the passwords of SIP URIs: what stands between ``sip:user:`` and ``@``."""
    parts = text.split("@")
    for place, part in enumerate(parts[:-1]):
        # Where the word that ends here begins; no user part holds any of these.
        start = 1 + max(part.rfind(mark) for mark in ' \t\r\n<>";,')
        found = _USER.search(part, start)
        if found is not None:
            parts[place] = part[: found.end()] + MASK
    return "@".join(parts)


def _masked_auth_line(line: str, opened: bool, carries_token: bool) -> str:
    start = line.find(":") + 1 if opened else 0
    field, value = line[:start], line[start:]
    end = "\r" if value.endswith("\r") else ""
    value = value.removesuffix("\r")
    if opened:
        scheme = _SCHEME.match(value)
        if scheme and "=" not in scheme.group(1):
            field, value = field + value[: scheme.end()], value[scheme.end() :]
            if scheme.group(1).lower() != "digest" and carries_token:
                return field + (MASK if value else "") + end  # Basic and Bearer carry one token
    return field + _PARAM.sub(_masked_param, value) + end


def _masked_param(match: re.Match[str]) -> str:
    name, equals, value = match.groups()
    if name.lower() in _SHOWN:
        return match.group(0)
    return f'{name}{equals}"{MASK}"' if value.startswith('"') else f"{name}{equals}{MASK}"
