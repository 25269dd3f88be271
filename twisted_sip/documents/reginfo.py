"""Registration information, application/reginfo+xml: which contacts an address-of-record has.

RFC 3680 section 5, and the GRUUs of contacts (RFC 5628).
"""

from __future__ import annotations

from typing import Final

import attrs
from lxml import etree

from twisted_sip.documents.values import LANG, text_of
from twisted_sip.documents.xml import Element, know, make_element, parse_xml, serialize
from twisted_sip.documents.xml_text import fit, number, read_version, required
from twisted_sip.errors import LocalProtocolError

NAMESPACE: Final = "urn:ietf:params:xml:ns:reginfo"
GRUU_NAMESPACE: Final = "urn:ietf:params:xml:ns:gruuinfo"
MEDIA_TYPE: Final = "application/reginfo+xml"

#: The states of a registration, and of a contact (section 5.1).
REGISTRATION_STATES: Final = ("init", "active", "terminated")
CONTACT_STATES: Final = ("active", "terminated")
#: What brought a contact into its state (section 5.1).
EVENTS: Final = (
    "registered",
    "created",
    "refreshed",
    "shortened",
    "expired",
    "deactivated",
    "probation",
    "unregistered",
    "rejected",
)
#: Documents about whole domains are longer than others.
SIZE_LIMIT: Final = 1 << 20

_ROOT = f"{{{NAMESPACE}}}reginfo"
_REGISTRATION = f"{{{NAMESPACE}}}registration"
_CONTACT = f"{{{NAMESPACE}}}contact"
_URI = f"{{{NAMESPACE}}}uri"
_DISPLAY_NAME = f"{{{NAMESPACE}}}display-name"
_UNKNOWN_PARAM = f"{{{NAMESPACE}}}unknown-param"
_PUB_GRUU = f"{{{GRUU_NAMESPACE}}}pub-gruu"
_TEMP_GRUU = f"{{{GRUU_NAMESPACE}}}temp-gruu"

know(NAMESPACE, "reginfo", "registration", "contact", "uri", "display-name", "unknown-param", "aor", "id", "state")
know("version", "event", "duration-registered", "expires", "retry-after", "q", "callid", "cseq", "name")
know(GRUU_NAMESPACE, "gr", "pub-gruu", "temp-gruu", "first-cseq")


@attrs.frozen(slots=True, kw_only=True)
class Contact:
    """One contact of a registration (section 5.1).

    :ivar id: names it among all contacts that a subscriber is told of.
    :ivar uri: the URI of the contact.
    :ivar state: one of :data:`CONTACT_STATES`.
    :ivar event: one of :data:`EVENTS`.
    :ivar display_name: its display name, or empty.
    :ivar lang: the language of the name, or empty.
    :ivar expires: seconds until it expires, or None.
    :ivar retry_after: seconds after which to register again, or None.
    :ivar duration_registered: seconds since it was bound, or None.
    :ivar q: its preference as text, ``0.8``, or empty.
    :ivar call_id: the Call-ID of the REGISTER that updated it last, or empty.
    :ivar cseq: the CSeq number of that, or None.
    :ivar unknown_params: the parameters of Contact that RFC 3261 does not know: (name, value as written or empty).
    :ivar pub_gruu: its public GRUU, or empty (RFC 5628).
    :ivar temp_gruu: the temporary GRUU that was made last, or empty.
    :ivar first_cseq: the CSeq number of the REGISTER that brought the first of its temporary GRUUs that are good, or
        None.
    """

    id: str
    uri: str
    state: str
    event: str
    display_name: str = ""
    lang: str = ""
    expires: int | None = None
    retry_after: int | None = None
    duration_registered: int | None = None
    q: str = ""
    call_id: str = ""
    cseq: int | None = None
    unknown_params: tuple[tuple[str, str], ...] = ()
    pub_gruu: str = ""
    temp_gruu: str = ""
    first_cseq: int | None = None


