"""Dialog information, application/dialog-info+xml: which calls a user is in (RFC 4235 section 4)."""

from __future__ import annotations

from typing import Final

import attrs
from lxml import etree

from twisted_sip.documents.values import text_of
from twisted_sip.documents.xml import Element, know, make_element, parse_xml, serialize
from twisted_sip.documents.xml_text import fit, number, read_version, required
from twisted_sip.errors import DocumentError, LocalProtocolError

NAMESPACE: Final = "urn:ietf:params:xml:ns:dialog-info"
MEDIA_TYPE: Final = "application/dialog-info+xml"

#: The states of a dialog, as they follow each other (section 3.7.1).
STATES: Final = ("trying", "proceeding", "early", "confirmed", "terminated")
#: What ends a dialog (section 3.7.1).
EVENTS: Final = ("cancelled", "rejected", "replaced", "local-bye", "remote-bye", "error", "timeout")
DIRECTIONS: Final = ("initiator", "recipient")
#: Documents with session descriptions are longer than others.
SIZE_LIMIT: Final = 1 << 20

_ROOT = f"{{{NAMESPACE}}}dialog-info"
_DIALOG = f"{{{NAMESPACE}}}dialog"
_STATE = f"{{{NAMESPACE}}}state"
_DURATION = f"{{{NAMESPACE}}}duration"
_REPLACES = f"{{{NAMESPACE}}}replaces"
_REFERRED_BY = f"{{{NAMESPACE}}}referred-by"
_ROUTE_SET = f"{{{NAMESPACE}}}route-set"
_HOP = f"{{{NAMESPACE}}}hop"
_LOCAL = f"{{{NAMESPACE}}}local"
_REMOTE = f"{{{NAMESPACE}}}remote"
_IDENTITY = f"{{{NAMESPACE}}}identity"
_TARGET = f"{{{NAMESPACE}}}target"
_PARAM = f"{{{NAMESPACE}}}param"
_SESSION = f"{{{NAMESPACE}}}session-description"
_CSEQ = f"{{{NAMESPACE}}}cseq"

know(NAMESPACE, "dialog-info", "dialog", "state", "duration", "replaces", "referred-by", "route-set", "hop", "local")
know("remote", "identity", "target", "param", "session-description", "cseq", "version", "entity", "id", "call-id")
know("local-tag", "remote-tag", "direction", "event", "code", "display", "display-name", "uri", "pname", "pval", "type")


@attrs.frozen(slots=True)
class Identity:
    """A URI with the name that goes with it (section 4.1.6.1).

    :ivar uri: the URI.
    :ivar display: the display name, or empty.
    """

    uri: str
    display: str = ""


