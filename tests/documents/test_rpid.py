"""Rich presence and contact information (RFC 4480, 4482)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from lxml import etree

from twisted_sip.documents import rpid
from twisted_sip.documents.data_model import Person
from twisted_sip.documents.pidf import Presence
from twisted_sip.documents.rpid import Enumeration, Usage, add_enumeration
from twisted_sip.documents.values import Note

# RFC 4480 section 4.
EXAMPLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
  xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
  xmlns:lt="urn:ietf:params:xml:ns:location-type"
  xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"
  entity="pres:someone@example.com">
 <tuple id="bs35r9">
   <status>
     <basic>open</basic>
   </status>
   <dm:deviceID>urn:device:0003ba4811e3</dm:deviceID>
   <rpid:relationship><rpid:self/></rpid:relationship>
   <rpid:service-class><rpid:electronic/></rpid:service-class>
   <contact priority="0.8">im:someone@mobile.example.net</contact>
   <note xml:lang="en">Don't Disturb Please!</note>
   <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
   <timestamp>2005-10-27T16:49:29Z</timestamp>
 </tuple>
 <tuple id="ty4658">
   <status>
     <basic>open</basic>
   </status>
   <rpid:relationship><rpid:assistant/></rpid:relationship>
   <contact priority="1.0">mailto:secretary@example.com</contact>
 </tuple>
 <tuple id="eg92n8">
   <status>
     <basic>open</basic>
   </status>
   <dm:deviceID>urn:x-mac:0003ba4811e3</dm:deviceID>
   <rpid:class>email</rpid:class>
   <rpid:service-class><rpid:postal/></rpid:service-class>
   <rpid:status-icon>http://example.com/mail.png</rpid:status-icon>
   <contact priority="1.0">mailto:someone@example.com</contact>
 </tuple>
 <note>I'll be in Tokyo next week</note>
 <dm:device id="pc147">
   <rpid:user-input idle-threshold="600"
     last-input="2004-10-21T13:20:00-05:00">idle</rpid:user-input>
   <dm:deviceID>urn:device:0003ba4811e3</dm:deviceID>
   <dm:note>PC</dm:note>
 </dm:device>
 <dm:person id="p1">
   <rpid:activities from="2005-05-30T12:00:00+05:00"
      until="2005-05-30T17:00:00+05:00">
      <rpid:note>Far away</rpid:note>
      <rpid:away/>
   </rpid:activities>
   <rpid:class>calendar</rpid:class>
   <rpid:mood>
     <rpid:angry/>
     <rpid:other>brooding</rpid:other>
   </rpid:mood>
   <rpid:place-is>
      <rpid:audio>
         <rpid:noisy/>
      </rpid:audio>
   </rpid:place-is>
   <rpid:place-type><lt:residence/></rpid:place-type>
   <rpid:privacy><rpid:unknown/></rpid:privacy>
   <rpid:sphere>bowling league</rpid:sphere>
   <rpid:status-icon>http://example.com/play.gif</rpid:status-icon>
   <rpid:time-offset>-240</rpid:time-offset>
   <dm:note>Scoring 120</dm:note>
   <dm:timestamp>2005-05-30T16:09:44+05:00</dm:timestamp>
 </dm:person>
</presence>
"""
# RFC 4482 section 4, with the end tag that it misprints.
CARD = b"""<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
     xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
     xmlns:c="urn:ietf:params:xml:ns:pidf:cipid"
     entity="pres:someone@example.com">
  <dm:person id="p1">
    <c:card>http://example.com/~alice/card.vcd</c:card>
    <c:display-name xml:lang="en">Alice Lewis</c:display-name>
    <c:homepage>http://example.com/~alice</c:homepage>
    <c:icon>http://example.com/~alice/me.png</c:icon>
    <c:map>http://example.com/~alice/gml-map.xml</c:map>
    <c:sound>http://example.com/~alice/hello.wav</c:sound>
  </dm:person>
  <dm:person id="p2"/>
</presence>
"""


def test_reads_services() -> None:
    mobile, secretary, email = Presence.parse(EXAMPLE).services
    assert mobile.device_ids == ("urn:device:0003ba4811e3",)
    assert mobile.relationship == "self" and mobile.service_class == "electronic"
    assert secretary.relationship == "assistant" and secretary.service_class == "electronic"
    assert email.class_ == "email" and email.service_class == "postal" and email.relationship == "self"
    assert email.status_icon == "http://example.com/mail.png"


