"""What makes two SIP URIs equivalent (RFC 3261 section 19.1.4, hosts by RFC 5954 section 4.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.escapes import normal_form, unescape
from twisted_sip.message.header_names import canonical as canonical_header
from twisted_sip.message.hosts import canonical_host

if TYPE_CHECKING:
    from twisted_sip.message.uri import SIPURI

#: Parameters that never match their absence. transport is one of them: each URI that leaves it out "omits a component
#: with a default value".
_NEVER_IGNORED = ("user", "ttl", "method", "maddr", "transport")
#: Header fields whose values are compared with their case (sections 20.8 and 20.16, and the body).
_CASE_SENSITIVE = frozenset(("call-id", "in-reply-to", "body", "cseq"))
_BRACKETS = re.compile("<([^<>]*)>")


def canonical(uri: SIPURI) -> str:
    """Return a key that equivalent URIs share; URIs that are not equivalent may share it."""
    parts = [uri.scheme, ":"]
    if uri.user is not None:
        parts.append(normal_form(uri.user))
        if uri.password is not None:
            parts += (":", normal_form(uri.password))
        parts.append("@")
    parts.append(canonical_host(uri.host))
    if uri.port is not None:
        parts.append(f":{uri.port}")
    params = uri.params
    if params:
        parts += [f";{name}={_value(name, params.get(name))}" for name in _NEVER_IGNORED if name in params]
    if uri.headers:
        parts += ("?", "&".join(sorted(name for name, _ in _headers(uri.headers))))
    return "".join(parts)


def equivalent(one: SIPURI, other: SIPURI, parse: Callable[[str], Any]) -> bool:
    """Tell whether two URIs are equivalent.

    :param parse: reads a URI inside a header field value, so that it is compared as one.
    """
    if one is other or str(one) == str(other):
        return True
    if canonical(one) != canonical(other):
        return False
    theirs = other.params
    for name in one.params:
        if name in theirs and _value(name, one.params.get(name)) != _value(name, theirs.get(name)):
            return False
    return not one.headers or _same_headers(_headers(one.headers), _headers(other.headers), parse)


def _value(name: str, value: str | None) -> str:
    if value is None:
        return ""
    value = normal_form(value)
    return canonical_host(value) if name == "maddr" else value.lower()


def _headers(text: str) -> list[tuple[str, str]]:
    """Return (canonical name, value as written) for each header of the headers part, in order."""
    found = []
    for header in text.split("&"):
        name, _, value = header.partition("=")
        found.append((canonical_header(unescape(name)), value))
    return found


def _same_headers(one: list[tuple[str, str]], other: list[tuple[str, str]], parse: Callable[[str], Any]) -> bool:
    # The order of different header fields does not matter; that of values of one field does. sorted() is stable.
    pairs = zip(sorted(one, key=_name), sorted(other, key=_name), strict=True)
    return all(mine[0] == theirs[0] and _same_value(mine[0], mine[1], theirs[1], parse) for mine, theirs in pairs)


def _name(header: tuple[str, str]) -> str:
    return header[0]


def _same_value(name: str, one: str, other: str, parse: Callable[[str], Any]) -> bool:
    one, other = unescape(one), unescape(other)
    if one == other:
        return True
    if name in _CASE_SENSITIVE:
        return False
    mine, theirs = _BRACKETS.split(one, maxsplit=1), _BRACKETS.split(other, maxsplit=1)
    if len(mine) != len(theirs):
        return False
    if len(mine) == 1:
        return _same_text(one, other, parse)
    # name-addr: before, URI, behind.
    return all(_same_text(left, right, parse) for left, right in zip(mine, theirs, strict=True))


def _same_text(one: str, other: str, parse: Callable[[str], Any]) -> bool:
    if one == other:
        return True
    try:
        # A URI: the case of its user part counts, that of the rest does not (section 20.10 and its like).
        mine = parse(one)
        # URIs within URIs within URIs: one level is looked into, so that nobody can make this go deep.
        return not getattr(mine, "headers", "") and bool(mine.equivalent(parse(other)))
    except RemoteProtocolError:
        # Section 7.3.1: values are case-insensitive, but quoted strings are not.
        return '"' not in one and one.lower() == other.lower()
