"""Partial presence (RFC 5262, 5263)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.pidf_diff import MEDIA_TYPE, HeldPresence, ReceivedPresence, patched, pidf_full
from twisted_sip.documents.values import Note
from twisted_sip.documents.xml_selector import PatchError
from twisted_sip.errors import DocumentError

ALICE = "sip:alice@example.com"
# RFC 5262 section 6: a full document, a diff, and what comes out.
HEAD = b"""<?xml version="1.0" encoding="UTF-8"?>
<p:pidf-full xmlns="urn:ietf:params:xml:ns:pidf"
       xmlns:p="urn:ietf:params:xml:ns:pidf-diff"
       xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"
       xmlns:ci="urn:ietf:params:xml:ns:pidf:cipid"
       xmlns:c="urn:ietf:params:xml:ns:pidf:caps"
       xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
       entity="pres:someone@example.com"
"""
FULL = (
    HEAD
    + b"""       version="567">
 <tuple id="sg89ae">
  <status>
   <basic>open</basic>
  </status>
  <c:servcaps>
   <c:audio>true</c:audio>
   <c:message>true</c:message>
   <c:video>false</c:video>
  </c:servcaps>
  <contact priority="0.8">tel:09012345678</contact>
 </tuple>
 <tuple id="cg231jcr">
  <status>
   <basic>open</basic>
  </status>
  <contact priority="1.0">im:pep@example.com</contact>
 </tuple>
 <tuple id="r1230d">
  <status>
   <basic>closed</basic>
  </status>
  <ci:homepage>http://example.com/~pep/</ci:homepage>
  <contact priority="0.9">sip:pep@example.com</contact>
 </tuple>
 <note xml:lang="en">Full state presence document</note>
 <dm:person id="p123">
  <r:activities>
   <r:on-the-phone/>
   <r:busy/>
  </r:activities>
 </dm:person>
</p:pidf-full>
"""
)
DIFF = b"""<?xml version="1.0" encoding="UTF-8"?>
<p:pidf-diff
     xmlns="urn:ietf:params:xml:ns:pidf"
     xmlns:p="urn:ietf:params:xml:ns:pidf-diff"
     xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"
     xmlns:d="urn:ietf:params:xml:ns:pidf:data-model"
     entity="pres:someone@example.com"
     version="568">
<p:add sel="presence/note" pos="before">
 <tuple id="ert4773">
  <status>
   <basic>open</basic>
  </status>
  <contact priority="0.4">mailto:pep@example.com</contact>
 </tuple>
</p:add>
<p:replace sel="*/tuple[@id='r1230d']/status/basic/text()"
   >open</p:replace>
<p:remove sel="*/d:person/r:activities/r:busy" ws="after"/>
<p:replace sel="*/tuple[@id='cg231jcr']/contact/@priority"
   >0.7</p:replace>