def test_reads_devices() -> None:
    (device,) = Presence.parse(EXAMPLE).devices
    assert device.user_input == Usage(
        state="idle",
        idle_threshold=600,
        last_input=datetime(2004, 10, 21, 13, 20, tzinfo=timezone(timedelta(hours=-5))),
    )
    assert device.notes == (Note("PC"),)


def test_reads_persons() -> None:
    presence = Presence.parse(EXAMPLE)
    (person,) = presence.persons
    zone = timezone(timedelta(hours=5))
    assert person.enumerations("activities") == (
        Enumeration(
            names=("away",),
            notes=(Note("Far away"),),
            since=datetime(2005, 5, 30, 12, tzinfo=zone),
            until=datetime(2005, 5, 30, 17, tzinfo=zone),
        ),
    )
    assert person.activities == presence.activities == ("away",)
    assert person.class_ == "calendar"
    assert person.moods == ("angry", "brooding")
    assert person.place_is == {"audio": "noisy"}
    assert person.place_types == ("residence",)
    assert person.privacy == ("unknown",)
    assert person.spheres == ("bowling league",) and presence.sphere == "bowling league"
    assert person.status_icon == "http://example.com/play.gif"
    assert person.time_offset == -240
    assert person.timestamp == datetime(2005, 5, 30, 11, 9, 44, tzinfo=UTC)
    assert person.user_input is None


def test_spheres_that_differ_are_none() -> None:
    other = b"<dm:person id='p2'><rpid:sphere><rpid:home/></rpid:sphere></dm:person></presence>"
    assert Presence.parse(EXAMPLE.replace(b"</presence>", other)).sphere is None
    same = other.replace(b"<rpid:home/>", b"bowling league")
    assert Presence.parse(EXAMPLE.replace(b"</presence>", same)).sphere == "bowling league"


def test_reads_cards() -> None:
    person, other = Presence.parse(CARD).persons
    assert person.card == "http://example.com/~alice/card.vcd"
    assert person.display_names == (Note("Alice Lewis", "en"),)
    assert person.homepage == "http://example.com/~alice"
    assert person.icon == "http://example.com/~alice/me.png"
    assert person.map == "http://example.com/~alice/gml-map.xml"
    assert person.sound == "http://example.com/~alice/hello.wav"
    assert (other.card, other.display_names, other.icon) == ("", (), "")


@pytest.mark.parametrize("text", ["", "x", "1e3", "9" * 20, "\u0661"])
def test_time_offset_that_is_none(text: str) -> None:
    body = EXAMPLE.replace(b"<rpid:time-offset>-240", f"<rpid:time-offset>{text}".encode())
    assert Presence.parse(body).persons[0].time_offset is None


def person() -> etree._Element:
    return etree.Element("{urn:ietf:params:xml:ns:pidf:data-model}person", {"id": "p"}, nsmap={"r": rpid.NAMESPACE})


@pytest.mark.parametrize(
    ("local", "names"),
    [
        ("activities", rpid.ACTIVITIES - {"unknown", "lunch"}),
        ("activities", {"unknown"}),
        ("mood", rpid.MOODS - {"unknown"}),
        ("mood", {"unknown"}),
        ("privacy", {"audio"}),
        ("sphere", {"work"}),
        ("relationship", {"friend"}),
        ("service-class", {"in-person"}),
        ("place-type", {"office"}),
    ],
)
def test_every_value_is_in_the_schema(check_schema: Callable[[str, bytes], None], local: str, names: set[str]) -> None:
    element = person()
    notes = [Note("why", "en")] if local != "sphere" else []
    add_enumeration(element, local, sorted(names), notes)
    check_schema("presence", etree.tostring(element))
    read = Person(element).enumerations(local)[0]
    assert read.names == tuple(sorted(names)) and read.notes == tuple(notes)


def test_the_examples_are_as_the_schema_wants(check_schema: Callable[[str, bytes], None]) -> None:
    # Section 3.2 lets names have a language, the schema does not.
    check_schema("presence", CARD.replace(b' xml:lang="en"', b""))
    # The sphere of the example is text, which the schema has not.
    check_schema("presence", EXAMPLE.replace(b"bowling league", b"<rpid:home/>"))