@attrs.frozen(slots=True, kw_only=True)
class Registration:
    """The registration of one address-of-record (section 5.1).

    :ivar aor: the address-of-record.
    :ivar id: names it among all registrations that a subscriber is told of.
    :ivar state: one of :data:`REGISTRATION_STATES`.
    :ivar contacts: its contacts, all or those that changed.
    """

    aor: str
    id: str
    state: str
    contacts: tuple[Contact, ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class ReginfoDocument:
    """One document of registration information.

    :ivar version: 0, 1, 2 ... within a subscription.
    :ivar full: whether it tells of all contacts, or of those that changed.
    :ivar registrations: what it tells.
    """

    version: int
    full: bool
    registrations: tuple[Registration, ...] = ()

    @classmethod
    def parse(cls, body: bytes, *, limit: int = SIZE_LIMIT) -> ReginfoDocument:
        """Return the document in *body*; elements and attributes of other namespaces are ignored (section 5.1).

        :param limit: the most bytes.
        :raises DocumentError: it is no such document, lacks an attribute that it must have, or is beyond a limit.
        """
        root = parse_xml(body, root=(NAMESPACE, "reginfo"), limit=limit)
        version, full = read_version(root)
        return cls(
            version=version,
            full=full,
            registrations=tuple(
                [
                    Registration(
                        aor=required(each, "aor"),
                        id=required(each, "id"),
                        state=required(each, "state"),
                        contacts=tuple([_read_contact(child) for child in each.iterchildren(_CONTACT)]),
                    )
                    for each in root.iterchildren(_REGISTRATION)
                ]
            ),
        )

    def to_xml(self) -> bytes:
        """Return the document in UTF-8.

        :raises LocalProtocolError: a state or an event is none, or lacks the attribute that it needs.
        """
        gruus = any(contact.pub_gruu or contact.temp_gruu for each in self.registrations for contact in each.contacts)
        root = make_element(
            _ROOT,
            {"version": str(self.version), "state": "full" if self.full else "partial"},
            namespaces={None: NAMESPACE, **({"gr": GRUU_NAMESPACE} if gruus else {})},
        )
        for each in self.registrations:
            if each.state not in REGISTRATION_STATES:
                raise LocalProtocolError(f"no registration is {each.state!r}")
            attributes = {"aor": fit(each.aor), "id": fit(each.id), "state": each.state}
            element = etree.SubElement(root, _REGISTRATION, attributes)
            for contact in each.contacts:
                _add_contact(element, contact)
        return serialize(root)


def _add_contact(parent: Element, contact: Contact) -> None:
    if contact.state not in CONTACT_STATES or contact.event not in EVENTS:
        raise LocalProtocolError(f"no contact is {contact.state!r} by {contact.event!r}")
    # Section 5.1: what these two events must tell.
    if (contact.event == "shortened" and contact.expires is None) or (
        contact.event == "probation" and contact.retry_after is None
    ):
        raise LocalProtocolError(f"a contact that is {contact.event} has to tell when")
    element = etree.SubElement(
        parent, _CONTACT, {"id": fit(contact.id), "state": contact.state, "event": contact.event}
    )
    for name, value in (
        ("duration-registered", contact.duration_registered),
        ("expires", contact.expires),
        ("retry-after", contact.retry_after),
        ("q", contact.q),
        ("callid", contact.call_id),
        ("cseq", contact.cseq),
    ):
        if value not in ("", None):
            element.set(name, fit(str(value)))
    etree.SubElement(element, _URI).text = fit(contact.uri)
    if contact.display_name:
        made = etree.SubElement(element, _DISPLAY_NAME)
        made.text = fit(contact.display_name)
        if contact.lang:
            made.set(LANG, contact.lang)
    for name, text in contact.unknown_params:
        etree.SubElement(element, _UNKNOWN_PARAM, {"name": fit(name)}).text = fit(text)
    if contact.pub_gruu:
        etree.SubElement(element, _PUB_GRUU, {"uri": fit(contact.pub_gruu)})
    if contact.temp_gruu:
        made = etree.SubElement(element, _TEMP_GRUU, {"uri": fit(contact.temp_gruu)})
        if contact.first_cseq is not None:
            made.set("first-cseq", str(contact.first_cseq))


def _read_contact(element: Element) -> Contact:
    display_name = element.find(_DISPLAY_NAME)
    public, temporary = element.find(_PUB_GRUU), element.find(_TEMP_GRUU)
    return Contact(
        id=required(element, "id"),
        uri=text_of(element.find(_URI)),
        state=required(element, "state"),
        event=required(element, "event"),
        display_name=text_of(display_name),
        lang="" if display_name is None else display_name.get(LANG, ""),
        expires=number(element.get("expires")),
        retry_after=number(element.get("retry-after")),
        duration_registered=number(element.get("duration-registered")),
        q=element.get("q", ""),
        call_id=element.get("callid", ""),
        cseq=number(element.get("cseq")),
        unknown_params=tuple(
            [(required(child, "name"), text_of(child)) for child in element.iterchildren(_UNKNOWN_PARAM)]
        ),
        pub_gruu="" if public is None else public.get("uri", ""),
        temp_gruu="" if temporary is None else temporary.get("uri", ""),
        first_cseq=None if temporary is None else number(temporary.get("first-cseq")),
    )


class RegistrationTable:
    """What a subscriber knows of registrations, put together from full and partial documents (section 5.2).

    :ivar version: the version of the last document, None before the first.
    :ivar registrations: by id, without contacts; :attr:`contacts` has those.
    :ivar contacts: by id of the registration, then by id of the contact; those terminated are left out.
    """

    __slots__ = ("contacts", "registrations", "version")

    def __init__(self) -> None:
        """Know nothing."""
        self.version: int | None = None
        self.registrations: dict[str, Registration] = {}
        self.contacts: dict[str, dict[str, Contact]] = {}

    def receive(self, document: ReginfoDocument) -> bool:
        """Take one document.

        :return: False where one was missed before it: the subscription is to be refreshed, for that brings full state.
        """
        version = self.version
        if version is not None and document.version <= version:
            # Discarded without processing.
            return True
        self.version = document.version
        if document.full:
            self.registrations.clear()
            self.contacts.clear()
        for each in document.registrations:
            self.registrations[each.id] = attrs.evolve(each, contacts=())
            rows = self.contacts.setdefault(each.id, {})
            for contact in each.contacts:
                if contact.state == "terminated":
                    rows.pop(contact.id, None)
                else:
                    rows[contact.id] = contact
        return document.full or version is None or document.version == version + 1
