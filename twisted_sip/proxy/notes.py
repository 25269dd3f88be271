"""What the proxy says of its decisions to those who ask later (element.decisions).

Texts on the usual way of a request are constant; the rest is put together here, and only if decisions are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.proxy.branch import Branch

FOUND = "{0} is at {1}"
NOT_OURS = "{0} is in no domain of ours: it goes where its host leads"
NO_NUMBER = "404: {0} is no SIP URI, and no route takes it"
NOBODY = "404: {0} names no user"
NO_GRUU = "404: {0} is no GRUU that is good now"
AWAY = "480: {0} is not registered"
UNKNOWN = "480: {0} is not registered: there is no such user"
STAYS = "stays in the path of the dialog (Record-Route)"
LEAVES = "does not stay in the path of the dialog"
BY_PATH = "over the flow that the Path of a registration names"
BY_ROUTE = "goes where its Route or maddr says"
LOOP = "482: it has been here before, the same in all that routing depends on"
BREADTH = "440: its Max-Breadth is used up"
NO_SIPS = "480: the Request-URI is sips, and no contact is"
TOO_MANY = "of {0} targets no more than {1} are asked"
GIVEN_UP = "the caller has given up: what rings is cancelled"
NEXT_FLOW = "another flow of the same device is tried"
ANSWERED = "{0} has answered: the others are cancelled"
RANG = "{0} has rung for {1} s: given up"
SILENT = "{0} has said nothing for {1} s: given up"
GROUP = "asked: {0}"
ATTEMPT, NEXT_SERVER = "{0} leads to {1}", "{0} has another server, it is tried: {1}"


class Forking(Protocol):
    """A request on its way to several targets, as far as is told of it.

    :ivar incoming: the request.
    :ivar breadth: how many may be asked at a time.
    """

    @property
    def incoming(self) -> IncomingRequest: ...

    @property
    def breadth(self) -> int: ...


def note_refusal(incoming: IncomingRequest, response: Response) -> Response:
    """Note that the proxy has answered with *response* before it has looked for a way, and return it."""
    incoming.note("proxy", "{0}: {1}", "", str(response.status), response.reason)
    return response


def note_contacts(incoming: IncomingRequest, aor: str, targets: Sequence[Target]) -> None:
    """Note the *targets* that stand for *aor*, each with what tells it from others."""
    for target in targets:
        facts = [FOUND]
        if target.q != 1000:
            facts.append(f"q={target.q / 1000:g}")
        if target.waking is not None:
            facts.append("asleep: it is woken first")
        elif target.flow_lost:
            facts.append("its connection is gone")
        elif target.flow is not None:
            facts.append("over the flow of its registration")
        if target.path:
            facts.append("by way of its Path")
        incoming.note("location", ", ".join(facts), "", aor, str(target.uri))


def note_group(context: Forking, group: Sequence[Target], left: bool) -> None:
    """Note that *group* is asked now, one of several or of several targets.

    :param left: there are others to be asked later.
    """
    key = "proxy.max_breadth" if left and len(group) == context.breadth else "proxy.fork"
    context.incoming.note("proxy", GROUP, key, ", ".join([str(target.uri) for target in group]))


def note_outcome(branch: Branch, incoming: IncomingRequest, status: int, reason: str, answered: bool) -> None:
    """Note how a *branch* has ended without success.

    :param answered: somebody has sent this; else it was made here.
    """
    place = str(branch.target.uri)
    if answered:
        incoming.note("proxy", "{0} has answered {1}", "", place, f"{status} {reason}")
    elif status == 430 or branch.target.flow_lost:
        incoming.note("proxy", "{0} was not reached: its connection is gone", "", place)
    elif status == 408:
        incoming.note("proxy", "{0} has not answered", "", place)
    else:
        incoming.note("proxy", "{0} was not reached: {1}", "", place, f"{status} {reason}")


def note_chosen(context: Forking, responses: Sequence[Response], chosen: Response) -> None:
    """Note which of several *responses* goes back to the caller, or in what form."""
    known = ", ".join([str(response.status) for response in responses])
    if len(responses) > 1:
        context.incoming.note("proxy", "of {0} goes back {1}", "", known, f"{chosen.status} {chosen.reason}")
    elif responses and chosen.status != responses[0].status:
        context.incoming.note("proxy", "{0} goes back as {1}", "", known, f"{chosen.status} {chosen.reason}")
