"""Services of a resource list server: URIs and their lists (RFC 4826 section 4, application/rls-services+xml)."""

from __future__ import annotations

from typing import Any

import attrs
from lxml import etree

from twisted_sip.documents.resource_lists import ELEMENT_LIMIT, SIZE_LIMIT, ResourceList, add_list, read_list
from twisted_sip.documents.xml import Element, know, parse_xml, serialize
from twisted_sip.errors import LocalProtocolError

MEDIA_TYPE = "application/rls-services+xml"
NAMESPACE = "urn:ietf:params:xml:ns:rls-services"

# Whatever peers have sent before, these documents can be read.
know(
    NAMESPACE,
    "rls-services",
    "service",
    "list",
    "resource-list",
    "packages",
    "package",
    "uri",
)
_NSMAP: Any = {None: NAMESPACE}


@attrs.frozen(slots=True, kw_only=True)
class RLSService:
    """One service (section 4.1).

    :ivar uri: what is subscribed to.
    :ivar members: the list, where the document holds it.
    :ivar resource_list: the HTTP URI of the list, where the document refers to it, else empty.
    :ivar packages: the event packages that it serves, None for all.
    """

    uri: str
    members: ResourceList | None = None
    resource_list: str = ""
    packages: tuple[str, ...] | None = None

    def serves(self, event: str) -> bool:
        """Tell whether it takes subscriptions for the event package *event* (section 4.5)."""
        return self.packages is None or event in self.packages


@attrs.frozen(slots=True)
class RLSServices:
    """A document: services in order."""

    services: tuple[RLSService, ...] = ()

    def at(self, uri: str) -> RLSService | None:
        """Return the service with exactly this URI, None if there is none."""
        return next((service for service in self.services if service.uri == uri), None)


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def parse(body: bytes, *, limit: int = SIZE_LIMIT, elements: int = ELEMENT_LIMIT) -> RLSServices:
    """Return the services in *body*; those without a URI or a list are left out.

    :param limit: the most bytes; the index of a server may be longer than one document.
    :param elements: the most elements.
    :raises DocumentError: it is no XML, no such document, or beyond a limit.
    """
    root = parse_xml(body, root=(NAMESPACE, "rls-services"), limit=limit, elements=elements)
    services = [_service(element) for element in root.iterchildren(_name("service"))]
    return RLSServices(tuple(service for service in services if service is not None))


def parse_service(body: bytes) -> RLSService | None:
    """Return the service in *body*, whose root is a <service>; None where it has no URI or no list.

    :raises DocumentError: it is no XML, no service, or beyond a limit.
    """
    return _service(parse_xml(body, root=(NAMESPACE, "service"), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT))


def _service(element: Element) -> RLSService | None:
    uri = element.get("uri", "").strip()
    members: ResourceList | None = None
    reference = ""
    packages: tuple[str, ...] | None = None
    for child in element.iterchildren("*"):
        if child.tag == _name("list"):
            members = read_list(child)
        elif child.tag == _name("resource-list"):
            reference = "".join((child.text or "").split())
        elif child.tag == _name("packages"):
            names = [(package.text or "").strip() for package in child.iterchildren(_name("package"))]
            packages = tuple(name for name in names if name)
    if not uri or (members is None and not reference):
        return None
    return RLSService(uri=uri, members=members, resource_list=reference, packages=packages)


def build(services: RLSServices) -> bytes:
    """Return the document for *services*.

    :raises LocalProtocolError: a service has no list or two, a URI stands twice, a text cannot stand in XML.
    """
    if len({service.uri for service in services.services}) < len(services.services):
        raise LocalProtocolError("a service URI stands once (RFC 4826 section 4.4.5)")
    root = etree.Element(_name("rls-services"), nsmap=_NSMAP)
    for service in services.services:
        if (service.members is None) is not bool(service.resource_list):
            raise LocalProtocolError("a service has a list or a resource-list (RFC 4826 section 4.1)")
        element = etree.SubElement(root, _name("service"))
        try:
            element.set("uri", service.uri)
            if service.members is not None:
                add_list(element, service.members, _name("list"))
            else:
                etree.SubElement(element, _name("resource-list")).text = service.resource_list
            if service.packages is not None:
                packages = etree.SubElement(element, _name("packages"))
                for package in service.packages:
                    etree.SubElement(packages, _name("package")).text = package
        except LocalProtocolError:
            raise
        except ValueError as error:
            raise LocalProtocolError(f"service {service.uri!r} cannot stand in XML") from error
    return serialize(root)
