"""What the control socket can do for ``twisted-sip explain``: tell why a call went the way it did.

Whether somebody who is not registered is a user at all is looked up when it is asked, not when the call comes: a look
at the users for each such call would cost the server something, and would tell the caller by the time it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from twisted_sip.element.decisions import Decision, Decisions, Row, decision_of
from twisted_sip.element.trace import Trace
from twisted_sip.errors import SIPError
from twisted_sip.proxy.notes import AWAY, UNKNOWN
from twisted_sip.tap.control import Command, CommandError
from twisted_sip.tap.control_commands import read_text

#: Tells whether there is a user with an address-of-record.
Known = Callable[[str], "bool | Deferred[bool]"]


def explain_commands(
    decisions: Decisions | None,
    trace: Trace | None,
    user_known: Known | None = None,
    users_key: Callable[[], str] = lambda: "",
) -> dict[str, Command]:
    """Return the commands that show *decisions*, beside the messages in *trace*; None means that they are not kept.

    :param user_known: tells users from others, None where that cannot be told.
    :param users_key: gives the key of the configuration that says where users are kept.
    """

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
        rows = on().rows(call_id)
        found: dict[str, Any] = {"call_id": call_id, "decisions": [attrs.asdict(decision_of(row)) for row in rows]}
        if request.get("messages"):
            if trace is None:
                raise CommandError("the trace is off: set [trace] enabled = true")
            found["messages"] = [attrs.asdict(message) for message in trace.call(call_id)]
        if user_known is None or not any(row[4] == AWAY for row in rows):
            return found
        return Deferred.fromCoroutine(_with_unknown(found, rows, user_known, users_key()))

    return {"explain": explain}


async def _with_unknown(found: dict[str, Any], rows: Sequence[Row], known: Known, key: str) -> dict[str, Any]:
    """Return *found*, which is made of *rows*, with it said which of those who are not registered are no users."""
    found["decisions"] = [attrs.asdict(await _told(row, known, key)) for row in rows]
    return found


async def _told(row: Row, known: Known, key: str) -> Decision:
    if row[4] == AWAY:
        try:
            answer = known(row[6])
            if not (await answer if isinstance(answer, Deferred) else answer):
                return decision_of((*row[:4], UNKNOWN, key, *row[6:]))
        except SIPError:
            # Nobody can tell now.
            pass
    return decision_of(row)


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
