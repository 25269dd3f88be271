"""The bodies that XCAP knows: resource lists, list services, capabilities, conflicts, differences."""

from __future__ import annotations

import pytest
from lxml import etree

from twisted_sip.documents import resource_lists, rls_services, xcap_caps, xcap_diff, xcap_error
from twisted_sip.documents.resource_lists import DisplayName, Entry, EntryRef, External, ResourceList, ResourceLists
from twisted_sip.documents.rls_services import RLSService, RLSServices
from twisted_sip.documents.xcap_caps import XCAPCapabilities
from twisted_sip.documents.xcap_diff import AttributeDiff, DocumentDiff, ElementDiff, XCAPDiff
from twisted_sip.documents.xcap_error import Conflict, Exists
from twisted_sip.errors import DocumentError, LocalProtocolError
from twisted_sip.xcap.validation import validator

#: RFC 4826 section 3.3.
LISTS = b"""<?xml version="1.0" encoding="UTF-8"?>
   <resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
    <list name="friends">
     <entry uri="sip:bill@example.com">
      <display-name>Bill Doe</display-name>
     </entry>
     <entry-ref ref="resource-lists/users/sip:bill@example.com/index/~~/list"/>
     <list name="close-friends">
      <display-name xml:lang="en">Close Friends</display-name>
      <entry uri="sip:joe@example.com">
       <display-name>Joe Smith</display-name>
      </entry>
      <entry uri="sip:nancy@example.com">
       <display-name>Nancy Gross</display-name>
      </entry>
      <external anchor="http://xcap.example.org/resource-lists/users/x">
        <display-name>Marketing</display-name>
       </external>
     </list>
     <entry/><entry-ref/><external/><x:y xmlns:x="urn:x"/>
    </list>
   </resource-lists>"""


def test_the_example_of_a_resource_list() -> None:
    found = resource_lists.parse(LISTS)
    friends = found.named("friends")
    assert friends is not None and found.named("foes") is None
    assert friends.members[0] == Entry("sip:bill@example.com", DisplayName("Bill Doe"))
    assert friends.members[1] == EntryRef("resource-lists/users/sip:bill@example.com/index/~~/list")
    inner = friends.members[2]
    assert isinstance(inner, ResourceList)
    assert (inner.name, inner.display_name) == ("close-friends", DisplayName("Close Friends", "en"))
    assert inner.members[2] == External("http://xcap.example.org/resource-lists/users/x", DisplayName("Marketing"))
    assert found.uris() == ["sip:bill@example.com", "sip:joe@example.com", "sip:nancy@example.com"]
    assert [type(member).__name__ for member in friends.walk()] == ["Entry", "EntryRef", "Entry", "Entry", "External"]


def test_what_is_built_is_read_again() -> None:
    made = resource_lists.parse(LISTS)
    body = resource_lists.build(made)
    validator(resource_lists.NAMESPACE).check(etree.fromstring(body))
    assert resource_lists.parse(body) == made


def test_a_list_or_an_entry_alone() -> None:
    ns = 'xmlns="urn:ietf:params:xml:ns:resource-lists"'
    assert resource_lists.parse_list(f"<list {ns} name='a'/>".encode()) == ResourceList("a")
    assert resource_lists.parse_entry(f"<entry {ns} uri=' u '/>".encode()) == Entry("u")
    for read in (resource_lists.parse_list, resource_lists.parse_entry, resource_lists.parse):
        with pytest.raises(DocumentError):
            read(b"<list/>")


