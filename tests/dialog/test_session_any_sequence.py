"""Two ends of a call that do whatever comes to mind, over a link that loses and reorders: they agree in the end."""

from __future__ import annotations

import random

import pytest

from twisted_sip.dialog.invite_attempt import InviteAttempt
from twisted_sip.dialog.session import CONFIRMED, Session
from twisted_sip.dialog.session_terms import SessionTerms
from twisted_sip.testing.session_end import SessionEnd, SessionLink

#: How often each thing is done, relative to the others.
DEEDS = {
    "answer": 6,
    "ring": 2,
    "early media": 2,
    "accept": 3,
    "refuse": 1,
    "cancel": 1,
    "reinvite": 4,
    "late reinvite": 2,
    "update": 4,
    "refresh": 2,
    "info": 2,
    "bye": 0.3,
    "wait": 8,
}


class Play:
    """A call of alice's to bob, and what they do in it."""

    def __init__(self, seed: int, *, loss: float, longest: float) -> None:
        self.chance = random.Random(f"{seed} deeds")
        self.link = SessionLink(seed, loss=loss, delays=(0.01, longest))
        terms = [
            SessionTerms(
                session_expires=self.chance.choice((0, 0, 90)),
                reliable=self.chance.random() < 0.7,
                require_reliable=self.chance.random() < 0.3,
                refresher=self.chance.choice((None, "local", "remote")),
            )
            for _ in range(2)
        ]
        self.alice = SessionEnd(self.link, "alice", terms[0])
        self.bob = SessionEnd(self.link, "bob", terms[1])
        self.ends = (self.alice, self.bob)
        for end in self.ends:
            end.manual |= {"offer_received", "reinvited"} if self.chance.random() < 0.6 else set()
        self.attempt: InviteAttempt = self.alice.call("bob", offer=self.chance.random() < 0.7)

    def session_of(self, end: SessionEnd) -> Session | None:
        alive = [session for session in end.sessions if not session.over]
        return alive[-1] if alive else None

    def run(self, seconds: float) -> None:
        names, weights = list(DEEDS), list(DEEDS.values())
        end = self.link.clock.seconds() + seconds
        while self.link.clock.seconds() < end:
            self.link.advance(self.chance.choice((0.05, 0.05, 0.2, 1.0)))
            self.do(self.chance.choice(self.ends), self.chance.choices(names, weights)[0])

    def do(self, end: SessionEnd, deed: str) -> None:
        session = self.session_of(end)
        if deed == "answer":
            self.answer(end)
        elif deed == "cancel" and end is self.alice and self.chance.random() < 0.2:
            self.attempt.cancel()
        elif session is None:
            return
        elif session.invite is not None and not session.invite.answered:
            self.respond(end, session, deed)
        elif deed in ("reinvite", "late reinvite") and session.can_reinvite:
            session.reinvite(end.describe("offer") if deed == "reinvite" else None)
        elif deed == "update" and session.can_offer_update:
            session.update(end.describe("offer"))
        elif deed == "refresh" and session.can_update:
            session.update()
        elif deed == "info" and session.state == CONFIRMED:
            session.info(b"5", [("content-type", "application/dtmf")])
        elif deed == "bye" and (session.state == CONFIRMED or session.uac):
            session.bye()

    def respond(self, end: SessionEnd, session: Session, deed: str) -> None:
        invite = session.invite
        assert invite is not None
        what = "answer" if invite.offer is not None else "offer"
        described = not invite._settled and invite._preview is None and session.offers.state != "offered"
        if deed == "ring" and (invite.offer is not None or not invite._required):
            invite.progress(180)
        elif deed == "early media" and described and (invite.offer is not None or invite._possible):
            invite.progress(183, body=end.describe(what), reliable=True if invite.offer is None else None)
        elif deed == "accept":
            invite.accept(end.describe(what) if described else None)
        elif deed == "refuse" and self.chance.random() < 0.3:
            invite.reject(486)

    def answer(self, end: SessionEnd) -> None:
        for offer in end.pending:
            if self.chance.random() < 0.8:
                offer.answer(end.describe("answer"))
            else:
                offer.refuse()
        end.pending.clear()
        for invite in end.pending_invites:
            if invite.answered:
                continue
            if self.chance.random() < 0.7:
                if invite.offer is not None or invite.session.offers.stable:
                    invite.accept(end.describe("answer" if invite.offer is not None else "offer"))
            elif not invite.executed:
                invite.reject(488)
        end.pending_invites = [invite for invite in end.pending_invites if not invite.answered]


def agreed(play: Play) -> None:
    """Both ends see the same."""
    views = []
    for end in play.ends:
        views.append({s.dialog.call_id: s for s in end.sessions if not s.over and s.state == CONFIRMED})
    assert views[0].keys() == views[1].keys()
    for call_id, session in views[0].items():
        other = views[1][call_id]
        assert session.offers.stable and other.offers.stable
        assert (session.offers.local, session.offers.remote) == (other.offers.remote, other.offers.local)
        assert session.can_reinvite and other.can_reinvite


@pytest.mark.parametrize("chunk", range(10))
def test_both_agree_and_nothing_is_left(chunk: int) -> None:
    for seed in range(chunk * 15, chunk * 15 + 15):
        loss, longest = (0.0, 0.01) if seed % 5 == 0 else (0.15, 0.4)
        play = Play(seed, loss=loss, longest=longest)
        try:
            play.run(40.0)
            # What is open is answered, and what was lost comes again.
            for end in play.ends:
                end.manual.clear()
            for _ in range(12):
                for end in play.ends:
                    play.answer(end)
                play.link.advance(8.0, 0.2)
            ringing = [s for s in play.bob.sessions if not s.over and s.invite is not None and not s.invite.answered]
            for session in ringing:
                session.invite.reject(480)  # type: ignore[union-attr]
            play.link.advance(70.0, 0.2)
            agreed(play)
            for end in play.ends:
                session = play.session_of(end)
                if session is not None and session.state == CONFIRMED:
                    # Both at once.
                    session.bye()
            play.link.advance(300.0, 1.0)
            for end in play.ends:
                assert end.settled()
                assert end.names().count("ended") == end.names().count("gone") == len(end.sessions)
            assert play.attempt.gone
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
