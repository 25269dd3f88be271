"""What the agents of a play of calls do, drawn by chance: to calls that come in, in calls, and both sides at once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from twisted_sip.agent.call import Call
from twisted_sip.agent.call_events import CallState
from twisted_sip.dialog.session_terms import SessionBody
from twisted_sip.errors import LocalProtocolError
from twisted_sip.testing.simulated_agent import SimulatedAgent

if TYPE_CHECKING:
    from twisted_sip.testing.call_play import CallPlay

#: Refusals of users.
_REFUSALS = (486, 480, 603, 404, 488)


class CallActs:
    """The acts of one play."""

    def __init__(self, play: CallPlay) -> None:
        self._play = play
        self._chance: random.Random = play.chance

    # -- calls that come in ---------------------------------------------------------------

    def react(self, call: Call) -> None:
        """Do something about a call that has come in, now or later."""
        play, chance = self._play, self._chance
        agent: Any = call.agent
        play.watch(agent, call)
        if chance.random() < 0.8:
            play.at(chance.choice((0.0, 0.05, 1.0)), self._ring, agent, call)
        drawn = chance.random()
        wait = chance.choice((0.0, 0.01, 0.3, 2.0, 8.0))
        if drawn < 0.72:
            play.at(wait, self._answer, agent, call)
        elif drawn < 0.84:
            play.at(wait, self._reject, agent, call)
        elif drawn < 0.90:
            play.at(wait, self._redirect, agent, call)
        elif drawn < 0.94:
            play.at(wait, self.hang_up, agent, call)
        # Else it rings for as long as it may.

    def _ring(self, agent: SimulatedAgent, call: Call) -> None:
        chance = self._chance
        if call.state not in (CallState.TRYING, CallState.RINGING):
            return
        early = chance.random() < 0.3
        self._play.note(agent, f"ring{' with media' if early else ''}")
        reliable = chance.choice((None, None, False))
        self._play.promised(agent, f"ring {call!r}", call.ring(early_media=early, reliable=reliable))

    def _answer(self, agent: SimulatedAgent, call: Call) -> None:
        if call.state in (CallState.TRYING, CallState.RINGING):
            self._play.note(agent, "answer")
            self._play.promised(agent, f"answer {call!r}", call.answer())

    def _reject(self, agent: SimulatedAgent, call: Call) -> None:
        if call.state in (CallState.TRYING, CallState.RINGING):
            self._play.note(agent, "reject")
            call.reject(self._chance.choice(_REFUSALS))

    def _redirect(self, agent: SimulatedAgent, call: Call) -> None:
        if call.state in (CallState.TRYING, CallState.RINGING):
            self._play.note(agent, "redirect")
            call.redirect(self._chance.choice(self._play.agents).uri)

    # -- anything ------------------------------------------------------------------------------

    def something(self) -> None:
        """Do something."""
        play, chance = self._play, self._chance
        agent = chance.choice(play.living)
        calls = [call for call in agent.calls if call.state is not CallState.ENDING]
        if not calls or chance.random() < 0.25:
            self.call(agent)
            return
        call = chance.choice(calls)
        if not call.established:
            if call.outgoing and chance.random() < 0.4:
                self.hang_up(agent, call)
            elif chance.random() < 0.3:
                # Not to be had yet; the program is told so.
                play.promised(agent, "hold too early", call.hold())
            return
        acts = (self.hold, self.resume, self.change, self.change_late, self.update, self.info, self.both, self.hang_up)
        weights = (4, 3, 2, 2, 3, 1, 8, 2)
        drawn = chance.choices((*acts, self.transfer, self.attended), weights=(*weights, 3, 3))[0]
        drawn(agent, call)

    def call(self, agent: SimulatedAgent) -> None:
        """Call somebody."""
        play, chance = self._play, self._chance
        others = sorted({other.uri for other in play.agents if other.uri != agent.uri})
        if len(agent.calls) >= 3 or not others:
            return
        play.note(agent, "call")
        call = agent.call(chance.choice(others), timeout=chance.choice((None, None, 5.0)))
        play.watch(agent, call)
        if chance.random() < 0.35:
            # CANCEL, at the time of the answer perhaps.
            play.at(chance.choice((0.0, 0.02, 0.3, 1.0, 2.05, 8.1)), self.hang_up, agent, call)

    def hang_up(self, agent: SimulatedAgent, call: Call) -> None:
        """End a call, wherever it is."""
        if agent in self._play.living and not call.over:
            self._play.note(agent, "hangup" if call.established else "cancel")
            self._play.promised(agent, f"hangup {call!r}", call.hangup())

    def hold(self, agent: SimulatedAgent, call: Call) -> None:
        """Put the peer on hold."""
        self._play.note(agent, "hold")
        self._play.promised(agent, f"hold {call!r}", call.hold())

    def resume(self, agent: SimulatedAgent, call: Call) -> None:
        """Take the peer back."""
        self._play.note(agent, "resume")
        self._play.promised(agent, f"resume {call!r}", call.resume())

    def change(self, agent: SimulatedAgent, call: Call) -> None:
        """Offer anew."""
        self._play.note(agent, "change")
        self._play.promised(agent, f"change {call!r}", call.update())

    def change_late(self, agent: SimulatedAgent, call: Call) -> None:
        """Have the peer offer anew."""
        self._play.note(agent, "change-late")
        self._play.promised(agent, f"change-late {call!r}", call.update(late=True))

    def update(self, agent: SimulatedAgent, call: Call) -> None:
        """Offer anew with an UPDATE (RFC 3311), or refresh with one that offers nothing."""
        session = call.session
        if session is None or not session.can_update:
            return
        if not session.can_offer_update or not call.changes.idle or self._chance.random() < 0.3:
            self._play.note(agent, "update without offer")
            session.update()
            return

        def send(body: SessionBody | None) -> None:
            self._play.note(agent, "update")
            session.update(body)

        def failed(failure: Failure) -> None:
            failure.trap(LocalProtocolError)

        call.descriptions.offer().addCallback(send).addErrback(failed)

    def info(self, agent: SimulatedAgent, call: Call) -> None:
        """Press keys."""
        self._play.note(agent, "info")
        self._play.promised(agent, f"info {call!r}", call.send_dtmf("1#", "info"))

    def refuse_media(self, agent: SimulatedAgent, call: Call) -> None:
        """Refuse what the peer offers, for a while."""
        self._play.note(agent, "refuse media")
        agent.ports.refuses = True
        self._play.at(3.0, setattr, agent.ports, "refuses", False)

    def transfer(self, agent: SimulatedAgent, call: Call) -> None:
        """Have the peer call somebody else."""
        play = self._play
        target = self._chance.choice([other for other in play.agents if other is not agent])
        play.note(agent, "transfer")
        play.promised(agent, f"transfer {call!r}", call.transfer(target.uri).done)

    def attended(self, agent: SimulatedAgent, call: Call) -> None:
        """Have the peer take the place of another call of ours."""
        others = [other for other in agent.calls if other is not call and other.established]
        if not others:
            return
        self._play.note(agent, "attended transfer")
        done = call.transfer(self._chance.choice(others)).done
        self._play.promised(agent, f"attended {call!r}", done)

    # -- both sides at once ----------------------------------------------------------------------

    def other_end(self, call: Call) -> tuple[SimulatedAgent, Call] | None:
        """Return the other end of *call* and whose it is, None if it is not there."""
        dialog = call.dialog
        if dialog is None:
            return None
        for agent in self._play.living:
            for other in agent.calls:
                if other is call or other.dialog is None:
                    continue
                id = other.dialog.id
                if (id.call_id, id.local_tag, id.remote_tag) == (
                    dialog.id.call_id,
                    dialog.id.remote_tag,
                    dialog.id.local_tag,
                ):
                    return agent, other
        return None

    def both(self, agent: SimulatedAgent, call: Call) -> None:
        """Both sides do something within the time that a message takes."""
        found = self.other_end(call)
        if found is None:
            return
        chance = self._chance
        acts = (self.hold, self.change, self.change_late, self.update, self.update, self.hang_up, self.resume)
        ours, theirs = chance.choices(acts, k=2)
        if chance.random() < 0.2:
            ours = theirs = self.hang_up
        elif chance.random() < 0.15:
            self.refuse_media(*found)
        self._play.seen(f"both: {' and '.join(sorted((ours.__name__, theirs.__name__)))}")
        ours(agent, call)
        most = self._play.network.conditions.delay[1]
        self._play.at(chance.choice((0.0, chance.uniform(0.0, 2 * most))), self._if_there, theirs, *found)

    def _if_there(self, act: Any, agent: SimulatedAgent, call: Call) -> None:
        if agent in self._play.living and not call.over:
            act(agent, call)