</p:pidf-diff>
"""


def canonical(presence: Presence) -> object:
    """Return all that *presence* says, whatever the prefixes, without the white space between elements."""

    def said(element: etree._Element) -> object:
        children = [(said(child), (child.tail or "").strip()) for child in element if isinstance(child.tag, str)]
        return element.tag, sorted(element.attrib.items()), (element.text or "").strip(), children

    return said(etree.fromstring(presence.to_xml()))


def test_the_example_of_the_rfc() -> None:
    full, version = patched(FULL)
    assert version == 567 and full.entity == "pres:someone@example.com" and len(full.services) == 3
    result, version = patched(DIFF, full)
    assert version == 568
    assert [service.id for service in result.services] == ["sg89ae", "cg231jcr", "r1230d", "ert4773"]
    assert [service.basic for service in result.services] == ["open"] * 4
    assert result.services[1].priority == 0.7
    assert result.activities == ("on-the-phone",)
    assert [child.tag.rpartition("}")[2] for child in result.root] == ["tuple"] * 4 + ["note", "person"]
    # The base is as it was.
    assert len(full.services) == 3 and full.activities == ("on-the-phone", "busy")


def test_the_root_under_its_own_name() -> None:
    full, _ = patched(FULL)
    for step in (b"p:pidf-full/note", b"/p:pidf-full/note", b" p:pidf-full/note"):
        assert patched(DIFF.replace(b"presence/note", step), full)[0].services[3].id == "ert4773"


def test_full_document(check_schema: Callable[[str, bytes], None]) -> None:
    presence = Presence(ALICE).with_status("open", activity="busy", note="hi", lang="en")
    body = pidf_full(presence, 7)
    check_schema("pidf-diff", body)
    read, version = patched(body)
    assert version == 7 and canonical(read) == canonical(presence)
    # Made once, whatever the version.
    assert pidf_full(presence, 12345) == body.replace(b'version="7"', b'version="12345"')


def told(before: Presence, after: Presence) -> bytes:
    """Return the update for a watcher that has *before*, which must bring it to *after*."""
    held = HeldPresence(before)
    body = held.update(after, 2)
    assert held.presence is after
    copy, _ = patched(pidf_full(before, 1))
    result, version = patched(body, copy)
    assert version == 2 and canonical(result) == canonical(after)
    return body


BASE = (
    Presence(ALICE)
    .with_status("open", id="phone", contact="sip:alice@192.0.2.1", priority=0.5)
    .with_status("closed", id="mail", contact="mailto:alice@example.com")
    .with_person(activities=["busy", "meeting"], notes=[Note("In a meeting", "en")], display_name="Alice")
    .with_device("urn:uuid:1", user_input="idle")
    .with_note("one")
    .with_note("two")
)


def operations(body: bytes) -> list[tuple[str, str]]:
    root = etree.fromstring(body)
    assert root.tag == "{urn:ietf:params:xml:ns:pidf-diff}pidf-diff"
    return [(child.tag.rpartition("}")[2], child.get("sel", "")) for child in root]


def test_a_changed_text(check_schema: Callable[[str, bytes], None]) -> None:
    body = told(BASE, BASE.with_status("closed", id="phone", contact="sip:alice@192.0.2.1", priority=0.5))
    # What changes place goes out in full; here the tuple went to the end.
    assert b"pidf-full" in body
    closed = Presence.parse(BASE.to_xml().replace(b"<basic>open", b"<basic>closed").replace(b'"0.5"', b'"0.7"'))
    body = told(BASE, closed)
    check_schema("pidf-diff", body)
    assert operations(body) == [
        ("replace", "*/tuple[@id='phone']/status/basic/text()"),
        ("replace", "*/tuple[@id='phone']/contact/@priority"),
    ]


def test_a_changed_enumeration() -> None:
    free = Presence.parse(BASE.to_xml().replace(b"<rpid:busy/>", b""))
    assert operations(told(BASE, free)) == [("replace", "*/dm:person[@id='person']/rpid:activities")]


def test_repeated_elements_are_told_by_their_place() -> None:
    before = BASE.with_person(notes=[Note("a", "en"), Note("b", "de")], id="second")
    after = Presence.parse(before.to_xml().replace(b">b</dm:note>", b">c</dm:note>"))
    assert operations(told(before, after)) == [("replace", "*/dm:person[@id='second']/dm:note[2]/text()")]


def test_added_and_removed(check_schema: Callable[[str, bytes], None]) -> None:
    added = BASE.with_status("open", id="new")
    body = told(BASE, added)
    check_schema("pidf-diff", body)
    assert operations(body) == [("add", "*/*[2]")]
    assert operations(told(added, BASE)) == [("remove", "*/tuple[@id='new']")]
    noted = BASE.with_note("three")
    assert operations(told(BASE, noted)) == [("add", "*/*[4]")]
    # A note has no identifier.
    assert operations(told(noted, BASE)) == [("remove", "*/*[5]")]
    nothing = Presence(ALICE)
    assert told(nothing, Presence(ALICE).with_status("open"))
    lists = b"pidf-diff" in told(BASE.with_note("x" * 500), BASE.with_note("y"))
    assert lists


def test_first_child_is_prepended() -> None:
    long = Presence(ALICE).with_note("x" * 1000)
    assert operations(told(long, long.with_status("open"))) == [("add", "*")]


def test_nothing_changed() -> None:
    assert operations(told(BASE, BASE)) == []
    assert operations(told(BASE, Presence.parse(BASE.to_xml()))) == []


def test_whatever_is_shorter() -> None:
    assert b"pidf-full" in told(BASE, Presence(ALICE).with_status("open"))
    assert b"pidf-full" in told(BASE, BASE.with_entity("sip:alice@example.org"))


def test_one_difference_for_many_watchers() -> None:
    after = BASE.with_status("open", id="new")
    bodies = [HeldPresence(BASE).update(after, version) for version in (2, 30)]
    assert bodies[0].replace(b'version="2"', b'version="30"') == bodies[1]


def test_namespaces_of_the_document_are_declared_once() -> None:
    body = b'<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:v="urn:v" entity="sip:a@b">%b</presence>'
    note = b"<note>" + b"x" * 500 + b"</note>"
    before = Presence.parse(body % (b'<tuple id="t"><v:a><v:b>1</v:b></v:a></tuple>' + note))
    after = Presence.parse(body % (b'<tuple id="t"><v:a><v:b>2</v:b></v:a></tuple>' + note))
    assert pidf_full(before, 1).count(b'xmlns:v="urn:v"') == 1
    assert operations(told(before, after)) == [("replace", "*/tuple[@id='t']/v:a/v:b/text()")]


@pytest.mark.parametrize("id", ["it's", 'a"b', """it's "both\""""])
def test_quotes_in_identifiers(id: str) -> None:
    before = BASE.with_status("open", id=id, note="a")
    told(before, Presence.parse(before.to_xml().replace(b"<note>a<", b"<note>b<")))
    told(before, BASE)


