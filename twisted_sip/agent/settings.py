"""What can be set about a user agent: an immutable snapshot, every limit with a sane default."""

from __future__ import annotations

from typing import Literal

import attrs

from twisted_sip import __version__
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.grammar import check_value
from twisted_sip.message.session_timer import SHORTEST_INTERVAL

#: From whom: nobody, those that come by way of the servers that we are registered at, anybody.
Whom = Literal["nobody", "servers", "anybody"]


def _checked(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    check_value(value)


@attrs.frozen(slots=True, kw_only=True)
class AgentSettings:
    """How a user agent behaves. Times are in seconds.

    :ivar user_agent: what it calls itself (User-Agent, Server); empty for no word.
    :ivar max_calls: the most calls at a time; more are answered 503.
    :ivar max_calls_per_account: the most calls of one account at a time; more are answered 486. 0 for no such limit.
    :ivar ring_timeout: for which a call may ring, in either direction.
    :ivar session_expires: the session interval to ask for (RFC 4028); 0 for none of our own.
    :ivar min_se: the shortest session interval to agree to.
    :ivar reliable: send provisional responses reliably to those who can take them (RFC 3262).
    :ivar trust: whose requests outside of dialogs are taken: ``anybody``, or ``servers``: those that come from where
        we are registered, by the address of the registered flow; others are answered 403.
    :ivar accept_transfers: follow REFER requests in calls (RFC 3515) where the hook does not say otherwise.
    :ivar max_referrals: how many transfers in a row are followed, so that none go round for ever.
    :ivar accept_replaces: let a call take the place of another one if it knows its identifiers (RFC 3891).
    :ivar accept_join: let a call join another one if it knows its identifiers (RFC 3911): it can listen then.
    :ivar auto_answer: whose calls are answered at once where they ask for that (``answer-after``, RFC 5373).
    :ivar reject_anonymous: answer 433 to callers who do not say who they are (RFC 5079).
    :ivar follow_redirects: how many targets of 3xx responses one call tries.
    :ivar farewell: for BYEs and unregistering when the agent stops.
    :ivar supported: further option tags.
    :ivar accept: further media types that are taken in calls.
    :ivar info_packages: the Info Packages that are taken (RFC 6086).
    """

    user_agent: str = attrs.field(default=f"twisted-sip/{__version__}", validator=_checked)
    max_calls: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    max_calls_per_account: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    ring_timeout: float = attrs.field(default=180.0, validator=attrs.validators.gt(0))
    session_expires: int = attrs.field(default=1800, validator=attrs.validators.ge(0))
    min_se: int = attrs.field(default=SHORTEST_INTERVAL, validator=attrs.validators.ge(SHORTEST_INTERVAL))
    reliable: bool = True
    trust: Whom = attrs.field(default="anybody", validator=attrs.validators.in_(("servers", "anybody")))
    accept_transfers: bool = True
    max_referrals: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    accept_replaces: bool = True
    accept_join: bool = False
    auto_answer: Whom = attrs.field(default="nobody", validator=attrs.validators.in_(("nobody", "servers", "anybody")))
    reject_anonymous: bool = False
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
