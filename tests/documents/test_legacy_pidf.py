"""Presence for clients from before RFC 3863."""

from __future__ import annotations

import pytest
from lxml import etree

from twisted_sip.documents.legacy_pidf import CPIM_NAMESPACE, to_cpim_pidf, to_xpidf
from twisted_sip.documents.pidf import Presence

ALICE = "sip:alice@example.com"


def test_xpidf() -> None:
    presence = (
        Presence(ALICE)
        .with_status("closed", id="a", priority=1)
        .with_status("open", id="b&c", priority=0.5, contact="sip:alice@192.0.2.1?a=1&b=2", note="<hello>")
    )
    assert to_xpidf(presence) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<!DOCTYPE presence PUBLIC "-//IETF//DTD RFCxxxx XPIDF 1.0//EN" "xpidf.dtd">\n'
        b"<presence>\n"
        b'<presentity uri="sip:alice@example.com;method=SUBSCRIBE"/>\n'
        b'<atom id="b&amp;c">\n'
        b'<address uri="sip:alice@192.0.2.1?a=1&amp;b=2" priority="0.500000">\n'
        b'<status status="open"/>\n'
        b'<msnsubstatus substatus="online"/>\n'
        b"<note>&lt;hello&gt;</note>\n"
        b"</address>\n"
        b"</atom>\n"
        b'<atom id="a">\n'
        b'<address uri="sip:alice@example.com" priority="1.000000">\n'
        b'<status status="closed"/>\n'
        b'<msnsubstatus substatus="offline"/>\n'
        b"</address>\n"
        b"</atom>\n"
        b"</presence>\n"
    )


@pytest.mark.parametrize(
    ("activity", "status", "substatus"),
    [
        ("on-the-phone", "inuse", "onthephone"),
        ("meeting", "inuse", "busy"),
        ("meal", "open", "outtolunch"),
        ("vacation", "open", "away"),
        ("playing", "open", "online"),
    ],
)
def test_xpidf_substatus(activity: str, status: str, substatus: str) -> None:
    xml = to_xpidf(Presence(ALICE).with_status("open", activity=activity)).decode()
    assert f'<status status="{status}"/>' in xml
    assert f'substatus="{substatus}"' in xml


def test_xpidf_of_idle_devices() -> None:
    idle = Presence(ALICE).with_status("open").with_device("urn:uuid:1", user_input="idle")
    assert b'substatus="idle"' in to_xpidf(idle)
    active = idle.with_device("urn:uuid:2", user_input="active", id="other")
    assert b'substatus="online"' in to_xpidf(active)


def test_xpidf_of_services_without_identifier() -> None:
    body = b"<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'><tuple/><tuple/></presence>"
    root = etree.fromstring(to_xpidf(Presence.parse(body)))
    assert [atom.get("id") for atom in root.iter("atom")] == ["a0", "a1"]


def test_cpim_pidf() -> None:
    presence = Presence(ALICE).with_status("open", note="hi", lang="en", activity="busy", timestamp=0, priority=0.5)
    assert to_cpim_pidf(presence) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<presence xmlns="urn:ietf:params:xml:ns:cpim-pidf" entity="sip:alice@example.com"><tuple id="service">'
        b'<status><basic>open</basic></status><contact priority="0.500">sip:alice@example.com</contact>'
        b'<note xml:lang="en">hi</note><timestamp>1970-01-01T00:00:00+00:00</timestamp></tuple>'
        b"<note>hi</note></presence>"
    )


def test_cpim_pidf_of_little() -> None:
    tuple_ = b"<tuple id='t'><note>x</note></tuple>"
    body = b"<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>" + tuple_ + b"</presence>"
    root = etree.fromstring(to_cpim_pidf(Presence.parse(body)))
    assert root.findtext(f".//{{{CPIM_NAMESPACE}}}basic") == "closed"
    assert root.find(f".//{{{CPIM_NAMESPACE}}}contact") is None
    empty = etree.fromstring(to_cpim_pidf(Presence(ALICE)))
    assert len(empty) == 0
