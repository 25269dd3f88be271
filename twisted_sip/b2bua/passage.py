"""How descriptions, and with them media, get from one leg to the other (RFC 7092 section 3).

Direct: media flow between the peers, the description is passed on with an ``o=`` line of ours. Relayed: media pass
through ports of ours, for peers that do not reach each other. Where media are terminated, to change the codec, each
leg has a media session of its own and nothing is passed on: see :mod:`transcoding`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from twisted_sip.b2bua.session_lines import OwnSession, count
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError, MediaRefused, RemoteProtocolError
from twisted_sip.sdp.description import MEDIA_TYPE, SessionDescription
from twisted_sip.sdp.exchange_rules import check_answer
from twisted_sip.sdp.fingerprint import Setup

if TYPE_CHECKING:
    from twisted_sip.media.plane import MediaPlane
    from twisted_sip.media.relay import MediaRelay


class Passage(Protocol):
    """Between two legs, side 0 and side 1."""

    def carry(self, data: bytes, side: int, *, offer: bool = False) -> bytes:
        """Return what the other side is to get of *data*, which came from *side*; an *offer* may be refused yet.

        :raises RemoteProtocolError: it cannot be passed on.
        """

    def watch(self, silent: Callable[[float], object]) -> None:
        """Have *silent* called with the seconds for which nothing has come from either side, where that is known."""

    def close(self) -> None:
        """Let go of everything. Harmless when repeated."""


class DirectPassage:
    """The peers send to each other."""

    def carry(self, data: bytes, side: int, *, offer: bool = False) -> bytes:
        """See Passage."""
        return data

    def watch(self, silent: Callable[[float], object]) -> None:
        """See Passage: nobody knows."""

    def close(self) -> None:
        """See Passage."""


class RelayPassage:
    """Media go through us; the payload is not looked at.

    :ivar relay: the ports.
    """

    def __init__(self, plane: MediaPlane) -> None:
        """Have a relay of *plane*.

        :raises MediaRefused: there are as many as there may be.
        """
        self.relay: MediaRelay = plane.relay()

    def carry(self, data: bytes, side: int, *, offer: bool = False) -> bytes:
        """See Passage."""
        try:
            return self.relay.pass_on(SessionDescription.parse(data), side, offer=offer).to_bytes()
        except LocalProtocolError as error:
            raise MediaRefused(str(error)) from error

    def watch(self, silent: Callable[[float], object]) -> None:
        """See Passage."""
        self.relay.on_timeout = silent

    def close(self) -> None:
        """See Passage."""
        self.relay.close()


def carried_offer(passage: Passage, body: SessionBody, side: int, to: OwnSession) -> SessionBody:
    """Return the offer *body* of *side* as the other one is to get it, whose session with us is *to*.

    :raises RemoteProtocolError: it cannot be passed on.
    """
    if not is_sdp(body):
        return foreign(passage, body)
    return SessionBody(MEDIA_TYPE, to.describe(passage.carry(body.data, side, offer=True)))


def carried_answer(
    passage: Passage, body: SessionBody, side: int, to: OwnSession, offer: SessionBody | None
) -> SessionBody:
    """Return the answer *body* of *side* as the other one is to get it, who has made *offer*.

    :raises RemoteProtocolError: it cannot be passed on.
    """
    if not is_sdp(body):
        return foreign(passage, body)
    if offer is None or not is_sdp(offer):
        return SessionBody(MEDIA_TYPE, to.describe(passage.carry(body.data, side)))
    made = to.describe(passage.carry(body.data, side), exactly=count(offer.data), offer=offer.data)
    return SessionBody(MEDIA_TYPE, made)


def stands_as_answer(body: SessionBody, offer: SessionBody) -> bool:
    """Tell whether *body*, which we have sent before as an answer or as an offer, is an answer to *offer*, too.

    An answer says less than an offer may: one key for each stream (RFC 4568 section 5.1.2), who opens (RFC 5763 section
    5), one port for RTP and RTCP only if that was offered (RFC 5761 section 5.1.1), groups likewise (RFC 5888 section
    9.2), and no direction that the offer does not allow (RFC 3264 section 6.1).
    """
    try:
        asked, said = SessionDescription.parse(offer.data), SessionDescription.parse(body.data)
        check_answer(asked, said, strict=True)
    except RemoteProtocolError:
        return False
    if said.groups and not asked.groups:
        return False
    return not any(
        len(ours.crypto) > 1 or ours.setup is Setup.ACTPASS or (ours.rtcp_mux and not theirs.rtcp_mux)
        for ours, theirs in zip(said.media, asked.media, strict=True)
    )


def foreign(passage: Passage, body: SessionBody) -> SessionBody:
    """Return *body*, which is no SDP, as it is; a relay cannot lead it through itself.

    :raises RemoteProtocolError: the media are relayed.
    """
    if not isinstance(passage, DirectPassage):
        raise RemoteProtocolError("Unsupported Session Description", status=415, header="Content-Type")
    return body


def is_sdp(body: SessionBody) -> bool:
    """Tell whether *body* is SDP."""
    content_type = body.content_type
    return content_type == MEDIA_TYPE or content_type.partition(";")[0].strip().lower() == MEDIA_TYPE
