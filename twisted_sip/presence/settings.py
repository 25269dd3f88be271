"""What an operator may decide about presence (RFC 3856, 3903, 4662, 5025)."""

from __future__ import annotations

from typing import Final, Literal

import attrs

from twisted_sip.errors import LocalProtocolError
from twisted_sip.interfaces.ranges import at_least, between

#: In seconds.
_YEAR: Final = 31_536_000


@attrs.frozen(slots=True, kw_only=True)
class PresenceSettings:
    """One snapshot of the presence settings; swapped whole.

    :ivar default_handling: what becomes of a local watcher about whom the presentity's rules say nothing: ``allow``,
        ``confirm`` (pending until the presentity decides), ``polite-block`` or ``block``.
    :ivar foreign_handling: the same for watchers of other domains, who have proved nothing to us.
    :ivar composition: how several publications become one document: ``union``, ``latest`` or ``most-available``.
    :ivar registration_fallback: show who has published nothing as open while registered.
    :ivar default_expires: seconds that a publication lives whose PUBLISH has no Expires (RFC 3903 section 4.1.1).
    :ivar min_expires: who asks for less is refused with 423; 0 takes anything.
    :ivar max_expires: who asks for more gets this.
    :ivar max_body: bytes of a published document; more is refused with 413.
    :ivar max_composed: bytes of publications that are told together, a datagram's worth: of more, the latest are.
    :ivar max_publications: publications kept of all presentities.
    :ivar max_publications_per_user: publications kept of one presentity.
    :ivar outbound_proxy: the URI of the proxy behind which this server sits: users register there, and messages to them
        go that way; empty where they register here.
    :ivar min_interval: the least seconds between two NOTIFYs about one presentity to one watcher; RFC 3856 section 6.10
        suggests 5, which makes presence late for people.
    """

    default_handling: Literal["allow", "confirm", "polite-block", "block"] = "allow"
    foreign_handling: Literal["allow", "confirm", "polite-block", "block"] = "confirm"
    composition: Literal["union", "latest", "most-available"] = "union"
    registration_fallback: bool = True
    default_expires: int = attrs.field(default=3600, validator=between(1, _YEAR))
    min_expires: int = attrs.field(default=60, validator=between(0, _YEAR))
    max_expires: int = attrs.field(default=7200, validator=between(1, _YEAR))
    max_body: int = attrs.field(default=65536, validator=between(1, 1 << 20))
    max_composed: int = attrs.field(default=49_152, validator=between(1, 1 << 24))
    max_publications: int = attrs.field(default=200_000, validator=at_least(1))
    max_publications_per_user: int = attrs.field(default=20, validator=at_least(1))
    outbound_proxy: str = ""
    min_interval: float = attrs.field(default=0.0, validator=between(0, 3600))

    def __attrs_post_init__(self) -> None:
        if not self.min_expires <= self.max_expires:
            raise LocalProtocolError(
                f"min_expires: {self.min_expires} is more than max_expires, write {self.max_expires} or less"
            )
