"""What can be set of a redirect server."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, kw_only=True)
class RedirectSettings:
    """Settings of a redirect server.

    :ivar expires: seconds for which callers may remember where they were sent, at most as long as the registration
        lasts; 0 for the one request (RFC 3261 section 21.3.3).
    """

    expires: int = attrs.field(
        default=0,
        validator=[attrs.validators.ge(0), attrs.validators.le(86400)],
        metadata={"help": "seconds for which callers may remember where they were sent, 0 for the one request"},
    )
