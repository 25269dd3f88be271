"""Responses to an INVITE of the peer, with all that the dialog needs (RFC 3261 sections 12.1.1, 13.3.1, RFC 6228)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_sip.dialog.dialog import record_route_of
from twisted_sip.dialog.session_terms import Header, SessionBody, option_tags
from twisted_sip.errors import LocalProtocolError
from twisted_sip.message.builders import response_to
from twisted_sip.message.request import Request
from twisted_sip.message.response import Response

if TYPE_CHECKING:
    from twisted_sip.dialog.invite_usage import InviteUsage


def invite_response(
    session: InviteUsage, request: Request, status: int, reason: str, fields: list[Header], body: SessionBody | None
) -> Response:
    """Return a response to *request*, an INVITE in *session*: with what we can do unless it is a refusal.

    :param fields: further header fields.
    :raises LocalProtocolError: a value that SIP does not allow.
    """
    made = response_to(request, status, reason, fields, b"", session.dialog.local_tag)
    headers = made.headers
    if status < 300:
        terms = session.terms
        routed = "record-route" in request.headers.names
        if body is not None and not routed and body[0] == "application/sdp":
            # The usual case of what follows.
            headers.add(terms.sdp_lines)
            made.body = body[1]
            return made
        headers.add(terms.lines)
        if routed:
            headers.extend(record_route_of(request))
    else:
        headers.extend(session.terms.headers)
    if body is not None:
        body.put_into(made)
    return made


def check_early_end(request: Request, made: Response) -> None:
    """See to it that *made*, a 199 to *request*, is as RFC 6228 section 5 has it.

    :raises LocalProtocolError: the peer does not support 199, or there is no Reason.
    """
    if "199" not in option_tags(request, "supported"):
        raise LocalProtocolError("the peer does not support 199")
    if "reason" not in made.headers.names:
        raise LocalProtocolError("a 199 says in a Reason what has ended the early dialog")
    tags = [tag.strip() for tag in made.headers.elements("supported")]
    made.headers.set("supported", ", ".join(tag for tag in tags if tag != "199"))
