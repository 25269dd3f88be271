"""What can be set of a proxy."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, kw_only=True)
class ProxySettings:
    """Settings of a proxy.

    :ivar record_route: stay in the path of every dialog (RFC 3261 section 16.6 step 4).
    :ivar fork: ``parallel`` (equal q together, lower q afterwards), ``serial`` (one after the other) or ``none`` (the
        best one).
    :ivar timer_c: seconds that an INVITE may ring (RFC 3261 section 16.6 step 11; more than 180).
    :ivar max_breadth: the Max-Breadth of requests that bring none (RFC 5393 section 5.3.3.1).
    :ivar max_branches: the most targets of one request.
    :ivar max_forwards: the Max-Forwards of requests that bring none (RFC 3261 section 16.6 step 3).
    :ivar recurse: follow 3xx responses to requests for our own users (RFC 3261 section 16.7 step 4).
    :ivar history_info: when to write History-Info (RFC 7044): ``asked``, where the sender supports it or has sent some,
        ``always`` or ``never``.
    :ivar diversion: write Diversion (RFC 5806) where users have calls forwarded.
    :ivar trusted: hosts and networks inside the trust domain of RFC 3325, numeric, as ``192.0.2.0/24``.
    """

    record_route: bool = attrs.field(default=True, metadata={"help": "stay in the path of every dialog"})
    fork: str = attrs.field(
        default="parallel",
        validator=attrs.validators.in_(("parallel", "serial", "none")),
        metadata={"help": "how several contacts are tried: parallel, serial or none (the best one only)"},
    )
    timer_c: float = attrs.field(
        default=181.0, validator=attrs.validators.gt(180.0), metadata={"help": "seconds that an INVITE may ring"}
    )
    max_breadth: int = attrs.field(
        default=60, validator=attrs.validators.ge(1), metadata={"help": "Max-Breadth of requests that bring none"}
    )
    max_branches: int = attrs.field(
        default=32, validator=attrs.validators.ge(1), metadata={"help": "the most targets of one request"}
    )
    max_forwards: int = attrs.field(
        default=70,
        validator=[attrs.validators.ge(1), attrs.validators.le(255)],
        metadata={"help": "Max-Forwards of requests that bring none"},
    )
    recurse: bool = attrs.field(
        default=False,
        metadata={"help": "follow redirections (3xx) of calls to your own users, not leave them to callers"},
    )
    history_info: str = attrs.field(
        default="asked",
        validator=attrs.validators.in_(("asked", "always", "never")),
        metadata={
            "help": "write the targets that a request has had into History-Info: where the sender supports that, "
            "always or never"
        },
    )
    diversion: bool = attrs.field(
        default=False,
        metadata={
            "help": "write who has had a call forwarded into Diversion too, for gateways that do not know History-Info"
        },
    )
    trusted: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "networks of the trust domain of RFC 3325, as 192.0.2.0/24"}
    )
