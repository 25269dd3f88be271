"""Presence documents: read and made (RFC 3863, 4479)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from twisted_sip.documents import data_model
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.values import Note
from twisted_sip.errors import DocumentError, LocalProtocolError

# RFC 3863 section 4.3.1.
EXTENDED = b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
     xmlns:im="urn:ietf:params:xml:ns:pidf:im"
     xmlns:myex="http://id.example.com/presence/"
     entity="pres:someone@example.com">
  <tuple id="bs35r9">
    <status>
      <basic>open</basic>
      <im:im>busy</im:im>
      <myex:location>home</myex:location>
    </status>
    <contact priority="0.8">im:someone@mobilecarrier.net</contact>
    <note xml:lang="en">Don't Disturb Please!</note>
    <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
    <timestamp>2001-10-27T16:49:29Z</timestamp>
  </tuple>
  <tuple id="eg92n8">
    <status>
      <basic>open</basic>
    </status>
    <contact priority="1.0">mailto:someone@example.com</contact>
  </tuple>
  <note>I'll be in Tokyo next week</note>
</presence>
"""
# RFC 3863 section 4.3.2.
PREFIXED = b"""<?xml version="1.0" encoding="UTF-8"?>
<impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf"
     xmlns:myex="http://id.example.com/presence/"
     entity="pres:someone@example.com">
  <impp:tuple id="ck38g9">
    <impp:status>
      <impp:basic>open</impp:basic>
    </impp:status>
    <myex:mytupletag>Extended value in tuple</myex:mytupletag>
    <impp:contact priority="0.65">tel:+09012345678</impp:contact>
  </impp:tuple>
  <impp:tuple id="md66je">
    <impp:status>
      <impp:basic>closed</impp:basic>
    </impp:status>
    <impp:contact priority="1.0">
       im:someone@mobilecarrier.net</impp:contact>
  </impp:tuple>
  <myex:mytag>My extended presentity information</myex:mytag>
</impp:presence>
"""


def test_reads_the_example_with_extensions() -> None:
    presence = Presence.parse(EXTENDED)
    assert presence.entity == "pres:someone@example.com"
    assert presence.basic == "open"
    assert presence.notes == (Note("I'll be in Tokyo next week"),)
    first, second = presence.services
    assert first.id == "bs35r9" and first.basic == "open"
    assert first.contact == "im:someone@mobilecarrier.net" and first.priority == 0.8
    assert first.notes == (Note("Don't Disturb Please!", "en"), Note("Ne derangez pas, s'il vous plait", "fr"))
    assert first.timestamp == datetime(2001, 10, 27, 16, 49, 29, tzinfo=UTC)
    assert [element.text for element in first.status_extensions] == ["busy", "home"]
    assert first.extensions == () and first.device_ids == ()
    assert second.priority == 1.0 and second.timestamp is None
    assert presence.persons == () and presence.devices == () and presence.activities == ()
    assert presence.note == "I'll be in Tokyo next week"
    assert repr(presence) == "<Presence pres:someone@example.com open>"
    assert repr(first) == "<Service 'bs35r9'>"


def test_what_comes_in_goes_out_unchanged() -> None:
    assert Presence.parse(EXTENDED).to_xml() == EXTENDED
    assert Presence.parse(PREFIXED).to_xml() == PREFIXED
    single = EXTENDED.replace(b'version="1.0" encoding="UTF-8"', b"version='1.0' encoding='UTF-8'")
    assert Presence.parse(single).to_xml() == single


def test_elements_are_there_when_somebody_asks() -> None:
    presence = Presence.parse(EXTENDED)
    assert presence.to_xml() is EXTENDED and presence.entity == "pres:someone@example.com"
    assert presence.root is presence.root and presence.root.get("entity") == presence.entity
    same = Presence.of_text(EXTENDED, "pres:someone@example.com")
    assert [service.basic for service in same.services] == ["open", "open"] and same.to_xml() is EXTENDED


