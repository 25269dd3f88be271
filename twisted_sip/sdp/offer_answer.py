"""Offers and answers in their order: a machine that refuses illegal moves (RFC 3264 sections 4 and 8, RFC 6337).

It knows nothing of the messages that carry descriptions: an offer in an INVITE, in its 200 (then the answer is in the
ACK), in PRACK, UPDATE or a re-INVITE are all the same here.
"""

from __future__ import annotations

import enum

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.sdp.agreed import AgreedStream, agreed_streams
from twisted_sip.sdp.description import SessionDescription
from twisted_sip.sdp.exchange_rules import Bindings, bound, check_answer, check_bindings, check_slots

#: Versions and session ids are less, so that they never run over (RFC 3264 section 5).
MOST_VERSION = (1 << 62) - 1
_MOST_SESSION_ID = (1 << 63) - 1


class NegotiationState(enum.Enum):
    """Whether an offer waits for its answer (RFC 3264 section 4)."""

    STABLE = "stable"
    OFFER_SENT = "offer sent"
    OFFER_RECEIVED = "offer received"


@attrs.frozen(slots=True)
class Agreement:
    """What was agreed at one time; :meth:`OfferAnswer.rollback` can go back to it.

    :ivar local: what we said, None before the first answer.
    :ivar remote: what the peer said, None before the first answer.
    :ivar offered_by_us: the offer was ours.
    :ivar local_bindings: what our payload types mean, for each slot.
    :ivar remote_bindings: what those of the peer mean, for each slot.
    """

    local: SessionDescription | None = None
    remote: SessionDescription | None = None
    offered_by_us: bool = False
    local_bindings: Bindings = ()
    remote_bindings: Bindings = ()

    @property
    def streams(self) -> tuple[AgreedStream, ...]:
        """What offer and answer come to, one for each slot; empty before the first answer."""
        if self.local is None or self.remote is None:
            return ()
        return agreed_streams(self.local, self.remote, offered_by_us=self.offered_by_us)


