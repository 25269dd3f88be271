"""What happens to a call, in its one stream of events."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

import attrs

from twisted_sip.errors import RequestRefused
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.agent.call import Call
    from twisted_sip.agent.referral import Referral
    from twisted_sip.message.reason_fields import Reason


class CallState(enum.Enum):
    """Where a call is."""

    #: The INVITE is on its way, or has come and nothing but 100 was said.
    TRYING = "trying"
    #: A provisional response beyond 100 has come or gone.
    RINGING = "ringing"
    #: A 2xx has come or gone.
    ESTABLISHED = "established"
    #: We have given it up, and the outcome is not known yet.
    ENDING = "ending"
    #: It is over.
    ENDED = "ended"


class CallRefused(RequestRefused):
    """A call has come to nothing.

    :ivar response: the response that says so, None without one.
    """

    def __init__(self, reason: str, *, status: int, response: Response | None = None) -> None:
        super().__init__(reason, status=status)
        self.response = response


class CallEnd(NamedTuple):
    """How a call ended.

    :ivar by: who ended it: ``local``, ``remote`` or ``network``.
    :ivar cause: ``bye``, ``cancel``, ``refused`` or what else ``dialog.session_terms.Ending`` says; ``elsewhere`` where
        another device has answered it; ``media`` where it could not be agreed, or nothing
        came any more.
    :ivar status: the response that ended it, 0 where none did.
    :ivar reason: its reason phrase, or the text of a Reason header field (RFC 3326).
    :ivar seconds: for how long it was established.
    :ivar reasons: the Reason values of the peer's message that ended it, of all protocols (RFC 3326).
    """

    by: str
    cause: str
    status: int = 0
    reason: str = ""
    seconds: float = 0.0
    reasons: tuple[Reason, ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class Progress:
    """A provisional response beyond 100 has come or gone.

    :ivar status: its status.
    :ivar reason: its reason phrase.
    :ivar early_media: there is sound before the answer.
    """

    status: int
    reason: str
    early_media: bool = False


@attrs.frozen(slots=True, kw_only=True)
class Redirected:
    """The call goes on to another target (RFC 3261 section 8.1.3.4).

    :ivar uri: the new target.
    """

    uri: str


@attrs.frozen(slots=True, kw_only=True)
class Answered:
    """The call was answered.

    :ivar status: the status of the 2xx.
    """

    status: int = 200


@attrs.frozen(slots=True, kw_only=True)
class Confirmed:
    """The ACK has come or gone: both sides know that the call was answered."""


@attrs.frozen(slots=True, kw_only=True)
class HoldChanged:
    """The peer has put us on hold, or taken us back.

    :ivar on: True if we are on hold.
    """

    on: bool


@attrs.frozen(slots=True, kw_only=True)
class MediaChanged:
    """An offer and its answer have been exchanged.

    :ivar by: who made the offer: ``local`` or ``remote``.
    """

    by: str


@attrs.frozen(slots=True, kw_only=True)
class MediaRejected:
    """An offer has come to nothing; what was agreed before stays.

    :ivar by: who made the offer: ``local`` or ``remote``.
    :ivar status: the response to it.
    :ivar reason: why.
    """

    by: str
    status: int
    reason: str = ""


@attrs.frozen(slots=True, kw_only=True)
class DTMF:
    """The peer has pressed a key.

    :ivar digit: one of ``0123456789*#ABCD!``.
    :ivar seconds: for how long, 0.0 where that is not known.
    :ivar how: ``rtp``, ``info`` or ``inband``.
    """

    digit: str
    seconds: float = 0.0
    how: str = "rtp"


@attrs.frozen(slots=True, kw_only=True)
class InfoReceived:
    """An INFO has come (RFC 6086) that is no key.

    :ivar package: its Info Package, empty for none.
    :ivar content_type: of its body.
    :ivar body: its body.
    """

    package: str
    content_type: str
    body: bytes


@attrs.frozen(slots=True, kw_only=True)
class MessageReceived:
    """A MESSAGE has come within the call (RFC 3428).

    :ivar content_type: of its body.
    :ivar body: its body.
    """

    content_type: str
    body: bytes


@attrs.frozen(slots=True, kw_only=True)
class TransferRequested:
    """The peer asks us to call somebody else (RFC 3515); whether we do says the hook ``accept_transfer``.

    :ivar referral: what it asks for.
    """

    referral: Referral


@attrs.frozen(slots=True, kw_only=True)
class Transferred:
    """We call somebody else since the peer asked for that.

    :ivar call: the new call.
    """

    call: Call


@attrs.frozen(slots=True, kw_only=True)
class TransferProgress:
    """What becomes of a transfer that we have asked for.

    :ivar status: the latest status that the peer tells of its call.
    :ivar reason: its reason phrase.
    :ivar final: nothing more is told.
    """

    status: int
    reason: str
    final: bool


@attrs.frozen(slots=True, kw_only=True)
class Replaced:
    """Another call takes the place of this one (RFC 3891).

    :ivar by: the other call.
    """

    by: Call


@attrs.frozen(slots=True, kw_only=True)
class Joined:
    """Another call joins this one (RFC 3911).

    :ivar by: the other call.
    """

    by: Call


@attrs.frozen(slots=True)
class Ended:
    """It is over: the last event.

    :ivar end: how.
    """

    end: CallEnd


#: Anything that happens to a call.
CallEvent = (
    Progress
    | Redirected
    | Answered
    | Confirmed
    | HoldChanged
    | MediaChanged
    | MediaRejected
    | DTMF
    | InfoReceived
    | MessageReceived
    | TransferRequested
    | Transferred
    | TransferProgress
    | Replaced
    | Joined
    | Ended
)