XML = '<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@b">{}</presence>'
PAIRS = [
    # An element of a namespace that the watcher's copy has not declared.
    ('<tuple id="a"><status><e:x xmlns:e="urn:e">1</e:x></status></tuple>',) * 2,
    ('<tuple id="a"><status><e:x xmlns:e="urn:e">2</e:x></status></tuple>', '<tuple id="a"><status/></tuple>'),
    # Attributes come and go, qualified ones change, and so do comments and text between elements.
    ('<tuple id="a" k="1"><status/></tuple>', '<tuple id="a"><status/></tuple>'),
    ('<tuple id="a" xmlns:e="urn:e" e:k="1"/>', '<tuple id="a" xmlns:e="urn:e" e:k="2"/>'),
    ('<tuple id="a"><!--1--><status/></tuple>', '<tuple id="a"><!--2--><status/></tuple>'),
    ('<tuple id="a">x<status/>y</tuple>', '<tuple id="a">x<status/>z</tuple>'),
    ('<tuple id="a"><status><basic/></status></tuple>', '<tuple id="a"><status><basic>open</basic></status></tuple>'),
    ('<tuple id="a"><status><basic>open</basic></status></tuple>', '<tuple id="a"><status><basic/></status></tuple>'),
    # The same identifier twice, or none.
    ('<tuple id="a"/><tuple id="a"><note>1</note></tuple>', '<tuple id="a"/><tuple id="a"><note>2</note></tuple>'),
    ("<tuple><note>1</note></tuple>", "<tuple><note>2</note></tuple>"),
    ("<note>1</note><note>1</note>", "<note>1</note>"),
    # Elements without a namespace.
    ('<tuple id="a"><x xmlns="">1</x></tuple>', '<tuple id="a"><x xmlns="">2</x></tuple>'),
    ("<note>1</note>", '<tuple id="a"><x xmlns="">2</x></tuple>'),
    # A namespace that is none.
    ('<tuple id="a"><x xmlns="y">1</x></tuple>', '<tuple id="a"><x xmlns="y">2</x></tuple>'),
    ('<tuple id="a"/><tuple id="b"/>', '<tuple id="b"/><tuple id="a"/>'),
]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_odd_documents(before: str, after: str) -> None:
    padding = "<note>" + "x" * 2000 + "</note>"
    for first, second in ((before, after), (after, before)):
        told(
            Presence.parse(XML.format(first + padding).encode()), Presence.parse(XML.format(second + padding).encode())
        )


TUPLES = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(["open", "closed"]), st.sampled_from(["", "x", "y & <z>"])),
    max_size=4,
)


def test_elements_without_namespace_stay_so() -> None:
    """Under a default namespace they would be elements of PIDF."""
    body = (
        '<i:presence xmlns:i="urn:ietf:params:xml:ns:pidf" entity="sip:a@b"><i:tuple id="t">{}</i:tuple></i:presence>'
    )
    bare = Presence.parse(body.format("<note>1</note>").encode())
    plain = Presence.parse(body.format("<i:note>1</i:note>").encode())
    for before, after in ((bare, plain), (plain, bare)):
        told(before.with_note("x" * 900), after.with_note("x" * 900))
    assert plain.services[0].notes and not bare.services[0].notes
    assert not bare.with_note("y").services[0].notes
    assert not Presence.parse(bare.with_note("y").to_xml()).services[0].notes
    diff = b"""<p:pidf-diff xmlns:p="urn:ietf:params:xml:ns:pidf-diff" xmlns:i="urn:ietf:params:xml:ns:pidf">
        <p:add sel="*/i:tuple"><note>1</note></p:add></p:pidf-diff>"""
    result, _ = patched(diff, Presence("sip:a@b").with_status("open"))
    assert not result.services[0].notes and not Presence.parse(result.to_xml()).services[0].notes


