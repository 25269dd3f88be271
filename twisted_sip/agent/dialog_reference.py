"""Requests that are about another dialog: Replaces (RFC 3891), Join (RFC 3911), Target-Dialog (RFC 4538)."""

from __future__ import annotations

from typing import NamedTuple

from twisted_sip.dialog.dialog import Dialog, DialogID
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.grammar import is_token, parse_params
from twisted_sip.message.request import Request
from twisted_sip.message.transfer import Replaces


class DialogReference(NamedTuple):
    """A dialog as the receiver of the request knows it.

    :ivar id: what it is known by.
    :ivar early_only: a dialog that is confirmed by now is not meant (RFC 3891 section 6.1).
    """

    id: DialogID
    early_only: bool = False


def replaced_by(request: Request) -> DialogReference | None:
    """Return the dialog that *request* wants to replace, None if it wants none.

    :raises RemoteProtocolError: the header field is malformed, or stands twice (RFC 3891 section 3).
    """
    value: Replaces | None = request.typed("replaces")
    if value is None:
        return None
    return DialogReference(DialogID(value.call_id, value.to_tag, _no_zero(value.from_tag)), value.early_only)


def joined_by(request: Request) -> DialogReference | None:
    """Return the dialog that *request* wants to join, None if it wants none.

    :raises RemoteProtocolError: the header field is malformed, or stands twice (RFC 3911 section 4).
    """
    texts = request.headers.all("join")
    if not texts:
        return None
    if len(texts) > 1:
        raise RemoteProtocolError("More than one Join header field", header="Join")
    found = _read(texts[0], "to-tag", "from-tag")
    if found is None:
        raise RemoteProtocolError("Malformed Join header field", header="Join")
    return DialogReference(found)


def target_dialog_of(request: Request) -> DialogID | None:
    """Return the dialog that *request* says to be about; None too where it cannot be read (RFC 4538 section 4)."""
    texts = request.headers.all("target-dialog")
    return _read(texts[0], "local-tag", "remote-tag") if len(texts) == 1 else None


def replaces_value(dialog: Dialog, *, early_only: bool = False) -> Replaces:
    """Return what makes the peer of *dialog* replace it (RFC 3891 section 4): the tags as the peer sees them."""
    return Replaces(dialog.call_id, dialog.remote_tag or "0", dialog.local_tag or "0", early_only=early_only)


def join_value(dialog: Dialog) -> str:
    """Return the Join that makes the peer of *dialog* let somebody in (RFC 3911 section 5)."""
    return f"{dialog.call_id};to-tag={dialog.remote_tag or '0'};from-tag={dialog.local_tag or '0'}"


def target_dialog_value(dialog: Dialog) -> str:
    """Return the Target-Dialog that shows the peer of *dialog* that we are in it (RFC 4538 section 3)."""
    return f"{dialog.call_id};local-tag={dialog.remote_tag};remote-tag={dialog.local_tag}"


def _read(text: str, local: str, remote: str) -> DialogID | None:
    call_id, mark, rest = text.partition(";")
    try:
        params = parse_params(mark + rest)
    except RemoteProtocolError:
        return None
    local_tag, remote_tag = params.get(local) or "", params.get(remote) or ""
    if not call_id.strip(" \t") or not is_token(local_tag) or not is_token(remote_tag):
        return None
    return DialogID(call_id.strip(" \t"), local_tag, _no_zero(remote_tag))


def _no_zero(tag: str) -> str:
    """A tag of zero stands for none (RFC 3891 section 3)."""
    return "" if tag == "0" else tag