@pytest.mark.parametrize("head", ["", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="utf-16"?>'])
def test_what_is_not_plain_utf8_goes_out_as_such(head: str) -> None:
    text = head + EXTENDED.decode().partition("?>")[2].strip()
    presence = Presence.parse(text.encode("utf-16" if "16" in head else "utf-8"))
    assert presence.to_xml().startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<presence')
    assert presence.to_xml() is presence.to_xml()


def test_prefixes_make_no_difference() -> None:
    presence = Presence.parse(PREFIXED)
    first, second = presence.services
    assert first.contact == "tel:+09012345678"
    assert second.contact == "im:someone@mobilecarrier.net"
    assert [element.text for element in first.extensions] == ["Extended value in tuple"]
    assert [element.text for element in presence.extensions] == ["My extended presentity information"]


@pytest.mark.parametrize("priority", ["", "x", "1.1", "-0.1", "nan"])
def test_priority_out_of_range_is_ignored(priority: str) -> None:
    presence = Presence.parse(EXTENDED.replace(b'"0.8"', f'"{priority}"'.encode()))
    assert presence.services[0].priority == 0.0


def test_what_is_missing_is_empty() -> None:
    presence = Presence.parse(b"<presence xmlns='urn:ietf:params:xml:ns:pidf'><tuple/></presence>")
    service = presence.services[0]
    assert (presence.entity, presence.basic, presence.note, presence.sphere) == ("", "", "", None)
    assert (service.id, service.basic, service.contact, service.priority) == ("", "", "", 0.0)
    assert service.timestamp is None and service.notes == ()
    presence = Presence.parse(b"<presence xmlns='urn:ietf:params:xml:ns:pidf'><tuple><status/></tuple></presence>")
    assert presence.services[0].basic == ""


@pytest.mark.parametrize("body", [b"", b"<presence/>", b"<tuple xmlns='urn:ietf:params:xml:ns:pidf'/>"])
def test_other_documents_are_refused(body: bytes) -> None:
    with pytest.raises(DocumentError):
        Presence.parse(body)


def test_limit() -> None:
    with pytest.raises(DocumentError) as caught:
        Presence.parse(EXTENDED, limit=100)
    assert caught.value.too_large


def test_with_status(check_schema: Callable[[str, bytes], None]) -> None:
    presence = Presence("sip:alice@example.com").with_status(
        "open",
        note="At the desk",
        activity="busy",
        contact="sip:alice@192.0.2.1",
        priority=0.75,
        lang="en",
        timestamp=1714903200.5,
    )
    check_schema("presence", presence.to_xml())
    assert presence.basic == "open" and presence.note == "At the desk" and presence.activities == ("busy",)
    service = presence.services[0]
    assert service.contact == "sip:alice@192.0.2.1" and service.priority == 0.75
    assert service.notes == (Note("At the desk", "en"),)
    assert service.timestamp == datetime(2024, 5, 5, 10, tzinfo=UTC)
    person = presence.persons[0]
    assert person.timestamp == service.timestamp and person.notes == service.notes


def test_with_status_replaces(check_schema: Callable[[str, bytes], None]) -> None:
    first = Presence("sip:alice@example.com").with_status("open", activity=["away", "juggling"])
    second = first.with_status("closed", priority=1)
    assert first.basic == "open" and second.basic == "closed"
    assert len(second.services) == 1 and second.activities == ("away", "juggling")
    assert second.services[0].contact == "sip:alice@example.com" and second.services[0].priority == 1
    both = second.with_status("open", id="other", priority=0)
    assert both.basic == "open" and [service.id for service in both.services] == ["service", "other"]
    check_schema("presence", both.to_xml())


def test_with_person_device_and_note(check_schema: Callable[[str, bytes], None]) -> None:
    presence = (
        Presence("sip:alice@example.com")
        .with_device("urn:uuid:1", user_input="idle", notes=[Note("PC")], timestamp=0)
        .with_device("urn:uuid:2", id="second")
        .with_person(
            activities=["lunch"], moods=["happy", "odd"], place_types=["office"], display_name="Alice", timestamp=0
        )
        .with_note("Away", "en")
        .with_note("Fort", "de")
        .with_status("open")
    )
    check_schema("presence", presence.to_xml())
    # Services, notes, then everything else (RFC 3863 section 4.1.1).
    assert [child.tag.rpartition("}")[2] for child in presence.root] == (
        ["tuple", "note", "note", "device", "device", "person"]
    )
    assert presence.notes == (Note("Away", "en"), Note("Fort", "de"))
    first, second = presence.devices
    assert first.device_id == "urn:uuid:1" and first.notes == (Note("PC"),)
    assert first.user_input is not None and first.user_input.state == "idle"
    assert second.user_input is None and second.timestamp is None
    person = presence.persons[0]
    # RFC 4480 section 5.1 has no element for lunch.
    assert person.activities == ("meal",) and person.moods == ("happy", "odd")
    assert person.place_types == ("office",) and person.display_names == (Note("Alice"),)
    assert len(person.extensions) == 4


def test_with_entity_keeps_everything_else() -> None:
    presence = Presence.parse(EXTENDED).with_entity("sip:someone@example.com")
    assert presence.entity == "sip:someone@example.com"
    assert (
        presence.to_xml()
        == EXTENDED.replace(b"pres:someone", b"sip:someone")
        .replace(b"\n     xmlns", b" xmlns")
        .replace(b"\n     entity", b" entity")
        .rstrip()
    )


def test_unknown_content_is_kept_in_its_place() -> None:
    presence = Presence.parse(PREFIXED).with_status("open", id="new")
    xml = presence.to_xml()
    assert b"<myex:mytupletag>Extended value in tuple</myex:mytupletag>" in xml
    assert b"<myex:mytag>My extended presentity information</myex:mytag>" in xml
    assert xml.index(b"mytupletag") < xml.index(b"tel:+09012345678")
    assert xml.count(b"xmlns:myex=") == 1


def test_location_is_kept() -> None:
    location = (
        b'<gp:geopriv xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"><gp:location-info>'
        b'<gml:Point xmlns:gml="http://www.opengis.net/gml" srsName="urn:ogc:def:crs:EPSG::4326">'
        b"<gml:pos>42.5463 -73.2512</gml:pos></gml:Point></gp:location-info></gp:geopriv>"
    )
    body = (
        b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@b"><dm:person'
        b' xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" id="p">' + location + b"</dm:person></presence>"
    )
    presence = Presence.parse(body).with_status("open")
    assert location in presence.to_xml()
    assert presence.persons[0].extensions[0].tag == f"{{{data_model.GEOPRIV}}}geopriv"


def test_the_same_prefix_for_two_namespaces() -> None:
    person = b'<p:person xmlns:p="urn:ietf:params:xml:ns:pidf:data-model" id="p"/>'
    extension = b'<p:other xmlns:p="urn:other"/>'
    body = b'<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:a@b">' + person + extension + b"</presence>"
    presence = Presence.parse(Presence.parse(body).with_status("open").to_xml())
    assert presence.persons[0].id == "p" and presence.extensions[0].tag == "{urn:other}other"


def test_wrong_values_are_refused() -> None:
    presence = Presence("sip:a@b")
    with pytest.raises(LocalProtocolError, match="open or closed"):
        presence.with_status("away")
    with pytest.raises(LocalProtocolError, match="priority"):
        presence.with_status("open", priority=2)


def test_which_note_is_shown() -> None:
    presence = Presence("sip:a@b").with_status("open", note="service")
    assert presence.note == "service"
    presence = presence.with_note("presentity")
    assert presence.note == "presentity"
    assert presence.with_person(notes=[Note("person")]).note == "person"
