"""What can be set about a b2bua: an immutable snapshot, every limit with a sane default."""

# ruff: noqa: RUF009  (a field, not a shared default)
from __future__ import annotations

from typing import Any, Literal

import attrs

from twisted_sip.message.session_timer import SHORTEST_INTERVAL

#: How media pass: between the peers; through ports of ours; decoded and made anew.
MediaMode = Literal["direct", "relay", "transcode"]


def _field(default: Any, meaning: str, validator: Any = None, **how: Any) -> Any:
    return attrs.field(default=default, validator=validator, metadata={"help": meaning}, **how)


_at_least_0 = attrs.validators.ge(0)
_at_least_1 = attrs.validators.ge(1)


@attrs.frozen(slots=True, kw_only=True)
class B2BUASettings:
    """How a b2bua behaves. Times are in seconds."""

    media: MediaMode = _field(
        "direct",
        "How media pass: `direct` between the phones, `relay` through ports of this server (phones behind NAT), "
        "`transcode` decoded and made anew, so that each phone may have its own codec.",
        attrs.validators.in_(("direct", "relay", "transcode")),
    )
    fallback: bool = _field(
        True, "With `relay`, transcode where the callee has no codec of the caller's (it answers 488)."
    )
    user_agent: str = _field("", "What this server calls itself in messages; empty for no word.")
    max_calls: int = _field(2000, "The most calls at a time; more are answered 503.", _at_least_1)
    max_calls_per_user: int = _field(
        0, "The most calls of one user at a time, in and out; more are answered 486. 0 for no such limit.", _at_least_0
    )
    max_duration: float = _field(
        14400.0, "Seconds after which an answered call is ended; 0 for no such limit.", _at_least_0
    )
    ring_timeout: float = _field(180.0, "Seconds for which a call may ring.", attrs.validators.gt(0))
    target_timeout: float = _field(
        30.0, "Seconds for which one of several targets may ring before the next one is tried.", attrs.validators.gt(0)
    )
    session_expires: int = _field(
        1800, "The session interval to ask for on each leg (RFC 4028); 0 for none of our own.", _at_least_0
    )
    min_se: int = _field(90, "The shortest session interval to agree to.", attrs.validators.ge(SHORTEST_INTERVAL))
    pass_headers: tuple[str, ...] = _field((), "Further header fields that pass from leg to leg.", converter=tuple)
    remove_headers: tuple[str, ...] = _field(
        (), "Header fields that do not pass, though they usually do.", converter=tuple
    )
    info_packages: tuple[str, ...] = _field(
        (), "Info Packages (RFC 6086) that pass from leg to leg; INFO without a package always does.", converter=tuple
    )
    redirects: Literal["none", "own", "anywhere"] = _field(
        "own",
        "Where a callee may redirect a call to: nowhere, to users of the domains of this server, or anywhere "
        "(at the cost of whoever pays for outgoing calls).",
        attrs.validators.in_(("none", "own", "anywhere")),
    )
    transfers: bool = _field(True, "Carry out transfers (REFER) and call pick-up (Replaces) here.")
    hide_callee: bool = _field(
        True, "Keep display names, reason phrases and warnings of the callee's side out of what the caller gets."
    )