@attrs.frozen(slots=True)
class DialogTarget:
    """The target of a participant (section 4.1.6.2).

    :ivar uri: the URI of the Contact.
    :ivar params: parameters of the Contact without quotes; those without value are ``true``.
    """

    uri: str
    params: tuple[tuple[str, str], ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class Participant:
    """One side of a dialog (section 4.1.6).

    :ivar identities: who it is.
    :ivar target: where it is, or None.
    :ivar session_description: (media type, text) of the session that it offers, or None (section 4.1.6.3).
    :ivar cseq: its last CSeq number, or None.
    """

    identities: tuple[Identity, ...] = ()
    target: DialogTarget | None = None
    session_description: tuple[str, str] | None = None
    cseq: int | None = None


@attrs.frozen(slots=True)
class ReplacedDialog:
    """The dialog that another one took the place of (section 4.1.4): Call-ID, local tag, remote tag."""

    call_id: str
    local_tag: str
    remote_tag: str


@attrs.frozen(slots=True, kw_only=True)
class ReportedDialog:
    """What is told of one dialog (section 4.1.1).

    :ivar id: names it among all current dialogs of the observed user.
    :ivar state: one of :data:`STATES`.
    :ivar event: what ended it, one of :data:`EVENTS`, or empty.
    :ivar code: the status of the response that changed the state, or None.
    :ivar call_id: its Call-ID, or empty.
    :ivar local_tag: the tag of the observed user, or empty.
    :ivar remote_tag: the tag of the other side, or empty.
    :ivar direction: one of :data:`DIRECTIONS`, or empty.
    :ivar duration: seconds since the INVITE, or None.
    :ivar replaces: the dialog that it took the place of, or None.
    :ivar referred_by: who referred the caller, or None (section 4.1.5).
    :ivar route_set: the hops of its route set.
    :ivar local: the observed user's side, or None.
    :ivar remote: the other side, or None.
    """

    id: str
    state: str
    event: str = ""
    code: int | None = None
    call_id: str = ""
    local_tag: str = ""
    remote_tag: str = ""
    direction: str = ""
    duration: int | None = None
    replaces: ReplacedDialog | None = None
    referred_by: Identity | None = None
    route_set: tuple[str, ...] = ()
    local: Participant | None = None
    remote: Participant | None = None


@attrs.frozen(slots=True, kw_only=True)
class DialogInfoDocument:
    """One document of dialog information.

    :ivar version: 0, 1, 2 ... within a subscription.
    :ivar full: whether it tells of all dialogs, or of those that changed.
    :ivar entity: the URI of the observed user.
    :ivar dialogs: what it tells.
    """

    version: int
    full: bool
    entity: str
    dialogs: tuple[ReportedDialog, ...] = ()

    @classmethod
    def parse(cls, body: bytes, *, limit: int = SIZE_LIMIT) -> DialogInfoDocument:
        """Return the document in *body*; elements of other namespaces are ignored.

        The entity may be missing, as it is in the sample of section 4.2.

        :param limit: the most bytes.
        :raises DocumentError: it is no such document, lacks something that it must have, or is beyond a limit.
        """
        root = parse_xml(body, root=(NAMESPACE, "dialog-info"), limit=limit)
        version, full = read_version(root)
        return cls(
            version=version,
            full=full,
            entity=root.get("entity", ""),
            dialogs=tuple([_read_dialog(each) for each in root.iterchildren(_DIALOG)]),
        )

    def to_xml(self) -> bytes:
        """Return the document in UTF-8.

        :raises LocalProtocolError: a state, an event, a code or a direction is none.
        """
        root = make_element(
            _ROOT,
            {
                "version": str(self.version),
                "state": "full" if self.full else "partial",
                "entity": fit(self.entity),
            },
            namespaces={None: NAMESPACE},
        )
        for dialog in self.dialogs:
            _add_dialog(root, dialog)
        return serialize(root)


def _add_dialog(root: Element, dialog: ReportedDialog) -> None:
    if (
        dialog.state not in STATES
        or (dialog.event and dialog.event not in EVENTS)
        or (dialog.direction and dialog.direction not in DIRECTIONS)
        or not (dialog.code is None or 100 <= dialog.code <= 699)
    ):
        raise LocalProtocolError(
            f"no dialog is {dialog.state!r} by {dialog.event!r} {dialog.code} {dialog.direction!r}"
        )
    element = etree.SubElement(root, _DIALOG, {"id": fit(dialog.id)})
    for name, text in (
        ("call-id", dialog.call_id),
        ("local-tag", dialog.local_tag),
        ("remote-tag", dialog.remote_tag),
        ("direction", dialog.direction),
    ):
        if text:
            element.set(name, fit(text))
    state = etree.SubElement(element, _STATE)
    state.text = dialog.state
    if dialog.event:
        state.set("event", dialog.event)
    if dialog.code is not None:
        state.set("code", str(dialog.code))
    if dialog.duration is not None:
        etree.SubElement(element, _DURATION).text = str(dialog.duration)
    if dialog.replaces is not None:
        replaced = dialog.replaces
        tags = {"local-tag": fit(replaced.local_tag), "remote-tag": fit(replaced.remote_tag)}
        etree.SubElement(element, _REPLACES, {"call-id": fit(replaced.call_id), **tags})
    if dialog.referred_by is not None:
        _add_identity(element, _REFERRED_BY, dialog.referred_by)
    if dialog.route_set:
        hops = etree.SubElement(element, _ROUTE_SET)
        for hop in dialog.route_set:
            etree.SubElement(hops, _HOP).text = fit(hop)
    for tag, participant in ((_LOCAL, dialog.local), (_REMOTE, dialog.remote)):
        if participant is not None:
            _add_participant(etree.SubElement(element, tag), participant)


def _add_identity(parent: Element, tag: str, identity: Identity) -> None:
    made = etree.SubElement(parent, tag)
    made.text = fit(identity.uri)
    if identity.display:
        # Sections 4.1.5 and 4.1.6.1 and every example: "display", as phones have it; the schema alone differs.
        made.set("display", fit(identity.display))


def _add_participant(element: Element, participant: Participant) -> None:
    for identity in participant.identities:
        _add_identity(element, _IDENTITY, identity)
    if participant.target is not None:
        target = etree.SubElement(element, _TARGET, {"uri": fit(participant.target.uri)})
        for name, value in participant.target.params:
            etree.SubElement(target, _PARAM, {"pname": fit(name), "pval": fit(value)})
    if participant.session_description is not None:
        media_type, text = participant.session_description
        etree.SubElement(element, _SESSION, {"type": fit(media_type)}).text = fit(text)
    if participant.cseq is not None:
        etree.SubElement(element, _CSEQ).text = str(participant.cseq)


def _read_dialog(element: Element) -> ReportedDialog:
    state = element.find(_STATE)
    if state is None:
        raise DocumentError("XML dialog has no state")
    replaces = element.find(_REPLACES)
    referred_by = element.find(_REFERRED_BY)
    return ReportedDialog(
        id=required(element, "id"),
        state=text_of(state).lower(),
        event=state.get("event", ""),
        code=number(state.get("code")),
        call_id=element.get("call-id", ""),
        local_tag=element.get("local-tag", ""),
        remote_tag=element.get("remote-tag", ""),
        direction=element.get("direction", ""),
        duration=number(text_of(element.find(_DURATION))),
        replaces=None
        if replaces is None
        else ReplacedDialog(
            required(replaces, "call-id"), required(replaces, "local-tag"), required(replaces, "remote-tag")
        ),
        referred_by=None if referred_by is None else _read_identity(referred_by),
        route_set=tuple([text_of(hop) for hop in element.iterfind(f"{_ROUTE_SET}/{_HOP}")]),
        local=_read_participant(element.find(_LOCAL)),
        remote=_read_participant(element.find(_REMOTE)),
    )


def _read_identity(element: Element) -> Identity:
    return Identity(text_of(element), element.get("display") or element.get("display-name") or "")


def _read_participant(element: Element | None) -> Participant | None:
    if element is None:
        return None
    target = element.find(_TARGET)
    session = element.find(_SESSION)
    return Participant(
        identities=tuple([_read_identity(each) for each in element.iterchildren(_IDENTITY)]),
        target=None
        if target is None
        else DialogTarget(
            required(target, "uri"),
            tuple([(required(each, "pname"), each.get("pval", "")) for each in target.iterchildren(_PARAM)]),
        ),
        session_description=None if session is None else (session.get("type", ""), session.text or ""),
        cseq=number(text_of(element.find(_CSEQ))),
    )


class DialogTable:
    """What a subscriber knows of a user's dialogs, put together from full and partial documents (section 4.3).

    :ivar version: the version of the last document, None before the first.
    :ivar dialogs: by id; those terminated are left out.
    """

    __slots__ = ("dialogs", "version")

    def __init__(self) -> None:
        """Know nothing."""
        self.version: int | None = None
        self.dialogs: dict[str, ReportedDialog] = {}

    @property
    def busy(self) -> bool:
        """The user is in a call, or about to be."""
        return bool(self.dialogs)

    def receive(self, document: DialogInfoDocument) -> bool:
        """Take one document.

        :return: False where one was missed before it: the subscription is to be refreshed, for that brings full state.
        """
        version = self.version
        if version is not None and document.version <= version:
            # Discarded without processing.
            return True
        self.version = document.version
        if document.full:
            self.dialogs.clear()
        for dialog in document.dialogs:
            before = self.dialogs.pop(dialog.id, None)
            if dialog.state == "terminated":
                continue
            if before is not None and not document.full:
                dialog = attrs.evolve(
                    dialog,
                    local=_completed(dialog.local, before.local),
                    remote=_completed(dialog.remote, before.remote),
                )
            self.dialogs[dialog.id] = dialog
        return document.full or version is None or document.version == version + 1


def _completed(now: Participant | None, before: Participant | None) -> Participant | None:
    """Return what is known of a participant: what is not told again is as it was (sections 4.1.6.1 to 4.1.6.3)."""
    if now is None or before is None:
        return now or before
    return Participant(
        identities=now.identities or before.identities,
        target=now.target or before.target,
        session_description=now.session_description or before.session_description,
        cseq=before.cseq if now.cseq is None else now.cseq,
    )
