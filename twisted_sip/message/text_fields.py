"""Header fields that are one token, one Call-ID or plain text.

RFC 3261 sections 20.5 (Allow), 20.8 (Call-ID), 20.12 (Content-Encoding), 20.13 (Content-Language), 20.21
(In-Reply-To), 20.25 (Organization), 20.26 (Priority), 20.29, 20.32, 20.37, 20.40 (option tags), 20.35 (Server), 20.36
(Subject) and 20.41 (User-Agent); RFC 3903 section 11.3 (SIP-ETag, SIP-If-Match); RFC 6665 section 8.2.2 (Allow-Events).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted_sip.message.grammar import is_token
from twisted_sip.message.parameterized import refuse

_CONTROL = re.compile(r"[\r\n\0]")
# What a word of a Call-ID may hold (RFC 3261 section 25.1), and characters beyond ASCII, leniently.
_BAD_IN_CALL_ID = re.compile(r"[\x00-\x20,;\x7f]")


def token_field(header: str) -> Callable[[str], str]:
    """Return a parser for one token of the header field *header*."""

    def parse_token(text: str) -> str:
        text = text.strip(" \t")
        if not is_token(text):
            refuse(header, "no token" if text else "empty")
        return text

    return parse_token


def text_field(header: str) -> Callable[[str], str]:
    """Return a parser for the header field *header* of free text, which may be empty (TEXT-UTF8-TRIM)."""

    def parse_text(text: str) -> str:
        if _CONTROL.search(text):
            refuse(header, "control character")
        return text.strip(" \t")

    return parse_text


def call_id_field(header: str) -> Callable[[str], str]:
    """Return a parser for one Call-ID of the header field *header*; Call-IDs are case-sensitive."""

    def parse_call_id(text: str) -> str:
        text = text.strip(" \t")
        if not text:
            refuse(header, "empty")
        if _BAD_IN_CALL_ID.search(text):
            refuse(header, "illegal character")
        return text

    return parse_call_id