@pytest.mark.parametrize(
    "made",
    [
        (ResourceList("a"), ResourceList("a")),
        (ResourceList("", (Entry("u"), Entry("u"))),),
        (ResourceList("", (EntryRef("u"), EntryRef("u"))),),
        (ResourceList("", (External("u"), External("u"))),),
        (ResourceList("", (ResourceList("n"), ResourceList("n"))),),
        (ResourceList("", (Entry("\0"),)),),
        (ResourceList("", (), DisplayName("\0")),),
        (ResourceList("\x01"),),
    ],
)
def test_lists_that_cannot_be_built(made: tuple[ResourceList, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        resource_lists.build(ResourceLists(made))


def test_names_may_be_missing_more_than_once() -> None:
    made = ResourceLists((ResourceList("", (ResourceList(), ResourceList(), Entry("u"))), ResourceList()))
    assert resource_lists.parse(resource_lists.build(made)) == made


#: RFC 4826 section 4.3.
SERVICES = b"""<?xml version="1.0" encoding="UTF-8"?>
   <rls-services xmlns="urn:ietf:params:xml:ns:rls-services" xmlns:rl="urn:ietf:params:xml:ns:resource-lists">
    <service uri="sip:mybuddies@example.com">
     <resource-list>http://xcap.example.com/resource-lists/user
      s/sip:joe@example.com/index/~~/resource-lists/list%5b@nam
      e=%22l1%22%5d</resource-list>
     <packages>
      <package>presence</package>
     </packages>
    </service>
    <service uri="sip:marketing@example.com">
      <list name="marketing">
        <rl:entry uri="sip:joe@example.com"/>
        <rl:entry uri="sip:sudhir@example.com"/>
      </list>
    </service>
    <service/><service uri="sip:nothing@example.com"><x:y xmlns:x="urn:x"/></service>
   </rls-services>"""


def test_the_example_of_list_services() -> None:
    found = rls_services.parse(SERVICES)
    one, two = found.services
    assert one.resource_list == (
        "http://xcap.example.com/resource-lists/users/sip:joe@example.com/index/~~/"
        "resource-lists/list%5b@name=%22l1%22%5d"
    )
    assert one.serves("presence") and not one.serves("dialog")
    assert two.serves("dialog") and two.members is not None
    assert two.members.uris() == ["sip:joe@example.com", "sip:sudhir@example.com"]
    assert found.at("sip:marketing@example.com") is two and found.at("sip:x@example.com") is None
    body = rls_services.build(found)
    validator(rls_services.NAMESPACE, resource_lists.NAMESPACE).check(etree.fromstring(body))
    assert rls_services.parse(body) == found
    alone = rls_services.parse_service(
        b'<service xmlns="urn:ietf:params:xml:ns:rls-services" uri="u"><list/><packages/></service>'
    )
    assert alone == RLSService(uri="u", members=ResourceList(), packages=())


@pytest.mark.parametrize(
    "made",
    [
        (RLSService(uri="u"),),
        (RLSService(uri="u", members=ResourceList(), resource_list="http://x/"),),
        (RLSService(uri="u", members=ResourceList()), RLSService(uri="u", members=ResourceList())),
        (RLSService(uri="\0", members=ResourceList()),),
        (RLSService(uri="u", members=ResourceList("\0")),),
        (RLSService(uri="u", members=ResourceList(), packages=("\0",)),),
    ],
)
def test_services_that_cannot_be_built(made: tuple[RLSService, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        rls_services.build(RLSServices(made))


def test_capabilities() -> None:
    body = xcap_caps.build(XCAPCapabilities(auids=("a", "a"), extensions=("e",), namespaces=("urn:n",)))
    validator(xcap_caps.NAMESPACE).check(etree.fromstring(body))
    assert xcap_caps.parse(body) == XCAPCapabilities(
        auids=("xcap-caps", "a"), extensions=("e",), namespaces=(xcap_caps.NAMESPACE, "urn:n")
    )


@pytest.mark.parametrize("condition", sorted(xcap_error.CONDITIONS))
def test_conflicts(condition: str) -> None:
    ancestor = "http://x/~~/a" if condition == "no-parent" else ""
    exists = (Exists("a/@b", ("c", "d")), Exists("e")) if condition == "uniqueness-failure" else ()
    made = Conflict(condition, "" if condition == "extension" else "why, 'so' \u2603", ancestor, exists)
    body = xcap_error.build(made)
    validator(xcap_error.NAMESPACE).check(etree.fromstring(body))
    assert xcap_error.parse(body) == made


def test_the_example_of_a_conflict() -> None:
    # RFC 4825 section 11.1.
    body = b"""<?xml version="1.0" encoding="UTF-8"?>
   <xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error">
    <uniqueness-failure>
     <exists field="rls-services/service/@uri">
       <alt-value>sip:mybuddies@example.com</alt-value>
     </exists>
    </uniqueness-failure>
   </xcap-error>"""
    exists = (Exists("rls-services/service/@uri", ("sip:mybuddies@example.com",)),)
    assert xcap_error.parse(body) == Conflict("uniqueness-failure", "", "", exists)


def test_conflicts_that_are_odd() -> None:
    assert xcap_error.parse(b'<xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error"><new/></xcap-error>') == Conflict(
        "extension"
    )
    assert xcap_error.parse(b'<xcap-error xmlns="urn:ietf:params:xml:ns:xcap-error"/>') == Conflict("extension")
    with pytest.raises(LocalProtocolError):
        xcap_error.build(Conflict("nonsense"))
    assert xcap_error.parse(xcap_error.build(Conflict("cannot-insert", "a\0\r\nb"))).phrase == "ab"


def test_the_example_of_a_difference() -> None:
    # RFC 5874 section 5.
    body = b"""<?xml version="1.0" encoding="UTF-8"?>
   <d:xcap-diff xmlns:d="urn:ietf:params:xml:ns:xcap-diff"
                xmlns="urn:ietf:params:xml:ns:rls-services"
                xcap-root="http://xcap.example.com/root/">
    <d:document new-etag="7ahggs"
              sel="resource-lists/users/sip:joe@example.com/coworkers"
              previous-etag="8a77f8d"/>
    <d:element sel="rls-services/users/sip:joe@example.com/index/~~
   /*/service%5b@uri='sip:marketing@example.com'%5d"
             xmlns:rl="urn:ietf:params:xml:ns:resource-lists"
       ><service uri="sip:marketing@example.com">
         <list name="marketing">
           <rl:entry uri="sip:joe@example.com"/>
         </list>
       </service></d:element>
    <d:attribute
    sel="rls-services/users/sip:joe@example.com/index/~~/*/service/@uri"
         >sip:marketing@example.com</d:attribute>
    <d:document sel="a" previous-etag="1" new-etag="2"><d:body-not-changed/></d:document>
    <d:document sel="b" previous-etag="1" new-etag="2"><d:remove sel="x"/></d:document>
    <d:document/><d:other sel="x"/><d:element sel="c" exists="0"/>
   </d:xcap-diff>"""
    found = xcap_diff.parse(body)
    assert found.xcap_root == "http://xcap.example.com/root/"
    document, element, attribute, same, patched, gone = found.diffs
    assert document == DocumentDiff(
        sel="resource-lists/users/sip:joe@example.com/coworkers", previous_etag="8a77f8d", new_etag="7ahggs"
    )
    assert isinstance(element, ElementDiff)
    assert element.sel.endswith("/~~/*/service%5b@uri='sip:marketing@example.com'%5d")
    assert rls_services.parse_service(element.content) is not None
    assert attribute == AttributeDiff(
        sel="rls-services/users/sip:joe@example.com/index/~~/*/service/@uri", value="sip:marketing@example.com"
    )
    assert same == DocumentDiff(sel="a", previous_etag="1", new_etag="2", body_not_changed=True)
    assert isinstance(patched, DocumentDiff) and patched.patched
    assert gone == ElementDiff(sel="c", exists=False)


def test_differences_that_are_built() -> None:
    made = XCAPDiff(
        xcap_root="http://x/",
        diffs=(
            DocumentDiff(sel="a", new_etag="1"),
            DocumentDiff(sel="b", previous_etag="1"),
            DocumentDiff(sel="c", previous_etag="1", new_etag="2", body_not_changed=True),
            AttributeDiff(sel="d", value="v"),
            AttributeDiff(sel="e", exists=False),
            ElementDiff(sel="f", exists=False),
            ElementDiff(sel="g"),
        ),
    )
    body = xcap_diff.build(made)
    validator(xcap_diff.NAMESPACE).check(etree.fromstring(body))
    assert xcap_diff.parse(body) == made
    scoped = ElementDiff(sel="h", content=b"<d:a><b/></d:a>", namespaces=(("d", "urn:d"), ("", "urn:default")))
    (found,) = xcap_diff.parse(xcap_diff.build(XCAPDiff(xcap_root="", diffs=(scoped,)))).diffs
    assert isinstance(found, ElementDiff)
    element = etree.fromstring(found.content)
    assert (element.tag, element[0].tag) == ("{urn:d}a", "{urn:default}b")
    for bad in (DocumentDiff(sel="\0"), ElementDiff(sel="a", content=b"<a"), AttributeDiff(sel="a", value="\0")):
        with pytest.raises(LocalProtocolError):
            xcap_diff.build(XCAPDiff(xcap_root="x", diffs=(bad,)))
