"""What a user agent can do and wants in its sessions, and how it says so in messages.

Allow, Supported and Accept of RFC 3261 sections 13.2.1 and 13.3.1.4, Recv-Info of RFC 6086, 100rel of RFC 3262, the
reason for which a session is over (RFC 3326).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.header_map import HeaderMap, Lines
from twisted_sip.message.message import Message
from twisted_sip.message.reason_fields import Reason
from twisted_sip.message.response import Response
from twisted_sip.message.session_timer import SHORTEST_INTERVAL
from twisted_sip.transaction.timers import DEFAULT_TIMER_VALUES, TimerValues

Side = Literal["local", "remote"]
Header = tuple[str, str]

#: The methods of an INVITE session, and the ones that every user agent answers.
SESSION_METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "OPTIONS")


#: How Session-Expires of a request of ours names the refresher.
_REFRESHER = {"local": ";refresher=uac", "remote": ";refresher=uas", "": ""}

_SDP = Lines.made([("content-type", "application/sdp")])


class SessionBody(NamedTuple):
    """A session description: an offer or an answer (RFC 3261 section 13.2.1).

    :ivar content_type: its media type: ``application/sdp``.
    :ivar data: the description.
    """

    content_type: str
    data: bytes

    def put_into(self, message: Message) -> None:
        """Make it the body of *message*."""
        message.body = self.data
        if self.content_type == "application/sdp":
            message.headers.add(_SDP)
        else:
            message.headers.extend(self.fields())

    def fields(self) -> list[Header]:
        """Return the header fields that go with it."""
        made = [("content-type", self.content_type)]
        if self.content_type.partition(";")[0].strip().lower() != "application/sdp":
            # Section 13.2.1: other types would be taken for something to render.
            made.append(("content-disposition", "session"))
        return made


@attrs.frozen(slots=True, kw_only=True)
class SessionTerms:
    """What a user agent can do and wants.

    :ivar allow: the methods that it takes in a session.
    :ivar supported: the option tags that it knows. What Require names must be among them.
    :ivar accept: the media types that it takes.
    :ivar recv_info: the Info Packages that it takes (RFC 6086); None for no word about them.
    :ivar reliable: send provisional responses reliably where the peer supports 100rel; where it requires that they are
        in any case.
    :ivar require_reliable: require that of the peer (RFC 3262 section 4).
    :ivar session_expires: ask for session timers of this many seconds; 0 for none but those that the peer asks for.
    :ivar min_se: no session interval is shorter, in seconds (RFC 4028 section 5).
    :ivar refresher: who shall refresh the session, None to leave it open.
    :ivar headers: header fields of every request and response but ACK and CANCEL.
    :ivar ring_timeout: the most seconds that an INVITE may wait for its final response.
    :ivar values: T1, T2 and 64*T1.
    :ivar lines: the lines of each response to INVITE that is no refusal; *sdp_lines*, where it describes the session.
    :ivar invite_lines: the lines of an initial INVITE; *invite_sdp_lines*, where it has an offer.
    :ivar bye_lines: the lines of a BYE.
    :ivar timers: it supports session timers.
    """

    allow: tuple[str, ...] = SESSION_METHODS
    supported: tuple[str, ...] = ("100rel", "timer", "199")
    accept: tuple[str, ...] = ("application/sdp",)
    recv_info: tuple[str, ...] | None = None
    reliable: bool = True
    require_reliable: bool = False
    session_expires: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    min_se: int = attrs.field(default=SHORTEST_INTERVAL, validator=attrs.validators.ge(SHORTEST_INTERVAL))
    refresher: Side | None = None
    headers: tuple[Header, ...] = ()
    ring_timeout: float = attrs.field(default=180.0, validator=attrs.validators.gt(0))
    values: TimerValues = DEFAULT_TIMER_VALUES

    # Asked for with each message.
    _capabilities: tuple[Header, ...] = attrs.field(init=False, eq=False, repr=False)
    _known: frozenset[str] = attrs.field(init=False, eq=False, repr=False)
    _supported: tuple[Header, ...] = attrs.field(init=False, eq=False, repr=False)
    timers: bool = attrs.field(init=False, eq=False, repr=False)
    lines: Lines = attrs.field(init=False, eq=False, repr=False)
    sdp_lines: Lines = attrs.field(init=False, eq=False, repr=False)
    invite_lines: Lines = attrs.field(init=False, eq=False, repr=False)
    invite_sdp_lines: Lines = attrs.field(init=False, eq=False, repr=False)
    bye_lines: Lines = attrs.field(init=False, eq=False, repr=False)

    @_capabilities.default
    def _what_it_says(self) -> tuple[Header, ...]:
        made = [("allow", ", ".join(self.allow)), ("supported", ", ".join(self.supported))]
        if self.accept:
            made.append(("accept", ", ".join(self.accept)))
        return tuple(made)

    @_known.default
    def _what_it_knows(self) -> frozenset[str]:
        return frozenset(tag.lower() for tag in self.supported)

    @_supported.default
    def _what_it_supports(self) -> tuple[Header, ...]:
        return (("supported", ", ".join(self.supported)),) if self.supports("timer") else ()

    @timers.default
    def _whether_timers(self) -> bool:
        return self.supports("timer")

    @lines.default
    def _with_each(self) -> Lines:
        return Lines.made([*self.headers, *self._capabilities])

    @sdp_lines.default
    def _with_a_description(self) -> Lines:
        return Lines(self.lines.names + _SDP.names, self.lines.lines + _SDP.lines)

    @invite_lines.default
    def _with_an_invite(self) -> Lines:
        fields = [*self.headers, *self._capabilities, *self.interval_fields(0), *self.recv_info_field()]
        if self.require_reliable:
            fields.append(("require", "100rel"))
        return Lines.made(fields)

    @invite_sdp_lines.default
    def _with_an_offer(self) -> Lines:
        return Lines(self.invite_lines.names + _SDP.names, self.invite_lines.lines + _SDP.lines)

    @bye_lines.default
    def _with_a_bye(self) -> Lines:
        return Lines.made([*self.headers, *self._supported])

    def interval_fields(self, min_se: int, interval: int = 0, refresher: str | None = None) -> list[Header]:
        """Return Session-Expires and Min-SE for an INVITE or UPDATE of ours (RFC 4028 sections 7.1 and 7.4).

        :param min_se: the longest Min-SE heard of in the dialog, 0 without one.
        :param interval: the session interval that is agreed, 0 without one.
        :param refresher: who refreshes now, empty for nobody; None for the initial INVITE.
        """
        if not self.supports("timer"):
            return []
        made: list[Header] = []
        shortest = max(min_se, self.min_se)
        wanted = interval or self.session_expires
        if wanted:
            who = (self.refresher or "") if refresher is None else refresher
            made.append(("session-expires", f"{max(wanted, shortest)}{_REFRESHER[who]}"))
        if min_se or shortest > SHORTEST_INTERVAL:
            made.append(("min-se", str(shortest)))
        return made

    def supports(self, tag: str) -> bool:
        """Tell whether the option *tag* is among those that it knows."""
        return tag.lower() in self._known

    def capabilities(self) -> list[Header]:
        """Return Allow, Supported and Accept."""
        return list(self._capabilities)

    def supported_field(self) -> list[Header]:
        """Return Supported for a request that tells nothing else: RFC 4028 section 7.1 wants it in each but ACK."""
        return list(self._supported)

    def recv_info_field(self) -> list[Header]:
        """Return Recv-Info (RFC 6086 section 5.2.3), none where there is nothing to say about it."""
        return [] if self.recv_info is None else [("recv-info", ", ".join(self.recv_info))]


class InviteRefused(RemoteProtocolError):
    """An INVITE has to be answered with this.

    :ivar headers: header fields of the response: Unsupported, Min-SE, Accept.
    """

    def __init__(self, status: int, reason: str = "", headers: Iterable[Header] = ()) -> None:
        super().__init__(reason, status=status)
        self.headers = tuple(headers)


@attrs.frozen(slots=True, kw_only=True)
class Ending:
    """Why a session is over.

    :ivar by: who ended it: ``local``, ``remote`` or ``network``.
    :ivar cause: ``bye``; ``cancel``; ``refused`` by a final response; ``fork``, another one was the first to answer;
        ``199``; ``no-ack``; ``no-answer``, offer without answer; ``expired``, no refresh in time; ``timeout``;
        ``protocol``; ``dialog``, a response says that it is gone; ``closed``.
    :ivar status: the response that ended it, 0 where none did.
    :ivar reasons: the Reason values of the request or response that ended it (RFC 3326).
    """

    by: str
    cause: str
    status: int = 0
    reasons: tuple[Reason, ...] = ()


def reason_for(cause: str) -> list[Header]:
    """Return the Reason of the BYE that ends a session for *cause* (RFC 3326)."""
    known = {
        "no-ack": (408, "No ACK"),
        "no-answer": (488, "No answer"),
        "expired": (408, "Session expired"),
        "timeout": (408, "Request Timeout"),
        "fork": (200, "Call completed elsewhere"),
    }.get(cause)
    return [] if known is None else [("reason", str(Reason.build("SIP", known[0], known[1])))]


def reasons_of(message: Message) -> tuple[Reason, ...]:
    """Return the Reason values of *message*, none if one is malformed (RFC 3326)."""
    if "reason" not in message.headers.names:
        return ()
    try:
        return tuple(message.typed("reason"))
    except RemoteProtocolError:
        return ()


def cause_of(response: Response) -> int:
    """Return the status that a 199 tells of (RFC 6228 section 5), 0 without one."""
    for reason in reasons_of(response):
        if reason.protocol == "SIP" and reason.cause is not None:
            return reason.cause
    return 0


_NO_TAGS: frozenset[str] = frozenset()


def option_tags(message: Message, name: str) -> frozenset[str]:
    """Return the option tags in the header field *name* in lower case, none if one is malformed."""
    if name not in message.headers.names:
        return _NO_TAGS
    return frozenset(text.strip(" \t").lower() for text in message.headers.elements(name) if text.strip(" \t"))


def tokens_of(headers: HeaderMap, name: str) -> tuple[str, ...] | None:
    """Return the names in a list such as Allow or Recv-Info, without parameters; None where it is missing."""
    if name not in headers.names:
        return None
    return tuple(filter(None, (text.partition(";")[0].strip(" \t") for text in headers.elements(name))))
