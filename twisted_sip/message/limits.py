"""Limits on what a peer may send in one message; each can be changed (RFC 3261 sections 18.3, 21.4.11, 21.5.7)."""

from __future__ import annotations

import attrs

#: Texts up to this many characters may be kept in a cache of parsed values. Such caches are bounded in number; this
#: bounds what one entry takes, so that no peer can fill the memory with them.
SHORT = 256


@attrs.frozen(slots=True)
class MessageLimits:
    """What the parser and the framer accept.

    :ivar message: the most bytes of one message, head and body together (513 beyond it).
    :ivar head: the most bytes from the start line to the blank line (513 beyond it).
    :ivar header_count: the most header field lines (400 beyond it).
    :ivar uri: the longest Request-URI in characters (414 beyond it).
    """

    message: int = attrs.field(default=65535, validator=attrs.validators.ge(1))
    head: int = attrs.field(default=32768, validator=attrs.validators.ge(1))
    header_count: int = attrs.field(default=256, validator=attrs.validators.ge(1))
    uri: int = attrs.field(default=4096, validator=attrs.validators.ge(1))


DEFAULT_LIMITS = MessageLimits()
