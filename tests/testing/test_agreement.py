"""What is called a contradiction, and what is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_sip.testing.agreement import disagreements
from twisted_sip.testing.behaviour import BUSY, Behaviour
from twisted_sip.testing.network import Network
from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.phone_calls import IncomingCall, OutgoingCall
from twisted_sip.testing.server import SimulatedServer


class Stage:
    def __init__(self, behaviour: Behaviour) -> None:
        self.network = Network()
        server = SimulatedServer(self.network)
        self.alice, self.bob = (
            SimulatedPhone(
                self.network, self.network.node(f"198.51.100.{number}"), user, proxy=server.route(), behaviour=behaviour
            )
            for number, user in enumerate(("alice", "bob"), 1)
        )
        self.bob.registration.start(60)
        self.network.advance(1.0)
        self.call: OutgoingCall = self.alice.call("sip:bob@example.com")
        self.network.advance(20.0)
        self.leg: IncomingCall = self.bob.incoming[0]

    def found(self, calm: bool = False) -> list[str]:
        self.bob.quiet()
        return disagreements([self.alice, self.bob], calm=calm)


def talked() -> Stage:
    return Stage(Behaviour(reacts_after=0.5, talks=3.0))


def refused() -> Stage:
    return Stage(Behaviour(reaction=BUSY, reacts_after=0.5))


def test_agreement() -> None:
    assert talked().found(calm=True) == []
    assert refused().found(calm=True) == []


def _another_final(stage: Stage) -> None:
    stage.call.sent.finals.append(486)


def _no_final(stage: Stage) -> None:
    stage.call.sent.finals.clear()


def _a_failure_too(stage: Stage) -> None:
    stage.call.sent.failures.append(408)


def _unknown_to_the_callee(stage: Stage) -> None:
    stage.leg.tag = "another"


def _never_answered(stage: Stage) -> None:
    stage.leg.status = 486


def _still_up(stage: Stage) -> None:
    assert stage.leg.dialog is not None
    stage.leg.dialog.ended = ""


def _caller_still_up(stage: Stage) -> None:
    next(iter(stage.call.dialogs.values())).ended = ""


def _unseen_by_the_caller(stage: Stage) -> None:
    stage.call.dialogs.clear()


def _refused_beside_the_answer(stage: Stage) -> None:
    stage.call.status = 487


def _nobody_called(stage: Stage) -> None:
    stage.alice.calls.clear()


def _of_two_minds(stage: Stage) -> None:
    next(iter(stage.alice.finals.values())).update((200, 486))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_another_final, "2 outcomes|3 outcomes"),
        (_no_final, "0 outcomes"),
        (_a_failure_too, "2 outcomes"),
        (_unknown_to_the_callee, "answered by nobody"),
        (_never_answered, "answered by nobody"),
        (_still_up, "not over for the callee"),
        (_caller_still_up, "not over for the caller"),
        (_unseen_by_the_caller, "acknowledged by nobody"),
        (_refused_beside_the_answer, "a 2xx beside the outcome 487"),
        (_nobody_called, "nobody has called"),
        (_of_two_minds, r"\[200, 486\] for INVITE"),
    ],
)
def test_contradictions(change: Callable[[Stage], None], complaint: str) -> None:
    stage = talked()
    change(stage)
    found = stage.found()
    assert any(word in line for line in found for word in complaint.replace("\\", "").split("|")), found


def test_a_2xx_that_was_never_acknowledged_contradicts_nothing() -> None:
    stage = talked()
    stage.leg.acknowledged = False
    assert stage.leg.dialog is not None
    stage.leg.dialog.ended = "no ack"
    stage.call.dialogs.clear()
    stage.call.status = 408
    stage.call.sent.finals[:] = [408]
    assert stage.found() == []
    # Where nothing gets lost it does.
    assert any("a 2xx that nobody saw" in line for line in stage.found(calm=True))


def test_where_nothing_gets_lost_outcomes_and_byes_are_looked_at() -> None:
    stage = refused()
    stage.call.status = 500
    assert any("out of nowhere" in line for line in stage.found(calm=True))
    assert stage.found() == []
    stage = talked()
    assert stage.leg.dialog is not None
    for dialog in (stage.leg.dialog, *stage.call.dialogs.values()):
        dialog.bye_outcome = 408
    assert any("BYE was answered [408]" in line for line in stage.found(calm=True))
    stage = talked()
    for dialog in stage.call.dialogs.values():
        dialog.ended = "bye received"
    assert stage.leg.dialog is not None
    stage.leg.dialog.ended = "bye received"
    assert any("ended as" in line for line in stage.found(calm=True))
    # Both at once is possible.
    stage = talked()
    for dialog in (stage.leg.dialog, *stage.call.dialogs.values()):
        assert dialog is not None
        dialog.ended, dialog.bye_outcome = "bye sent", 481
    assert stage.found(calm=True) == []


def test_the_dead_contradict_nobody() -> None:
    stage = Stage(Behaviour(reacts_after=0.5, talks=100.0))
    stage.alice.node.crash()
    stage.network.advance(20.0)
    assert any("not over for the callee" in line for line in stage.found())
    stage.network.advance(150.0)
    assert stage.found() == []
    assert stage.call.over is False
    stage = Stage(Behaviour(reacts_after=0.5, talks=100.0))
    stage.bob.node.crash()
    stage.network.advance(150.0)
    assert stage.found() == []
    assert stage.leg.over is False


def test_a_message_that_was_acknowledged_has_arrived() -> None:
    stage = talked()
    stage.alice.message("sip:bob@example.com", "hello")
    stage.network.advance(1.0)
    assert stage.found() == []
    stage.bob.message_ids.clear()
    assert any("acknowledged and not delivered" in line for line in stage.found())
