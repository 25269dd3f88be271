"""Calls as dialogs of one of their users (RFC 4235 section 4.1): local and remote, instead of caller and callee."""

from __future__ import annotations

from hashlib import blake2s
from typing import NamedTuple

from twisted_sip.documents.dialog_info import DialogTarget, Identity, Participant, ReplacedDialog, ReportedDialog
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.calls import CONFIRMED, EARLY, PROCEEDING, TERMINATED, TRYING, Call
from twisted_sip.message.grammar import split_list, unquote
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.transfer import Replaces

#: The states, as they follow each other.
STATE_ORDER = (TRYING, PROCEEDING, EARLY, CONFIRMED, TERMINATED)


class Side(NamedTuple):
    """One side of a call: a dialog as that user has it.

    :ivar call: the call.
    :ivar initiator: the caller's side.
    """

    call: Call
    initiator: bool

    @property
    def id(self) -> str:
        """What names it among the current dialogs of the user; it stays when the tag of the callee comes."""
        call = self.call
        text = f"{call.call_id}\n{call.caller_tag}\n{call.number}\n{self.initiator}"
        return blake2s(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()

    @property
    def local_tag(self) -> str:
        """The tag of the user."""
        return self.call.caller_tag if self.initiator else self.call.callee_tag

    @property
    def remote_tag(self) -> str:
        """The tag of the other side."""
        return self.call.callee_tag if self.initiator else self.call.caller_tag


def sides_of(call: Call, aor: str) -> list[Side]:
    """Return the sides of *call* at which *aor* is: both where users call themselves."""
    sides = []
    if call.caller_aor == aor:
        sides.append(Side(call, True))
    if call.callee_aor == aor:
        sides.append(Side(call, False))
    return sides


def reported(side: Side, now: float, session: bool) -> ReportedDialog:
    """Return what is told of a dialog.

    :param now: seconds since the epoch.
    :param session: with the session description of the user (section 4.1.6.3), where it is known.
    """
    call, initiator = side
    description = call.caller_session if initiator else call.callee_session
    caller = _participant(call.caller, call.caller_contact)
    callee = _participant(call.callee, call.callee_contact)
    local, remote = (caller, callee) if initiator else (callee, caller)
    if session and description is not None:
        local = Participant(
            identities=local.identities, target=local.target, session_description=_described(*description)
        )
    return ReportedDialog(
        id=side.id,
        state=call.state,
        event=call.event_for(initiator) if call.state == TERMINATED else "",
        code=call.code or None,
        call_id=call.call_id,
        local_tag=side.local_tag,
        remote_tag=side.remote_tag,
        direction="initiator" if initiator else "recipient",
        duration=max(0, int(now - call.started_at)),
        replaces=_replaced(call.replaces, initiator),
        referred_by=_referrer(call.referred_by),
        local=local,
        remote=remote,
    )


def _participant(address: NameAddr, contact: str) -> Participant:
    return Participant(identities=(Identity(address.uri_text, address.display_name),), target=_target(contact))


def _target(contact: str) -> DialogTarget | None:
    """Return the target that a Contact names, with its parameters (section 4.1.6.2)."""
    if not contact:
        return None
    try:
        address = NameAddr.parse(split_list(contact)[0])
        params = address.params.items()
    except (RemoteProtocolError, IndexError):
        return None
    return DialogTarget(address.uri_text, tuple([(_plain_name(name), _plain(value)) for name, value in params]))


def _plain_name(name: str) -> str:
    # As in the example of the section: sip.rendering is +sip.rendering in a Contact.
    return name.lower().lstrip("+")


def _plain(value: str | None) -> str:
    if value is None:
        return "true"
    text = unquote(value) if value.startswith('"') else value
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def _described(content_type: str, body: bytes) -> tuple[str, str]:
    try:
        media_type = MediaType.parse(content_type).key
    except RemoteProtocolError:
        media_type = "application/octet-stream"
    return media_type, body.decode("utf-8", "replace")


def _replaced(text: str, initiator: bool) -> ReplacedDialog | None:
    """Return the dialog that a Replaces names: its to-tag is that of who gets the INVITE (RFC 3891 section 3)."""
    if not text:
        return None
    try:
        replaces = Replaces.parse(text)
    except RemoteProtocolError:
        return None
    tags = (replaces.from_tag, replaces.to_tag) if initiator else (replaces.to_tag, replaces.from_tag)
    return ReplacedDialog(replaces.call_id, *tags)


def _referrer(text: str) -> Identity | None:
    if not text:
        return None
    try:
        address = NameAddr.parse(text)
    except RemoteProtocolError:
        return None
    return Identity(address.uri_text, address.display_name)
