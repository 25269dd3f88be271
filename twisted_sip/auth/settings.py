"""What can be set of authentication: the ``[auth]`` section."""

from __future__ import annotations

from typing import Any, Literal

import attrs

#: The algorithms that may be asked for (RFC 8760 section 2.1).
Algorithm = Literal["SHA-512-256", "SHA-256", "MD5"]
#: What an answer may protect: method and URI, or the body as well (RFC 7616 section 3.3).
Quality = Literal["auth", "auth-int"]


def _some_quality(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value or len(set(value)) != len(value):
        raise ValueError(f"{attribute.name}: one has to stand there, and each may stand once")


def _different(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if len(set(value)) != len(value):
        raise ValueError(f"{attribute.name}: each algorithm may stand once (RFC 8760 section 2.3)")


@attrs.frozen(slots=True, kw_only=True)
class AuthSettings:
    """Settings of authentication.

    :ivar required: challenge whoever claims a local identity. False believes every claim: for trusted networks only.
    :ivar foreign_callers: let requests for local users in unchallenged when they come from other domains.
    :ivar algorithms: digest algorithms in order of preference, one challenge for each; empty: one challenge, with the
        algorithm set for the user or MD5, since phones in the field give up on any other offer.
    :ivar realm: the realm of every challenge; empty: the domain of the identity.
    :ivar credentials_url: an HTTP service that is asked for the HA1s of users (see storage.credentials_http) in place
        of the database; empty: the database.
    :ivar require_qop: refuse clients of RFC 2069, which send no qop. RFC 3261 section 22.4 and RFC 8760 section 2.6
        (items 8) want them served, so they are, and lose nothing: a nonce used without a count is good for one request.
    :ivar qop: what answers may protect: ``auth`` method and URI, ``auth-int`` the body too (RFC 7616 section 3.4.3).
        With ``auth-int`` alone clients that do not know it cannot answer.
    :ivar nonce_lifetime: seconds that a nonce is good for.
    :ivar max_nonces: the most nonces whose use is remembered; beyond, the oldest ones become stale early.
    :ivar ban_failures: wrong answers by one source for one user until both together are banned; 0: nobody is.
    :ivar ban_users: users for whom one source may give wrong answers until it is banned for all; 0: never.
    :ivar ban_window: seconds in which failures add up.
    :ivar ban_time: seconds that a ban lasts.
    :ivar max_bans: the most failing (source, user) pairs, and the most bans, kept at a time.
    """

    required: bool = attrs.field(
        default=True, metadata={"help": "challenge whoever claims a local identity; false is for trusted networks only"}
    )
    foreign_callers: bool = attrs.field(
        default=True, metadata={"help": "let requests for local users in when they come from other domains"}
    )
    algorithms: tuple[Algorithm, ...] = attrs.field(
        default=(),
        converter=tuple,
        validator=[
            attrs.validators.deep_iterable(attrs.validators.in_(("SHA-512-256", "SHA-256", "MD5"))),
            _different,
        ],
        metadata={"help": "algorithms to offer, best first; empty: the one set for the user, or MD5"},
    )
    realm: str = attrs.field(default="", metadata={"help": "realm of every challenge; empty: the domain of the user"})
    credentials_url: str = attrs.field(
        default="",
        metadata={"help": "https URL of a service that is asked for HA1s in place of the database of users"},
    )
    require_qop: bool = attrs.field(default=False, metadata={"help": "refuse clients that send no qop (RFC 2069)"})
    qop: tuple[Quality, ...] = attrs.field(
        default=("auth",),
        converter=tuple,
        validator=[attrs.validators.deep_iterable(attrs.validators.in_(("auth", "auth-int"))), _some_quality],
        metadata={
            "help": "what the answers of clients may protect: method and URI (auth), the body as well (auth-int); "
            "few phones know more than auth"
        },
    )
    nonce_lifetime: float = attrs.field(
        default=600.0, validator=attrs.validators.ge(1.0), metadata={"help": "seconds that a nonce is good for"}
    )
    max_nonces: int = attrs.field(
        default=100_000, validator=attrs.validators.ge(1), metadata={"help": "the most used nonces remembered"}
    )
    ban_failures: int = attrs.field(
        default=10,
        validator=attrs.validators.ge(0),
        metadata={"help": "wrong answers by one source for one user until both are banned; 0: never"},
    )
    ban_users: int = attrs.field(
        default=20,
        validator=attrs.validators.ge(0),
        metadata={"help": "users failing from one source until it is banned for all; 0: never"},
    )
    ban_window: float = attrs.field(
        default=600.0, validator=attrs.validators.ge(1.0), metadata={"help": "seconds in which failures add up"}
    )
    ban_time: float = attrs.field(
        default=600.0, validator=attrs.validators.ge(1.0), metadata={"help": "seconds that a ban lasts"}
    )
    max_bans: int = attrs.field(
        default=20_000, validator=attrs.validators.ge(1), metadata={"help": "the most failing sources and bans kept"}
    )
