"""Resource list meta-information, application/rlmi+xml: which part of a NOTIFY tells of which resource (RFC 4662)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from lxml import etree

from twisted_sip.documents.values import Note, add_note, fit, read_notes
from twisted_sip.documents.xml import Element, know, make_element, parse_xml, serialize
from twisted_sip.errors import DocumentError, LocalProtocolError
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.multipart import BodyPart, build_multipart

NAMESPACE: Final = "urn:ietf:params:xml:ns:rlmi"
MEDIA_TYPE: Final = "application/rlmi+xml"
#: Documents of long lists are longer than others.
SIZE_LIMIT: Final = 1 << 20

#: The states of an instance (section 5.5).
STATES: Final = ("active", "pending", "terminated")

_ROOT = f"{{{NAMESPACE}}}list"
_NAME = f"{{{NAMESPACE}}}name"
_RESOURCE = f"{{{NAMESPACE}}}resource"
_INSTANCE = f"{{{NAMESPACE}}}instance"

know(NAMESPACE, "list", "name", "resource", "instance", "uri", "version", "fullState", "cid", "id", "state", "reason")


@attrs.frozen(slots=True, kw_only=True)
class Instance:
    """One notifier of a resource (RFC 4662 section 5.5).

    :ivar id: names it among the instances of its resource.
    :ivar state: one of :data:`STATES`.
    :ivar reason: why it is terminated, or empty.
    :ivar cid: the Content-ID of the part with its state, or empty; an active one has one.
    """

    id: str
    state: str
    reason: str = ""
    cid: str = ""


@attrs.frozen(slots=True, kw_only=True)
class Resource:
    """One resource of a list (RFC 4662 section 5.3).

    :ivar uri: its URI.
    :ivar names: what people call it.
    :ivar instances: its notifiers; none while nothing is known.
    """

    uri: str
    names: tuple[Note, ...] = ()
    instances: tuple[Instance, ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class ListState:
    """One RLMI document (RFC 4662 section 5.2).

    :ivar uri: the URI of the list.
    :ivar version: 0, 1, 2 ... within a subscription.
    :ivar full: whether it tells of all resources, or of those that changed.
    :ivar names: what people call the list.
    :ivar resources: the resources.
    :ivar cid: the Content-ID of a part about all of them together, or empty.
    """

    uri: str
    version: int
    full: bool
    names: tuple[Note, ...] = ()
    resources: tuple[Resource, ...] = ()
    cid: str = ""

    @classmethod
    def parse(cls, body: bytes, *, limit: int = SIZE_LIMIT) -> ListState:
        """Return the document in *body*.

        :param limit: the most bytes.
        :raises DocumentError: it is no such document, lacks an attribute that it must have, or is beyond a limit.
        """
        root = parse_xml(body, root=(NAMESPACE, "list"), limit=limit, elements=16_384)
        version, full = _required(root, "version"), _required(root, "fullState").strip()
        if not (version.isascii() and version.isdigit() and len(version) <= 10):
            raise DocumentError(f"XML list has version {version[:20]!a}")
        if full not in ("true", "1", "false", "0"):
            raise DocumentError(f"XML list has fullState {full[:20]!a}")
        return cls(
            uri=_required(root, "uri"),
            version=int(version),
            full=full in ("true", "1"),
            names=read_notes(root, _NAME),
            resources=tuple([_read_resource(child) for child in root.iterchildren(_RESOURCE)]),
            cid=root.get("cid", ""),
        )

    def to_xml(self) -> bytes:
        """Return the document in UTF-8.

        :raises LocalProtocolError: an instance lacks what its state requires (section 5.5).
        """
        root = make_element(
            _ROOT,
            {"uri": self.uri, "version": str(self.version), "fullState": "true" if self.full else "false"},
            namespaces={None: NAMESPACE},
        )
        if self.cid:
            root.set("cid", self.cid)
        for name in self.names:
            add_note(root, _NAME, name)
        for resource in self.resources:
            element = etree.SubElement(root, _RESOURCE, {"uri": fit(resource.uri)})
            for name in resource.names:
                add_note(element, _NAME, name)
            for instance in resource.instances:
                _add_instance(element, instance)
        return serialize(root)


def _add_instance(parent: Element, instance: Instance) -> None:
    if instance.state not in STATES:
        raise LocalProtocolError(f"no instance is {instance.state!r}")
    if instance.state == "terminated" and not instance.reason:
        raise LocalProtocolError("a terminated instance has a reason")
    if instance.state == "active" and not instance.cid:
        raise LocalProtocolError("an active instance has a cid")
    element = etree.SubElement(parent, _INSTANCE, {"id": instance.id, "state": instance.state})
    if instance.reason:
        element.set("reason", fit(instance.reason))
    if instance.cid:
        element.set("cid", instance.cid)


def _read_resource(element: Element) -> Resource:
    return Resource(
        uri=_required(element, "uri"),
        names=read_notes(element, _NAME),
        instances=tuple(
            [
                Instance(
                    id=_required(child, "id"),
                    state=_required(child, "state"),
                    reason=child.get("reason", ""),
                    cid=child.get("cid", ""),
                )
                for child in element.iterchildren(_INSTANCE)
            ]
        ),
    )


def _required(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise DocumentError(f"XML {etree.QName(element).localname} has no attribute {name}")
    return value


def list_notification(state: ListState, parts: Sequence[BodyPart], root_id: str) -> tuple[str, bytes]:
    """Return the Content-Type and the body of a NOTIFY about a list (RFC 4662 section 5).

    :param parts: the states of resources, each with the Content-ID that an instance of *state* has.
    :param root_id: the Content-ID of the RLMI document.
    :raises LocalProtocolError: *state* or a part cannot be sent.
    """
    root = BodyPart(
        content_type=MediaType(MEDIA_TYPE, (("charset", "UTF-8"),)), content_id=root_id, body=state.to_xml()
    )
    return build_multipart([root, *parts], "related", (("type", MEDIA_TYPE), ("start", f"<{root_id}>")))
