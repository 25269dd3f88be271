"""application/reginfo+xml (RFC 3680 section 5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_sip.documents.reginfo import Contact, ReginfoDocument, Registration, RegistrationTable
from twisted_sip.errors import DocumentError, LocalProtocolError

Check = Callable[[str, bytes], None]

# Section 5.3.
EXAMPLE = b"""<?xml version="1.0"?>
    <reginfo xmlns="urn:ietf:params:xml:ns:reginfo"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
                 version="0" state="full">
      <registration aor="sip:user@example.com" id="as9"
                    state="active">
        <contact id="76" state="active" event="registered"
                 duration-registered="7322"
                 q="0.8">
                 <uri>sip:user@pc887.example.com</uri>
        </contact>
        <contact id="77" state="terminated" event="expired"
                 duration-registered="3600"
                 q="0.5">
                 <uri>sip:user@university.edu</uri>
        </contact>
      </registration>
    </reginfo>"""


def contact(id: str, event: str = "registered", state: str = "active", **more: object) -> Contact:
    return Contact(id=id, uri=f"sip:{id}@192.0.2.5", state=state, event=event, **more)  # type: ignore[arg-type]


def document(version: int, full: bool, *contacts: Contact) -> ReginfoDocument:
    registration = Registration(aor="sip:a@example.com", id="r", state="active", contacts=contacts)
    return ReginfoDocument(version=version, full=full, registrations=(registration,))


def test_the_example_is_read() -> None:
    read = ReginfoDocument.parse(EXAMPLE)
    assert (read.version, read.full) == (0, True)
    (registration,) = read.registrations
    assert (registration.aor, registration.id, registration.state) == ("sip:user@example.com", "as9", "active")
    first, second = registration.contacts
    assert (first.id, first.event, first.duration_registered, first.q) == ("76", "registered", 7322, "0.8")
    assert first.uri == "sip:user@pc887.example.com"
    assert (second.state, second.event) == ("terminated", "expired")


def test_what_is_written_is_valid_and_reads_back(check_schema: Check) -> None:
    made = document(
        7,
        False,
        contact(
            "1",
            "shortened",
            display_name="Älice <&>",
            lang="de",
            expires=30,
            duration_registered=5,
            q="0.5",
            call_id='x"&@y',
            cseq=9,
            unknown_params=(("+sip.instance", '"<urn:uuid:1>"'), ("methods", '"INVITE,BYE"'), ("video", "")),
        ),
        contact("2", "probation", "terminated", retry_after=60, display_name="Bob"),
    )
    body = made.to_xml()
    check_schema("reginfo", body)
    assert ReginfoDocument.parse(body) == made


def test_gruus(check_schema: Check) -> None:
    """RFC 5628."""
    public, temporary = "sip:a@example.com;gr=urn:uuid:1", "sip:tgruu.x@example.com;gr"
    made = document(
        0,
        True,
        contact("1", pub_gruu=public, temp_gruu=temporary, first_cseq=54301),
        contact("2", pub_gruu=public),
        contact("3", temp_gruu=temporary),
    )
    body = made.to_xml()
    check_schema("reginfo", body)
    assert b'xmlns:gr="urn:ietf:params:xml:ns:gruuinfo"' in body
    assert b'<gr:temp-gruu uri="sip:tgruu.x@example.com;gr" first-cseq="54301"/>' in body
    assert ReginfoDocument.parse(body) == made
    assert b"gruuinfo" not in document(0, True, contact("1")).to_xml()


def test_what_xml_cannot_hold_is_replaced(check_schema: Check) -> None:
    body = document(0, True, contact("\x01", call_id="a\udcff")).to_xml()
    check_schema("reginfo", body)
    (read,) = ReginfoDocument.parse(body).registrations[0].contacts
    assert (read.id, read.call_id) == ("\ufffd", "a\ufffd")


@pytest.mark.parametrize(
    "body",
    [
        b"<reginfo/>",
        EXAMPLE.replace(b'version="0"', b""),
        EXAMPLE.replace(b'version="0"', b'version="x"'),
        EXAMPLE.replace(b'state="full"', b'state="whole"'),
        EXAMPLE.replace(b'aor="sip:user@example.com"', b""),
        EXAMPLE.replace(b'id="76"', b""),
        EXAMPLE.replace(b'event="expired"', b""),
        EXAMPLE.replace(b"</contact>", b"<unknown-param/></contact>", 1),
        b"x" * 2_000_000,
    ],
)
def test_what_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(DocumentError):
        ReginfoDocument.parse(body)


@pytest.mark.parametrize(
    "made",
    [
        document(0, True, contact("1", "vanished")),
        document(0, True, contact("1", state="init")),
        document(0, True, contact("1", "shortened")),
        document(0, True, contact("1", "probation", "terminated")),
        ReginfoDocument(version=0, full=True, registrations=(Registration(aor="a", id="b", state="lost"),)),
    ],
)
def test_what_makes_no_sense_is_not_written(made: ReginfoDocument) -> None:
    with pytest.raises(LocalProtocolError):
        made.to_xml()


def test_the_table_puts_partial_documents_together() -> None:
    table = RegistrationTable()
    assert table.receive(document(3, True, contact("1"), contact("2")))
    assert table.receive(document(4, False, contact("1", "refreshed"), contact("2", "expired", "terminated")))
    assert {key: row.event for key, row in table.contacts["r"].items()} == {"1": "refreshed"}
    # Old ones are discarded, and a gap asks for full state.
    assert table.receive(document(4, True))
    assert list(table.contacts["r"]) == ["1"]
    assert not table.receive(document(6, False, contact("3")))
    assert list(table.contacts["r"]) == ["1", "3"]
    assert table.receive(document(9, True, contact("4")))
    assert list(table.contacts["r"]) == ["4"]
    assert table.registrations["r"].contacts == ()
