"""Whether the two ends of every call agree, and every request had one outcome: what phones remember is compared.

Agreement, by RFC 3261: a caller has one outcome of its INVITE; a 2xx that it saw was sent by the phone whose tag it
carries (section 13.2.2.4); a phone whose 2xx was acknowledged has a caller that saw it; where the caller saw another
outcome, or none, a 2xx that was sent all the same was never acknowledged and its sender has ended the dialog by itself
(section 13.3.1.4); and in the end nobody thinks that a call is still up, even if every BYE was lost (section 15.1.1:
who sends BYE is done, its answer does not matter).
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted_sip.testing.phone import SimulatedPhone
from twisted_sip.testing.phone_calls import IncomingCall, OutgoingCall

#: Seconds within which a phone hears that it need not ring any longer.
_SOON = 6.0


def disagreements(phones: Iterable[SimulatedPhone], *, calm: bool = False, one_mind: bool = True) -> list[str]:
    """Return a line for each contradiction, after all calls of *phones* are over.

    :param phones: every phone that was there. Of those whose nodes have crashed only what they said while they lived
        counts.
    :param calm: nothing was lost and nobody crashed: then each BYE came and was answered, the outcome of a call that
        did not come about is what a callee, the caller or the server said, and once there is an outcome no other phone
        rings on.
    :param one_mind: no server has crashed: then all final responses to one request have the same status.
    """
    phones = list(phones)
    legs: dict[str, list[IncomingCall]] = {}
    for phone in phones:
        for leg in phone.incoming:
            legs.setdefault(leg.call_id, []).append(leg)
    delivered = {call_id for phone in phones for call_id in phone.message_ids}
    found: list[str] = []
    for phone in phones:
        if not phone.alive:
            # Its calls have no caller any more, who could contradict.
            for call in phone.calls:
                found += _orphans(legs.pop(call.call_id, []))
            continue
        for sent in phone.sent:
            if sent.method == "MESSAGE" and sent.outcome == 200 and sent.call_id not in delivered:
                found.append(f"acknowledged and not delivered: {sent!r} of {phone.user}")
            if sent.outcomes != 1:
                found.append(f"{phone.user}: {sent.outcomes} outcomes of {sent!r}")
        if one_mind:
            for (branch, method), statuses in phone.finals.items():
                if len(statuses) > 1:
                    found.append(f"{phone.user}: {sorted(statuses)} for {method} {branch}")
        for call in phone.calls:
            found += _call(call, legs.pop(call.call_id, []), calm)
    for rest in legs.values():
        found += [f"nobody has called: {leg!r}" for leg in rest]
    return found


def _call(call: OutgoingCall, legs: list[IncomingCall], calm: bool) -> list[str]:
    found: list[str] = []
    by_tag = {leg.tag: leg for leg in legs}
    if not call.over:
        found.append(f"not over for the caller: {call!r}")
    for tag in call.dialogs:
        leg = by_tag.get(tag)
        if leg is None or leg.status != 200:
            found.append(f"answered by nobody: {call!r} against {leg!r}")
    if call.dialogs and not 200 <= call.status < 300:
        found.append(f"a 2xx beside the outcome {call.status}: {call!r}")
    found += _orphans(legs)
    for leg in legs:
        if leg.acknowledged and leg.tag not in call.dialogs:
            found.append(f"acknowledged by nobody: {leg!r} against {call!r}")
        if leg.dialog is None or leg.tag in call.dialogs or not leg.phone.alive:
            continue
        if leg.dialog.ended != "no ack":
            found.append(f"ended by nobody: {leg!r} against {call!r}")
    if calm:
        found += _calm(call, legs)
    return found


def _orphans(legs: list[IncomingCall]) -> list[str]:
    """What holds for the callees, whatever became of the caller."""
    return [f"not over for the callee: {leg!r}" for leg in legs if leg.phone.alive and not leg.over]


def _calm(call: OutgoingCall, legs: list[IncomingCall]) -> list[str]:
    """What holds besides where nothing gets lost."""
    found: list[str] = []
    said = {leg.status for leg in legs}
    own = {404, 408, 430, 480, 482, 487}
    if call.cancelled:
        # No challenge is answered for a call that was given up.
        own |= {401, 407}
    if not call.dialogs and call.status not in said | own:
        found.append(f"an outcome out of nowhere: {call!r} against {legs!r}")
    for leg in legs:
        if call.status == 480 and leg.began_at > call.decided_at - _SOON:
            # A stateless refusal (section 8.2.7) is no promise: when the callee has registered between the INVITE and a
            # retransmission of it that is still under way, the phone rings for nobody and is given up by Timer C.
            continue
        if leg.decided_at > call.decided_at + _SOON:
            found.append(f"rang in vain until {leg.decided_at:.3f}: {leg!r} against {call!r} at {call.decided_at:.3f}")
        if leg.dialog is None:
            continue
        dialog = call.dialogs.get(leg.tag)
        if dialog is None:
            found.append(f"a 2xx that nobody saw: {leg!r} against {call!r}")
            continue
        ends = sorted((dialog.ended, leg.dialog.ended))
        outcomes = {dialog.bye_outcome, leg.dialog.bye_outcome} - {0}
        if ends not in (["bye received", "bye sent"], ["bye sent", "bye sent"]):
            found.append(f"ended as {ends}: {leg!r} against {call!r}")
        elif not outcomes <= ({200} if ends[0] == "bye received" else {200, 481}):
            found.append(f"BYE was answered {sorted(outcomes)}: {leg!r} against {call!r}")
    return found
