"""How much the call tracker keeps, and for how long."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, kw_only=True)
class CallTrackerSettings:
    """Limits of the call tracker.

    :ivar max_calls: the most calls at a time; more are not tracked.
    :ivar max_forks: the most dialogs of one INVITE.
    :ivar max_duration: seconds after which a call without session timer (RFC 4028) is taken for over.
    :ivar max_setup: seconds after which an INVITE without final response is: far beyond Timer C of the proxy.
    :ivar grace: seconds that are added to a session interval before a call is taken for over.
    :ivar sweep_interval: how often calls are looked through for those whose time is over, in seconds.
    :ivar session_limit: keep session descriptions of up to this many bytes; 0 for none. Watchers are told of them only
        where they ask and may see all (RFC 4235 section 4.1.6.3).
    """

    max_calls: int = 20_000
    max_forks: int = 16
    max_duration: float = 12 * 3600
    max_setup: float = 3600
    grace: float = 32
    sweep_interval: float = 30
    session_limit: int = 0


@attrs.frozen(slots=True, kw_only=True)
class LedgerSettings:
    """Limits of what makes call records.

    :ivar max_calls: the most answered calls at a time whose end is waited for; the records of more end at once.
    :ivar max_duration: seconds after which a call without session timer (RFC 4028) is taken for over.
    :ivar grace: seconds that are added to a session interval before a call is taken for over.
    :ivar sweep_interval: how often calls are looked through for those whose time is over, in seconds.
    """

    max_calls: int = 100_000
    max_duration: float = 12 * 3600
    grace: float = 32
    sweep_interval: float = 30
