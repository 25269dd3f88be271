"""What watchers see (RFC 5025 section 3.3)."""

from __future__ import annotations

import attrs
import pytest

from twisted_sip.documents.permissions import (
    ALL_PERMISSIONS,
    BOOLEAN_ATTRIBUTES,
    EVERYTHING,
    NO_PERMISSIONS,
    Permissions,
    Selection,
    UserInput,
)
from twisted_sip.documents.pidf import Presence
from twisted_sip.presence.filtering import filter_presence

DOCUMENT = Presence.parse(
    b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
  xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
  xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"
  xmlns:c="urn:ietf:params:xml:ns:pidf:cipid"
  xmlns:v="urn:vendor-specific:foo-namespace"
  entity="sip:someone@example.com">
 <!-- comment -->
 <tuple id="im">
   <status><basic>open</basic><v:foo>in status</v:foo></status>
   <dm:deviceID>urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6</dm:deviceID>
   <r:class>biz</r:class>
   <r:privacy><r:audio/></r:privacy>
   <r:relationship><r:note>in relationship</r:note><r:self/></r:relationship>
   <r:service-class><r:electronic/></r:service-class>
   <r:status-icon>http://example.com/i.png</r:status-icon>
   <r:user-input idle-threshold="600" last-input="2004-10-21T13:20:00Z" since="x" id="u">idle</r:user-input>
   <c:homepage>http://example.com</c:homepage>
   <v:foo>in tuple</v:foo>
   <!-- comment -->
   <contact priority="0.8">sip:someone@Example.com</contact>
   <note>tuple note</note>
   <timestamp>2005-10-27T16:49:29Z</timestamp>
 </tuple>
 <tuple id="mail">
   <status><basic>closed</basic></status>
   <contact>mailto:someone@example.com</contact>
 </tuple>
 <note>root note</note>
 <dm:person id="p1">
   <r:activities><r:note>in activities</r:note><r:busy/></r:activities>
   <r:class>calendar</r:class>
   <r:mood><r:happy/></r:mood>
   <r:place-is><r:audio><r:noisy/></r:audio></r:place-is>
   <r:place-type><r:other>tent</r:other></r:place-type>
   <r:privacy><r:unknown/></r:privacy>
   <r:sphere><r:home/></r:sphere>
   <r:status-icon>http://example.com/p.png</r:status-icon>
   <r:time-offset>60</r:time-offset>
   <r:user-input>active</r:user-input>
   <v:foo>in person</v:foo>
   <dm:note>person note</dm:note>
   <dm:timestamp>2005-05-30T16:09:44Z</dm:timestamp>
 </dm:person>
 <dm:device id="d1">
   <r:class>home</r:class>
   <r:user-input>active</r:user-input>
   <dm:deviceID>urn:uuid:F81D4FAE-7dec-11d0-a765-00a0c91e6bf6</dm:deviceID>
   <dm:note>device note</dm:note>
   <dm:timestamp>2005-05-30T16:09:44Z</dm:timestamp>
 </dm:device>
 <v:foo>in root</v:foo>
</presence>
"""
)
COMPONENTS = Permissions(devices=EVERYTHING, persons=EVERYTHING, services=EVERYTHING)


def seen(permissions: Permissions) -> Presence:
    """Return what is seen, having checked that seeing it again changes nothing (RFC 5025 section 4)."""
    made = filter_presence(DOCUMENT, permissions)
    again = filter_presence(Presence.parse(made.to_xml()), permissions)
    by_class = any(each.classes for each in (permissions.devices, permissions.persons, permissions.services))
    # By its class nothing is found again where the class is withheld.
    if not by_class:
        assert again.to_xml() == made.to_xml()
    assert made.entity == DOCUMENT.entity
    return made


def names(presence: Presence) -> set[str]:
    return {str(element.tag).rpartition("}")[2] for element in presence.root.iter("*")}


def ids(presence: Presence) -> list[str]:
    return [child.get("id", "") for child in presence.root if child.get("id")]


def test_everything() -> None:
    assert filter_presence(DOCUMENT, ALL_PERMISSIONS) is DOCUMENT


def test_nothing() -> None:
    assert len(seen(NO_PERMISSIONS).root) == 0
    # Attributes of what is not seen are nothing.
    granted = Permissions(attributes=BOOLEAN_ATTRIBUTES, user_input=UserInput.FULL, all_attributes=True)
    assert len(seen(granted).root) == 0


def test_what_is_always_reported() -> None:
    """Section 3.3.2."""
    made = seen(COMPONENTS)
    assert names(made) == {
        *("presence", "tuple", "status", "basic", "contact", "service-class", "electronic", "timestamp"),
        *("person", "device", "deviceID"),
    }
    assert ids(made) == ["im", "mail", "p1", "d1"]
    im = made.services[0]
    assert im.device_ids == () and im.contact == "sip:someone@Example.com" and im.priority == 0.8
    assert made.devices[0].device_id and made.devices[0].timestamp and made.persons[0].timestamp
    assert b"comment" not in made.to_xml()


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(classes=frozenset(["home"])), ["d1"]),
        (Selection(classes=frozenset(["Home", "biz"])), []),
        (Selection(occurrence_ids=frozenset(["d1"])), ["d1"]),
        (Selection(occurrence_ids=frozenset(["D1"])), []),
        (Selection(device_ids=frozenset(["urn:UUID:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"])), ["d1"]),
        (Selection(device_ids=frozenset(["urn:uuid:other"])), []),
        (EVERYTHING, ["d1"]),
    ],
)
def test_devices(selection: Selection, kept: list[str]) -> None:
    assert ids(seen(Permissions(devices=selection))) == kept


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(classes=frozenset(["calendar"])), ["p1"]),
        (Selection(occurrence_ids=frozenset(["p1"])), ["p1"]),
        (Selection(classes=frozenset(["biz"]), occurrence_ids=frozenset(["im"])), []),
        (EVERYTHING, ["p1"]),
    ],
)
def test_persons(selection: Selection, kept: list[str]) -> None:
    assert ids(seen(Permissions(persons=selection))) == kept


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(classes=frozenset(["biz"])), ["im"]),
        (Selection(occurrence_ids=frozenset(["mail"])), ["mail"]),
        (Selection(service_uris=frozenset(["sip:someone@example.com"])), ["im"]),
        (Selection(service_uris=frozenset(["sip:Someone@example.com"])), []),
        (Selection(service_uri_schemes=frozenset(["mailto"])), ["mail"]),
        (Selection(service_uri_schemes=frozenset(["sip", "mailto"])), ["im", "mail"]),
        (Selection(service_uri_schemes=frozenset(["SIP", ""])), []),
        (EVERYTHING, ["im", "mail"]),
    ],
)
def test_services(selection: Selection, kept: list[str]) -> None:
    assert ids(seen(Permissions(services=selection))) == kept


def test_service_without_contact() -> None:
    service = b"<tuple id='t'><contact>x</contact></tuple>"
    body = b"<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>" + service + b"</presence>"
    selection = Selection(service_uri_schemes=frozenset(["", "x"]))
    assert len(filter_presence(Presence.parse(body), Permissions(services=selection)).root) == 0


@pytest.mark.parametrize(
    ("attribute", "elements", "number"),
    [
        ("activities", {"activities", "busy", "note"}, 1),
        ("class", {"class"}, 3),
        ("deviceID", set(), 2),
        ("mood", {"mood", "happy"}, 1),
        ("place-is", {"place-is", "audio", "noisy"}, 1),
        ("place-type", {"place-type", "other"}, 1),
        ("privacy", {"privacy", "audio", "unknown"}, 2),
        ("relationship", {"relationship", "self", "note"}, 1),
        ("sphere", {"sphere", "home"}, 1),
        ("status-icon", {"status-icon"}, 2),
        ("time-offset", {"time-offset"}, 1),
    ],
)
def test_boolean_attributes(attribute: str, elements: set[str], number: int) -> None:
    made = seen(attrs.evolve(COMPONENTS, attributes=frozenset([attribute])))
    assert names(made) - names(seen(COMPONENTS)) == elements
    assert len([element for element in made.root.iter("*") if str(element.tag).endswith("}" + attribute)]) == number


def test_notes() -> None:
    """Section 3.3.2.13: notes within other elements are theirs."""
    made = seen(attrs.evolve(COMPONENTS, attributes=frozenset(["note"])))
    notes = [element.text for element in made.root.iter("*") if str(element.tag).endswith("}note")]
    assert notes == ["tuple note", "root note", "person note", "device note"]
    # The note of the presentity is about its persons.
    made = seen(Permissions(services=EVERYTHING, attributes=frozenset(["note"])))
    assert made.notes == () and made.services[0].notes
    made = seen(Permissions(persons=Selection(occurrence_ids=frozenset(["p1"])), attributes=frozenset(["note"])))
    assert [note.text for note in made.notes] == ["root note"]
    plain = Presence("sip:a@b").with_note("x")
    assert filter_presence(plain, attrs.evolve(COMPONENTS, attributes=frozenset(["note"]))).note == "x"


@pytest.mark.parametrize(
    ("level", "attributes"),
    [
        (UserInput.BARE, {"id": "u"}),
        (UserInput.THRESHOLDS, {"id": "u", "idle-threshold": "600"}),
        (
            UserInput.FULL,
            {"id": "u", "idle-threshold": "600", "last-input": "2004-10-21T13:20:00Z", "since": "x"},
        ),
    ],
)
def test_user_input(level: UserInput, attributes: dict[str, str]) -> None:
    made = seen(attrs.evolve(COMPONENTS, user_input=level))
    found = [element for element in made.root.iter("*") if str(element.tag).endswith("}user-input")]
    assert [element.text for element in found] == ["idle", "active", "active"]
    assert dict(found[0].attrib) == attributes


def test_unknown_attributes() -> None:
    """Section 3.3.2.14."""
    foo = ("urn:vendor-specific:foo-namespace", "foo")
    made = seen(attrs.evolve(COMPONENTS, unknown_attributes=frozenset([foo])))
    found = [element.text for element in made.root.iter("{urn:vendor-specific:foo-namespace}foo")]
    assert found == ["in status", "in tuple", "in person"]
    card = ("urn:ietf:params:xml:ns:pidf:cipid", "homepage")
    assert "homepage" in names(seen(attrs.evolve(COMPONENTS, unknown_attributes=frozenset([card]))))
    # What RPID defines is not unknown.
    mood = ("urn:ietf:params:xml:ns:pidf:rpid", "mood")
    assert "mood" not in names(seen(attrs.evolve(COMPONENTS, unknown_attributes=frozenset([mood]))))


def test_all_attributes_of_some_components() -> None:
    made = seen(Permissions(persons=EVERYTHING, all_attributes=True))
    assert ids(made) == ["p1"]
    assert len(made.persons[0].element) == len(DOCUMENT.persons[0].element)
    assert [note.text for note in made.notes] == ["root note"]
    # What stands beside the components is for those who see everything.
    assert made.extensions == ()


def test_the_example_of_the_rfc() -> None:
    """RFC 5025 section 6."""
    made = seen(
        Permissions(
            services=Selection(service_uri_schemes=frozenset(["sip", "mailto"])),
            persons=EVERYTHING,
            attributes=frozenset(["activities"]),
            user_input=UserInput.BARE,
            unknown_attributes=frozenset([("urn:vendor-specific:foo-namespace", "foo")]),
        )
    )
    assert ids(made) == ["im", "mail", "p1"]
    assert made.activities == ("busy",)
    assert made.services[0].user_input is not None and made.services[0].user_input.last_input is None
    assert {"mood", "class", "homepage", "device"}.isdisjoint(names(made))


def test_made_once_for_all_watchers_with_the_same_permissions() -> None:
    first = Permissions(services=EVERYTHING, attributes=frozenset(["note"]))
    second = Permissions(services=EVERYTHING, attributes=frozenset(["note"]))
    assert first is not second
    assert filter_presence(DOCUMENT, first) is filter_presence(DOCUMENT, second)
    presence = Presence("sip:a@b").with_status("open")
    for number in range(100):
        filter_presence(presence, Permissions(services=Selection(classes=frozenset([str(number)]))))
    assert len(presence.variants) <= 32
