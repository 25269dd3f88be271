"""What admission says of its decisions to those who ask later (element.decisions): words, and the key that caused them.

Most are constant texts, since one of them is noted for each request.
"""

from __future__ import annotations

from twisted_sip.auth.authenticator import Authenticator, Challenge, Refused
from twisted_sip.auth.credentials import user_of
from twisted_sip.auth.settings import AuthSettings
from twisted_sip.element.anonymous import credential_realms
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI

IN_DIALOG = "in a dialog that was let in: the token in its Route is good"
OLD_DIALOG = "in a dialog that was let in long ago: its sender is asked who it is"
OTHER_PARTIES = "in a dialog that was let in, but in the name of others: taken for a request of its own"
LOST_DIALOG = "481: the token in its Route is not of this dialog"
NO_DIALOG = "403: it brings no token of a dialog, and {0} is none of our users"
LOST_ACK = "dropped: an ACK that brings no token of a dialog and leads elsewhere"
BELIEVED = "taken for {0}: nobody is asked for a password"
NOT_BELIEVED = "403: not taken for {0}"
ROUTED = "403: its Route leads on, and {0} has proved nothing"
PEER = "from a server that has proved to be that of the sender's domain, for one of our users"
STRANGER = "from somebody elsewhere, for one of our users"
PROVED = "{0} has proved to be the sender"
NO_OWNER = "403: digest user {0} may not speak as {1}"
NO_ROUTES = "403: digest user {0} may not send to where its Route leads", ""

#: Words, key, and what stands for {0} and {1}: the arguments of IncomingRequest.note after the room.
Note = tuple[str, str, str, str]


def no_owner(request: Request) -> tuple[str, str]:
    """Return words and key for a digest user who may not speak as the sender of *request*."""
    return NO_OWNER, "registrar.third_party" if request.method == "REGISTER" else ""


def why_no_stranger(incoming: IncomingRequest, for_us: bool, foreign_callers: bool) -> Note:
    """Return why a request of somebody elsewhere is refused."""
    uri = incoming.request.uri_text
    if not for_us:
        return "403: neither the sender is one of our users nor {0}", "server.domains", uri, ""
    if not foreign_callers:
        return "403: only our users may send, not those elsewhere", "auth.foreign_callers", "", ""
    return "403: {0} is banned", "auth.ban_users", incoming.flow.remote.host, ""


def users_key(settings: AuthSettings) -> str:
    """Return the key that says where users are kept."""
    return "auth.credentials_url" if settings.credentials_url else "storage.directory"


def why_unproved(
    request: Request, outcome: Challenge | Refused, realm: str, identity: SIPURI, asked: Authenticator
) -> Note:
    """Return why *request*, which claims to be from *identity*, has not proved it to *asked*.

    Whether there is a user is said here alone, to those who run the server: the peer is told the same in both cases.
    """
    status = outcome.status
    if isinstance(outcome, Refused):
        if outcome.reason:
            return "{0}: {1}", "", str(status), outcome.reason
        if outcome.limit == "ban_users":
            return "403: wrong passwords for too many users have come from there", "auth.ban_users", "", ""
        return (
            "{0}: wrong passwords for {1} have come too often from there",
            "auth.ban_failures",
            str(status),
            identity.text,
        )
    if outcome.wrong is not None:
        return _why_wrong(outcome, identity, asked.settings)
    field = "proxy-authorization" if status == 407 else "authorization"
    names = request.headers.names
    if field not in names:
        text = "407: {0} has to prove it, for realm {1}" if status == 407 else "401: {0} has to prove it, for realm {1}"
        return text, "auth.required", identity.text, realm
    if outcome.stale:
        return (
            "{0}: {1} is asked again, the nonce was not one that is good now",
            "auth.nonce_lifetime",
            str(status),
            identity.text,
        )
    if realm not in credential_realms(request, field):
        return (
            "{0}: {1} has to prove it, its credentials are for another realm",
            "auth.realm",
            str(status),
            identity.text,
        )
    given = request.headers.all(field)
    offered = {_parameter(value, "algorithm") for _, value in outcome.headers}
    if not any((_parameter(value, "algorithm") or "md5") in offered for value in given):
        return (
            "{0}: {1} has answered with an algorithm that is not offered",
            "auth.algorithms",
            str(status),
            identity.text,
        )
    if all("qop" not in value for value in given):
        return "{0}: the answer of {1} has no qop", "auth.require_qop", str(status), identity.text
    return "{0}: the answer of {1} protects what was not asked for (qop)", "auth.qop", str(status), identity.text


def _why_wrong(outcome: Challenge, identity: SIPURI, settings: AuthSettings) -> Note:
    """Return why an answer that was looked at is wrong."""
    user = outcome.wrong
    if not user:
        # RFC 7616 section 3.4.4: nobody was asked for that.
        return (
            "{0}: the digest user name for {1} is hashed, and cannot be looked up",
            "",
            str(outcome.status),
            identity.text,
        )
    whose = "{0}" if user == user_of(identity) else "{1}, who would speak as {0},"
    if not outcome.known:
        text = f"{outcome.status}: there is no user {whose}".rstrip(",")
        return text, users_key(settings), identity.text, user
    # Who keeps the passwords elsewhere looks there; here they are asked for because of one key.
    key = "auth.credentials_url" if settings.credentials_url else "auth.required"
    return f"{outcome.status}: the password of {whose} is wrong", key, identity.text, user


def _parameter(value: str, name: str) -> str:
    """Return the parameter *name* of credentials or of a challenge in lower case, empty where it is missing."""
    for part in value.split(","):
        key, _, found = part.rpartition(" ")[2].partition("=")
        if key.strip().lower() == name:
            return found.strip().strip('"').lower()
    return ""
