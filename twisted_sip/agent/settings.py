"""What can be set about a user agent: an immutable snapshot, every limit with a sane default."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Literal

import attrs

from twisted_sip import __version__
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import check_value
from twisted_sip.message.session_timer import SHORTEST_INTERVAL
from twisted_sip.message.uri import SIPURI
from twisted_sip.transport.listener import bare, is_numeric

#: From whom: nobody, those that come by way of the servers that we are registered at, anybody.
Whom = Literal["nobody", "servers", "anybody"]

#: Whose wish about a call is granted: nobody's, that of those whose identity our servers prove, that of its parties as
#: well, anybody's (see agent.entitlement).
Entitled = Literal["nobody", "servers", "known", "anybody"]
#: Who may watch calls: nobody, that is, the event is not served; the user itself; those whom our servers vouch for;
#: anybody.
Watchers = Literal["nobody", "own", "servers", "anybody"]
_ENTITLED = attrs.validators.in_(("nobody", "servers", "known", "anybody"))


def _checked(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    check_value(value)


def _users(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for text in value:
        try:
            uri = SIPURI.parse(text)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f'{attribute.name}: "{text}" is not a SIP URI') from error
        if not uri.user or uri.address_of_record != text:
            raise LocalProtocolError(f'{attribute.name}: "{text}" is no user, write one like sip:bob@example.com')


def _canonical(values: Iterable[str]) -> tuple[str, ...]:
    """Addresses as flows have them: an IPv6 address can be written in many ways."""
    return tuple(_canonical_address(text) for text in values)


def _canonical_address(text: str) -> str:
    try:
        return str(ip_address(bare(text)))
    except ValueError:
        return text


def _addresses(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for text in value:
        if not is_numeric(text):
            raise LocalProtocolError(f'{attribute.name}: "{text}" is no address, write one like 192.0.2.1')


def _lowered(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.lower() for text in values)


@attrs.frozen(slots=True, kw_only=True)
class AgentSettings:
    """How a user agent behaves. Times are in seconds.

    :ivar user_agent: what it calls itself (User-Agent, Server); empty for no word.
    :ivar max_calls: the most calls at a time; more are answered 503.
    :ivar max_calls_per_account: the most calls of one account at a time; more are answered 486. 0 for no such limit.
    :ivar max_calls_per_source: the most calls at a time that come in from one address which is neither loopback nor one
        of our servers (see *servers*: a PBX or proxy that we are not registered at belongs there); more are answered
        486. 0 for no such limit.
    :ivar ring_timeout: for which a call may ring, in either direction.
    :ivar session_expires: the session interval to ask for (RFC 4028); 0 for none of our own.
    :ivar min_se: the shortest session interval to agree to.
    :ivar reliable: send provisional responses reliably to those who can take them (RFC 3262).
    :ivar trust: whose requests outside of dialogs are taken: ``anybody``, or ``servers``: those that come from where
        we are registered, by the address of the registered flow; others are answered 403.
    :ivar servers: numeric addresses of servers that are ours although we are not registered there.
    :ivar accept_transfers: whose REFER in a call is followed (RFC 3515 section 5.2) where the hook does not say
        otherwise: ``known``: that of whom we have called, and of callers whose identity our servers prove.
    :ivar transfer_targets: domains and addresses that a REFER may lead to besides our own domains; ``*`` for all, and
        for telephone numbers.
    :ivar max_referrals: how many transfers in a row are followed, so that none go round for ever.
    :ivar accept_replaces: who may take the place of another call, whose identifiers he knows (RFC 3891 section 8):
        ``known``: whose identity our servers prove, who is the party that is replaced, or was sent by it.
    :ivar accept_join: who may join a call whose identifiers he knows (RFC 3911 section 8): he can listen then.
    :ivar dialog_watchers: who is told whether there is a call (RFC 4235): ``nobody``, and the event ``dialog`` is not
        served; ``own``: the user itself, who is told of each call, and *pickup_group*; ``servers``: those as well whose
        identity our servers prove; ``anybody``.
    :ivar pickup_group: users who are told of each call where our servers prove who they are, so that they can pick it
        up (RFC 5359 section 2.16), as ``sip:bob@example.com``.
    :ivar auto_answer: whose calls are answered at once where they ask for that (``answer-after``, RFC 5373).
    :ivar reject_anonymous: answer 433 to callers who do not say who they are (RFC 5079).
    :ivar integrity: protect bodies with digest where the server lets us (``auth-int``, RFC 7616 section 3.4.3).
    :ivar follow_redirects: how many targets of 3xx responses one call tries.
    :ivar farewell: for BYEs and unregistering when the agent stops.
    :ivar supported: further option tags.
    :ivar accept: further media types that are taken in calls.
    :ivar info_packages: the Info Packages that are taken (RFC 6086).
    """

    user_agent: str = attrs.field(default=f"twisted-sip/{__version__}", validator=_checked)
    max_calls: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    max_calls_per_account: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    max_calls_per_source: int = attrs.field(default=10, validator=attrs.validators.ge(0))
    ring_timeout: float = attrs.field(default=180.0, validator=attrs.validators.gt(0))
    session_expires: int = attrs.field(default=1800, validator=attrs.validators.ge(0))
    min_se: int = attrs.field(default=SHORTEST_INTERVAL, validator=attrs.validators.ge(SHORTEST_INTERVAL))
    reliable: bool = True
    trust: Whom = attrs.field(default="anybody", validator=attrs.validators.in_(("servers", "anybody")))
    servers: tuple[str, ...] = attrs.field(default=(), converter=_canonical, validator=_addresses)
    accept_transfers: Entitled = attrs.field(default="known", validator=_ENTITLED)
    transfer_targets: tuple[str, ...] = attrs.field(default=(), converter=_lowered)
    max_referrals: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    accept_replaces: Entitled = attrs.field(default="known", validator=_ENTITLED)
    accept_join: Entitled = attrs.field(default="nobody", validator=_ENTITLED)
    dialog_watchers: Watchers = attrs.field(
        default="nobody", validator=attrs.validators.in_(("nobody", "own", "servers", "anybody"))
    )
    pickup_group: tuple[str, ...] = attrs.field(default=(), validator=_users)
    auto_answer: Whom = attrs.field(default="nobody", validator=attrs.validators.in_(("nobody", "servers", "anybody")))
    reject_anonymous: bool = False
    integrity: bool = False
    follow_redirects: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    farewell: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    supported: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    info_packages: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if 0 < self.session_expires < self.min_se:
            raise LocalProtocolError(
                f"session_expires: {self.session_expires} is less than min_se, write {self.min_se} or more"
            )