class OfferAnswer:
    """The offers and answers of one dialog.

    Moves of ours that RFC 3264 does not allow raise :class:`LocalProtocolError`, those of the peer
    :class:`RemoteProtocolError` with the status that answers them: 491 for an offer that crosses ours, 500 for one
    before the last one was answered (RFC 3261 section 14.2, RFC 3311 section 5.2), 488 for a description that does not
    fit. After an error nothing has changed.

    :param strict: refuse also what many peers do and no harm comes of: an ``o=`` line that changes (RFC 6337 section
        5.2.5), a version that does not go with the content, payload types that change their meaning, directions that
        the offer does not allow.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._state = NegotiationState.STABLE
        self._agreed = Agreement()
        self._pending: SessionDescription | None = None
        self._sent: SessionDescription | None = None
        self._received: SessionDescription | None = None
        self._before_answer = self._agreed

    @property
    def state(self) -> NegotiationState:
        """Whether an offer waits for its answer."""
        return self._state

    @property
    def local(self) -> SessionDescription | None:
        """What we said in the last exchange that was completed, None before the first."""
        return self._agreed.local

    @property
    def remote(self) -> SessionDescription | None:
        """What the peer said in the last exchange that was completed, None before the first."""
        return self._agreed.remote

    @property
    def pending(self) -> SessionDescription | None:
        """The offer that waits for its answer, None where there is none."""
        return self._pending

    @property
    def streams(self) -> tuple[AgreedStream, ...]:
        """What the last exchange came to, one for each slot."""
        return self._agreed.streams

    @property
    def bindings(self) -> Bindings:
        """What our dynamic payload types mean in each slot; later offers must keep to it (RFC 3264 section 8.3.2)."""
        return self._agreed.local_bindings

    def checkpoint(self) -> Agreement:
        """Return what is agreed now, for :meth:`rollback`: before a re-INVITE, say (RFC 6141 section 3)."""
        return self._agreed

    def numbered(self, wanted: SessionDescription) -> SessionDescription:
        """Return *wanted* with the ``o=`` line it has to have (RFC 3264 section 8).

        That of our last description; its version is one more exactly if something else has changed.
        """
        last = self._sent
        if last is None:
            return wanted
        same = attrs.evolve(wanted, origin=last.origin)
        if same == last:
            return same
        return attrs.evolve(same, origin=attrs.evolve(last.origin, version=last.origin.version + 1))

    def is_unchanged(self, offer: SessionDescription) -> bool:
        """Tell whether the peer's *offer* is what it said last: nothing is to be done but to answer (RFC 3264 8)."""
        return self._received is not None and offer == self._received

    def offer_sent(self, offer: SessionDescription) -> None:
        """Our *offer* goes out.

        :raises LocalProtocolError: an offer waits for its answer, or this one does not fit what came before.
        """
        if self._state is not NegotiationState.STABLE:
            raise LocalProtocolError(f"No offer now: {self._state.value}")
        self._check_own(offer)
        previous = self._agreed.local
        if previous is not None and len(offer.media) < len(previous.media):
            raise LocalProtocolError("Streams are removed by port 0; their slots stay (RFC 3264 section 8)")
        conflict = check_bindings(self._agreed.local_bindings, offer)
        if conflict:
            raise LocalProtocolError(conflict)
        self._state = NegotiationState.OFFER_SENT
        self._pending = self._sent = offer

    def answer_received(self, answer: SessionDescription, *, another_fork: bool = False) -> tuple[AgreedStream, ...]:
        """The peer answers our offer.

        :param another_fork: a second answer to our last offer, which takes the place of the first.
        :returns: what it comes to, one for each slot.
        :raises RemoteProtocolError: there is no offer to be answered, or this is no answer to it; our offer waits on.
        """
        offer, base = self._pending, self._agreed
        if another_fork and self._state is NegotiationState.STABLE and base.offered_by_us:
            offer, base = base.local, self._before_answer
        elif self._state is not NegotiationState.OFFER_SENT:
            raise RemoteProtocolError("Answer without an offer")
        assert offer is not None  # one waits for its answer
        check_answer(offer, answer, strict=self._strict)
        self._check_theirs(answer, base)
        self._complete(base, offer, answer, offered_by_us=True)
        self._received = answer
        return self.streams

    def offer_received(self, offer: SessionDescription) -> None:
        """The peer offers.

        :raises RemoteProtocolError: an offer waits for its answer (491 ours, 500 theirs), or this one does not fit what
            came before (488).
        """
        if self._state is NegotiationState.OFFER_SENT:
            raise RemoteProtocolError("Offer in both directions", status=491)
        if self._state is NegotiationState.OFFER_RECEIVED:
            raise RemoteProtocolError("Offer before the last one was answered", status=500)
        check_slots(self._agreed.remote, offer)
        self._check_theirs(offer, self._agreed)
        self._state = NegotiationState.OFFER_RECEIVED
        self._pending = offer

    def answer_sent(self, answer: SessionDescription) -> tuple[AgreedStream, ...]:
        """Our *answer* goes out.

        :returns: what it comes to, one for each slot.
        :raises LocalProtocolError: there is no offer to be answered, or this is no answer to it.
        """
        if self._state is not NegotiationState.OFFER_RECEIVED or self._pending is None:
            raise LocalProtocolError(f"No answer now: {self._state.value}")
        self._check_own(answer)
        try:
            check_answer(self._pending, answer, strict=True)
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason) from None
        self._received = self._pending
        self._sent = answer
        self._complete(self._agreed, answer, self._pending, offered_by_us=False)
        return self.streams

    def rollback(self, to: Agreement | None = None) -> None:
        """The offer that waits came to nothing: all is as it was before (RFC 3264 section 4, RFC 6141 section 3).

        The version of what was sent stays used: what is sent next has a higher one.

        :param to: an earlier :meth:`checkpoint`, to undo completed exchanges too.
        """
        if self._state is NegotiationState.OFFER_RECEIVED:
            # The peer goes on from what it sent, whatever came of it.
            self._received = self._pending
        self._state = NegotiationState.STABLE
        self._pending = None
        if to is not None:
            self._agreed = self._before_answer = to

    def _complete(
        self, base: Agreement, local: SessionDescription, remote: SessionDescription, *, offered_by_us: bool
    ) -> None:
        self._before_answer = base
        ours, theirs = bound(base.local_bindings, local, remote), bound(base.remote_bindings, remote, local)
        self._agreed = Agreement(local, remote, offered_by_us, ours, theirs)
        self._state = NegotiationState.STABLE
        self._pending = None

    def _check_own(self, description: SessionDescription) -> None:
        last = self._sent
        origin = description.origin
        if last is None:
            # RFC 3264 section 5.
            digits = origin.session_id.isascii() and origin.session_id.isdigit()
            if not digits or int(origin.session_id) > _MOST_SESSION_ID or origin.version >= MOST_VERSION:
                raise LocalProtocolError("Session id and version are numbers of 63 and 62 bits (RFC 3264 section 5)")
        elif not origin.same_session(last.origin):
            raise LocalProtocolError("The o= line changes in its version alone (RFC 3264 section 8)")
        else:
            changed = attrs.evolve(description, origin=last.origin) != last
            if origin.version != last.origin.version + changed:
                raise LocalProtocolError(
                    "The version is one more exactly if something has changed (RFC 3264 section 8)"
                )

    def _check_theirs(self, description: SessionDescription, base: Agreement) -> None:
        last = self._received
        if not self._strict or last is None:
            return
        origin = description.origin
        if not origin.same_session(last.origin):
            raise RemoteProtocolError("Another session in o=", status=488)
        changed = attrs.evolve(description, origin=last.origin) != last
        if origin.version != last.origin.version + changed:
            raise RemoteProtocolError("The version in o= does not go with the content", status=488)
        conflict = check_bindings(base.remote_bindings, description)
        if conflict:
            raise RemoteProtocolError(conflict, status=488)
