"""What the control socket can do for ``twisted-sip explain``: tell why a call went the way it did."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import attrs

from twisted_sip.element.decisions import Decisions
from twisted_sip.element.trace import Trace
from twisted_sip.tap.control import Command, CommandError
from twisted_sip.tap.control_commands import read_text


def explain_commands(decisions: Decisions | None, trace: Trace | None) -> dict[str, Command]:
    """Return the commands that show *decisions*, beside the messages in *trace*; None means that they are not kept."""

    def on() -> Decisions:
        if decisions is None:
            raise CommandError("decisions are not kept: set [trace] decisions to more than 0")
        return decisions

    def explain(request: Mapping[str, Any]) -> Any:
        user, method = read_text(request, "user"), read_text(request, "method").upper()
        if user or request.get("last"):
            call_id = _newest(on(), user, method)
        else:
            call_id = _one(on(), trace, read_text(request, "call_id"))
        found: dict[str, Any] = {"call_id": call_id, "decisions": [attrs.asdict(one) for one in on().call(call_id)]}
        if request.get("messages"):
            if trace is None:
                raise CommandError("the trace is off: set [trace] enabled = true")
            found["messages"] = [attrs.asdict(message) for message in trace.call(call_id)]
        return found

    return {"explain": explain}


def _newest(decisions: Decisions, user: str, method: str) -> str:
    """Return the Call-ID of the call that began last, of *user* and begun by *method* where those are given.

    :raises CommandError: there is none.
    """
    found = decisions.newest(method, user)
    if found is None:
        begun = f" begun by {method}" if method else ""
        about = f" of {user.removeprefix('sip:')}" if user else ""
        raise CommandError(f"nothing was decided about a call{about}{begun}")
    return found


def _one(decisions: Decisions, trace: Trace | None, text: str) -> str:
    """Return the one Call-ID that is *text* or begins with it.

    :raises CommandError: there is none, or several.
    """
    if decisions.call(text):
        return text
    found = list(islice(decisions.find(text), 100)) if text else []
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"{len(found)} Call-IDs begin with {text}")
    if trace is not None and next(trace.find(text), None) is not None:
        raise CommandError(f"nothing is known of what was decided about {text}, the trace has its messages alone")
    raise CommandError(f"nothing was decided about a call {text}")
