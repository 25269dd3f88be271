"""``% HEX HEX`` in URIs (RFC 3261 section 25.1 ``escaped``, RFC 3986 section 2).

Nothing here is ever applied twice to the same text (RFC 4475 section 3.1.1.3).
"""

from __future__ import annotations

import re

_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
#: RFC 2396's reserved set, to which RFC 3261 section 19.1.4 refers: escaping one of these changes the meaning.
RESERVED = frozenset(";/?:@&=+$,")
#: Characters that may stand unescaped in the user part (``unreserved`` and ``user-unreserved``).
USER_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$,;?/")
_PARAMETER_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()[]/:&+$")


_HEADER_VALUE_CHARACTERS = (USER_CHARACTERS - frozenset("&=,;")) | frozenset("[]:")
_REASON_CHARACTERS = USER_CHARACTERS | frozenset(":@ ")


def _normal(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    # A decoded "%" would make "%253B" look like "%3B".
    return char if "\x20" < char < "\x7f" and char not in RESERVED and char != "%" else found[0].upper()


def normal_form(text: str) -> str:
    """Return *text* with each escape that means the same as its character undone, the others in upper case (19.1.4)."""
    return _ESCAPE.sub(_normal, text) if "%" in text else text


def _user(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in USER_CHARACTERS else found[0].upper()


def unescape_user(text: str) -> str:
    """Return a user part with each escape undone whose character may stand there (section 10.3 step 5)."""
    return _ESCAPE.sub(_user, text) if "%" in text else text


def unescape(text: str) -> str:
    """Return *text* with every escape undone, once; the bytes are read as UTF-8 (``surrogateescape``)."""
    if "%" not in text:
        return text
    parts = re.split("((?:%[0-9A-Fa-f]{2})+)", text)
    for place in range(1, len(parts), 2):
        parts[place] = bytes.fromhex(parts[place].replace("%", "")).decode("utf-8", "surrogateescape")
    return "".join(parts)


def _escape(text: str, allowed: frozenset[str]) -> str:
    if allowed.issuperset(text):
        return text
    return "".join(
        [
            char if char in allowed else "".join([f"%{octet:02X}" for octet in char.encode("utf-8", "surrogateescape")])
            for char in text
        ]
    )


def escape_user(text: str) -> str:
    """Return *text* as a user part: every character that may not stand there escaped, ``;`` and its like kept."""
    return _escape(text, USER_CHARACTERS)


def escape_parameter(text: str) -> str:
    """Return *text* as the name or value of a URI parameter (``paramchar``)."""
    return _escape(text, _PARAMETER_CHARACTERS)


def escape_reason(text: str) -> str:
    """Return *text* as it may stand in a Reason-Phrase (section 25.1), in ASCII."""
    return _escape(text, _REASON_CHARACTERS)


def escape_header_value(text: str) -> str:
    """Return *text* as the value of a header field in a URI (``hvalue``, section 25.1)."""
    return _escape(text, _HEADER_VALUE_CHARACTERS)