@st.composite
def presences(draw: st.DrawFn) -> Presence:
    made = Presence(ALICE)
    for id, basic, note in draw(TUPLES):
        made = made.with_status(basic, id=id, note=note, priority=draw(st.sampled_from([None, 0.5, 1])))
    for text in draw(st.lists(st.sampled_from(["n", "m"]), max_size=2)):
        made = made.with_note(text)
    for activity in draw(st.lists(st.sampled_from(["busy", "away", "odd"]), max_size=2)):
        made = made.with_person(activities=[activity], id=f"p{activity}")
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(presences(), min_size=2, max_size=5))
def test_a_watcher_keeps_up(states: list[Presence]) -> None:
    held = HeldPresence(states[0])
    received = ReceivedPresence()
    assert received.receive(MEDIA_TYPE, pidf_full(states[0], 1))
    for version, state in enumerate(states[1:], 2):
        assert received.receive(MEDIA_TYPE, held.update(state, version))
        assert received.presence is not None and received.version == version
        assert canonical(received.presence) == canonical(state)


def test_what_a_watcher_receives() -> None:
    """RFC 5263 section 4.5."""
    received = ReceivedPresence()
    # A diff before any full document.
    assert not received.receive(MEDIA_TYPE, DIFF)
    assert received.receive(MEDIA_TYPE, FULL) and received.version == 567
    assert received.receive(MEDIA_TYPE, DIFF) and received.version == 568
    assert received.presence is not None and len(received.presence.services) == 4
    # Old ones are discarded.
    assert received.receive(MEDIA_TYPE, FULL) and len(received.presence.services) == 4
    # One is missing before this.
    assert not received.receive(MEDIA_TYPE, DIFF.replace(b'"568"', b'"570"').replace(b"ert4773", b"other"))
    assert received.version == 568 and len(received.presence.services) == 4
    # A full document needs none before it.
    assert received.receive(MEDIA_TYPE, FULL.replace(b'"567"', b'"571"'))
    assert received.version == 571 and len(received.presence.services) == 3
    # Another format leaves the version.
    assert received.receive("application/pidf+xml", BASE.to_xml())
    assert received.version == 571 and received.presence.entity == ALICE
    # Nothing fits this.
    assert not received.receive(MEDIA_TYPE, DIFF.replace(b'"568"', b'"572"'))
    assert received.receive(MEDIA_TYPE, FULL.replace(b' version="567"', b"").replace(b'       version="567"', b""))
    with pytest.raises(DocumentError):
        received.receive(MEDIA_TYPE, b"<x/>")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'entity="pres:someone@example.com"', b'entity="pres:other@example.com"', "another document"),
        (b"<p:remove", b"<r:remove", "another namespace"),
        (b'sel="presence/note"', b'sel="presence/none"', "unlocated-node"),
        (b'sel="*/d:person/r:activities/r:busy" ws="after"', b'sel="presence"', "invalid-root"),
        (b'sel="*/d:person/r:activities/r:busy" ws="after"', b'sel="*/@entity"', "would be another"),
        (b"p:pidf-diff", b"p:pidf-dift", "neither full nor diff"),
    ],
)
def test_diffs_that_do_not_fit(old: bytes, new: bytes, reason: str) -> None:
    full, _ = patched(FULL)
    assert old in DIFF
    with pytest.raises(DocumentError, match=reason):
        patched(DIFF.replace(old, new), full)


def test_limits_of_a_patched_document() -> None:
    full, _ = patched(FULL)
    with pytest.raises(DocumentError) as caught:
        patched(DIFF, full, limit=len(DIFF) - 1)
    assert caught.value.too_large
    with pytest.raises(DocumentError) as caught:
        patched(DIFF, full, limit=len(DIFF) + 1)
    assert caught.value.too_large


def test_entity_and_version_may_be_missing() -> None:
    full, _ = patched(FULL)
    bare = DIFF.replace(b'entity="pres:someone@example.com"', b"").replace(b'version="568"', b"")
    result, version = patched(bare, full)
    assert version is None and len(result.services) == 4
    with pytest.raises(PatchError):
        patched(bare)
