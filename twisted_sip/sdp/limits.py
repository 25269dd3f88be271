"""Limits on what a peer may send in one session description; each can be changed."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class SDPLimits:
    """What the parser accepts; 400 beyond it, 488 for too many media descriptions.

    :ivar size: the most bytes of one description.
    :ivar lines: the most lines.
    :ivar line: the longest line in characters.
    :ivar media: the most media descriptions.
    :ivar attributes: the most attributes of the session, and of each media description.
    :ivar formats: the most formats of one media description.
    """

    size: int = attrs.field(default=65535, validator=attrs.validators.ge(1))
    lines: int = attrs.field(default=2048, validator=attrs.validators.ge(1))
    line: int = attrs.field(default=4096, validator=attrs.validators.ge(1))
    media: int = attrs.field(default=64, validator=attrs.validators.ge(0))
    attributes: int = attrs.field(default=512, validator=attrs.validators.ge(0))
    formats: int = attrs.field(default=128, validator=attrs.validators.ge(1))


DEFAULT_LIMITS = SDPLimits()
