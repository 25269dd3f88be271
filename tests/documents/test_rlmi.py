"""Resource list meta-information (RFC 4662 section 5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_sip.documents.rlmi import MEDIA_TYPE, Instance, ListState, Resource, list_notification
from twisted_sip.documents.values import Note
from twisted_sip.errors import DocumentError, LocalProtocolError
from twisted_sip.message.media_types import MediaType
from twisted_sip.message.multipart import BodyPart, parse_multipart

# RFC 4662 section 5.1.
EXAMPLE = b"""<?xml version="1.0"?>
<list xmlns="urn:ietf:params:xml:ns:rlmi"
      uri="sip:adam-friends@lists.vancouver.example.com"
      version="7" fullState="true">
  <name xml:lang="en">Buddy List</name>
  <name xml:lang="fr">Liste d'amis</name>
  <resource uri="sip:bob@vancouver.example.com">
    <name>Bob Smith</name>
    <instance id="juwigmtboe" state="active"
              cid="12345.aaa@vancouver.example.com"/>
  </resource>
  <resource uri="sip:jim@vancouver.example.com">
    <name>Jim</name>
    <instance id="oflzxqzuvg" state="terminated"
              reason="rejected" />
  </resource>
  <resource uri="sip:ed@vancouver.example.com">
    <name>Ed</name>
    <instance id="grqhzsppxb" state="pending"/>
  </resource>
</list>
"""
PARSED = ListState(
    uri="sip:adam-friends@lists.vancouver.example.com",
    version=7,
    full=True,
    names=(Note("Buddy List", "en"), Note("Liste d'amis", "fr")),
    resources=(
        Resource(
            uri="sip:bob@vancouver.example.com",
            names=(Note("Bob Smith"),),
            instances=(Instance(id="juwigmtboe", state="active", cid="12345.aaa@vancouver.example.com"),),
        ),
        Resource(
            uri="sip:jim@vancouver.example.com",
            names=(Note("Jim"),),
            instances=(Instance(id="oflzxqzuvg", state="terminated", reason="rejected"),),
        ),
        Resource(
            uri="sip:ed@vancouver.example.com",
            names=(Note("Ed"),),
            instances=(Instance(id="grqhzsppxb", state="pending"),),
        ),
    ),
)


def test_reads_the_example() -> None:
    assert ListState.parse(EXAMPLE) == PARSED


def test_what_is_written_reads_back(check_schema: Callable[[str, bytes], None]) -> None:
    for state in (
        PARSED,
        ListState(uri="sip:l@x", version=0, full=False, resources=(Resource(uri="sip:a@x"),), cid="c@x"),
    ):
        body = state.to_xml()
        check_schema("rlmi", body)
        assert ListState.parse(body) == state


@pytest.mark.parametrize(("text", "full"), [("1", True), ("false", False), ("0", False)])
def test_full_state(text: str, full: bool) -> None:
    assert ListState.parse(EXAMPLE.replace(b'"true"', f'"{text}"'.encode())).full is full


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b' version="7"', b""),
        (b'version="7"', b'version="x"'),
        (b'version="7"', b'version="12345678901"'),
        (b'fullState="true"', b'fullState="maybe"'),
        (b'fullState="true"', b""),
        (b'uri="sip:adam-friends@lists.vancouver.example.com"', b""),
        (b'uri="sip:jim@vancouver.example.com"', b""),
        (b'id="grqhzsppxb"', b""),
        (b'state="pending"', b""),
        (b"<list", b"<lisd"),
        (b"ns:rlmi", b"ns:rlmj"),
    ],
)
def test_malformed(old: bytes, new: bytes) -> None:
    assert old in EXAMPLE
    with pytest.raises(DocumentError):
        ListState.parse(EXAMPLE.replace(old, new))


@pytest.mark.parametrize(
    "instance",
    [
        Instance(id="x", state="waiting"),
        Instance(id="x", state="terminated"),
        Instance(id="x", state="active"),
    ],
)
def test_instances_have_what_their_state_requires(instance: Instance) -> None:
    with pytest.raises(LocalProtocolError):
        ListState(uri="l", version=0, full=True, resources=(Resource(uri="r", instances=(instance,)),)).to_xml()


def test_names_of_peers_are_made_fit() -> None:
    instance = Instance(id="x", state="terminated", reason="no\x01")
    resource = Resource(uri="sip:a\udc80@b", names=(Note("\x0b!"),), instances=(instance,))
    read = ListState.parse(ListState(uri="sip:l@x", version=0, full=True, resources=(resource,)).to_xml())
    assert read.resources[0].uri == "sip:a\ufffd@b" and read.resources[0].names == (Note("\ufffd!"),)
    assert read.resources[0].instances[0].reason == "no\ufffd"


def test_notification() -> None:
    bob = BodyPart(
        content_type=MediaType("application/pidf+xml"), content_id="12345.aaa@vancouver.example.com", body=b"<p/>"
    )
    content_type, body = list_notification(PARSED, [bob], "nXYxAE@pres.vancouver.example.com")
    read = parse_multipart(content_type, body)
    assert read.root is read.parts[0]
    assert read.root.content_type.key == MEDIA_TYPE
    assert ListState.parse(read.root.body) == PARSED
    found = read.part(PARSED.resources[0].instances[0].cid)
    assert found is not None and found.body == b"<p/>"
    assert content_type.startswith('multipart/related;type="application/rlmi+xml";start="<nXYxAE@')
